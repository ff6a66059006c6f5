from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files.bit_set import BitSet

numbers = st.integers(0, 5_000)


@given(st.lists(numbers), st.lists(numbers), st.integers(0, 6_000))
def test_it_has_what_was_added_and_nothing_else(
    added: list[int], asked: list[int], size: int
) -> None:
    found = BitSet(size)
    for number in added:
        found.add(number)
    for number in (*added, *asked):
        assert (number in found) is (number in set(added))


@pytest.mark.parametrize("size", [0, 8_000_000])
def test_it_takes_an_eighth_of_a_byte_for_each_number(size: int) -> None:
    tracemalloc.start()
    try:
        found = BitSet(size)
        if not size:
            found.add(7_999_999)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 7_999_999 not in BitSet(size)
    # A bytearray that grows takes an eighth more.
    assert 1_000_000 <= taken < 1_200_000
