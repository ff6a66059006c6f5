"""The uploaded and dropped files in the S3 bucket.

imports/PROJECT/IMPORT.csv   a file that the API stored, or that a presigned POST uploaded
drop/PROJECT/anything        a dropped file

`report_files` has the reports and results in the same bucket.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError, ResponseStreamingError
from botocore.exceptions import IncompleteReadError as ShortReadError
from urllib3.exceptions import HTTPError

from contact_imports.aws.byte_stream import ByteStream
from contact_imports.aws.errors import is_gone
from contact_imports.aws.retry import StillUnprocessedError, attempts
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.import_job import PRESIGNED_POST_SECONDS, Upload
from contact_imports.model.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024
_KEY = re.compile(r"imports/(?P<project_id>[^/]+)/(?P<import_id>[0-9a-f]{24})\.csv")
_DROP_KEY = re.compile(r"drop/(?P<project_id>[A-Za-z0-9_-]{1,64})/(?:.*[^/])", re.DOTALL)


class _Version(TypedDict, total=False):
    VersionId: str


class UploadGoneError(Exception):
    """The object was deleted or replaced after its event was sent."""


@dataclass(frozen=True, slots=True)
class ImportKey:
    """Which import an object's key names; `import_id` is None for an object that was dropped."""

    project_id: str
    import_id: str | None


@dataclass(frozen=True, slots=True)
class UploadDetails:
    """When an object was made, and its user metadata by lower-case name, as S3 returns it: see
    decoded_metadata."""

    made: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PresignedPost:
    """A presigned POST: until it expires, anyone can upload one file by posting `fields`, then `file`, to `url`."""

    url: str
    fields: Mapping[str, str]
    max_bytes: int
    expires_at: datetime


class Uploads:
    """Uploaded files by project and import."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def put(self, project_id: str, import_id: str, content: bytes) -> None:
        """Stores an import's file; S3's event about it starts the processor."""
        self._client.put_object(
            Bucket=self.bucket,
            Key=_import_key(project_id, import_id),
            Body=content,
            ContentType="text/csv",
        )

    def presigned_post(self, project_id: str, import_id: str, now: datetime) -> PresignedPost:
        """A presigned POST for an import's file; S3's event about the file starts the processor."""
        post = self._client.generate_presigned_post(
            self.bucket,
            _import_key(project_id, import_id),
            Conditions=[["content-length-range", 1, MAX_FILE_BYTES]],
            ExpiresIn=PRESIGNED_POST_SECONDS,
        )
        expires_at = now + timedelta(seconds=PRESIGNED_POST_SECONDS)
        return PresignedPost(post["url"], post["fields"], MAX_FILE_BYTES, expires_at)

    def details(self, upload: Upload) -> UploadDetails:
        """The metadata of an object; raises UploadGoneError if it was deleted or replaced."""
        try:
            if upload.version_id:
                head = self._client.head_object(
                    Bucket=self.bucket, Key=upload.key, VersionId=upload.version_id
                )
            else:
                head = self._client.head_object(
                    Bucket=self.bucket, Key=upload.key, IfMatch=f'"{upload.etag}"'
                )
        except ClientError as error:
            raise _gone_or(error, upload) from None
        metadata = {name.lower(): value for name, value in head["Metadata"].items()}
        return UploadDetails(head["LastModified"], metadata)

    def open(self, upload: Upload) -> PlainFile:
        """The file as a stream, gunzipped; see PlainFile for what reading raises.

        Reading also raises UploadGoneError, if the object was deleted or replaced.
        """
        stored = io.BufferedReader(ByteStream(self._chunks(upload)), buffer_size=256 * 1024)
        return PlainFile(stored, upload.size)

    def _chunks(self, upload: Upload) -> Iterator[bytes]:
        """The object from beginning to end. After a read that broke off, the next one continues from there."""
        offset = 0
        tries = attempts()
        while offset < upload.size:
            if next(tries, None) is None:
                raise StillUnprocessedError("an upload could not be read")
            try:
                body = self._body(upload, offset)
                while chunk := body.read(_CHUNK_BYTES):
                    offset += len(chunk)
                    tries = attempts()
                    yield chunk
            except (ResponseStreamingError, ShortReadError, HTTPError):
                continue

    def _body(self, upload: Upload, offset: int, end: int | None = None) -> StreamingBody:
        """The object's bytes from `offset` on, to `end`, or, if the server ignores ranges, to its own end."""
        version: _Version = {"VersionId": upload.version_id} if upload.version_id else {}
        try:
            response = self._client.get_object(
                Bucket=self.bucket,
                Key=upload.key,
                IfMatch=f'"{upload.etag}"',
                Range=f"bytes={offset}-{'' if end is None else end - 1}",
                **version,
            )
        except ClientError as error:
            raise _gone_or(error, upload) from None
        body = response["Body"]
        if "ContentRange" not in response:
            # A server may answer with the whole object (RFC 9110, 14.2).
            for start in range(0, offset, _CHUNK_BYTES):
                body.read(min(_CHUNK_BYTES, offset - start))
        return body


def import_of_key(key: str) -> ImportKey | None:
    """The project and import in an object's key; None if it is not an upload, such as a folder's marker."""
    match = _KEY.fullmatch(key)
    if match:
        return ImportKey(match["project_id"], match["import_id"])
    match = _DROP_KEY.fullmatch(key)
    return ImportKey(match["project_id"], None) if match else None


def decoded_metadata(value: str) -> str:
    """The text of a metadata value. S3 encodes values that are not ASCII as RFC 2047 does.

    Raises ValueError, without the value, if it cannot be decoded.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    if not value.startswith("=?"):
        return value
    try:
        text = str(make_header(decode_header(value)))
        # Some codecs make halves of surrogate pairs, which cannot be stored.
        text.encode()
    except (LookupError, ValueError, MessageError):
        raise ValueError("its RFC 2047 encoding is malformed") from None
    return text


def _import_key(project_id: str, import_id: str) -> str:
    return f"imports/{project_id}/{import_id}.csv"


def _gone_or(error: ClientError, upload: Upload) -> Exception:
    return UploadGoneError(upload.key) if is_gone(error) else error
