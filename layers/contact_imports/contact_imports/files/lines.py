"""A file's lines, some of which are held, since what reads records may have to read them again."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

_CHUNK_BYTES = 32 * 1024
"""More takes longer: the records of a chunk then are no longer in the processor's cache."""

_WITH_ASCII = ("cp1252",)
"""Of the encodings that are found in files, those in which ASCII is the same as in UTF-8."""

_OTHER_BREAKS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""What str.splitlines takes for the end of a line besides a line feed and a return."""


class Lines:
    """The lines from where a reader is, with their ends: a line feed, a return, or both.

    Iterating begins there each time. Where the file is not in the encoding, but was ASCII until there, it is read on in
    the encoding that `find_other` returns, if that has ASCII in it: `encoding` is the one that the file is read in now.
    Otherwise raises UnicodeDecodeError.
    """

    def __init__(
        self, file: BinaryIO, encoding: str, find_other: Callable[[], str] | None = None
    ) -> None:
        self.encoding = encoding
        self._file = file
        self._find_other = find_other
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._is_ascii = True
        self._begun: list[str] = []
        self._held: list[str] = []
        self._at = 0
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        """The lines, up to the file's end; to be left before any are skipped."""
        position = self._at
        while position < len(self._held) or self._read():
            yield self._held[position]
            position += 1

    def held(self) -> list[str]:
        """Those lines that are in memory: at least one, but for the end of the file."""
        if self._at == len(self._held):
            self._read()
        return self._held[self._at :]

    def skip(self, lines: int) -> None:
        """Moves behind so many lines, which were seen."""
        self._at += lines
        if self._at * 2 > len(self._held):
            del self._held[: self._at]
            self._at = 0

    def _read(self) -> bool:
        """Holds at least one more line; False at the end of the file."""
        held = len(self._held)
        while not self._ended:
            chunk = self._file.read(_CHUNK_BYTES)
            text = self._decode(chunk)
            self._ended = not chunk
            # A return may be half of an end.
            if self._begun and self._begun[-1].endswith("\r"):
                text = self._begun.pop() + text
            end = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
            if self._ended:
                end = len(text)
            if end or self._ended:
                self._held += _split("".join((*self._begun, text[:end])))
                self._begun = []
            if end < len(text):
                self._begun.append(text[end:])
            if len(self._held) > held:
                return True
        return False

    def _decode(self, chunk: bytes) -> str:
        """The text of the next bytes, which are the last ones where there are none."""
        try:
            text = self._decoder.decode(chunk, not chunk)
        except UnicodeDecodeError:
            if not self._is_ascii or self._find_other is None:
                raise
            other = self._find_other()
            if other not in _WITH_ASCII:
                raise
            # The first bytes of a character, as UTF-8 has it, that began with the chunk before.
            undecoded, _ = self._decoder.getstate()
            self.encoding, self._find_other = other, None
            self._decoder = codecs.getincrementaldecoder(other)()
            return self._decoder.decode(undecoded + chunk, not chunk)
        self._is_ascii = self._is_ascii and text.isascii()
        return text


def _split(text: str) -> list[str]:
    if any(map(text.__contains__, _OTHER_BREAKS)):
        return io.StringIO(text, newline="").readlines()
    return text.splitlines(keepends=True)
