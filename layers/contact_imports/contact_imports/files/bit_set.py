"""Sets of whole numbers that take one bit for each number, enough for the rows of any file."""

from __future__ import annotations


class BitSet:
    """Whole numbers from 0. It takes an eighth of a byte for each number up to the largest one in it."""

    def __init__(self, size: int = 0) -> None:
        """An empty set, with room for the numbers below `size` from the start."""
        self._bits = bytearray(-(-size // 8))

    def add(self, number: int) -> None:
        """Adds a number."""
        missing = (number >> 3) + 1 - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(missing))
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] & 1 << (number & 7))
