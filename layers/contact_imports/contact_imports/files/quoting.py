"""What a quote means in a CSV file: reads one record exactly, and finds out what damage shows.

The rule: a cell is quoted if a quote is the first thing in it after blanks. In a quoted cell two quotes are one;
after the closing quote only blanks, a delimiter or a line end may follow. A quote anywhere else in an unquoted cell
is data. Some programs write a quote in a cell as backslash and quote; a file shows by its own records which way it
was written (`shown_escapes`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from copy import copy
from itertools import islice, tee
from typing import Literal

import msgspec

from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.limits import MAX_CELL_CHARS

Fault = Literal["text after quote", "escaped line end", "never closed", "too long"]

_ADDRESS = re.compile(r'[^\s@",;|<>]+@[^\s@",;|<>]+')
_AROUND_ADDRESS = ' \t\u00a0"'
_LINE_ENDS = "\r\n"


class MalformedRecord(list[str]):
    """A row whose quoting is malformed, in place of a record.

    Its cells are those that the row seems to have, or blank ones if they are not as many as the header's. One more cell
    after them has the line as it was, so that a malformed record is always wider than the header.
    """

    def __init__(self, cells: list[str], text: str, why: str) -> None:
        super().__init__([*cells, text])
        self.text = text
        self.why = why

    def error(self, row: int) -> RowError:
        """The error of this row."""
        return RowError(row, "malformed_quoting", self.why)


class Shape(msgspec.Struct, frozen=True):
    """What a file's records look like: how many cells the header has, and which one is the email (from 0)."""

    width: int
    email: int | None = None

    def fits(self, line: str, delimiter: str) -> bool:
        """Whether a line looks like a record if quotes are ignored: enough delimiters, an address where the email is."""
        if self.email is None or "@" not in line:
            return False
        pieces = line.split(delimiter)
        return len(pieces) >= self.width and is_bare_address(pieces[self.email])

    def is_exceeded_by(self, record: list[str]) -> bool:
        """Whether a record has more cells than the header; False as long as the header is not known."""
        return self.email is not None and len(record) > self.width

    def is_rest(self, record: list[str]) -> bool:
        """Whether a record may be one line of a longer one: it is short, and has no address where the email is."""
        return (
            self.email is not None
            and 0 < len(record) < self.width
            and (len(record) <= self.email or "@" not in record[self.email])
        )


class Scan(msgspec.Struct):
    """One record as it was read: its cells, and the lines of the file that it took.

    A `fault` is in the last of these lines, in cell `cell` (from 1), which begins in line `cell_line` (from 0).
    `closings` has for each cell with line breaks its first and last line and the column of its closing quote.
    `bare_escapes` is whether an unquoted cell has a backslash before a quote. `dangling` is the cell (from 1) that is
    not quoted but seems to end with a closing quote, or 0.
    """

    cells: list[str] = []
    lines: list[str] = []
    fault: Fault | None = None
    cell: int = 0
    cell_line: int = 0
    closings: list[tuple[int, int, int]] = []
    bare_escapes: bool = False
    dangling: int = 0

    def swallowed(self, shape: Shape, delimiter: str) -> int | None:
        """The first line (from 0) within a quoted cell that looks like a record of its own, or None."""
        for first, last, column in self.closings:
            for number in range(first + 1, last + 1):
                line = self.lines[number]
                if not shape.fits(line, delimiter):
                    continue
                # Of the last line only what is in front of the closing quote belongs to the cell.
                pieces = line[:column].count(delimiter) if number == last else len(line)
                at_end = not line[column + 1 :].strip() and shape.width > 1
                if shape.email is not None and (shape.email < pieces or at_end):
                    return number
        return None


def ends_with_a_quote(cell: str) -> bool:
    """Whether a cell may be the end of a quoted cell whose opening quote was lost."""
    return cell.count('"') % 2 == 1 and cell.rstrip().endswith('"')


def is_bare_address(cell: str) -> bool:
    """Whether a cell looks like one email address."""
    return _ADDRESS.fullmatch(cell.strip().strip(_AROUND_ADDRESS)) is not None


def scan_record(lines: Iterator[str], delimiter: str, *, escapes: bool) -> Scan:
    """Reads the record that begins with the next line. `lines` are those of a file, with their line ends.

    `escapes` is whether a backslash makes the quote, backslash or line end after it part of the value. There must be a
    next line. More lines are taken only while a quoted cell is open, and at most MAX_CELL_CHARS characters.
    """
    scan = Scan(lines=[next(lines)])
    line = scan.lines[0]
    position = 0
    end: int | None
    while True:
        scan.cell += 1
        scan.cell_line = len(scan.lines) - 1
        start = _skip_blanks(line, position, delimiter)
        if line[start : start + 1] == '"':
            end = _scan_quoted(scan, start + 1, lines, escapes=escapes)
            if end is None:
                return scan
            line = scan.lines[-1]
            end = _skip_blanks(line, end, delimiter)
            if line[end : end + 1] not in ("", "\r", "\n", delimiter):
                scan.fault = "text after quote"
                return scan
        else:
            end = _scan_unquoted(scan, position, delimiter, escapes=escapes)
            if end is None:
                return scan
        if line[end : end + 1] != delimiter:
            if scan.cells == [""] and not line.strip(_LINE_ENDS):
                scan.cells = []
            return scan
        position = end + 1


def loose_cells(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line whose quotes are not doubled; None if a quoted cell is still open at its end.

    Here a quote closes a cell only if the cell ends after it.
    """
    text = line.rstrip(_LINE_ENDS)
    mark = re.escape(delimiter)
    closing = re.compile(rf'"[^\S{mark}]*(?:{mark}|$)')
    cells: list[str] = []
    position = 0
    while True:
        start = _skip_blanks(text, position, delimiter)
        if text[start : start + 1] == '"':
            found = closing.search(text, start + 1)
            if found is None:
                return None
            value = text[start + 1 : found.start()]
            cells.append(value.replace('""', '"'))
            end = found.end() - (1 if text[found.end() - 1] == delimiter else 0)
        else:
            end = text.find(delimiter, position)
            end = len(text) if end < 0 else end
            cells.append(text[position:end])
        if end >= len(text):
            return cells
        position = end + 1


def quoted_row(scan: Scan, shape: Shape, delimiter: str) -> list[str] | None:
    """The cells of a row that is in quotes as a whole and was read as one cell; None for any other row.

    The text in the quotes must be a record with an address where the email is. A cell that means one address, such as
    `mailto:ann@example.org?subject=Hi, Ann`, is an email, and one with several addresses and nothing else has several.
    """
    if shape.email is None or shape.width == 1 or len(scan.cells) != 1:
        return None
    (cell,) = scan.cells
    if delimiter not in cell or not scan.lines[0].lstrip().startswith('"'):
        return None
    inner = scan_record(io.StringIO(cell, newline=""), delimiter, escapes=False)
    cells = inner.cells
    if (
        inner.fault is not None
        or len(cells) <= shape.email
        or not is_bare_address(cells[shape.email])
    ):
        return None
    values = [one for one in cells if one.strip()]
    if is_bare_address(email_identity(cell)) or (
        len(values) > 1 and all(map(is_bare_address, values))
    ):
        return None
    return cells


def shown_escapes(lines: Iterable[str], delimiter: str) -> bool | None:
    """Whether these lines, a file's first ones, were written with backslash escapes; None if they do not show it."""
    text = "".join(known := list(lines))
    if "\\" not in text:
        return None
    if has_plain_backslash(text, delimiter):
        return False
    # A backslash in front of a quote is another way of writing one, so it is no evidence of this one.
    if re.search(rf'[^\s"\\{re.escape(delimiter)}]""', text):
        return False
    (at,) = tee(known, 1)
    left = len(known)
    width = None
    while left:
        plain = scan_record(copy(at), delimiter, escapes=False)
        width = width or len(plain.cells)
        shown = escapes_of(plain, copy(at), delimiter, width)
        if shown is not None:
            return shown
        taken = len(plain.lines) if plain.fault is None else 1
        left -= len(list(islice(at, taken)))
    return None


def has_plain_backslash(text: str, delimiter: str) -> bool:
    r"""Whether there is a backslash that escapes nothing; a program that writes escapes would have doubled it.

    What programs write after one is a quote, a backslash, a delimiter, a line end or one of a few letters: `\N`
    of MySQL, `\'` of PHP.
    """
    mark = re.escape(delimiter)
    return re.search(rf"""(?<!\\)(?:\\\\)*\\[^\\"'\r\nrntN0/{mark}]""", text) is not None


def escapes_of(plain: Scan, lines: Iterator[str], delimiter: str, width: int) -> bool | None:
    """Whether one record shows that its file has backslash escapes; None if it shows neither.

    `plain` is the record read without escapes, `lines` begin with the record, `width` is the header's number of cells.
    """
    of_quotes = any('\\"' in line for line in plain.lines)
    if not of_quotes and not any("\\" + delimiter in line for line in plain.lines):
        return None
    escaped = scan_record(lines, delimiter, escapes=True)
    if of_quotes:
        if has_plain_backslash("".join(escaped.lines), delimiter):
            return False
        if escaped.fault is None and (plain.fault is not None or plain.bare_escapes):
            return True
        return False if escaped.fault is not None and plain.fault is None else None
    if plain.fault is None and len(plain.cells) == width:
        return False
    return True if escaped.fault is None and len(escaped.cells) == width else None


def _skip_blanks(line: str, position: int, delimiter: str) -> int:
    while (
        (character := line[position : position + 1]).isspace()
        and character not in _LINE_ENDS
        and character != delimiter
    ):
        position += 1
    return position


def _scan_quoted(scan: Scan, position: int, lines: Iterator[str], *, escapes: bool) -> int | None:
    """Reads a cell from after its opening quote; returns where it ends, or None after setting a fault."""
    line = scan.lines[-1]
    parts: list[str] = []
    chars = 0
    while True:
        quote = line.find('"', position)
        if escapes:
            slash = line.find("\\", position, quote if quote >= 0 else len(line))
            if slash >= 0:
                following = line[slash + 1 : slash + 2]
                keep = slash if following and following in '"\\\r\n' else slash + 1
                parts += (line[position:keep], following)
                position = slash + 1 + len(following)
                if following == "\r" and line[position : position + 1] == "\n":
                    parts.append("\n")
                    position += 1
                if position < len(line):
                    continue
                quote = -1
        if quote < 0:
            parts.append(line[position:])
            chars += len(line)
            following_line = None if chars > MAX_CELL_CHARS else next(lines, None)
            if following_line is None:
                scan.fault = "too long" if chars > MAX_CELL_CHARS else "never closed"
                return None
            line = following_line
            scan.lines.append(line)
            position = 0
        elif line.startswith('"', quote + 1):
            parts.append(line[position : quote + 1])
            position = quote + 2
        else:
            parts.append(line[position:quote])
            last = len(scan.lines) - 1
            if last > scan.cell_line:
                scan.closings.append((scan.cell_line, last, quote))
            value = "".join(parts)
            if len(value) > MAX_CELL_CHARS:
                scan.fault = "too long"
                return None
            scan.cells.append(value)
            return quote + 1


def _scan_unquoted(scan: Scan, position: int, delimiter: str, *, escapes: bool) -> int | None:
    """Reads an unquoted cell; returns where it ends, or None after setting a fault."""
    line = scan.lines[-1]
    parts: list[str] = []
    while True:
        end = line.find(delimiter, position)
        if end < 0:
            end = len(line.rstrip(_LINE_ENDS))
        slash = line.find("\\", position, end) if escapes else -1
        if slash < 0:
            break
        following = line[slash + 1 : slash + 2]
        if following in ("\r", "\n"):
            # It may go on in the next line, or the backslash is a value's last character.
            scan.fault = "escaped line end"
            return None
        special = following in ('"', "\\", delimiter)
        parts += (line[position : slash if special else slash + 1], following)
        position = slash + 1 + len(following)
    parts.append(line[position:end])
    scan.cells.append("".join(parts))
    if ends_with_a_quote(parts[-1]):
        scan.dangling = scan.cell
    scan.bare_escapes |= not escapes and '\\"' in parts[-1]
    if len(scan.cells[-1]) > MAX_CELL_CHARS:
        scan.fault = "too long"
        return None
    return end
