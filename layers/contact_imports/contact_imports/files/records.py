"""Reading a CSV file of any size, as text and then as records, without keeping more than one of them.

A *record* is what the file has: cells as they stand, numbered as a spreadsheet numbers its lines. A *row*
is a record after the header with something in it.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from contact_imports.files.encoding import HEAD_BYTES
from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_CELL_CHARS
from contact_imports.model.text import clean_value

csv.field_size_limit(MAX_CELL_CHARS)

Record = tuple[int, list[str]]
Block = tuple[int, list[list[str]]]
"""Some records that follow one another, and the number of the first."""

DELIMITERS = (",", ";", "\t", "|")
"""Those that `likely_delimiter` tells apart; where two fit as well, the first."""

_BLOCK_RECORDS = 32  # few, since each may be megabytes
_LINE_END = re.compile(r"\r\n|\r|\n")


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
