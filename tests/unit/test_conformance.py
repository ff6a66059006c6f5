"""Every file of tests/inputs makes exactly what tests/conformance.py says, and docs/files.md says the same."""

from __future__ import annotations

import gzip
import io
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
from contact_imports.model.contact import Contact, Outcome
from contact_imports.model.errors import FileError, RowError
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import Note
from tests.conformance import CASES, DOCUMENT, INPUTS, Case, Imported, Refused, with_table
from tests.oracle import expected as expected_import
from tests.reference import ReferenceImport, reference_import

Pack = Callable[[bytes], bytes]
IMPORTED = [case for case in CASES if isinstance(case.expected, Imported)]
REFUSED = [case for case in CASES if isinstance(case.expected, Refused)]


@dataclass(frozen=True)
class Read:
    """What a file makes: by the reference import, and how many rows the processor sends."""

    result: ReferenceImport
    rows: int
    delimiter: str
    encoding: str
    notes: list[Note]
    report: bytes
    column_map: ColumnMap


def opener(content: bytes) -> Callable[[], PlainFile]:
    return lambda: PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))


def read(content: bytes, options: ImportOptions, before: dict[str, Contact] | None = None) -> Read:
    stream = opener(content)

    def read_rows(file: ContactFile) -> Read:
        result = reference_import(
            [(file.header_record, file.header), *file.reader],
            file.column_map,
            on_conflict=options.on_conflict,
            before=before,
        )
        table = open_contact_file(stream(), options, file.encoding).rows()
        rows = sum(batch.count for batch in row_batches(table, file.columns, 2))
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
        return Read(
            result, rows, file.delimiter, file.encoding, notes, bytes(report), file.column_map
        )

    return read_contact_file(stream, options, read_rows)


def read_case(case: Case, pack: Pack = bytes) -> Read:
    before = None
    if case.before is not None:
        before = expected_import(case.before, ImportOptions(None)).contacts
    return read(pack(case.content), case.options, before)


def check_errors(errors: list[RowError], expected: Imported) -> None:
    assert {error.row: error.code for error in errors} == {
        row: code for row, (code, _) in expected.failed.items()
    }
    for error in errors:
        said = expected.failed[error.row][1]
        assert error.message == said if error.code == "invalid_email" else said in error.message


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("case", IMPORTED, ids=str)
def test_a_file_that_is_imported(case: Case, pack: Pack) -> None:
    expected = case.expected
    assert isinstance(expected, Imported)
    found = read_case(case, pack)
    assert {
        email: {**one.fields, "customFields": dict(one.custom_fields)}
        for email, one in found.result.contacts.items()
    } == expected.contacts
    check_errors(found.result.errors, expected)
    created = len(expected.contacts) - (0 if case.before is None else 1)
    assert found.result.counts == {
        Outcome.CREATED: created,
        Outcome.UPDATED: expected.updated,
        Outcome.SKIPPED: expected.skipped,
        Outcome.FAILED: len(expected.failed),
    }
    assert found.rows == found.result.total == sum(found.result.counts.values())
    assert tuple(dict.fromkeys(note.code for note in found.notes)) == expected.notes
    assert (found.delimiter, found.encoding) == (expected.delimiter, expected.encoding)
    checked = check_contact_file(opener(pack(case.content)), case.options)
    assert checked.column_map == found.column_map
    assert checked.encoding == expected.encoding


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_file_that_is_refused(case: Case, pack: Pack) -> None:
    expected = case.expected
    assert isinstance(expected, Refused)
    content = pack(case.content)
    with pytest.raises(FileError) as refused:
        read(content, case.options)
    error = refused.value
    assert error.code == expected.code
    assert expected.message in error.message
    assert expected.has(error.data or {})
    assert "example.com" not in f"{error.message} {error.data}"
    # The API answers at once what the processor would say.
    with pytest.raises(FileError) as checked:
        check_contact_file(opener(content), case.options)
    assert (checked.value.code, checked.value.message) == (error.code, error.message)


@pytest.mark.parametrize(
    "case", [case for case in IMPORTED if read_case(case).result.errors], ids=str
)
def test_the_report_of_failed_rows_is_read_with_the_same_columns(case: Case) -> None:
    expected = case.expected
    assert isinstance(expected, Imported)
    first = read_case(case)
    again = read(first.report, case.options)
    assert again.column_map == first.column_map
    assert again.result.counts[Outcome.FAILED] == again.result.total == len(expected.failed)


def test_every_input_has_a_case() -> None:
    assert {case.input for case in CASES} == {path.name for path in INPUTS.iterdir()}


def test_an_input_in_words_says_what_its_case_does() -> None:
    """Such an input tells the metadata and what was there before; the file's lines are taken from it."""
    (case,) = (case for case in CASES if case.before is not None)
    text = (INPUTS / case.input).read_text()
    assert f"--metadata '{json.dumps(case.metadata, separators=(',', ':'))}'" in text
    assert "Existing contact j@example.com,Old" in text
    assert case.content == b"Email,Name\nj@example.com,New\n"


def test_the_table_in_the_document_is_the_one_that_is_tested() -> None:
    """`make conformance` writes it."""
    document = DOCUMENT.read_text()
    assert document == with_table(document)


@pytest.mark.parametrize(
    "options", [ImportOptions(None, delimiter=None), ImportOptions(ColumnMap(email="Email"))]
)
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
