"""Reads a CSV file of any size as records, a block at a time.

A *record* is a line of the table as a spreadsheet shows it: its cells, unchanged, and its number. A *row* is a record
after the header that is not blank.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import BinaryIO

from contact_imports.files.formulas import restore_formulas
from contact_imports.files.lines import Lines
from contact_imports.files.quoting import (
    MalformedRecord,
    Scan,
    Shape,
    ends_with_a_quote,
    escapes_of,
    has_plain_backslash,
    is_bare_address,
    loose_cells,
    quoted_row,
    scan_record,
    shown_escapes,
)
from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_CELL_CHARS
from contact_imports.model.text import clean_value

csv.field_size_limit(MAX_CELL_CHARS)

Record = tuple[int, list[str]]
Block = tuple[int, list[list[str]]]
"""The number of a record, and this record with some of those after it."""

_Search = Callable[[str], re.Match[str] | None]

_BLOCK_RECORDS = 64  # few, since each may be megabytes
_HEAD_CHARS = 65_536
"""How much is searched for backslash escapes before the first record is read."""
_BLANK_LINES = 20
"""How many lines after a damaged one may be blank before the one that shows where the damage ends."""


class RecordReader:
    """A file's records, which can be read once.

    `line` is the line where the last returned record starts, from 1. A row whose quoting is malformed is a
    MalformedRecord, if the damage provably ends with its line. Reading raises FileError where it cannot go on: at a
    quote that is never closed or may have swallowed records, and at an oversized cell. It raises UnicodeDecodeError if
    the file is not in this encoding, nor in the one that `find_other` returns: see `Lines`.

    csv.reader reads a block of records if its result is sure to follow the rule in `quoting`. Otherwise `quoting` reads
    the block.
    """

    def __init__(
        self,
        file: BinaryIO,
        encoding: str,
        delimiter: str,
        find_other: Callable[[], str] | None = None,
    ) -> None:
        self._at = Lines(file, encoding, find_other)
        self._delimiter = delimiter
        self._quote_after_blank, self._quote_after_margin = _quotes_after_blanks(delimiter)
        self._escape_pairs = ('\\"', "\\\\", "\\" + delimiter)
        self._begun = False
        self._shape: Shape | None = None
        self._escaped = False
        self._rest_before = False
        self._escapes: bool | None = None
        self._doubled_slashes = False
        self._lines_by_record = 0
        self._records: list[list[str]] = []
        self._starts: list[int] = []
        self._lines: list[str] = []
        self._block_line = 1
        self._first = 1
        self._given = 0
        self._next_line = 1
        self.line = 1

    def expect(self, width: int, email: int, *, escaped: bool = False) -> None:
        """Sets what the records after the header look like: the header's number of cells, and where the email is.

        This is needed to find quoted cells whose lines look like records. Positions count from 0. `escaped` is for a
        report for spreadsheets, whose cells are then unescaped.
        """
        self._shape = Shape(width, email)
        self._escaped = escaped

    @property
    def encoding(self) -> str:
        """The encoding of what was read so far."""
        return self._at.encoding

    def __iter__(self) -> Iterator[Record]:
        """Every record with its number, from 1, blank lines (no cells) included."""
        while self._given < len(self._records) or self._load():
            self.line = self._line_of(self._given)
            self._given += 1
            yield self._first + self._given - 1, self._records[self._given - 1]

    def blocks(self) -> Iterator[Block]:
        """The same records in blocks, which is faster. `line` is the line of a block's first record."""
        while self._given < len(self._records) or self._load():
            given, self._given = self._given, len(self._records)
            self.line = self._line_of(given)
            yield self._first + given, self._records[given:] if given else self._records

    def _load(self) -> bool:
        """Reads some more records, one at a time until the header was read; False at the end of the file."""
        if not self._begun:
            self._begun = True
            self._escapes = shown_escapes(self._peek(_HEAD_CHARS), self._delimiter)
        self._first += len(self._records)
        self._given = 0
        if self._shape is None or self._shape.email is None:
            self._read_exactly(1)
        elif not self._read_fast(self._shape):
            self._read_exactly(_BLOCK_RECORDS)
        if self._escaped:
            self._records = [
                record if isinstance(record, MalformedRecord) else restore_formulas(record)
                for record in self._records
            ]
        if self._shape is None and not is_blank(self._records[0] if self._records else []):
            self._shape = Shape(len(self._records[0]))
        return bool(self._records)

    def _read_fast(self, shape: Shape) -> bool:
        """Reads a block with csv.reader; False, and nothing is read, where that may not be what the rule says."""
        if self._lines_by_record <= 0:
            lines = self._at.held()
            if self._read_lines(lines, shape):
                return True
            # The same lines would be tried again and again.
            self._lines_by_record = len(lines)
        reader = csv.reader(iter(self._at), delimiter=self._delimiter, strict=True)
        try:
            records = list(itertools.islice(reader, _BLOCK_RECORDS))
        except csv.Error:
            return False
        lines = list(itertools.islice(self._at, reader.line_num))
        return self._accept(records, lines, "".join(lines), shape)

    def _read_lines(self, lines: list[str], shape: Shape) -> bool:
        """Reads all of these lines at a time, which is quicker, less those of a record that goes on after them."""
        text = "".join(lines)
        quotes = text.count('"')
        if not quotes:
            if len(text) > MAX_CELL_CHARS:
                return False
            records = [line.rstrip("\r\n").split(self._delimiter) for line in lines]
            if [""] in records:
                records = [[] if record == [""] else record for record in records]
            return self._accept(records, lines, text, shape)
        if quotes % 2:
            end = len(lines) - 1
            while lines[end].count('"') % 2 == 0:
                end -= 1
            lines, text = lines[:end], "".join(lines[:end])
        try:
            records = list(csv.reader(lines, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return False
        return bool(records) and self._accept(records, lines, text, shape)

    def _accept(self, records: list[list[str]], lines: list[str], text: str, shape: Shape) -> bool:
        """Takes what csv.reader read in these lines, which are `text` together, unless that is in doubt."""
        if self._is_doubtful(records, lines, text, shape):
            return False
        self._rest_before = bool(records) and shape.is_rest(records[-1])
        self._records = records
        self._lines = lines
        self._starts = []
        self._block_line = self._next_line
        self._skip(len(lines))
        return True

    def _is_doubtful(
        self, records: list[list[str]], lines: list[str], text: str, shape: Shape
    ) -> bool:
        """Whether csv.reader may have broken the rule when it read these records from these lines."""
        if "\\" in text and self._escapes is not False:
            if self._escapes is None and has_plain_backslash(text, self._delimiter):
                self._escapes = False
            elif self._escapes or any(pair in text for pair in self._escape_pairs):
                return True
        if '"' not in text:
            return False
        if self._quote_after_blank(text) and self._quote_after_margin(text):
            return True
        uneven = set(map(len, records)) != {shape.width}
        if (uneven or self._rest_before) and self._may_lack_quotes(records, shape):
            return True
        if uneven and any(len(record) == 1 and self._delimiter in record[0] for record in records):
            return True
        if len(lines) == len(records):
            return False
        # An address that a cell swallowed is none of those that the records have.
        if not uneven:
            emails = "".join(map(itemgetter(shape.email), records))
            if emails.count("@") == text.count("@") and "\n" not in emails and "\r" not in emails:
                return False
        starts = self._starts_in(lines)
        return any(
            "@" in line
            for start, end in itertools.pairwise([*starts, len(lines)])
            for line in lines[start + 1 : end]
        )

    def _may_lack_quotes(self, records: list[list[str]], shape: Shape) -> bool:
        """Whether an opening quote may be missing, so that one cell was read as several cells or records."""
        suspects = records[:1] if self._rest_before else []
        for index, record in enumerate(records):
            if len(record) != shape.width:
                if shape.is_rest(record):
                    suspects += records[index : index + 2]
                elif shape.is_exceeded_by(record):
                    suspects.append(record)
        return any(ends_with_a_quote(cell) for record in suspects for cell in record)

    def _line_of(self, position: int) -> int:
        """The line where a record of the block starts. It is computed only when it is needed."""
        if len(self._lines) == len(self._records):
            return self._block_line + position
        if position and not self._starts:
            self._starts = [self._block_line + start for start in self._starts_in(self._lines)]
        return self._starts[position] if self._starts else self._block_line

    def _starts_in(self, lines: list[str]) -> list[int]:
        """The indexes of the lines where a record starts."""
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        return [0, *(reader.line_num for _ in reader)][:-1]

    def _read_exactly(self, most: int) -> None:
        """Reads up to `most` records by the rule."""
        self._records = []
        self._starts = []
        self._lines = []
        while len(self._records) < most and next(iter(self._at), None) is not None:
            record, taken = self._read_one()
            self._records.append(record)
            self._starts.append(self._next_line)
            self._skip(taken)

    def _read_one(self) -> tuple[list[str], int]:
        """The next record and the number of its lines. There must be one."""
        shape = self._shape
        scan = self._scan(escapes=bool(self._escapes))
        if self._escapes is None:
            width = shape.width if shape else len(scan.cells)
            shown = escapes_of(scan, iter(self._at), self._delimiter, width)
            if shown and self._doubled_slashes:
                raise FileError(
                    "UNREADABLE_FILE",
                    f"From line {self._next_line} on, quotes are written as a backslash and a quote, but there are "
                    "doubled backslashes before that. Double the quotes that are part of a value instead.",
                )
            self._escapes = shown
            if shown:
                scan = self._scan(escapes=True)
            self._doubled_slashes |= any("\\\\" in line for line in scan.lines)
        if scan.fault is not None:
            return self._damaged(scan), 1
        if shape is not None and len(scan.lines) > 1:
            swallowed = scan.swallowed(shape, self._delimiter)
            if swallowed is not None:
                raise FileError(
                    "UNREADABLE_FILE",
                    f"A quoted cell in the record that starts at line {self._next_line} has several lines, and line "
                    f"{self._next_line + swallowed} looks like a row of its own. Close the quote where the cell "
                    "ends, or remove the line breaks if it is one value.",
                )
        if shape is not None and (cells := quoted_row(scan, shape, self._delimiter)) is not None:
            self._rest_before = False
            why = (
                f"Line {self._next_line} is in quotes as a whole, so all its values are in one cell. "
                "Remove the quotes around the line."
            )
            return self._malformed(scan.lines, cells, why), len(scan.lines)
        is_rest = shape is not None and shape.is_rest(scan.cells)
        if scan.dangling and (is_rest or self._rest_before):
            raise FileError(
                "UNREADABLE_FILE",
                f"Cell {scan.dangling} of the record that starts at line {self._next_line} ends with a quote that "
                "was never opened, and a line next to it is not a row. Put a quote where the cell begins.",
            )
        self._rest_before = is_rest
        if scan.dangling and shape is not None and shape.is_exceeded_by(scan.cells):
            why = (
                f"Cell {scan.dangling} of line {self._next_line + len(scan.lines) - 1} ends with a quote that was never "
                "opened, and the row has more cells than the header. Put a quote where the cell begins."
            )
            return self._malformed(scan.lines, None, why), len(scan.lines)
        return scan.cells, len(scan.lines)

    def _damaged(self, scan: Scan) -> MalformedRecord:
        """The first line of a malformed record, as a failed row; raises FileError if the damage may go on after it."""
        if scan.fault == "too long":
            line = self._next_line + len(scan.lines) - 1
            raise FileError("UNREADABLE_FILE", _too_long(line))
        first = scan.lines[0]
        cells = loose_cells(first, self._delimiter)
        if not self._ends_with_its_line(scan, cells) or len(first) > MAX_CELL_CHARS:
            raise FileError("UNREADABLE_FILE", self._why(scan))
        if len(scan.lines) > 1:
            what = "opens with a quote that is not closed on this line"
        elif scan.fault == "escaped line end":
            what = "ends with a backslash"
        else:
            what = "has text after its closing quote"
        why = (
            f"Cell {scan.cell} of line {self._next_line} {what}, so it is uncertain where it ends. "
            "Double each quote that is part of a value, and close each quoted cell."
        )
        return self._malformed([first], cells, why)

    def _malformed(self, lines: list[str], cells: list[str] | None, why: str) -> MalformedRecord:
        """A failed row for these lines. It keeps `cells`, those that they seem to have, if they are as many as the header's."""
        width = self._shape.width if self._shape else 0
        if cells is None or len(cells) != width:
            cells = [""] * width
        return MalformedRecord(cells, "".join(lines).rstrip("\r\n"), why)

    def _ends_with_its_line(self, scan: Scan, cells: list[str] | None) -> bool:
        """Whether the damage of a record provably ends with its first line.

        `cells` are those of the line if its quotes were only not doubled.
        """
        shape, first = self._shape, scan.lines[0]
        if shape is None or scan.fault == "never closed":
            return False
        whole = first.count(self._delimiter) + 1 >= shape.width
        if len(scan.lines) > 1:
            # The quote may have been meant to go on. It was not if this line is a row, and the others are.
            return (
                whole
                and scan.cell_line == 0
                and shape.fits(scan.lines[1], self._delimiter)
                and shape.fits(scan.lines[-1], self._delimiter)
            )
        if '""' not in first and cells is not None and len(cells) == shape.width:
            return shape.email is None or is_bare_address(cells[shape.email])
        for following in itertools.islice(self._at, 1, 1 + _BLANK_LINES):
            if following.strip():
                return shape.fits(following, self._delimiter)
        return whole

    def _why(self, scan: Scan) -> str:
        """The message for a file that cannot be read after a damaged record."""
        of_record = f"in cell {scan.cell} of the record that starts at line {self._next_line}"
        if scan.fault == "escaped line end":
            return f"A backslash {of_record} is the last character of its line. Put the cell in quotes."
        if len(scan.lines) == 1 and scan.fault == "text after quote":
            return (
                f"There is text after the closing quote {of_record}, so it is uncertain where the row ends. "
                "Double each quote that is part of a value."
            )
        where = ""
        if scan.fault == "text after quote":
            where = f": the next one, at line {self._next_line + len(scan.lines) - 1}, has text after it"
        return (
            f"A quote is opened {of_record} and never closed{where}. "
            "Close it, or double a quote that is part of a value."
        )

    def _scan(self, *, escapes: bool) -> Scan:
        return scan_record(iter(self._at), self._delimiter, escapes=escapes)

    def _skip(self, lines: int) -> None:
        self._at.skip(lines)
        self._next_line += lines
        self._lines_by_record -= lines

    def _peek(self, chars: int) -> Iterator[str]:
        """The lines from the next record on, up to about so many characters."""
        for line in self._at:
            yield line
            chars -= len(line)
            if chars <= 0:
                return


def _quotes_after_blanks(delimiter: str) -> tuple[_Search, _Search]:
    """Two searches for a quote that opens a cell after blanks: a fast one that finds too much, and an exact one."""
    mark = re.escape(delimiter)
    blank = rf"[^\S\r\n{mark}]"
    quick = re.compile(rf'"(?<={blank}")(?<![^\s{mark}]{blank}")')
    return quick.search, re.compile(rf'(?:^|[{mark}\r\n]){blank}+"').search


def is_blank(record: list[str]) -> bool:
    """Whether a record has nothing visible in any cell. A line with only a Ctrl-Z is blank, too."""
    return not any(cell.strip() and clean_value(cell) for cell in record)


def _too_long(line: int) -> str:
    return (
        f"A cell that reaches line {line} is longer than {MAX_CELL_CHARS:,} characters. "
        "Usually a quote before it is never closed: close it, or make the cell shorter."
    )
