"""A file's bytes as they are read: gunzipped where it is gzip, and stopped where it is no file of rows."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import TYPE_CHECKING, Any

from contact_imports.model.errors import FileError
from contact_imports.model.limits import (
    MAX_FILE_BYTES,
    MAX_GZIP_RATIO,
    MAX_GZIP_RATIO_FROM_BYTES,
    MAX_LINE_BYTES,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP_MAGIC = b"\x1f\x8b"

_GZIP_WINDOW = zlib.MAX_WBITS | 16  # a gzip header, not a zlib one


def plain_head(head: bytes) -> bytes:
    """What a file begins with, gunzipped; `head` is the beginning of the file as it is stored.

    Raises FileError where it says that it is gzip and is not.
    """
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(_GZIP_WINDOW).decompress(head, len(head))
    except zlib.error:
        raise _damaged() from None


class PlainFile(io.RawIOBase):
    """The bytes of a file of `stored_bytes`, gunzipped; `size` counts those that were read.

    Raises FileError where it is over the limit as it is. Reading raises FileError for damaged gzip, for one that unpacks to more than the limits, and for a
    stretch without a line end.
    """

    def __init__(self, stored: io.BufferedReader[Any], stored_bytes: int) -> None:
        self.size = 0
        self._since_line_end = 0
        self.is_gzip = stored.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        self._source: Any = gzip.GzipFile(fileobj=stored) if self.is_gzip else stored
        self._most = MAX_FILE_BYTES
        if self.is_gzip:
            ratio_bytes = max(MAX_GZIP_RATIO_FROM_BYTES, MAX_GZIP_RATIO * stored_bytes)
            self._most = min(MAX_FILE_BYTES, ratio_bytes)
        if stored_bytes > self._most:
            raise self._too_large()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer with the next bytes; returns how many, 0 at the end."""
        view = memoryview(buffer)
        try:
            count: int = self._source.readinto(view)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise _damaged() from None
        self.size += count
        if self.size > self._most:
            raise self._too_large()
        self._check_lines(bytes(view[:count]))
        return count

    def _too_large(self) -> FileError:
        if self._most < MAX_FILE_BYTES:
            message = (
                f"The file is gzip and unpacks to more than {self._most:,} bytes, far more than contacts do. "
                "If it is right, send it without gzip."
            )
        else:
            message = f"The file has more than {self._most:,} bytes (unpacked). Split it."
        return FileError("UNREADABLE_FILE", message)

    def _check_lines(self, chunk: bytes) -> None:
        last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._since_line_end = (
            len(chunk) - last - 1 if last >= 0 else self._since_line_end + len(chunk)
        )
        if self._since_line_end > MAX_LINE_BYTES:
            raise FileError(
                "UNREADABLE_FILE",
                f"The file has {MAX_LINE_BYTES:,} bytes without the end of a line, so it is no CSV.",
            )


def _damaged() -> FileError:
    return FileError(
        "UNREADABLE_FILE",
        "The file is gzip, but damaged or cut off. Pack it again, or send it without gzip.",
    )
