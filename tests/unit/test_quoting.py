"""Quotes in files: the rule, the damage, and other ways of writing them."""

from __future__ import annotations

import csv
import io
import os
import random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contact_imports.files import lines
from contact_imports.files.contact_file import ContactFile, open_contact_file
from contact_imports.files.failed_rows import ReportWriter, failed_rows
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import RecordReader
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.limits import MAX_CELL_CHARS, MAX_FILE_BYTES
from contact_imports.model.text import clean_value, is_damaged
from local.stack import ROOT
from tests.quoting import MalformedError, read_by_the_rule
from tests.reference import ReferenceImport, reference_import

INPUTS = ROOT / "tests" / "inputs"
fuzz = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def stream(content: bytes) -> PlainFile:
    return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))


def opened(content: bytes, delimiter: str | None = None) -> ContactFile:
    return open_contact_file(stream(content), ImportOptions(None, delimiter=delimiter))


def imported(content: bytes, delimiter: str | None = None) -> ReferenceImport:
    file = opened(content, delimiter)
    return reference_import([(file.header_record, file.header), *file.reader], file.column_map)


def values(result: ReferenceImport) -> dict[str, dict[str, str]]:
    return {
        email: {**contact.fields, **contact.custom_fields}
        for email, contact in result.contacts.items()
    }


def failed(result: ReferenceImport) -> list[tuple[int, str]]:
    return [(error.row, error.code) for error in result.errors]


def test_a_header_of_one_cell_may_have_a_delimiter_in_it_where_the_column_map_says_so() -> None:
    options = ImportOptions(ColumnMap(email="Email,Name"))
    file = open_contact_file(stream(b'"Email,Name"\na@example.com\n'), options)
    assert [record for _, record in file.reader] == [["a@example.com"]]


FULL = 'b@example.com,"Bo, B",Rome\n'


@pytest.mark.parametrize(
    ("row", "name", "city"),
    [
        ('a@example.com,12" pan,Paris\n', '12" pan', "Paris"),
        ("a@example.com,6'2\",Paris\n", "6'2\"", "Paris"),
        ('a@example.com,"Ann" ,Paris\n', "Ann", "Paris"),
        ('a@example.com,\t"Ann"\t,Paris\n', "Ann", "Paris"),
        ('a@example.com,\u00a0"Lee, Ann",Paris\n', "Lee, Ann", "Paris"),
        (' "a@example.com", "Lee, ""Ann""", "Paris" \n', 'Lee, "Ann"', "Paris"),
        ('"a@example.com","Lee\nAnn","Paris"\r\n', "Lee\nAnn", "Paris"),
        ('a@example.com,"C:\\","Paris"\n', "C:\\", "Paris"),
        ('a@example.com,"{""a"":""b\\""c""}",Paris\n', '{"a":"b\\"c"}', "Paris"),
    ],
)
def test_certain_rows_are_read(row: str, name: str, city: str) -> None:
    result = imported(f"Email,Name,City\n{FULL}{row}{FULL}".encode())
    assert values(result)["a@example.com"] == {"name": name, "City": city}
    assert result.errors == []


@pytest.mark.parametrize(
    "row",
    [
        'a@example.com,"12" pan",Paris\n',
        'a@example.com,""Ann"",Paris\n',
        'a@example.com,"Ann"x,Paris\n',
        'a@example.com,"Ann,Paris\n',
        '"a@example.com,"Ann","Paris"\n',
        'a@example.com,"Ann","Paris\n',
        'a@example.com,"say "hi", Bob",Paris\n',
        'a@example.com,Lee, Ann",Paris\n',
        'a@example.com,Lee, Ann",\n',
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_damage_that_ends_with_its_line_fails_one_row(row: str, ends: str) -> None:
    content = f'Email,Name,City\n{FULL}\n{row}{FULL}c@example.com,"Cy",Oslo\n'.replace("\n", ends)
    result = imported(content.encode())
    assert failed(result) == [(4, "malformed_quoting")]
    assert "of line 4 " in result.errors[0].message
    assert set(result.contacts) == {"b@example.com", "c@example.com"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        # A value goes on in the next line, which is no row.
        ('a@example.com,"5" screen\nand more",Paris\n', "line 3"),
        ('a@example.com,"Dear\nBob,Paris\nx@example.com,"Cy",Oslo\n', "line 3"),
        # Well-formed, but it may have swallowed rows.
        ('a@example.com,"Ann,Paris\nx@example.com,Bob,Rome"\n', "line 4 looks like a row"),
        ('a@example.com,"Ann,Paris\nx@example.com,Bob",Rome\n', "line 4 looks like a row"),
        # The file may have been cut off.
        ('a@example.com,"Ann', "line 3 and never closed"),
        ('a@example.com,Paris,"the 5" scr', None),
    ],
)
def test_damage_that_may_go_on_refuses_the_file(rows: str, said: str | None) -> None:
    content = f"Email,Name,City\n{FULL}{rows}".encode()
    if said is None:
        assert failed(imported(content)) == [(3, "malformed_quoting")]
        return
    with pytest.raises(FileError, match=said) as refused:
        imported(content)
    assert refused.value.code == "UNREADABLE_FILE"


@pytest.mark.parametrize(
    "rows",
    [
        'a@example.com,Ann,Main St 1\nRome"\n',
        'a@example.com,Main St 1\nRome",Italy\n',
        'a@example.com,Main St 1\n\nRome",Italy\n',
    ],
)
def test_a_quote_that_is_lost_where_a_cell_of_several_lines_begins_refuses_the_file(
    rows: str,
) -> None:
    with pytest.raises(FileError, match="never opened"):
        imported(f"Email,Name,City\n{FULL}{rows}{FULL}".encode())


def test_a_header_with_malformed_quotes_is_refused() -> None:
    with pytest.raises(FileError, match="line 1"):
        opened(b'Email,"Na"me,City\na@example.com,Ann,Paris\n')


def test_a_quote_that_is_never_closed_is_found_before_the_file_is_read() -> None:
    class Endless(io.RawIOBase):
        read_bytes = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            line = b"x@example.com,no quote in here,Rome\n" * 1000
            if not self.read_bytes:
                line = b'Email,Name,City\na@example.com,"Ann,Paris\n'
            size = min(len(line), len(buffer))
            buffer[:size] = line[:size]
            self.read_bytes += size
            return size

    source = Endless()
    plain = PlainFile(io.BufferedReader(source), MAX_FILE_BYTES)
    file = open_contact_file(plain, ImportOptions(None))
    with pytest.raises(FileError, match="longer than 1,000,000 characters"):
        for _ in file.reader.blocks():
            pass
    assert source.read_bytes < 4 * MAX_CELL_CHARS


def test_what_a_malformed_row_was_is_in_the_report_and_does_not_pass_unmended() -> None:
    content = (INPUTS / "quotes-doubled-around-cell.csv").read_bytes()
    report = report_of(content)
    header, first, second = csv.reader(io.StringIO(report.decode("utf-8-sig"), newline=""))
    assert first[:4] == ["x@example.com", '"Ann Lee"', "Paris", 'x@example.com,""Ann Lee"",Paris']
    assert first[4] == "2"
    assert first[5].startswith("malformed_quoting: ")
    again = imported(report)
    assert again.contacts == {}
    assert len(again.errors) == 2
    out = io.StringIO(newline="")
    for row in (first, second):
        del row[3]
    csv.writer(out).writerows([header, first, second])
    mended = imported(out.getvalue().encode())
    assert {email: contact.fields["name"] for email, contact in mended.contacts.items()} == {
        "x@example.com": '"Ann Lee"',
        "y@example.com": '"Lee, Ann"',
    }


def report_of(content: bytes, delimiter: str | None = None) -> bytes:
    errors = imported(content, delimiter).errors
    file = opened(content, delimiter)
    out = bytearray()
    writer = ReportWriter(out.extend, file.delimiter, file.header, file.columns)
    for row in failed_rows(file.reader, iter(errors)):
        writer.write(row)
    writer.flush()
    return bytes(out)


pieces = st.sampled_from(
    ['"', '""', ",", ",", "\n", "\r\n", "\r", " ", "\t", "\u00a0", "a", "é", "x@example.com"]
)


@fuzz
@given(st.lists(pieces, max_size=40).map("".join))
def test_whatever_is_well_formed_is_read_by_the_rule(text: str) -> None:
    content = text.encode()
    try:
        expected = read_by_the_rule(text, ",")
    except MalformedError:
        # Then there is a refusal, or a record that says that it is malformed.
        try:
            found = [record for _, record in RecordReader(io.BytesIO(content), "utf-8", ",")]
        except FileError:
            return
        assert any(isinstance(record, MalformedRecord) for record in found)
        return
    assert [record for _, record in RecordReader(io.BytesIO(content), "utf-8", ",")] == expected


@fuzz
@given(st.lists(pieces, max_size=40).map("".join))
def test_the_fast_way_and_the_exact_one_are_the_same(text: str) -> None:
    content = b"Email,Name\n" + text.encode()

    def records(email: int | None) -> Any:
        reader = RecordReader(io.BytesIO(content), "utf-8", ",")
        next(iter(reader))
        if email is not None:
            reader.expect(2, email)
        try:
            return [(number, reader.line, list(record), type(record)) for number, record in reader]
        except FileError as error:
            return error.message

    try:
        expected = read_by_the_rule(content.decode(), ",")
    except MalformedError:
        return
    fast = records(0)
    if isinstance(fast, str):
        # What it may refuse of what is well-formed: cells that seem to be several rows, and rows that seem to be
        # one cell.
        assert "looks like a row of its own" in fast or "was never opened" in fast
        return
    exact = records(None)
    assert len(fast) == len(exact) == len(expected) - 1
    for quick, slow, record in zip(fast, exact, expected[1:], strict=True):
        # Text that obeys the rule is malformed only where a row with too many cells lacks a quote, and where a row
        # is in quotes as a whole.
        if quick[3] is MalformedRecord:
            assert len(record) > 2 or (len(record) == 1 and "@" in record[0] and "," in record[0])
        else:
            assert quick == slow
            assert quick[2] == record


@fuzz
@given(st.lists(pieces, max_size=40).map("".join), st.integers(8, 64))
def test_where_a_chunk_is_cut_makes_no_difference(text: str, chunk: int) -> None:
    content = b"Email,Name\n" + text.encode()

    def records() -> Any:
        reader = RecordReader(io.BytesIO(content), "utf-8", ",")
        next(iter(reader))
        reader.expect(2, 0)
        try:
            return [(number, reader.line, list(record), type(record)) for number, record in reader]
        except FileError as error:
            return error.message

    whole = records()
    with patch.object(lines, "_CHUNK_BYTES", chunk):
        assert records() == whole


# A file with many control characters is binary data, and refused as that.
controls = "".join(map(chr, set(range(32)) - set(b"\t\n\v\f\r\x1b")))
words = st.text(st.characters(codec="utf-8", exclude_characters="@" + controls), max_size=12)
notes = st.lists(words, max_size=4).map("\n".join)
people = st.lists(st.tuples(notes, notes), max_size=100)
written_as: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    }
)


def file_of(people: list[tuple[str, str]], dialect: dict[str, Any]) -> bytes:
    text = io.StringIO(newline="")
    rows = [(f"p{number}@example.com", *cells) for number, cells in enumerate(people)]
    csv.writer(text, **dialect).writerows([("Email", "Note", "City"), *rows])
    return text.getvalue().encode()


def people_of(people: list[tuple[str, str]]) -> dict[str, dict[str, str]]:
    named = (
        (f"p{number}@example.com", {"Note": clean_value(note), "City": clean_value(city)})
        for number, (note, city) in enumerate(people)
    )
    return {email: {k: v for k, v in cells.items() if v} for email, cells in named}


@fuzz
@given(people, written_as)
def test_real_cells_of_several_lines_are_read(
    people: list[tuple[str, str]], dialect: dict[str, Any]
) -> None:
    # A cell that was damaged before fails its row whatever its quotes are.
    assume(not any(is_damaged(cell) for person in people for cell in person))
    result = imported(file_of(people, dialect), dialect["delimiter"])
    assert result.errors == []
    assert values(result) == people_of(people)


plain = st.sampled_from(["Ann", "Lee, Ann", "", "Main St 1\nRome", 'say "hi"', "C:\\x", "Zoë"])


@fuzz
@given(
    st.lists(st.tuples(plain, plain), min_size=1, max_size=100),
    written_as,
    st.tuples(st.integers(0, 10**6), st.sampled_from(["insert", "remove"])),
)
def test_damaged_quotes_never_change_other_rows_in_silence(
    people: list[tuple[str, str]], dialect: dict[str, Any], damage: tuple[int, str]
) -> None:
    text = file_of(people, dialect).decode()
    header = text.index("\r\n") + 2
    where, what = damage
    if what == "insert":
        place = header + where % (len(text) - header + 1)
        text = text[:place] + '"' + text[place:]
    elif quotes := [at for at in range(header, len(text)) if text[at] == '"']:
        place = quotes[where % len(quotes)]
        text = text[:place] + text[place + 1 :]
    try:
        result = imported(text.encode(), dialect["delimiter"])
    except FileError as error:
        assert "line" in error.message
        return
    # Nobody is swallowed: each address is a contact, or in a row that is failed.
    missing = set(people_of(people)) - set(result.contacts)
    assert len(missing) <= len(result.errors)
    # A contact differs in the quotes that were damaged, and in nothing else.
    for email, cells in values(result).items():
        if email in people_of(people):
            expected = people_of(people)[email]
            assert {k: letters(v) for k, v in cells.items()} == {
                k: letters(v) for k, v in expected.items()
            }


def letters(value: str) -> str:
    # A quote behind the only backslash of a file cannot be told from one that is escaped.
    return value.replace('"', "").replace("\\", "").strip()


escaped_cells = st.text(st.sampled_from('ab "\\,é'), max_size=6).map(str.strip)


@fuzz
@given(
    st.lists(st.tuples(escaped_cells, escaped_cells), min_size=1, max_size=30),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
)
def test_a_file_with_backslash_escapes_comes_out_as_it_went_in_or_is_refused(
    people: list[tuple[str, str]], quoting: Any
) -> None:
    # Without a quote in a value, nothing shows what a backslash is.
    people = [('say "hi", twice', "ok"), *people]
    dialect = {"quoting": quoting, "doublequote": False, "escapechar": "\\"}
    try:
        result = imported(file_of(people, dialect))
    except FileError:
        return
    wanted = people_of(people)
    for email, cells in values(result).items():
        assert cells == wanted[email]
    assert len(result.contacts) + len(result.errors) == len(people)


def test_a_file_with_backslash_escapes_is_read() -> None:
    chance = random.Random(1)
    people = [("".join(chance.choices('ab "\\,', k=8)).strip(), "x") for _ in range(3_000)]
    dialect = {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\"}
    result = imported(file_of(people, dialect))
    assert values(result) == people_of(people)
    assert result.errors == []


def test_backslashes_that_escape_nothing_are_data() -> None:
    content = (
        b'Email,Name,City\na@example.com,"C:\\x\\",Rome\nb@example.com,"C:\\\\y\\","Oslo"\n'
        b"c@example.com,D:\\,Bern\n"
    )
    result = imported(content)
    assert values(result) == {
        "a@example.com": {"name": "C:\\x\\", "City": "Rome"},
        "b@example.com": {"name": "C:\\\\y\\", "City": "Oslo"},
        "c@example.com": {"name": "D:\\", "City": "Bern"},
    }


def test_escapes_that_show_late_are_recognised_or_refused() -> None:
    plain_rows = b"".join(b'p%d@example.com,"Ann",Rome\n' % n for n in range(5_000))
    late = b'x@example.com,"a \\"q\\", b",Oslo\n'
    result = imported(b"Email,Name,City\n" + plain_rows + late)
    assert values(result)["x@example.com"] == {"name": 'a "q", b', "City": "Oslo"}
    doubled = b'y@example.com,"C:\\\\x",Rome\n'
    with pytest.raises(FileError, match="line 5003 on"):
        imported(b"Email,Name,City\n" + doubled + plain_rows + late)


@pytest.mark.parametrize("name", ["quotes-stray-open-swallows-rows.csv", "quotes-space-before.csv"])
def test_lines_are_those_of_the_file(name: str) -> None:
    content = (INPUTS / name).read_bytes()
    file = opened(content)
    lines = [(number, file.reader.line) for number, _ in file.reader]
    assert lines == [(n, n) for n in range(2, content.count(b"\n") + 1)]


@pytest.mark.parametrize(
    ("header", "row", "cells"),
    [
        ("Email,Name,City", '"a@example.com,Ann,Paris"', ["a@example.com", "Ann", "Paris"]),
        ("Email,Name,City", ' "a@example.com,""Lee, Ann"",Paris" ', ["a@example.com", "Lee, Ann", "Paris"]),
        ("Email,Name,City", '"a@example.com,""Lee\nAnn"",Paris"', ["a@example.com", "Lee\nAnn", "Paris"]),
        ("Name;Email", '"Ann;a@example.com"', ["Ann", "a@example.com"]),
        # The cells that there seem to be are not as many as the header's.
        ("Email,Name,City", '"a@example.com,Ann"', ["", "", ""]),
        ("Email,Name", '"a@example.com,Ann,Paris"', ["", ""]),
    ],
)  # fmt: skip
def test_quotes_around_a_whole_row_fail_it_with_a_message_of_their_own(
    header: str, row: str, cells: list[str]
) -> None:
    delimiter = ";" if ";" in header else ","
    full = delimiter.join(
        "b@example.com" if name == "Email" else "x" for name in header.split(delimiter)
    )
    content = f"{header}\n{full}\n{row}\n{full}\n".encode()
    result = imported(content, delimiter)
    assert failed(result) == [(3, "malformed_quoting")]
    assert "Line 3 is in quotes as a whole" in result.errors[0].message
    _, of_report = csv.reader(
        io.StringIO(report_of(content).decode("utf-8-sig"), newline=""), delimiter=delimiter
    )
    assert of_report[: len(cells)] == cells
    assert of_report[len(cells)] == row


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ('"a@example.com,c@example.com"', "invalid_email"),
        ('"Ann, of Paris"', "invalid_email"),
        ('"mailto:a@example.com?subject=Hi, Ann"', None),
        ('"a@example.com,"', None),
        ('"""Lee, Ann"" <a@example.com>"', None),
    ],
)
def test_a_short_row_whose_one_cell_has_a_delimiter_is_judged_by_its_email(
    row: str, code: str | None
) -> None:
    result = imported(f"Email,Name\nb@example.com,B\n{row}\nb@example.com,B\n".encode())
    assert failed(result) == ([(3, code)] if code else [])
    assert ("a@example.com" in result.contacts) is (code is None)


@fuzz
@given(st.lists(st.tuples(plain, plain, st.booleans()), min_size=1, max_size=100), written_as)
def test_rows_in_quotes_as_a_whole_fail_and_have_their_values_in_the_report(
    people: list[tuple[str, str, bool]], dialect: dict[str, Any]
) -> None:
    # A file whose rows are all in quotes is refused as a whole.
    people = [("first", "row", False), *people]
    text = io.StringIO(newline="")
    rows = [(f"p{number}@example.com", note, city) for number, (note, city, _) in enumerate(people)]
    csv.writer(text, **dialect).writerow(("Email", "Note", "City"))
    for row, (note, city, wrapped) in zip(rows, people, strict=True):
        line = io.StringIO(newline="")
        csv.writer(line, **dialect).writerow(row)
        record = line.getvalue().removesuffix("\r\n")
        quoted = '"' + record.replace('"', '""') + '"'
        text.write(f"{quoted if wrapped and note + city else record}\r\n")
    content = text.getvalue().encode()
    result = imported(content, dialect["delimiter"])
    failing = [
        number for number, (note, city, wrapped) in enumerate(people) if wrapped and note + city
    ]
    assert failed(result) == [(number + 2, "malformed_quoting") for number in failing]
    others = people_of([(note, city) for note, city, _ in people])
    for number in failing:
        del others[f"p{number}@example.com"]
    assert values(result) == others
    report = csv.reader(
        io.StringIO(report_of(content, dialect["delimiter"]).decode("utf-8-sig"), newline=""),
        delimiter=dialect["delimiter"],
    )
    assert [tuple(row[:3]) for row in report][1:] == [rows[number] for number in failing]
