"""Rows applied to stored contacts: once, whatever is repeated and whoever writes in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.model.contact import Contact, OnConflict, Outcome, Row, apply_row
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    PENDING_DEADLINE_SECONDS,
    new_import_id,
)
from contact_imports.model.limits import MAX_CONTACT_BYTES
from contact_imports.model.stored_contact import (
    AppliedRows,
    BatchRows,
    CreatedBy,
    StoredContact,
    count_without_applying,
    merge_rows,
)

NOW = datetime(2030, 1, 2, tzinfo=UTC)
A, B = new_import_id(NOW), new_import_id(NOW)
EMAIL = "a@example.com"


def row(number: int, name: str = "", **custom: str) -> Row:
    return Row(number, Contact(EMAIL, {"name": name} if name else {}, custom))


def stored(
    contact: Contact, applied: dict[str, tuple[AppliedRows, ...]] | None = None
) -> StoredContact:
    return StoredContact(contact, 3, CreatedBy(B, 2), applied or {})


values = st.sampled_from(["", "x", "y"])
row_lists = st.lists(st.tuples(values, values), min_size=1, max_size=5).map(
    lambda cells: [row(n, name, **({"k": k} if k else {})) for n, (name, k) in enumerate(cells, 2)]
)
befores = st.one_of(
    st.none(),
    st.tuples(values, values).map(lambda v: stored(Contact(EMAIL, {"name": v[0]}, {"k": v[1]}))),
)


@given(befores, row_lists, st.sampled_from(OnConflict))
def test_merging_is_applying_one_row_at_a_time(
    before: StoredContact | None, rows: list[Row], on_conflict: OnConflict
) -> None:
    contact = before.contact if before else None
    outcomes = {}
    for one in rows:
        applied = apply_row(contact, one, on_conflict)
        contact = applied.contact
        outcomes[one.number] = applied.outcome
    merged = merge_rows(before, rows, A, on_conflict)
    assert merged.outcomes == outcomes
    after = merged.after or before
    assert after is not None
    assert after.contact == contact
    assert (merged.after is None) == (before is not None and before.contact == contact)


@given(befores, row_lists, st.sampled_from(OnConflict))
def test_merging_again_writes_nothing_and_counts_the_same(
    before: StoredContact | None, rows: list[Row], on_conflict: OnConflict
) -> None:
    first = merge_rows(before, rows, A, on_conflict)
    again = merge_rows(first.after or before, rows, A, on_conflict)
    assert again.after is None
    assert again.outcomes == first.outcomes


@given(befores, row_lists, row_lists)
def test_a_batch_that_comes_again_does_not_undo_what_another_import_did_since(
    before: StoredContact | None, rows: list[Row], others: list[Row]
) -> None:
    first = merge_rows(before, rows, A, OnConflict.UPSERT)
    if first.after is None:
        return  # nothing was written: coming again is then the first time
    between = merge_rows(first.after, others, B, OnConflict.UPSERT).after or first.after
    again = merge_rows(between, rows, A, OnConflict.UPSERT)
    assert again.after is None
    assert again.outcomes == first.outcomes


def test_the_row_that_created_a_contact_is_remembered() -> None:
    merged = merge_rows(None, [row(5, "x"), row(9, "y")], A, OnConflict.UPSERT)
    assert merged.after == StoredContact(
        Contact(EMAIL, {"name": "y"}), 1, CreatedBy(A, 5), {A: (AppliedRows(9),)}
    )
    assert merged.outcomes == {5: Outcome.CREATED, 9: Outcome.UPDATED}


def test_a_row_that_failed_fails_again_with_its_reason() -> None:
    big = "x" * (MAX_CONTACT_BYTES - 100)
    before = stored(Contact(EMAIL, {}, {"big": big}))
    rows = [row(5, "n" * 200), row(6, big="small now")]
    first = merge_rows(before, rows, A, OnConflict.UPSERT)
    assert first.outcomes == {5: Outcome.FAILED, 6: Outcome.UPDATED}
    again = merge_rows(first.after, rows, A, OnConflict.UPSERT)
    assert again.outcomes == first.outcomes
    assert again.errors == first.errors
    assert [error.code for error in first.errors] == ["contact_too_large"]


def test_imports_that_cannot_come_again_are_forgotten() -> None:
    old = new_import_id(NOW - timedelta(days=30))
    recent = new_import_id(NOW - timedelta(hours=1))
    before = stored(Contact(EMAIL), {old: (AppliedRows(2),), recent: (AppliedRows(3),)})
    merged = merge_rows(before, [row(4, "x")], A, OnConflict.UPSERT)
    assert merged.after is not None
    assert set(merged.after.applied) == {recent, A}


def test_an_import_is_remembered_as_long_as_its_rows_can_come() -> None:
    longest = timedelta(seconds=PENDING_DEADLINE_SECONDS + IMPORT_DEADLINE_SECONDS)
    oldest = new_import_id(NOW - longest)
    on_the_limit = new_import_id(NOW - timedelta(seconds=2 * IMPORT_DEADLINE_SECONDS))
    before = stored(Contact(EMAIL), {oldest: (AppliedRows(2),), on_the_limit: (AppliedRows(2),)})
    merged = merge_rows(before, [row(4, "x")], A, OnConflict.UPSERT)
    assert merged.after is not None
    assert merged.after.applied.keys() == {oldest, on_the_limit, A}


def test_a_contact_that_is_changed_has_the_next_version() -> None:
    before = stored(Contact(EMAIL))
    merged = merge_rows(before, [row(4, "x")], A, OnConflict.UPSERT)
    assert merged.after is not None
    assert merged.after.version == before.version + 1


@pytest.mark.parametrize(
    ("before", "cleared", "emptied"),
    [
        (Contact(EMAIL, {"name": "n"}, {"k": "v"}), {"name"}, {"name"}),
        (Contact(EMAIL, {"name": "n"}, {"k": "v"}), {"customFields.k"}, {"customFields"}),
        (Contact(EMAIL, {}, {"k": "v", "m": "w"}), {"customFields.k"}, set()),
        (Contact(EMAIL, {"name": "n", "phone": "1"}), {"name"}, {"name"}),
    ],
)
def test_what_a_row_cleared_is_removed_from_the_item(
    before: Contact, cleared: set[str], emptied: set[str]
) -> None:
    clearing = Row(4, Contact(EMAIL), frozenset(cleared))
    after = merge_rows(stored(before), [clearing], A, OnConflict.UPSERT).after
    assert after is not None
    assert after.emptied == emptied


def test_a_batch_that_is_given_up_counts_what_was_applied() -> None:
    contact = merge_rows(None, [row(5, "x"), row(7, "y")], A, OnConflict.UPSERT).after
    outcomes = [
        count_without_applying(contact, number, BatchRows(5, 9), A, OnConflict.UPSERT).outcome
        for number in (5, 7, 9)
    ]
    assert outcomes == [Outcome.CREATED, Outcome.UPDATED, Outcome.FAILED]


def test_a_batch_that_is_given_up_is_not_taken_for_one_that_overtook_it() -> None:
    contact = merge_rows(None, [row(20, "x")], A, OnConflict.UPSERT).after
    settled = count_without_applying(contact, 5, BatchRows(2, 9), A, OnConflict.UPSERT)
    assert settled.outcome is Outcome.FAILED
    assert settled.error == RowError(
        5, "not_processed", "The row could not be processed. Import it again."
    )


def test_a_batch_that_was_overtaken_is_still_known_to_be_applied() -> None:
    first = merge_rows(None, [row(5, "x"), row(7, "y")], A, OnConflict.UPSERT).after
    overtaken = merge_rows(first, [row(20, "z")], A, OnConflict.UPSERT, overtaking=True).after
    assert overtaken is not None
    assert overtaken.applied == {A: (AppliedRows(7), AppliedRows(20))}
    outcomes = [
        count_without_applying(overtaken, number, BatchRows(2, 9), A, OnConflict.UPSERT).outcome
        for number in (5, 7, 9)
    ]
    assert outcomes == [Outcome.CREATED, Outcome.UPDATED, Outcome.FAILED]
    # Once nothing is missing, the last batch is enough.
    after = merge_rows(overtaken, [row(30, "w")], A, OnConflict.UPSERT).after
    assert after is not None
    assert after.applied == {A: (AppliedRows(30),)}
