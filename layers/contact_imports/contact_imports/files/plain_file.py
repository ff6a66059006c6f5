"""Reads a file's bytes, unpacks gzip, and stops at the limits of what a file may be."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable
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

ISO_2022_ESCAPE = re.compile(rb"\x1b\$[@AB(]|\x1b\([IJ]")
"""The escape sequences with which ISO-2022-JP, whose bytes are all ASCII, switches character sets.
https://www.rfc-editor.org/rfc/rfc1468"""


class OutOfTimeError(Exception):
    """The time is over in which a file was to be read."""


class PlainFile(io.RawIOBase):
    """A file of `stored_bytes` as a stream, unpacked if it is gzip.

    `size` is the number of bytes read so far. `has_iso_2022` says whether there were escape sequences of ISO 2022
    among them. Raises FileError if the stored file is over the limit. Reading raises FileError if gzip is damaged or
    unpacks to more than the limits, and if there is no line end within MAX_LINE_BYTES. Raises OutOfTimeError once
    there is no time left.
    """

    def __init__(
        self,
        stored: io.BufferedReader[Any],
        stored_bytes: int,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self.size = 0
        self._has_time = has_time
        self.has_iso_2022 = False
        self._head = b""
        self._line_ends = (b"\n", b"\r")
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

    def head(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end, without reading past them."""
        while len(self._head) < size:
            buffer = bytearray(size - len(self._head))
            count = self._read_source(memoryview(buffer))
            if not count:
                break
            self._head += buffer[:count]
        return self._head[:size]

    def set_encoding(self, encoding: str) -> None:
        """Sets how line ends are found: in UTF-16 and UTF-32 they have more than one byte."""
        if encoding.startswith(("utf-16", "utf-32")):
            endian = "-be" if self._head.startswith((b"\xfe\xff", b"\0\0\xfe")) else "-le"
            codec = encoding if encoding.endswith(("-le", "-be")) else encoding + endian
            self._line_ends = ("\n".encode(codec), "\r".encode(codec))

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer with the next bytes; returns how many, 0 at the end."""
        view = memoryview(buffer)
        if self._head:
            count = min(len(view), len(self._head))
            view[:count] = self._head[:count]
            self._head = self._head[count:]
        else:
            count = self._read_source(view)
        chunk = bytes(view[:count])
        self._check_lines(chunk)
        if b"\x1b" in chunk and ISO_2022_ESCAPE.search(chunk):
            self.has_iso_2022 = True
        return count

    def _read_source(self, view: memoryview) -> int:
        # Here and not by chunk of the object: a chunk of gzip may unpack to what takes minutes to read.
        if not self._has_time():
            raise OutOfTimeError
        try:
            count: int = self._source.readinto(view)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise _damaged() from None
        self.size += count
        if self.size > self._most:
            raise self._too_large()
        return count

    def _too_large(self) -> FileError:
        if self._most < MAX_FILE_BYTES:
            message = (
                f"The file is gzip and unpacks to more than {self._most:,} bytes, which is too much for its size. "
                "Check it, or send it without gzip."
            )
        else:
            message = f"The file has more than {self._most:,} bytes (unpacked). Split it."
        return FileError("UNREADABLE_FILE", message)

    def _check_lines(self, chunk: bytes) -> None:
        # A line end of several bytes that two chunks share is missed. The next one is found.
        last = max(map(chunk.rfind, self._line_ends))
        self._since_line_end = (
            len(chunk) - last - 1 if last >= 0 else self._since_line_end + len(chunk)
        )
        if self._since_line_end > MAX_LINE_BYTES:
            raise FileError(
                "UNREADABLE_FILE",
                f"The file has {MAX_LINE_BYTES:,} bytes without the end of a line, so it is not a CSV. Send a CSV.",
            )


def _damaged() -> FileError:
    return FileError(
        "UNREADABLE_FILE",
        "The file is gzip, but damaged or truncated. Pack it again, or send it without gzip.",
    )
