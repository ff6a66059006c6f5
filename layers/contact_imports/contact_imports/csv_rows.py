"""Reading a CSV file of any size, as text and then as records, without keeping more than one of them.

A *record* is what the file has: cells as they stand, numbered as a spreadsheet numbers its lines. A *row*
is a record after the header with something in it.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from contact_imports.errors import FileError
from contact_imports.limits import MAX_CELL_CHARS

csv.field_size_limit(MAX_CELL_CHARS)

Record = tuple[int, list[str]]
T = TypeVar("T")

HEAD_BYTES = 4096
"""What `possible_encodings` looks at."""

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_NOT_CSV = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive",
}


def possible_encodings(head: bytes) -> tuple[str, ...]:
    """The encodings to try on a file, in this order, from its first HEAD_BYTES.

    A byte order mark decides; otherwise UTF-8, and where a byte of the file is not UTF-8 the whole file
    is Windows-1252, which Excel writes. Raises FileError for what is no text.
    """
    for magic, name in _NOT_CSV.items():
        if head.startswith(magic):
            raise FileError(
                "UNREADABLE_FILE", f"The file is {name}, not a CSV. Save it as CSV and send that."
            )
    if head.startswith(_UTF16_BOMS):
        return ("utf-16",)
    if b"\0" in head[:HEAD_BYTES]:
        raise FileError(
            "UNREADABLE_FILE", "The file is binary, not text. Save it as CSV and send that."
        )
    return ("utf-8-sig", "cp1252")


def read_in_encoding(head: bytes, read: Callable[[str], T]) -> T:
    """What `read` makes of a file, given the first possible encoding that everything it reads is in.

    `head` is the file's beginning, at least HEAD_BYTES of it if it has so many. Raises FileError where the
    file is in none, and what `read` raises.
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


def read_records(file: BinaryIO, encoding: str, delimiter: str) -> Iterator[Record]:
    """Every record of a file with its number, from 1, blank lines (no cells) included.

    Raises FileError, once it gets there, where the file cannot be read on: a quote that is never closed,
    an oversized cell; raises UnicodeDecodeError where the file is not in this encoding.
    """
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    # csv.reader takes the end of the file for the end of a quoted cell. One more, empty line tells the
    # two apart: it is a record of no cells, unless a quote is still open.
    reader = csv.reader(itertools.chain(text, [""]), delimiter=delimiter)
    held: Record | None = None
    started = line = 1
    try:
        for held_next in enumerate(reader, 1):
            if held is not None:
                yield held
                started = line + 1
            held = held_next
            line = reader.line_num
    except csv.Error as error:
        raise FileError("UNREADABLE_FILE", _explain(error, reader.line_num)) from None
    if held is None or held[1]:
        raise FileError(
            "UNREADABLE_FILE",
            f"A quote is opened in the record that starts at line {started} and never closed. "
            "Close it, or double a quote that is part of a value.",
        )


def is_blank(record: list[str]) -> bool:
    """Whether a record is a blank line: nothing in any cell."""
    return not any(map(str.strip, record))


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
