from __future__ import annotations

from collections.abc import Sequence

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from contact_imports.model.contact import Contact, OnBlank, Row
from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.limits import MAX_CUSTOM_VALUE_CHARS, MAX_VALUE_CHARS
from contact_imports.model.row_validation import PRIVATE_DOMAINS, RowReader, is_email


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


@pytest.mark.parametrize("value", ["J\ufffdrg", "JÃ¶rg", "RENÃ©E", "x \ufffd"])
def test_a_value_that_was_damaged_before_overwrites_nothing(value: str) -> None:
    for cells in (["a@example.com", value, "pro"], ["a@example.com", "Ann", value]):
        error = read_row(3, FIELDS, cells, [])
        assert isinstance(error, RowError)
        assert (error.code, error.field) == ("damaged_value", FIELDS[cells.index(value)])
        assert value not in error.message


@pytest.mark.parametrize(
    ("name", "plan"),
    [("Jörg", "é"), ("JOÃO", "SÃO PAULO"), ("IRMÃ", "© 2024"), ("«IRMÃ»", "Â"), ("Ã", "¶")],
)
def test_letters_of_any_language_are_no_damage(name: str, plan: str) -> None:
    row = read_row(3, FIELDS, ["a@example.com", name, plan], [])
    assert isinstance(row, Row)
    assert (row.contact.fields, row.contact.custom_fields) == ({"firstName": name}, {"plan": plan})


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
    email = email_identity(text)
    try:
        validate_email(email, check_deliverability=False)
        expected = True
    except EmailNotValidError:
        expected = False
    assert is_email(email) is expected


def test_no_domain_that_email_validator_reserves_is_public() -> None:
    assert set(SPECIAL_USE_DOMAIN_NAMES) <= PRIVATE_DOMAINS


@settings(max_examples=1000)
@given(st.from_regex(r"\A(?:[a-z0-9-]{1,5}\.){0,3}[a-z0-9]{1,4}\Z"))
def test_a_domain_that_is_not_given_to_email_validator_is_one_that_it_accepts(domain: str) -> None:
    assert is_email(f"a@{domain}") == accepted_by_the_library(f"a@{domain}")


@pytest.mark.parametrize(
    "domain",
    [
        *("example.org", "a-b.co.uk", "xn--mnchen-3ya.de", "ab--cd.example.org", "1.example.org"),
        *("a.test", "a.arpa", "a.b.onion", "x.lan", "a.b.c2", "example.x", f"{'a' * 63}.org"),
        *(f"{'a' * 64}.org", "-a.org", "a-.org", "a..org", ".org", "org", "a.org.", "127.0.0.1"),
    ],
)
def test_a_domain_is_public_if_email_validator_says_so(domain: str) -> None:
    assert is_email(f"a@{domain}") == accepted_by_the_library(f"a@{domain}")


def accepted_by_the_library(email: str) -> bool:
    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return False
    return email.rpartition(".")[2] not in PRIVATE_DOMAINS


def test_a_plain_address_may_have_254_characters() -> None:
    longest = "a" * 64 + "@" + ".".join(("b" * 63, "c" * 63, "d" * 57, "org"))
    assert len(longest) == 254
    assert is_email(longest)
    assert not is_email(longest.replace(".org", "d.org"))
