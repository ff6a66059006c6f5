"""Chunks of bytes as a stream, for whoever reads files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class ByteStream(io.RawIOBase):
    """Reads what an iterator gives, which is asked for the next chunk when the one before is used up."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """True: see io.IOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer as far as one chunk goes; 0 only at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(self._left), len(buffer))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
