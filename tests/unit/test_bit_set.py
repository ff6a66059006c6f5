from __future__ import annotations

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
