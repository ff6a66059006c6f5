from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from contact_imports.files.contact_file import ContactFile, open_contact_file
from contact_imports.files.failed_rows import (
    FailedRow,
    LostRows,
    ReportWriter,
    failed_rows,
    spreadsheet_report,
)
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.table_start import DELIMITERS
from contact_imports.model.column_map import REPORT_COLUMNS, ColumnMap
from contact_imports.model.errors import FileError, RowError
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.progress import Partition
from local.stack import ROOT
from tests.reference import ReferenceImport, reference_import

COLUMN_MAP = ColumnMap(email="Email", name="Name", custom_fields={"plan": "Plan"})
HEADER = ["Email", "Name", "", "Plan", "x", "x"]


def opened(content: bytes, delimiter: str = ",") -> ContactFile:
    options = ImportOptions(COLUMN_MAP, delimiter=delimiter)
    stream = PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))
    return open_contact_file(stream, options, "utf-8-sig")


def reference(content: bytes, delimiter: str = ",") -> ReferenceImport:
    file = opened(content, delimiter)
    return reference_import([(file.header_record, file.header), *file.reader], COLUMN_MAP)


def report(
    content: bytes,
    delimiter: str = ",",
    errors: list[RowError] | None = None,
    *,
    for_spreadsheet: bool = False,
) -> bytes:
    """The report of everything that fails in a file, or of some errors."""
    found = reference(content, delimiter).errors if errors is None else errors
    file = opened(content, delimiter)
    out = bytearray()
    writer = ReportWriter(out.extend, file.delimiter, file.header, file.columns)
    for row in failed_rows(file.reader, iter(found)):
        writer.write(row)
    writer.flush()
    if for_spreadsheet:
        return b"".join(spreadsheet_report(io.BytesIO(out), delimiter))
    return bytes(out)


def written(table: list[list[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(table)
    return text.getvalue().encode()


def rows_of(content: bytes, delimiter: str = ",") -> list[list[str]]:
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.reader(text, delimiter=delimiter))


FILE = written(
    [
        HEADER,
        ["a@example.com", "A", "", "", "", ""],
        ["no email", '"quoted", twice', "kept", " p ", "two\nlines", "\x00"],
        ["short"],
        ["b@example.com", "B", "", "", "", "", "beyond", ""],
        ["", "Name", "", "", "", "", "", ""],
        [],
        ["c@example.com", "n" * 513],
    ]
)


def test_a_report_has_the_failed_rows_as_they_were_and_why() -> None:
    header, *rows = rows_of(report(FILE))
    assert header == [*HEADER, "import_row", "import_error"]
    cells = [row[:-2] for row in rows]
    assert cells == [
        ["no email", '"quoted", twice', "kept", " p ", "two\nlines", "\x00"],
        ["short", "", "", "", "", ""],
        ["b@example.com", "B", "", "", "", "", "beyond", ""],
        ["", "Name", "", "", "", ""],
        ["c@example.com", "n" * 513, "", "", "", ""],
    ]
    assert [row[-2] for row in rows] == ["3", "4", "5", "6", "8"]
    assert [row[-1].split(":")[0] for row in rows] == [
        "invalid_email",
        "invalid_email",
        "too_many_cells",
        "invalid_email",
        "value_too_long",
    ]


def test_it_is_utf_8_with_a_byte_order_mark_and_ends_its_lines_as_rfc_4180_has_it() -> None:
    content = report("Email,Name,Plan\nno,Zoë,\n".encode())
    assert content.startswith(
        b"\xef\xbb\xbfEmail,Name,Plan,import_row,import_error\r\nno,Zo\xc3\xab,,2,"
    )


def test_entries_name_row_line_field_and_code() -> None:
    file = opened(FILE)
    found = failed_rows(file.reader, iter(reference(FILE).errors))
    entries = [row.as_api() for row in found]
    assert entries[1] == {
        "row": 4,
        "line": 5,
        "field": "email",
        "code": "invalid_email",
        "message": "The email has no @. Give an address such as ann@example.org.",
    }
    assert [entry["line"] for entry in entries] == [3, 5, 6, 7, 9]


def test_nothing_is_read_after_the_last_failed_row() -> None:
    file = opened(b"Email,Name,Plan\nno\na@example.com\nb@example.com\n")
    found = failed_rows(file.reader, iter([RowError(2, "invalid_email", "why")]))
    assert [row.error.row for row in found] == [2]
    assert next(iter(file.reader))[0] == 3


def same_reasons(errors: list[RowError]) -> list[Any]:
    return [replace(error, row=0) for error in errors]


cell = st.one_of(
    st.sampled_from(["", " ", "a@example.com", "no email", "x" * 600, "7", *REPORT_COLUMNS]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
tables = st.lists(st.lists(cell, max_size=9), max_size=8)


@given(tables, st.sampled_from(DELIMITERS))
@example([["no", "", "", "", "", "", " ", ""]], ",")
@example([["no", "", "", "", "", "", "12", "beyond"]], ",")
def test_a_report_sent_again_fails_the_same_rows_for_the_same_reasons(
    table: list[list[str]], delimiter: str
) -> None:
    content = written([HEADER, *table], delimiter)
    failed = reference(content, delimiter)
    again = report(content, delimiter)
    second = reference(again, delimiter)
    assert second.total == len(failed.errors)
    assert same_reasons(second.errors) == same_reasons(failed.errors)
    # And what comes of it the second time differs in nothing but the numbers.
    third = report(again, delimiter)
    assert [row[:-2] for row in rows_of(third, delimiter)] == [
        row[:-2] for row in rows_of(again, delimiter)
    ]


@given(tables, st.sampled_from(DELIMITERS))
def test_a_report_that_was_mended_imports_its_rows(table: list[list[str]], delimiter: str) -> None:
    content = written([HEADER, *table], delimiter)
    header, *rows = rows_of(report(content, delimiter), delimiter)
    for number, row in enumerate(rows):
        row[0], row[1], row[3] = f"mended{number}@example.com", "Name", "plan"
        # What was shifted, a person moves back; the last two cells come along.
        del row[len(HEADER) : -2]
    mended = reference(written([header, *rows], delimiter), delimiter)
    assert mended.errors == []
    assert len(mended.contacts) == len(rows)


def test_a_row_that_a_person_adds_to_a_report_is_as_good_as_any_other() -> None:
    content = report(FILE) + b"new@example.com,New\r\nshifted@example.com,N,,,,,beyond\r\n"
    again = reference(content)
    assert "new@example.com" in again.contacts
    assert again.errors[-1].code == "too_many_cells"


@pytest.mark.parametrize(
    ("partition", "lost"),
    [
        (None, {2, 3, 4, 6, 7}),
        (Partition(1), {4, 6, 7}),
        (Partition(2, ended=True), {7}),
        (Partition(3, ended=True), set()),
        (Partition(3, ended=True, gaps=frozenset({1})), {4, 6}),
        (Partition(3, ended=True, lost=frozenset({0})), {2, 3}),
    ],
)
def test_rows_that_nobody_counted_are_found_again(
    monkeypatch: pytest.MonkeyPatch, partition: Partition | None, lost: set[int]
) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2)
    content = b"Email,Name,Plan\na@x.org\na@x.org\na@x.org\n\na@x.org,1,2,3\na@x.org\n"
    file = opened(content)
    found = LostRows(file.reader.blocks(), file.columns, {0: partition})
    assert {number for number in range(100) if number in found} == lost
    file = opened(content)
    rows: list[FailedRow] = list(failed_rows(file.reader, iter([]), found))
    assert {row.error.row for row in rows} == lost
    assert {row.error.code for row in rows} <= {"not_processed"}


FORMULAS = (ROOT / "tests" / "inputs" / "formula-in-failed-rows.csv").read_bytes()


def test_formulas_are_echoed_as_they_were_by_default() -> None:
    content = FORMULAS.replace(b"Email,Name\n", b"Email,Name,Plan\n")
    cells = [row[:2] for row in rows_of(report(content))[1:]]
    assert cells == [
        ["bad", "=cmd|' /C calc'!A0"],
        ["bad2", "+1 555"],
        ["bad3", "-5"],
        ["bad4", "@sum(a1)"],
        ["bad5", "a\t=1+1"],
        ["=bad6", "ok"],
    ]


def test_formulas_are_made_harmless_for_a_spreadsheet() -> None:
    content = FORMULAS.replace(b"Email,Name\n", b"Email,Name,Plan\n")
    made = report(content, for_spreadsheet=True)
    header, *rows = rows_of(made)
    assert header == ["Email", "Name", "Plan", "import_row", "import_error_spreadsheet"]
    assert [row[:2] for row in rows] == [
        ["bad", "'=cmd|' /C calc'!A0"],
        ["bad2", "'+1 555"],
        ["bad3", "'-5"],
        ["bad4", "'@sum(a1)"],
        ["bad5", "a\t=1+1"],
        ["'=bad6", "ok"],
    ]
    # Whatever delimiter a spreadsheet expects, a cell stays one.
    assert all(
        line.startswith('"') and line.endswith('"')
        for line in made.decode("utf-8-sig").split("\r\n")[:-1]
    )


def is_readable(content: bytes, delimiter: str) -> bool:
    """Whether a file has no reason to be refused, such as quotes around every value."""
    try:
        opened(content, delimiter)
    except FileError:
        return False
    return True


formulas = st.text(st.sampled_from("'=+-@\t\r\n \"aé;,＝"), max_size=6)


@given(
    st.lists(st.lists(formulas, min_size=1, max_size=7), max_size=8), st.sampled_from(DELIMITERS)
)
def test_a_report_for_spreadsheets_sent_again_has_the_values_that_it_had(
    table: list[list[str]], delimiter: str
) -> None:
    content = written([HEADER, *table], delimiter)
    assume(is_readable(content, delimiter))
    made = report(content, delimiter, for_spreadsheet=True)
    for row in rows_of(made, delimiter):
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "＝")) for cell in row)
        assert not any(cell.startswith(("\t", "\r")) for cell in row)
    # The report of what is sent again, as it was, is that of the first time.
    again = [row[:-2] for row in rows_of(report(made, delimiter), delimiter)]
    assert again == [row[:-2] for row in rows_of(report(content, delimiter), delimiter)]


def test_apostrophes_of_a_plain_report_are_data() -> None:
    content = written(
        [["Email", "Name", "Plan", *REPORT_COLUMNS], ["a@x.org", "'=1", "'-2", "2", ""]]
    )
    contact = reference(content).contacts["a@x.org"]
    assert (contact.fields, contact.custom_fields) == ({"name": "'=1"}, {"plan": "'-2"})


def test_a_header_that_is_a_formula_is_found_again() -> None:
    made = report(b"Email,Name,Plan,=x\nno,N,P,1\n", for_spreadsheet=True)
    assert rows_of(made)[0][:4] == ["Email", "Name", "Plan", "'=x"]
    assert opened(made).header[:4] == ["Email", "Name", "Plan", "=x"]
