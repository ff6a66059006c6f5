"""header_names.toml: a contributor adds a name in a line, and these say whether it fits."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from typing import Any

import pytest

from contact_imports.model.header_names import (
    FIELDS,
    NAMES_FILE,
    Named,
    known_names,
    listed_names,
    named,
    of_somebody_else,
    plain,
    together,
)

DATA: dict[str, Any] = tomllib.loads(NAMES_FILE.read_text(encoding="utf-8"))
TABLES = {
    "together",
    "words",
    "words_not_of_names",
    "parts_of_names",
    "alone",
    "somebody_else",
    "answers",
}


def test_every_table_is_a_field_or_has_a_meaning() -> None:
    assert set(DATA) == {*FIELDS, *TABLES}


def test_no_name_means_two_things() -> None:
    meanings = defaultdict(set)
    for field, name, rank in listed_names(DATA):
        assert plain(name), name
        meanings[plain(name)].add((field, rank))
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}


def test_no_word_has_two_ranks_and_none_is_a_name_that_takes_words() -> None:
    known = known_names()
    for table in ("words", "words_not_of_names"):
        ranks = defaultdict(set)
        for kind, words in DATA[table].items():
            for word in words:
                ranks[plain(word)].add(kind)
        assert {word: found for word, found in ranks.items() if len(found) > 1} == {}
    assert set(known.words) & set(known.fields) <= known.alone
    assert set(known.words_not_of_names) & set(known.fields) <= known.alone
    assert not known.somebody_else & set(known.words_not_of_names)


def test_names_that_mean_something_else_together_are_known() -> None:
    known = known_names()
    for names, others, means in known.together:
        assert {*names, *others} <= set(known.fields)
        assert means in FIELDS
        assert not names & others
    assert known.alone <= set(known.fields)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_known_in_the_languages_that_exports_come_in(field: str) -> None:
    languages = {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "cs", "sv", "da", "no"}
    languages |= {"fi", "tr", "el", "ja", "zh", "ko", "ar", "he"}
    assert languages <= set(DATA[field])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # Spellings.
        *((name, ("email", 0)) for name in ("E-mail", "E MAIL", "e_mail", "EMail:", "*Email", "é-mail")),
        *((name, ("firstName", 0)) for name in ("first_name", "FirstName", "FIRSTNAME", "Prenom")),
        ("Ｅｍａｉｌ", ("email", 0)),
        ("TELEPHONE", ("phone", 0)),
        ("E-POSTA ADRESİ", ("email", 0)),
        ("ADI SOYADI", ("name", 0)),
        ("Name / Nombre", ("name", 0)),
        ("Vorname/First name", ("firstName", 0)),
        # Words around a name.
        ("Email (required)", ("email", 0)),
        ("Email Address *", ("email", 0)),
        ("E-mail 1 - Value", ("email", 0)),
        ("Telefon 1 – Wert", ("phone", 0)),
        ("Name (First)", ("firstName", 0)),
        ("Name_Last", ("lastName", 0)),
        ("Confirm Email", ("email", 20)),
        ("Primary Email", ("email", 0)),
        ("Person - Email - Work", ("email", 10)),
        ("billing_email", ("email", 10)),
        ("subscriber[email]", ("email", 10)),
        ("contact.emailAddress", ("email", 10)),
        ("Kundenemail", ("email", 10)),
        ("勤務先メールアドレス", ("email", 10)),
        ("メールアドレス（必須）", ("email", 0)),
        ("E-mail 2 Address", ("email", 20)),
        ("Sekundäre E-Mail-Adresse", ("email", 20)),
        ("Customer First Name", ("firstName", 10)),
        ("billing_country", ("country", 10)),
        ("Land/Region geschäftlich", ("country", 10)),
        ("Mobile Phone", ("phone", 5)),
        ("Work Phone Number", ("phone", 10)),
    ],
)  # fmt: skip
def test_a_name_in_its_spellings_and_among_words(header: str, expected: tuple[str, int]) -> None:
    assert named(header) == Named(*expected, certain=True)


@pytest.mark.parametrize(
    "header",
    ["", "Name (Prefix)", "Name (Middle)", "Company Name", "Account Name", "Last Contact", "Phone 1 - Label", "会社名", "Email;Contact", "x" * 121],
)  # fmt: skip
def test_what_is_no_field(header: str) -> None:
    assert named(header) is None


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Email Opt-In", "email"),
        ("What is your email?", "email"),
        ("Name (last, first, middle)", "name"),
        ("Phone (yes/no)", "phone"),
    ],
)
def test_a_name_among_unknown_words_is_uncertain(header: str, field: str) -> None:
    found = named(header)
    assert found is not None
    assert (found.field, found.certain) == (field, False)


def test_columns_of_somebody_else() -> None:
    assert of_somebody_else("Owner Email")
    assert of_somebody_else("Account manager: e-mail")
    assert not of_somebody_else("Email")


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (["Vorname", "Name"], {"Name": "lastName"}),
        (["Nom", "Prénom"], {"Nom": "lastName"}),
        (["Nombre", "Apellidos"], {"Nombre": "firstName"}),
        (["Prénom", "Name"], {}),
        (["Nombre"], {}),
    ],
)
def test_names_next_to_each_other(header: list[str], meant: dict[str, str]) -> None:
    assert together(header) == meant
