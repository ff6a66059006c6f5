"""A file object over chunks of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class ByteStream(io.RawIOBase):
    """A stream over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """True: see io.IOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copies bytes of one chunk into a buffer; returns how many, 0 at the end of the stream."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(self._left), len(buffer))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
