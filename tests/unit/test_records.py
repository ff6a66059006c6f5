from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files.encoding import find_encoding
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.records import RecordReader, is_blank
from contact_imports.files.table_start import DELIMITERS
from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_CELL_CHARS
from local.stack import ROOT


def plain(content: bytes) -> PlainFile:
    return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))


def records(content: bytes, encoding: str = "utf-8-sig", delimiter: str = ",") -> list[list[str]]:
    read = list(RecordReader(io.BytesIO(content), encoding, delimiter))
    assert [number for number, _ in read] == list(range(1, len(read) + 1))
    return [record for _, record in read]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
        (b"a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
        (b"a,b\n1,2", [["a", "b"], ["1", "2"]]),
        (b"\xef\xbb\xbfa,b\n", [["a", "b"]]),
        (b'a\n"x\r\ny"\n', [["a"], ["x\r\ny"]]),
        (b'a\n"x ""y"" z"\n', [["a"], ['x "y" z']]),
        (b"a\n\n1\n\n", [["a"], [], ["1"], []]),
        (b"a,b\n1\n1,2,3\n", [["a", "b"], ["1"], ["1", "2", "3"]]),
        (b"a\n007\n", [["a"], ["007"]]),
        (b"", []),
        (b"\n", [[]]),
    ],
)
def test_records_are_the_files(content: bytes, expected: list[list[str]]) -> None:
    assert records(content) == expected


def test_other_delimiters_and_encodings() -> None:
    assert records(b"a;b\n1,5;2\n", delimiter=";") == [["a", "b"], ["1,5", "2"]]
    assert records("é\t”\n".encode("cp1252"), "cp1252", "\t") == [["é", "”"]]
    assert records("a,é\n".encode("utf-16"), "utf-16") == [["a", "é"]]


@pytest.mark.parametrize(
    ("content", "line"),
    [(b'a,b\n"1,2\n', 2), (b'a\nx\n"y\nz\n\nw', 3), (b'"a', 1), (b'a\n"x\ny"\n1,"2\n3', 4)],
)
def test_an_unclosed_quote_is_an_error_with_its_line(content: bytes, line: int) -> None:
    with pytest.raises(FileError, match=f"starts at line {line} and never closed") as refused:
        records(content)
    assert refused.value.code == "UNREADABLE_FILE"


def test_a_giant_cell_is_an_error_with_its_line() -> None:
    with pytest.raises(FileError, match="line 3 is longer than 1,000,000 characters"):
        records(b"a\nb\n" + b"x" * (MAX_CELL_CHARS + 1))


def test_blank_records() -> None:
    assert is_blank([])
    assert is_blank(["", " \t", "\u00a0"])
    assert not is_blank(["", "0"])


def test_the_line_of_a_record_is_where_it_starts() -> None:
    reader = RecordReader(io.BytesIO(b'a\n"x\ny"\n\nb\n'), "utf-8", ",")
    assert [(reader.line, record) for _, record in reader] == [
        (1, ["a"]),
        (2, ["x\ny"]),
        (4, []),
        (5, ["b"]),
    ]


SPECTRUM = ROOT / "tests" / "csv_spectrum"


@pytest.mark.parametrize("name", sorted(path.stem for path in SPECTRUM.glob("*.csv")))
def test_csv_spectrum(name: str) -> None:
    content = (SPECTRUM / f"{name}.csv").read_bytes()
    header, *rows = records(content, find_encoding(plain(content)))
    expected = json.loads((SPECTRUM / f"{name}.json").read_text())
    assert [dict(zip(header, row, strict=True)) for row in rows] == expected


CSVKIT = ROOT / "tests" / "csvkit_examples"
ABC = ["a", "b", "c"]


def read_file(path: Path, delimiter: str) -> list[list[str]]:
    """A file's header and the rows after it, from its bytes, as the processor reads them."""
    content = path.read_bytes()
    encoding = find_encoding(plain(content))
    reader = RecordReader(io.BufferedReader(plain(content)), encoding, delimiter)
    return list(itertools.dropwhile(is_blank, (record for _, record in reader)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dummy.csv.gz", [ABC, ["1", "2", "3"]]),
        ("dummy.tsv", [ABC, ["1", "2", "3"]]),
        ("mac_newlines.csv", [ABC, ["1", "2", "3"], ["Once upon\ra time", "5", "6"]]),
        ("null_byte.csv", [ABC, ["\0", "2", "3"]]),
        ("optional_quote_characters.csv", [ABC, ["1", "2", "3"]]),
        ("test_utf16_big.csv", [ABC, ["1", "2", "3"], ["4", "5", "ʤ"]]),
        ("test_utf16_little.csv", [ABC, ["1", "2", "3"], ["4", "5", "ʤ"]]),
        ("test_latin1.csv", [ABC, ["1", "2", "3"], ["4", "5", "©"]]),
        ("test_utf8.csv", [["foo", "bar", "baz"], ["1", "2", "3"], ["4", "5", "ʤ"]]),
        ("test_utf8_bom.csv", [["foo", "bar", "baz"], ["1", "2", "3"], ["4", "5", "ʤ"]]),
        (
            "test_header_newline.csv",
            [["\t\n\v\f\r start \t\n\v\f\r end \t\n\v\f\r", "b", "c"], ["d", "e", "f"]],
        ),
        ("test_skip_lines.csv", [ABC, ["1", "2", "3"]]),
        ("test_empty_columns.csv", [[*ABC, "", ""], ["a", *4 * [""]], ["", "", "c", ""], 5 * [""]]),
        (
            "bad.csv",
            [
                ["column_a", "column_b", "column_c"],
                ["1", "27", "", "I'm too long!"],
                ["", "I'm too short!"],
                ["0", "mixed types.... uh oh", "17"],
            ],
        ),
    ],
)
def test_csvkits_examples(name: str, expected: list[list[str]]) -> None:
    delimiter = "\t" if name.endswith(".tsv") else ","
    assert read_file(CSVKIT / name, delimiter) == expected


@pytest.mark.parametrize("name", ["dummy.xls", "dummy.xlsx"])
def test_csvkits_workbooks_are_named_for_what_they_are(name: str) -> None:
    with pytest.raises(FileError, match="Excel"):
        read_file(CSVKIT / name, ",")


def test_damaged_text_is_still_text() -> None:
    content = b"Email,Name\n" + b"a@example.com,A\x00B\x1a\n" * 3
    assert find_encoding(plain(content)) == "utf-8-sig"
    assert records(content)[1] == ["a@example.com", "A\x00B\x1a"]


dialects: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(DELIMITERS),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    }
).filter(
    # Minimal quotes leave a return bare where lines end otherwise, which no reader can tell from an end.
    lambda d: d["quoting"] != csv.QUOTE_MINIMAL or d["lineterminator"] == "\r\n"
)
cells = st.text(st.characters(codec="utf-8"), max_size=20)
western = st.text(st.characters(codec="cp1252"), max_size=20)


def written(table: list[list[str]], dialect: dict[str, Any], encoding: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(table)
    return text.getvalue().encode(encoding)


def tables(cell: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    rows = st.lists(cell, min_size=2, max_size=5)
    # A name that is text, so that the head of a small table does not look like something else.
    return st.lists(rows, max_size=8).map(lambda rows: [["an ordinary header" * 20, "b"], *rows])


@given(tables(cells), dialects, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_table_comes_out_as_it_went_in(
    table: list[list[str]], dialect: dict[str, Any], encoding: str
) -> None:
    content = written(table, dialect, encoding)
    read = records(content, find_encoding(plain(content)), dialect["delimiter"])
    assert read == table


@given(tables(western), dialects)
def test_any_table_of_western_letters_comes_out_of_windows_1252(
    table: list[list[str]], dialect: dict[str, Any]
) -> None:
    content = written(table, dialect, "cp1252")
    encoding = find_encoding(plain(content), "cp1252")
    assert records(content, encoding, dialect["delimiter"]) == table
