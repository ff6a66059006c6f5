"""A partition counts each batch once, whatever order they come in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.model.contact import Outcome
from contact_imports.model.progress import BatchKey, Partition

BATCHES = 5


def key(seq: int) -> BatchKey:
    return BatchKey("70dbd880aabbccddeeff0011", 0, seq, last=seq == BATCHES - 1)


@given(st.lists(st.integers(0, BATCHES - 1), max_size=12))
def test_each_batch_counts_once_in_any_order(order: list[int]) -> None:
    partition = Partition()
    counted: list[int] = []
    for seq in order:
        if partition.is_closed_for(seq):
            assert seq in counted
            continue
        partition = partition.after(key(seq), {})
        counted.append(seq)
        assert [one for one in range(BATCHES) if partition.counted(one)] == sorted(counted)
        assert partition.next_seq == max(counted) + 1
        assert partition.gaps == set(range(partition.next_seq)) - set(counted)
    assert len(counted) == len(set(counted)) == len(set(order))
    assert partition.done is (set(counted) == set(range(BATCHES)))


def test_a_partition_that_has_ended_takes_only_what_is_missing() -> None:
    partition = Partition().after(key(0), {}).after(key(2), {})
    ended = replace(partition, ended=True)
    assert [seq for seq in range(BATCHES) if not ended.is_closed_for(seq)] == [1]
    assert not ended.done
    assert ended.after(key(1), {}).done


def test_a_gap_that_is_lost_is_not_counted() -> None:
    partition = Partition(3, ended=True, lost=frozenset({1}))
    assert [seq for seq in range(BATCHES) if partition.counted(seq)] == [0, 2]
    assert partition.done


@pytest.mark.parametrize(
    ("outcomes", "mostly_new"),
    [
        ({}, False),
        ({Outcome.FAILED: 5}, False),
        ({Outcome.CREATED: 1}, True),
        ({Outcome.CREATED: 1, Outcome.FAILED: 99}, True),
        ({Outcome.CREATED: 95, Outcome.UPDATED: 5}, True),
        ({Outcome.CREATED: 95, Outcome.SKIPPED: 5}, True),
        ({Outcome.CREATED: 94, Outcome.UPDATED: 6}, False),
        ({Outcome.CREATED: 94, Outcome.UPDATED: 3, Outcome.SKIPPED: 3}, False),
    ],
)
def test_a_batch_is_mostly_new_where_19_of_20_contacts_were_created(
    outcomes: dict[Outcome, int], mostly_new: bool
) -> None:
    assert Partition().after(key(0), outcomes).mostly_new is mostly_new


def test_a_partition_before_its_first_batch() -> None:
    assert Partition() == Partition(0, False, frozenset(), frozenset(), False)
    assert not Partition().done


@pytest.mark.parametrize(("created", "mostly_new"), [(95, True), (94, False)])
def test_a_batch_that_fills_a_gap_says_nothing_of_the_next(created: int, mostly_new: bool) -> None:
    outcomes = {Outcome.CREATED: created, Outcome.UPDATED: 100 - created}
    partition = Partition().after(key(1), outcomes)
    assert partition.mostly_new is mostly_new
    filled = partition.after(key(0), {Outcome.CREATED: 100 - created, Outcome.UPDATED: created})
    assert filled.mostly_new is mostly_new
