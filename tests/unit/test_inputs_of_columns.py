"""Files that people have, dropped as they are: the contacts they make, or the refusal, with what is said.

The files are in tests/inputs, named by kind; docs/files.md has the kinds.
"""

from __future__ import annotations

import io
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contact_imports.files.contact_file import (
    ContactFile,
    check_contact_file,
    open_contact_file,
    read_contact_file,
)
from contact_imports.files.failed_rows import ReportWriter, failed_rows
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.split import row_batches
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Outcome
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import Note
from local.stack import ROOT
from tests.reference import ReferenceImport, reference_import

INPUTS = ROOT / "tests" / "inputs"
DROPPED = ImportOptions(None, delimiter=None)


@dataclass(frozen=True)
class Read:
    """What a file makes: by the reference import, and how many rows the processor sends."""

    result: ReferenceImport
    rows: int
    delimiter: str
    notes: list[Note]
    report: bytes
    options: ImportOptions


def read(content: bytes, options: ImportOptions = DROPPED) -> Read:
    def stream() -> PlainFile:
        return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))

    def read_rows(file: ContactFile) -> Read:
        result = reference_import(
            [(file.header_record, file.header), *file.reader], file.column_map
        )
        table = open_contact_file(stream(), options, file.encoding).rows()
        rows = sum(batch.count for batch in row_batches(table, file.columns, 2, header=file.header))
        found = ImportOptions(
            file.column_map, delimiter=file.delimiter, header_record=file.header_record
        )
        again = open_contact_file(stream(), found, file.encoding)
        assert (again.header, again.columns) == (file.header, file.columns)
        report = bytearray()
        writer = ReportWriter(report.extend, again.delimiter, again.header, again.columns)
        for row in failed_rows(again.reader, iter(result.errors)):
            writer.write(row)
        writer.flush()
        notes = [*file.notes, *table.notes]
        return Read(result, rows, file.delimiter, notes, bytes(report), found)

    return read_contact_file(stream, options, read_rows)


@dataclass(frozen=True)
class Expected:
    """Contacts by email, each with its fields; failed rows by number; the codes of what is said."""

    contacts: dict[str, dict[str, Any]]
    failed: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    delimiter: str = ","


def contact(custom: dict[str, str] | None = None, **standard: str) -> dict[str, Any]:
    return {**standard, "customFields": custom or {}}


def composed(values: Mapping[str, str]) -> dict[str, str]:
    """Values in NFC: how values are stored is not what these tests are about."""
    return {name: unicodedata.normalize("NFC", value) for name, value in values.items()}


X_ANN = {"x@example.com": contact(name="Ann")}
IMPORTED = {
    "delimiter-semicolon-header-with-commas": Expected(
        {"x@example.com": contact({"Ort": "Bonn"}, name="Lee, Ann, B")}, delimiter=";"
    ),
    "end-ctrl-z": Expected(X_ANN),
    "footer-lines": Expected(X_ANN, notes=("footer_skipped",)),
    "header-double-blank": Expected({"x@example.com": contact(firstName="Ann")}),
    "header-duplicate": Expected(
        {"x@example.com": contact({"Note": "a", "Note (2)": "b"})},
        notes=("column_renamed", "column_left_out"),
    ),
    "header-duplicate-in-case": Expected(
        {"ann@example.com": contact({"Note": "a", "note (2)": "b"})}, notes=("column_renamed",)
    ),
    "header-french": Expected(
        {
            "r@example.com": contact(
                firstName="Renée", lastName="Dupont", phone="+33 5 55 01", country="France"
            )
        }
    ),
    "header-german-partly-matched": Expected(
        {
            "j@example.com": contact(
                firstName="Jörg", lastName="Müller", phone="+49 555", country="DE", language="de"
            )
        },
        delimiter=";",
    ),
    "header-line-break": Expected(X_ANN),
    "header-nbsp": Expected({"x@example.com": contact(firstName="Ann")}),
    "header-nfd": Expected({"x@example.com": contact(firstName="René", name="Z")}),
    "header-russian": Expected({"ivan@example.com": contact(firstName="Иван")}, delimiter=";"),
    "match-blank-phone-beats-mobile": Expected(
        {"ann@example.com": contact(phone="+1 555 0100")}, notes=("column_chosen",)
    ),
    "match-country-code-is-phone-code": Expected(
        {"ann@example.com": contact({"Country Code": "+44"}, phone="5550100")},
        notes=("column_not_used",),
    ),
    "match-email-is-consent-column": Expected(
        {
            "ann@example.com": contact({"Email": "subscribed", "SMS": "no"}, firstName="Ann"),
            "bob@example.com": contact({"Email": "subscribed", "SMS": "no"}, firstName="Bob"),
        },
        notes=("column_not_used",),
    ),
    "preamble-linkedin": Expected(
        {
            "ann@example.com": contact(
                {
                    "URL": "https://www.example.com/in/ann",
                    "Company": "Acme",
                    "Position": "CEO",
                    "Connected On": "01 Jan 2024",
                },
                firstName="Ann",
                lastName="Lee",
            )
        },
        notes=("lines_skipped",),
    ),
    "preamble-sep-comma": Expected(X_ANN, notes=("lines_skipped",)),
    "preamble-sep-semicolon": Expected(X_ANN, notes=("lines_skipped",), delimiter=";"),
    "vendor-facebook-leads-utf16": Expected(
        {
            "ann@example.com": contact(
                {
                    "id": "l:1",
                    "created_time": "2024-01-01T00:00:00-05:00",
                    "ad_id": "ag:2",
                    "form_name": "f",
                    "platform": "fb",
                },
                name="Ann Lee",
                phone="p:+15550100",
            )
        },
        delimiter="\t",
    ),
    # Two addresses in a cell are nobody's: the row fails and says so.
    "vendor-google-contacts": Expected(
        {
            "bob@example.com": contact(
                {
                    "Labels": "* myContacts",
                    "E-mail 1 - Label": "* Work",
                    "E-mail 2 - Label": "Home",
                    "E-mail 2 - Value": "bob2@example.com",
                    "Phone 1 - Label": "Mobile",
                },
                firstName="Bob",
                lastName="Ray",
                phone="+1 555 0101 ::: +1 555 0102",
            )
        },
        failed={2: "invalid_email"},
        notes=("column_chosen",),
    ),
    "vendor-google-forms-long-question": Expected(
        {
            "ann@example.com": contact(
                {
                    "Timestamp": "1",
                    "Please tell us in a few words how you heard about our organisation and which of "
                    "the following topics you would like to receive n": "news",
                }
            )
        },
        notes=("column_renamed",),
    ),
    "vendor-mailchimp-unsubscribed-duplicate-headers": Expected(
        {"ann@example.com": contact({"LEID": "1"}, name="Ann")}, notes=("column_renamed",)
    ),
    "vendor-outlook-french": Expected(
        {"r@example.com": contact(firstName="Renée", lastName="Dupont", phone="+33 5 55 01")},
        delimiter=";",
    ),
    "vendor-outlook-german-cp1252": Expected(
        {
            "j@example.com": contact(
                {"Anrede": "Frau", "Firma": "ACME"},
                firstName="Jörg",
                lastName="Müller",
                phone="+49 555 0100",
                country="Deutschland",
            )
        },
        delimiter=";",
    ),
    # JSON without quotes around it: its second cell has text after a closing quote.
    "vendor-ses-contact-list": Expected(
        {
            "ann@example.com": contact(
                {
                    "unsubscribeAll": "false",
                    "attributesData": '{"Name":"Ann"}',
                    "topicPreferences.Sports": "OPT_IN",
                }
            )
        },
        failed={3: "malformed_quoting"},
    ),
    "vendor-thunderbird-german": Expected(
        {
            "j@example.com": contact(
                firstName="Jörg", lastName="Müller", name="Jörg Müller", phone="+49 555"
            )
        }
    ),
    "vendor-woocommerce": Expected(
        {"ann@example.com": contact(firstName="Ann", lastName="Lee", phone="+1 555", country="US")}
    ),
}
REFUSED = {
    "headerless-one-email-a-line": ("HEADER_NOT_FOUND", "line 1 has an email address"),
    "notcsv-json": ("UNREADABLE_FILE", "The file is JSON"),
    "vendor-eventbrite": ("AMBIGUOUS_COLUMN", "'Buyer Email', 'Attendee Email'"),
}
KINDS = ("delimiter", "end-ctrl", "footer", "header", "match", "notcsv", "preamble", "vendor")
FILES = {path.stem for path in INPUTS.glob("*.csv") if path.stem.startswith(KINDS)}


def test_every_file_of_these_kinds_is_looked_at() -> None:
    others = {"header-bom-twice"}
    assert FILES - others == {*IMPORTED, *REFUSED}


@pytest.mark.parametrize("name", sorted(IMPORTED))
def test_a_file_that_is_imported(name: str) -> None:
    expected = IMPORTED[name]
    found = read((INPUTS / f"{name}.csv").read_bytes())
    assert {
        email: {**composed(one.fields), "customFields": dict(one.custom_fields)}
        for email, one in found.result.contacts.items()
    } == expected.contacts
    assert {error.row: error.code for error in found.result.errors} == expected.failed
    assert found.rows == found.result.total == len(expected.contacts) + len(expected.failed)
    assert tuple(dict.fromkeys(note.code for note in found.notes)) == expected.notes
    assert found.delimiter == expected.delimiter


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_that_is_refused(name: str) -> None:
    code, said = REFUSED[name]
    with pytest.raises(FileError) as refused:
        read((INPUTS / f"{name}.csv").read_bytes())
    assert refused.value.code == code
    assert said in refused.value.message
    assert "example.com" not in f"{refused.value.message} {refused.value.data}"


@pytest.mark.parametrize("name", sorted(name for name in IMPORTED if IMPORTED[name].failed))
def test_the_report_of_failed_rows_is_read_with_the_same_columns(name: str) -> None:
    first = read((INPUTS / f"{name}.csv").read_bytes())
    again = read(first.report)
    assert again.options.column_map == first.options.column_map
    assert again.result.total == len(IMPORTED[name].failed)
    assert again.result.counts[Outcome.FAILED] == len(IMPORTED[name].failed)


@pytest.mark.parametrize(
    ("name", "column_map", "stored"),
    [
        ("header-nfd", {"firstName": "Pr\u00e9nom"}, "René"),
        ("header-nfd", {"firstName": "Pre\u0301nom"}, "René"),
        ("header-double-blank", {"firstName": "First Name"}, "Ann"),
        ("header-nbsp", {"firstName": "First\u00a0Name"}, "Ann"),
        ("header-nbsp", {"firstName": "first name"}, "Ann"),
        ("preamble-sep-semicolon", {"firstName": "Name"}, "Ann"),
        ("preamble-linkedin", {"email": "Email Address", "firstName": "Last Name"}, "Lee"),
        ("footer-lines", {"firstName": "Name"}, "Ann"),
        ("end-ctrl-z", {"firstName": "Name"}, "Ann"),
        ("header-line-break", {"email": "Email (required)", "firstName": "Full name"}, "Ann"),
        ("header-duplicate", {"firstName": "Note (column 3)"}, "b"),
    ],
)
def test_a_file_that_is_posted_with_a_column_map(
    name: str, column_map: dict[str, Any], stored: str
) -> None:
    """The API's default delimiter is the comma; what the file says of itself still counts."""
    options = ImportOptions(ColumnMap(**{"email": "Email", **column_map}))
    found = read((INPUTS / f"{name}.csv").read_bytes(), options)
    (one,) = found.result.contacts.values()
    assert composed(one.fields) == {"firstName": stored}
    assert found.result.total == found.rows == 1


@pytest.mark.parametrize("options", [DROPPED, ImportOptions(ColumnMap(email="Email"))])
@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.csv")), ids=lambda path: path.stem)
def test_the_api_checks_a_header_as_the_processor_reads_it(
    path: Path, options: ImportOptions
) -> None:
    content = path.read_bytes()

    def stream() -> PlainFile:
        return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))

    def answer(of: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        try:
            return of()
        except FileError as error:
            return error.code, error.message, error.data

    by_api = answer(lambda: _found(check_contact_file(stream, options)))
    by_processor = answer(lambda: read_contact_file(stream, options, _read_to_the_header))
    assert by_api == by_processor


def _read_to_the_header(file: ContactFile) -> tuple[Any, ...]:
    """What the API looks at, after all bytes were decoded, which tell the encoding."""
    with suppress(FileError):
        deque(file.reader, maxlen=0)
    return _found(file)


def _found(file: ContactFile) -> tuple[Any, ...]:
    return file.encoding, file.delimiter, file.header, file.header_record, file.columns, file.notes
