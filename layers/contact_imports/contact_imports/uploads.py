"""The S3 bucket of uploaded files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ResponseStreamingError
from botocore.exceptions import IncompleteReadError as ShortReadError
from urllib3.exceptions import HTTPError

from contact_imports.backoff import StillUnprocessedError, attempts
from contact_imports.errors import FileError
from contact_imports.limits import MAX_LINE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 8 * 1024 * 1024
_KEY = re.compile(r"imports/(?P<project_id>[^/]+)/(?P<import_id>[0-9a-f]{24})\.csv")
_GONE = {"404", "412", "NoSuchKey", "PreconditionFailed"}


class UploadGoneError(Exception):
    """The object was deleted or replaced after the event that told of it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of an object, known by its ETag (without quotes); `size` in bytes."""

    key: str
    etag: str
    size: int


class Uploads:
    """Uploaded files by project and import."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, project_id: str, import_id: str, content: bytes) -> None:
        """Stores an import's file, whose event starts the processor."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=f"imports/{project_id}/{import_id}.csv",
            Body=content,
            ContentType="text/csv",
        )

    def open(self, upload: Upload) -> io.BufferedReader:
        """The file as a stream, which raises UploadGoneError when it is not the same object any more."""
        return io.BufferedReader(_ObjectReader(self._chunks(upload)), buffer_size=256 * 1024)

    def head(self, upload: Upload, size: int) -> bytes:
        """The file's first bytes, at most `size`; fewer if it is shorter."""
        return self._range(upload, 0, min(size, upload.size)) if upload.size else b""

    def _chunks(self, upload: Upload) -> Iterator[bytes]:
        since_line_end = 0
        for start in range(0, upload.size, _CHUNK_BYTES):
            chunk = self._range(upload, start, min(_CHUNK_BYTES, upload.size - start))
            last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
            since_line_end = len(chunk) - last - 1 if last >= 0 else since_line_end + len(chunk)
            if since_line_end > MAX_LINE_BYTES:
                raise FileError(
                    "UNREADABLE_FILE",
                    f"The file has {MAX_LINE_BYTES:,} bytes without the end of a line, so it is no CSV.",
                )
            yield chunk

    def _range(self, upload: Upload, start: int, size: int) -> bytes:
        """Some bytes of the object. Read whole before use, so that a body cut off is simply read again."""
        for _ in attempts():
            try:
                response = self._client.get_object(
                    Bucket=self._bucket,
                    Key=upload.key,
                    IfMatch=f'"{upload.etag}"',
                    Range=f"bytes={start}-{start + size - 1}",
                )
                return response["Body"].read()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _GONE:
                    raise UploadGoneError(upload.key) from None
                raise
            except (ResponseStreamingError, ShortReadError, HTTPError):
                continue
        raise StillUnprocessedError("an upload could not be read")


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


def import_of_key(key: str) -> tuple[str, str] | None:
    """The (project id, import id) that an object's key names; None where it is no upload of an import."""
    match = _KEY.fullmatch(key)
    return (match["project_id"], match["import_id"]) if match else None
