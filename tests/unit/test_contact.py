from __future__ import annotations

from collections.abc import Sequence

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_imports.contact import (
    Applied,
    Contact,
    OnBlank,
    OnConflict,
    Outcome,
    Row,
    RowReader,
    apply_row,
    contact_bytes,
    is_email,
    normalise_email,
)
from contact_imports.errors import RowError
from contact_imports.limits import MAX_CONTACT_BYTES, MAX_CUSTOM_VALUE_CHARS, MAX_VALUE_CHARS


def read_row(
    number: int,
    fields: Sequence[str],
    cells: list[str],
    tags: list[str],
    on_blank: OnBlank = OnBlank.KEEP,
) -> Row | RowError:
    return RowReader(fields, tags, on_blank).read(number, cells)


FIELDS = ("email", "firstName", "customFields.plan")


def test_a_row_is_trimmed_lower_cased_and_without_blanks() -> None:
    row = read_row(7, FIELDS, ["  Ada@Example.COM ", " Ada ", "  "], ["a", "b"])
    assert row == Row(
        7, Contact("ada@example.com", {"firstName": "Ada"}, {}, frozenset({"a", "b"}))
    )


def test_values_keep_leading_zeros_quotes_and_line_ends_inside() -> None:
    row = read_row(2, ("email", "phone", "name"), ["a@example.com", "007", 'x\n"y"'], [])
    assert isinstance(row, Row)
    assert row.contact.fields == {"phone": "007", "name": 'x\n"y"'}


@pytest.mark.parametrize(
    "email",
    [
        "",
        "   ",
        "no-at.example.com",
        "a@",
        "@example.com",
        "a@@example.com",
        "a b@example.com",
        "a@b",
    ],
)
def test_a_row_without_a_valid_email_is_failed(email: str) -> None:
    error = read_row(3, FIELDS, [email, "Ada", ""], [])
    assert isinstance(error, RowError)
    assert (error.row, error.code, error.field) == (3, "invalid_email", "email")
    assert not email.strip() or email not in error.message


@pytest.mark.parametrize(
    ("name", "limit"),
    [*MAX_VALUE_CHARS.items(), ("customFields.plan", MAX_CUSTOM_VALUE_CHARS)],
)
def test_a_value_over_its_limit_fails_the_row(name: str, limit: int) -> None:
    fits = read_row(2, ("email", name), ["a@example.com", "é" * limit], [])
    assert isinstance(fits, Row)
    error = read_row(2, ("email", name), ["a@example.com", "é" * (limit + 1)], [])
    assert isinstance(error, RowError)
    assert (error.code, error.field) == ("value_too_long", name)


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
    row = read_row(2, fields, ["a@example.com", *cells], [], OnBlank.CLEAR)
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


def test_a_blank_cell_clears_nothing_by_itself() -> None:
    row = read_row(2, ("email", "phone"), ["a@example.com", ""], [])
    assert isinstance(row, Row)
    assert row.cleared == frozenset()


locals_ = st.one_of(
    st.text("ab1.!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=6),
    st.text(min_size=1, max_size=4),
    st.sampled_from(["a" * 64, "a" * 65, "é", '"a b"', "a@b", "A"]),
)
domains = st.one_of(
    st.text("ab1.-", min_size=1, max_size=8).map(lambda text: f"{text}.org"),
    st.text(min_size=1, max_size=4),
    st.sampled_from(
        [
            *(
                "example.com",
                "x",
                "localhost",
                "a.test",
                "münchen.de",
                "xn--mnchen-3ya.de",
                "[1.2.3.4]",
            ),
            *("x" * 63 + ".org", "x" * 64 + ".org", ".".join(["d" * 61] * 3) + ".org", "a..org"),
        ]
    ),
)


@settings(max_examples=2000)
@given(st.one_of(st.builds("{}@{}".format, locals_, domains), st.text(max_size=10)))
def test_an_email_is_what_the_library_takes_for_one(text: str) -> None:
    email = normalise_email(text)
    try:
        validate_email(email, check_deliverability=False)
        expected = True
    except EmailNotValidError:
        expected = False
    assert is_email(email) is expected
