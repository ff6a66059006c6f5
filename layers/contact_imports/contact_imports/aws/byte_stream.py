"""Chunks of bytes as a file to read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class ByteStream(io.RawIOBase):
    """A stream over an iterator, which is advanced when the chunk before is used up."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """True: see io.IOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer from one chunk, perhaps not to its end; returns the bytes, 0 at the end of the stream."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(self._left), len(buffer))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
