"""Reading a CSV file of any size, as text and then as records, without keeping more than one of them.

A *record* is what the file has: cells as they stand, numbered as a spreadsheet numbers its lines. A *row*
is a record after the header with something in it.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_CELL_CHARS
from contact_imports.model.text import clean_value

csv.field_size_limit(MAX_CELL_CHARS)

Record = tuple[int, list[str]]
Block = tuple[int, list[list[str]]]
"""Some records that follow one another, and the number of the first."""

T = TypeVar("T")

HEAD_BYTES = 4096
"""What `possible_encodings` and `likely_delimiter` look at."""

DELIMITERS = (",", ";", "\t", "|")
"""Those that `likely_delimiter` tells apart; where two fit as well, the first."""

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_NOT_CSV = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"{\\rtf": "a Rich Text document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
}
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<meta", b"<body", b"<table", b"<?xml")
# Every C0 control character but tab, line feed, vertical tab, form feed, return and escape.
_CONTROLS = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27})
_BINARY_SHARE = 0.1
"""Control characters among the bytes of a head that make it binary: damaged text has a few."""
_UTF16_NUL_SHARE = 0.3
_BLOCK_RECORDS = 32  # few, since each may be megabytes
_LINE_END = re.compile(r"\r\n|\r|\n")


def possible_encodings(head: bytes) -> tuple[str, ...]:
    """The encodings to try on a file, in this order, from its first HEAD_BYTES, gunzipped.

    A byte order mark decides; otherwise UTF-8, and where a byte of the file is not UTF-8 the whole file
    is Windows-1252, which Excel writes. Raises FileError for what is no text.
    """
    head = head[:HEAD_BYTES]
    for magic, name in _NOT_CSV.items():
        if head.startswith(magic):
            raise _no_csv(name)
    if head.startswith(_UTF16_BOMS):
        return ("utf-16",)
    if head.removeprefix(_UTF8_BOM).lstrip().lower().startswith(_MARKUP):
        raise _no_csv("a web page or XML, even if its name ends in .xls or .csv")
    if head.count(b"\0") > len(head) * _UTF16_NUL_SHARE:
        raise FileError(
            "UNREADABLE_FILE",
            "The file is binary, or UTF-16 without a byte order mark. Save it as CSV in UTF-8.",
        )
    if len(head) - len(head.translate(None, _CONTROLS)) > len(head) * _BINARY_SHARE:
        raise _no_csv("binary, not text")
    return ("utf-8-sig",) if head.startswith(_UTF8_BOM) else ("utf-8-sig", "cp1252")


def read_in_encoding(head: bytes, read: Callable[[str], T]) -> T:
    """What `read` makes of a file, given the first possible encoding that everything it reads is in.

    `head` is the file's beginning, gunzipped, at least HEAD_BYTES of it if it has so many. Raises FileError
    where the file is in none, and what `read` raises.
    """
    encodings = possible_encodings(head)
    for encoding in encodings:
        try:
            return read(encoding)
        except UnicodeError:
            continue
    raise FileError(
        "UNREADABLE_FILE",
        f"The file is not text in any of these encodings: {', '.join(encodings)}. Save it as UTF-8.",
    )


def likely_delimiter(head: bytes, encoding: str) -> str:
    """The delimiter that splits a file's header into the most columns, from its first HEAD_BYTES."""
    text = head[:HEAD_BYTES].decode(encoding, errors="ignore")
    lines = [line for line in text.splitlines(keepends=True) if line.strip()]

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader(lines, delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=columns)


class RecordReader:
    """A file's records, one after another, in one go: what was read is not read again.

    `line` is the line that the last record that was given out starts at, from 1. Reading raises FileError,
    once it gets there, where the file cannot be read on: a quote that is never closed, an oversized cell;
    and UnicodeDecodeError where the file is not in this encoding.
    """

    def __init__(self, file: BinaryIO, encoding: str, delimiter: str) -> None:
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        # csv.reader takes the end of the file for the end of a quoted cell. One more, empty line tells the
        # two apart: it is a record of no cells, unless a quote is still open.
        self._reader = csv.reader(itertools.chain(text, self._end()), delimiter=delimiter)
        self._ended = False
        self._number = 0
        self.line = 1

    def __iter__(self) -> Iterator[Record]:
        """Every record with its number, from 1, blank lines (no cells) included."""
        for number, records in self._blocks(1):
            yield number, records[0]

    def blocks(self) -> Iterator[Block]:
        """The same, some at a time: less work for each."""
        return self._blocks(_BLOCK_RECORDS)

    def _blocks(self, size: int) -> Iterator[Block]:
        while not self._ended:
            self.line = self._reader.line_num + 1
            try:
                records = list(itertools.islice(self._reader, size))
            except csv.Error as error:
                raise FileError("UNREADABLE_FILE", _explain(error, self._reader.line_num)) from None
            if self._ended and records.pop():
                raise self._unclosed(records)
            first = self._number + 1
            self._number += len(records)
            if records:
                yield first, records

    def _end(self) -> Iterator[str]:
        self._ended = True
        yield ""

    def _unclosed(self, before: list[list[str]]) -> FileError:
        cells = itertools.chain.from_iterable(before)
        line = self.line + len(before) + sum(len(_LINE_END.findall(cell)) for cell in cells)
        return FileError(
            "UNREADABLE_FILE",
            f"A quote is opened in the record that starts at line {line} and never closed. "
            "Close it, or double a quote that is part of a value.",
        )


def read_records(file: BinaryIO, encoding: str, delimiter: str) -> Iterator[Record]:
    """Every record of a file, as RecordReader gives them."""
    return iter(RecordReader(file, encoding, delimiter))


def is_blank(record: list[str]) -> bool:
    """Whether a record is a blank line: nothing in any cell that can be seen (so is a lone Ctrl-Z)."""
    return not any(cell.strip() and clean_value(cell) for cell in record)


def read_header(records: Iterator[Record]) -> list[str]:
    """The first record that is not blank; raises FileError where there is none."""
    for _, record in records:
        if not is_blank(record):
            return record
    raise FileError("EMPTY_FILE", "The file is empty. Its first line must name the columns.")


def _explain(error: csv.Error, line: int) -> str:
    if "field larger than field limit" in str(error):
        return (
            f"A cell that reaches line {line} is longer than {MAX_CELL_CHARS:,} characters: "
            "mostly a quote before it that is never closed."
        )
    return f"The file cannot be read at line {line}: {error}."


def _no_csv(what: str) -> FileError:
    return FileError(
        "UNREADABLE_FILE", f"The file is {what}, not a CSV. Save it as CSV and send that."
    )
