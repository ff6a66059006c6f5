"""The S3 bucket of files that were uploaded and dropped, and of what imports leave.

imports/PROJECT/IMPORT.csv             what the API stored, or a form uploaded
drop/PROJECT/anything                  what was dropped
reports/PROJECT/IMPORT/errors*         the failed rows: as CSV, and as pages of JSON
results/PROJECT/anything.result.json   what a dropped file's import came to, and its failed rows
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any, TypedDict

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ResponseStreamingError
from botocore.exceptions import IncompleteReadError as ShortReadError
from urllib3.exceptions import HTTPError

from contact_imports.aws.retry import StillUnprocessedError, attempts
from contact_imports.files.plain_file import PlainFile, plain_head
from contact_imports.model.import_job import UPLOAD_FORM_SECONDS, Import, Upload
from contact_imports.model.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

_REPORT_URL_SECONDS = 900
_CHUNK_BYTES = 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024  # S3 takes parts of 5 MiB and more, 10,000 of them at most
_KEY = re.compile(r"imports/(?P<project_id>[^/]+)/(?P<import_id>[0-9a-f]{24})\.csv")
_DROP_KEY = re.compile(r"drop/(?P<project_id>[A-Za-z0-9_-]{1,64})/(?:.*[^/])", re.DOTALL)
_GONE = {"404", "412", "NoSuchKey", "NoSuchVersion", "PreconditionFailed"}
_MAX_KEY_BYTES = 1024


class _Version(TypedDict, total=False):
    VersionId: str


class UploadGoneError(Exception):
    """The object was deleted or replaced after the event that told of it."""


@dataclass(frozen=True, slots=True)
class ImportKey:
    """Which import an object's key names; `import_id` is None for an object that was dropped."""

    project_id: str
    import_id: str | None


@dataclass(frozen=True, slots=True)
class UploadDetails:
    """When an object was made, and the metadata that its owner gave it, by lower-case name."""

    made: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UploadForm:
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
        """Stores an import's file, whose event starts the processor."""
        self._client.put_object(
            Bucket=self.bucket,
            Key=_import_key(project_id, import_id),
            Body=content,
            ContentType="text/csv",
        )

    def form(self, project_id: str, import_id: str, now: datetime) -> UploadForm:
        """A form that uploads an import's file, whose event starts the processor."""
        post = self._client.generate_presigned_post(
            self.bucket,
            _import_key(project_id, import_id),
            Conditions=[["content-length-range", 1, MAX_FILE_BYTES]],
            ExpiresIn=UPLOAD_FORM_SECONDS,
        )
        expires_at = now + timedelta(seconds=UPLOAD_FORM_SECONDS)
        return UploadForm(post["url"], post["fields"], MAX_FILE_BYTES, expires_at)

    def details(self, upload: Upload) -> UploadDetails:
        """What S3 knows of an object; raises UploadGoneError where it is not the same any more."""
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
        metadata = {name.lower(): _decoded(value) for name, value in head["Metadata"].items()}
        return UploadDetails(head["LastModified"], metadata)

    def open(self, upload: Upload) -> PlainFile:
        """The file as a stream, gunzipped; see PlainFile for what reading raises.

        It raises UploadGoneError too, when the object is not the same any more.
        """
        stored = io.BufferedReader(_ObjectReader(self._chunks(upload)), buffer_size=256 * 1024)
        return PlainFile(stored, upload.size)

    def head(self, upload: Upload, size: int) -> bytes:
        """The file's first bytes, gunzipped, of at most `size` bytes; raises FileError, UploadGoneError."""
        if not upload.size:
            return b""
        for _ in attempts():
            try:
                return plain_head(self._body(upload, 0, size).read(size))
            except (ResponseStreamingError, ShortReadError, HTTPError):
                continue
        raise StillUnprocessedError("an upload could not be read")

    def put_result(self, key: str, content: str) -> None:
        """Stores a JSON document beside what was dropped."""
        self._client.put_object(
            Bucket=self.bucket, Key=key, Body=content.encode(), ContentType="application/json"
        )

    def put_error_page(self, job: Import, page: int, content: bytes) -> None:
        """Stores one page of an import's failed rows."""
        self._client.put_object(
            Bucket=self.bucket,
            Key=_error_page_key(job, page),
            Body=content,
            ContentType="application/json",
        )

    def error_page(self, job: Import, page: int) -> bytes | None:
        """A page of an import's failed rows; None where there is none."""
        try:
            response = self._client.get_object(Bucket=self.bucket, Key=_error_page_key(job, page))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return response["Body"].read()

    def report_writer(self, job: Import, *, for_spreadsheet: bool = False) -> ObjectWriter:
        """Where the report of an import's failed rows, or the one for spreadsheets, is written to."""
        key = _report_key(job, for_spreadsheet=for_spreadsheet)
        return ObjectWriter(self._client, self.bucket, key, "text/csv; charset=utf-8")

    def report_size(self, job: Import, *, for_spreadsheet: bool = False) -> int | None:
        """The bytes of an import's report; None where there is none."""
        try:
            head = self._client.head_object(
                Bucket=self.bucket, Key=_report_key(job, for_spreadsheet=for_spreadsheet)
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return head["ContentLength"]

    def report(self, job: Import, *, for_spreadsheet: bool = False) -> bytes:
        """An import's report."""
        key = _report_key(job, for_spreadsheet=for_spreadsheet)
        return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def report_url(self, job: Import, file_name: str, *, for_spreadsheet: bool = False) -> str:
        """Where anyone can get an import's report for a while."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": _report_key(job, for_spreadsheet=for_spreadsheet),
                "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            },
            ExpiresIn=_REPORT_URL_SECONDS,
        )

    def copy_report(self, job: Import, key: str) -> None:
        """Puts a copy of an import's report beside what was dropped."""
        source: CopySourceTypeDef = {"Bucket": self.bucket, "Key": _report_key(job)}
        # Not CopyObject, which takes 5 GB at most.
        self._client.copy(source, self.bucket, key, Config=TransferConfig(use_threads=False))

    def delete_result(self, key: str) -> None:
        """Removes what an earlier import of the same key left there, if it did."""
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def _chunks(self, upload: Upload) -> Iterator[bytes]:
        """The object from beginning to end. Where it breaks off it is asked for again, from there on."""
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
        """The object's bytes from `offset` on, up to the end or, mostly, to `end`."""
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


class _ObjectReader(io.RawIOBase):
    """Chunks of bytes as a raw stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        size = min(len(self._left), len(buffer))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class ObjectWriter:
    """An object that is written from beginning to end, in parts, so that memory does not grow with it.

    One that is not finished is never there, and S3 forgets its parts.
    """

    def __init__(self, client: S3Client, bucket: str, key: str, content_type: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._content_type = content_type
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    def write(self, data: bytes) -> None:
        """Adds to the object's end."""
        self._buffer += data
        if len(self._buffer) >= _PART_BYTES:
            self._send_part()

    def finish(self) -> None:
        """Makes the object of everything that was written."""
        if self._upload_id is None:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key,
                Body=bytes(self._buffer),
                ContentType=self._content_type,
            )
            return
        if self._buffer:
            self._send_part()
        self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key, ContentType=self._content_type
            )["UploadId"]
        number = len(self._parts) + 1
        part = self._client.upload_part(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=bytes(self._buffer),
        )
        self._parts.append({"ETag": part["ETag"], "PartNumber": number})
        self._buffer.clear()


def import_of_key(key: str) -> ImportKey | None:
    """What an object's key says of its import; None where it is no upload, such as a folder's marker."""
    match = _KEY.fullmatch(key)
    if match:
        return ImportKey(match["project_id"], match["import_id"])
    match = _DROP_KEY.fullmatch(key)
    return ImportKey(match["project_id"], None) if match else None


def result_key(job: Import, suffix: str) -> str:
    """Where a result of a dropped file is left: beside it, under `results/` instead of `drop/`."""
    key = f"results/{(job.dropped_key or '').removeprefix('drop/')}.{suffix}"
    if len(key.encode()) > _MAX_KEY_BYTES:
        return f"results/{job.project_id}/{job.id}.{suffix}"
    return key


def _import_key(project_id: str, import_id: str) -> str:
    return f"imports/{project_id}/{import_id}.csv"


def _report_key(job: Import, *, for_spreadsheet: bool = False) -> str:
    name = "errors-spreadsheet.csv" if for_spreadsheet else "errors.csv"
    return f"reports/{job.project_id}/{job.id}/{name}"


def _error_page_key(job: Import, page: int) -> str:
    return f"reports/{job.project_id}/{job.id}/errors-{page:06}.json"


def _gone_or(error: ClientError, upload: Upload) -> Exception:
    gone = error.response.get("Error", {}).get("Code") in _GONE
    return UploadGoneError(upload.key) if gone else error


def _decoded(value: str) -> str:
    """A metadata value; S3 gives one that is not ASCII as RFC 2047 words.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    return str(make_header(decode_header(value))) if value.startswith("=?") else value
