from __future__ import annotations

import pytest

from contact_imports.model.contact import (
    Applied,
    Contact,
    OnBlank,
    OnConflict,
    Outcome,
    Row,
    apply_row,
    contact_bytes,
)
from contact_imports.model.limits import MAX_CONTACT_BYTES
from contact_imports.model.row_validation import RowReader


def row(number: int, **fields: str) -> Row:
    return Row(
        number, Contact("a@example.com", fields, {"k": str(number)}, frozenset({str(number)}))
    )


def test_upsert_replaces_values_merges_custom_fields_and_adds_tags() -> None:
    before = Contact(
        "a@example.com",
        {"firstName": "Ada", "phone": "1"},
        {"plan": "free", "k": "0"},
        frozenset({"x"}),
    )
    after = apply_row(before, row(2, phone="2"), OnConflict.UPSERT)
    assert after == Applied(
        Contact(
            "a@example.com",
            {"firstName": "Ada", "phone": "2"},
            {"plan": "free", "k": "2"},
            frozenset({"x", "2"}),
        ),
        Outcome.UPDATED,
    )


def test_a_row_that_changes_nothing_is_updated() -> None:
    before = row(2, phone="2").contact
    assert apply_row(before, row(2, phone="2"), OnConflict.UPSERT) == Applied(
        before, Outcome.UPDATED
    )


def test_skip_changes_nothing() -> None:
    before = Contact("a@example.com")
    assert apply_row(before, row(2), OnConflict.SKIP) == Applied(before, Outcome.SKIPPED)


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_a_new_email_is_created(on_conflict: OnConflict) -> None:
    assert apply_row(None, row(2), on_conflict) == Applied(row(2).contact, Outcome.CREATED)


def test_a_contact_may_have_exactly_the_most_bytes() -> None:
    before = Contact("a@example.com", {"name": "n"})
    room = MAX_CONTACT_BYTES - contact_bytes(Contact("a@example.com", {"name": ""}))
    largest = Row(2, Contact("a@example.com", {"name": "x" * room}))
    applied = apply_row(before, largest, OnConflict.UPSERT)
    assert applied.outcome is Outcome.UPDATED
    assert applied.contact is not None
    assert contact_bytes(applied.contact) == MAX_CONTACT_BYTES
    too_large = Row(2, Contact("a@example.com", {"name": "x" * (room + 1)}))
    assert apply_row(before, too_large, OnConflict.UPSERT).outcome is Outcome.FAILED


def test_a_contact_that_would_grow_too_large_fails_the_row_and_stays() -> None:
    full = Contact("a@example.com", {}, {"full": "é" * (MAX_CONTACT_BYTES // 2 - 30)})
    applied = apply_row(full, row(5, name="n" * 60), OnConflict.UPSERT)
    assert applied.contact is full
    assert applied.outcome is Outcome.FAILED
    assert applied.error is not None
    assert (applied.error.row, applied.error.code) == (5, "contact_too_large")


def test_contact_bytes_counts_utf8() -> None:
    contact = Contact("é@x.y", {"name": "é"}, {"k": "漢"}, frozenset({"tag"}))
    assert contact_bytes(contact) == 6 + 4 + 2 + 1 + 3 + 3


def cleared(*cells: str) -> Row:
    fields = ("email", "phone", "customFields.k", "customFields.plan")
    row = RowReader(fields, [], OnBlank.CLEAR).read(2, ["a@example.com", *cells])
    assert isinstance(row, Row)
    return row


def test_a_blank_cell_can_clear_what_is_there() -> None:
    before = Contact(
        "a@example.com", {"firstName": "Ada", "phone": "1"}, {"plan": "free", "k": "0"}
    )
    after = apply_row(before, cleared("", " ", "pro"), OnConflict.UPSERT)
    expected = Contact("a@example.com", {"firstName": "Ada"}, {"plan": "pro"})
    assert after == Applied(expected, Outcome.UPDATED)
    assert apply_row(before, cleared("", "", ""), OnConflict.SKIP).contact == before
    again = apply_row(expected, cleared("", "", "pro"), OnConflict.UPSERT)
    assert again == Applied(expected, Outcome.UPDATED)
