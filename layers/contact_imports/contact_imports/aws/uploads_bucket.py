"""The uploaded and dropped files in the S3 bucket.

imports/PROJECT/IMPORT.csv   a file that the API stored, or that a presigned POST uploaded
drop/PROJECT/anything        a dropped file

`report_files` has the reports and results in the same bucket.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, TypedDict

import msgspec
from botocore.exceptions import ClientError

from contact_imports.aws.byte_stream import ByteStream
from contact_imports.aws.errors import error_code, is_gone, is_refused
from contact_imports.aws.object_stream import CHUNK_BYTES, object_chunks
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.import_job import PRESIGNED_POST_SECONDS, Upload
from contact_imports.model.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_HEAD_REFUSED = {"400", "403"}
_KEY = re.compile(r"imports/(?P<project_id>[^/]+)/(?P<import_id>[0-9a-f]{24})\.csv")
_DROP_KEY = re.compile(r"drop/(?P<project_id>[A-Za-z0-9_-]{1,64})/(?:.*[^/])", re.DOTALL)


class _Version(TypedDict, total=False):
    VersionId: str


class UploadGoneError(Exception):
    """The object was deleted or replaced after its event was sent."""


class UploadRefusedError(Exception):
    """The object is there, but S3 does not let us read it. The message says so to people."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"The file cannot be read: S3 refuses it ({code}). Store it in a class that can be read at once, "
            "encrypted with the bucket's own key (not SSE-C, nor another KMS key)."
        )


class ImportKey(msgspec.Struct, frozen=True):
    """Which import an object's key names; `import_id` is None for an object that was dropped."""

    project_id: str
    import_id: str | None


class PresignedPost(msgspec.Struct, frozen=True):
    """A form that anyone may post one file with, until it expires: `fields`, then `file`, to `url`."""

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

    def metadata(self, upload: Upload) -> Mapping[str, str]:
        """The metadata that an object's owner gave it, by lower-case name, as S3 gives it: see decoded_metadata.

        Raises UploadGoneError if it was deleted or replaced, UploadRefusedError if it cannot be read.
        """
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
            if error_code(error) in _HEAD_REFUSED:
                # The answer to HEAD has no code. That to GET has.
                self._body(upload, 0, 1).close()
            raise _meant(error, upload) from None
        return {name.lower(): value for name, value in head["Metadata"].items()}

    def open(self, upload: Upload, has_time: Callable[[], bool] = lambda: True) -> PlainFile:
        """The file as a stream, gunzipped; see PlainFile for what reading raises.

        Reading also raises UploadGoneError, if the object was deleted or replaced, UploadRefusedError, if it cannot
        be read, and OutOfTimeError, once there is no time left.
        """
        chunks = object_chunks(lambda offset: self._body(upload, offset), upload.size)
        stored = io.BufferedReader(ByteStream(chunks), buffer_size=256 * 1024)
        return PlainFile(stored, upload.size, has_time)

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
            raise _meant(error, upload) from None
        body = response["Body"]
        if "ContentRange" not in response:
            # A server may answer with the whole object (RFC 9110, 14.2).
            for start in range(0, offset, CHUNK_BYTES):
                body.read(min(CHUNK_BYTES, offset - start))
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


def _meant(error: ClientError, upload: Upload) -> Exception:
    if is_gone(error):
        return UploadGoneError(upload.key)
    return UploadRefusedError(error_code(error)) if is_refused(error) else error
