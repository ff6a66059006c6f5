from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.csv_rows import is_blank, possible_encodings, read_header, read_records
from contact_imports.errors import FileError
from contact_imports.limits import MAX_CELL_CHARS


def records(content: bytes, encoding: str = "utf-8-sig", delimiter: str = ",") -> list[list[str]]:
    read = list(read_records(io.BytesIO(content), encoding, delimiter))
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


@pytest.mark.parametrize(
    ("head", "encodings"),
    [
        (b"a,b", ("utf-8-sig", "cp1252")),
        (b"", ("utf-8-sig", "cp1252")),
        (b"\xff\xfea\0", ("utf-16",)),
        (b"\xfe\xff\0a", ("utf-16",)),
    ],
)
def test_possible_encodings(head: bytes, encodings: tuple[str, ...]) -> None:
    assert possible_encodings(head) == encodings


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"PK\x03\x04..", "Excel"),
        (b"\xd0\xcf\x11\xe0", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"a\0b", "binary"),
    ],
)
def test_what_is_no_text_is_named(head: bytes, named: str) -> None:
    with pytest.raises(FileError, match=named):
        possible_encodings(head)


def test_the_header_is_the_first_record_with_something_in_it() -> None:
    file = iter([(1, []), (2, [" ", ""]), (3, ["Email"]), (4, ["a@example.com"])])
    assert read_header(file) == ["Email"]
    assert next(file)[0] == 4


def test_a_file_without_a_header_is_empty() -> None:
    with pytest.raises(FileError, match="empty") as refused:
        read_header(iter([(1, []), (2, ["  "])]))
    assert refused.value.code == "EMPTY_FILE"


def test_blank_records() -> None:
    assert is_blank([])
    assert is_blank(["", " \t", "\u00a0"])
    assert not is_blank(["", "0"])


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(
    st.lists(st.lists(cells, min_size=2, max_size=5), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_comes_out_as_it_went_in(
    table: list[list[str]], line_end: str, delimiter: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(
        table
    )
    content = text.getvalue().encode(encoding)
    read_as = possible_encodings(content)[0]
    assert records(content, read_as, delimiter) == table
