"""The reference import against expectations written by hand: everything else is compared with it."""

from __future__ import annotations

import io

from contact_imports.files.records import RecordReader
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact, OnConflict, Outcome
from tests.reference import ReferenceImport, reference_import

FILE = b'''\
Email,First,Plan,Ignored
Ada@Example.com,Ada,free,x
bob@example.com,Bob,,x

not an email,Eve,pro,x
ADA@example.com ,,pro,x
bob@example.com,Robert
,,,
carol@example.com,"Carol, ""C""",team,x
dan@example.com,Dan,free,x,shifted
'''
COLUMN_MAP = ColumnMap(email="email", first_name="First", custom_fields={"plan": "Plan"})


def run(on_conflict: OnConflict, before: dict[str, Contact] | None = None) -> ReferenceImport:
    return reference_import(
        RecordReader(io.BytesIO(FILE), "utf-8", ","),
        COLUMN_MAP,
        on_conflict=on_conflict,
        tags=["t"],
        before=before,
    )


def contact(email: str, first: str, plan: str | None, *tags: str) -> Contact:
    return Contact(email, {"firstName": first}, {"plan": plan} if plan else {}, frozenset(tags))


def test_upsert() -> None:
    result = run(OnConflict.UPSERT)
    assert result.contacts == {
        "ada@example.com": contact("ada@example.com", "Ada", "pro", "t"),
        "bob@example.com": contact("bob@example.com", "Robert", None, "t"),
        "carol@example.com": contact("carol@example.com", 'Carol, "C"', "team", "t"),
    }
    assert result.counts == {
        Outcome.CREATED: 3,
        Outcome.UPDATED: 2,
        Outcome.SKIPPED: 0,
        Outcome.FAILED: 2,
    }
    assert [(error.row, error.code) for error in result.errors] == [
        (5, "invalid_email"),
        (10, "too_many_cells"),
    ]
    assert result.total == 7


def test_skip() -> None:
    before = {"carol@example.com": contact("carol@example.com", "C", None, "old")}
    result = run(OnConflict.SKIP, before)
    assert result.contacts == {
        "ada@example.com": contact("ada@example.com", "Ada", "free", "t"),
        "bob@example.com": contact("bob@example.com", "Bob", None, "t"),
        "carol@example.com": before["carol@example.com"],
    }
    assert result.counts == {
        Outcome.CREATED: 2,
        Outcome.UPDATED: 0,
        Outcome.SKIPPED: 3,
        Outcome.FAILED: 2,
    }


def test_the_same_file_again_changes_nothing() -> None:
    first = run(OnConflict.UPSERT)
    again = run(OnConflict.UPSERT, first.contacts)
    # Ada's and Bob's rows go through their earlier values again, to the same end.
    assert again.contacts == first.contacts
    assert again.counts[Outcome.UPDATED] == 5
    assert again.counts[Outcome.CREATED] == 0
