"""Where a file's table begins: which record is the header, and which delimiter separates the cells.

Files have lines before the header (a title, a note, `sep=;`), delimiters other than a comma, or no header. All code
that reads a file uses `find_table`, so that all of it reads the same rows.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import msgspec

from contact_imports.files.formulas import is_spreadsheet_report, restore_formulas
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import RecordReader, is_blank
from contact_imports.model.column_map import ColumnMap, Columns, find_columns
from contact_imports.model.column_match import SampleRow, match_columns, sample_row
from contact_imports.model.errors import FileError
from contact_imports.model.header_names import known_names, named, plain
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import Note
from contact_imports.model.text import clean_value

TABLE_HEAD_BYTES = 256 * 1024
"""What `find_table` should be given of a file: the widest usual header and some rows."""

HEADER_WITHIN_RECORDS = 20
"""The header must be among this many first records that are not blank."""

SAMPLE_RECORDS = 100
"""How many records after the header are looked at for values."""

DELIMITERS = (",", ";", "\t", "|")
"""The delimiters that are tried if the sender named none."""

_RARE_DELIMITERS = ("^", "~", "¦", ":", "\x1f", "\x01")
"""These are tried if none of the others gives an email column. Both its name and its values must then be right."""

_DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a pipe"}

_SEP_LINE = re.compile(
    r'\ufeff*"?sep=(\\t|[^\r\n"])"?[,;|\t ]*(?=[\r\n]|$)(?:\r\n|\r|\n)?', re.IGNORECASE
)
"""What Excel writes and reads as a first line, also with the table's delimiters after it."""

_FORMATS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), name, what_to_do)
    for pattern, name, what_to_do in (
        (r"\s*BEGIN:VCARD\b", "a vCard file (.vcf)", "Export the contacts as CSV."),
        (r"\s*BEGIN:VCALENDAR\b", "a calendar (.ics)", "Export the contacts as CSV."),
        (r'\s*\[\s*(?:[{\["]|\])', "JSON", "Write it as CSV: the names of the columns, then a line for each contact."),
        (r'\s*\{\s*(?:"[^"\r\n]*"\s*:|\})', "JSON", "Write it as CSV: the names of the columns, then a line for each contact."),
        (r"ID;P[A-Z]", "a SYLK file (.slk)", "Save it as CSV."),
        (r"\s*(?:version:\s*1\s+)?dn::?\s", "LDIF", "Export the contacts as CSV."),
        (r"\s*(?:---\s*\n)?-\s+[\"']?[a-z_-]+[\"']?:\s", "YAML", "Write it as CSV: the names of the columns, then a line for each contact."),
        (r"\s*(?:From \S+@\S+ |Return-Path: |Delivered-To: |MIME-Version: |Received: from |(?:(?:From|To|Subject|Date|Cc|Reply-To|Message-ID): [^\n]*\n){2})", "an email or a mailbox", "Export the contacts as CSV."),
    )
)  # fmt: skip
"""What other formats begin with, their name, and what to do."""

_SQL = re.compile(
    r"^[ \t]*(?:INSERT\s+INTO|CREATE\s+TABLE|DROP\s+TABLE|LOCK\s+TABLES|COPY\s+\S+\s*\([^\n]*\)\s+FROM)\s",
    re.IGNORECASE | re.MULTILINE,
)
_FORMAT_CHARS = 8192
"""How much of a file's text is searched for another format."""

_MOSTLY = 0.5

_QUOTES = frozenset(('""', "''", "``", "“”", "„“", "„”", "””", "‘’", "«»"))
"""Opening and closing quotes that a cell may be in by mistake: the rule knows only straight double ones."""


class TableStart(msgspec.Struct, frozen=True):
    """Where the table begins. `header_record` is the header's record number, from 1; `rows` are the first records
    after it, for `match_columns`."""

    delimiter: str
    header_record: int
    rows: tuple[SampleRow, ...] = ()
    notes: tuple[Note, ...] = ()


def find_table(text: str, options: ImportOptions, *, is_whole: bool) -> TableStart:
    """Where a file's table begins. `text` is its first TABLE_HEAD_BYTES; `is_whole` is whether that is all of it.

    The header is one of the first HEADER_WITHIN_RECORDS. With a column map, it is the record that has the mapped
    columns; without one, the record that names an email column or is above addresses. If the options have a delimiter
    and a header record, which an earlier run found, they are used. Raises FileError if there is no table or no email
    column.
    """
    if options.header_record is not None and options.delimiter is not None:
        return TableStart(options.delimiter, options.header_record)
    _refuse_other_formats(text)
    sep = _SEP_LINE.match(text)
    delimiters = [options.delimiter] if options.delimiter else list(DELIMITERS)
    said = None if sep is None else "\t" if sep[1] == r"\t" else sep[1]
    if said is not None:
        delimiters = list(dict.fromkeys((said, *delimiters)))
    heads = [
        _Head(text, delimiter, is_whole=is_whole, has_sep=sep is not None)
        for delimiter in delimiters
    ]
    if any(not head.records and head.broken is None for head in heads):
        raise _empty() if is_whole else _blank(text)
    unread = [head for head in heads if not head.records]
    heads = [head for head in heads if head.records]
    if unread and not is_whole and not heads:
        # The first record goes on after this head.
        return TableStart(unread[0].delimiter, 1)
    found = [
        (start, head) for head in heads if (start := head.find(options.column_map)) is not None
    ]
    if options.delimiter is None and all(head.likelihood[1] < 2 for _, head in found):
        # A control character between two cells is invisible, so that both would be read as one.
        found = _with_rare_delimiters(text, options, is_whole=is_whole) or found
    if not found:
        if unread and not any(head.likelihood[0] for head in heads):
            # With the other delimiters there are no columns: this was the right one, and its first record is wrong.
            raise unread[0].broken or _empty()
        raise _refusal(text, heads, options, is_whole=is_whole)
    if found[0][1].delimiter != said:
        found.sort(key=lambda one: (one[0].quality, *one[1].likelihood), reverse=True)
    start, head = found[0]
    head.check_skipped(start)
    head.check_rows(start)
    return head.table_start(start)


class TableHeader(msgspec.Struct, frozen=True):
    """A header, the columns of a contact in it, and what was skipped or chosen up to it."""

    cells: list[str]
    column_map: ColumnMap
    columns: Columns
    notes: tuple[Note, ...]


def read_table_header(
    reader: RecordReader, table: TableStart, options: ImportOptions
) -> TableHeader:
    """Reads a file up to its header, and finds the columns by the column map, or else by names and values.

    Raises FileError if they are not there.
    """
    header = next((record for number, record in reader if number == table.header_record), None)
    if header is None:
        raise _empty()
    if isinstance(header, MalformedRecord):
        raise FileError("UNREADABLE_FILE", header.why)
    if is_spreadsheet_report(header):
        header = restore_formulas(header)
    if options.column_map is not None:
        columns = find_columns(options.column_map, header)
        return TableHeader(header, options.column_map, columns, table.notes)
    match = match_columns(header, table.rows)
    columns = find_columns(match.column_map, header)
    return TableHeader(header, match.column_map, columns, (*table.notes, *match.notes))


class _Start(msgspec.Struct, frozen=True):
    """A record that may be the header: its index, how well it fits, and the position of the email."""

    index: int
    quality: tuple[bool | int, ...]
    email: int


class _HeadRecord(msgspec.Struct, frozen=True):
    number: int
    line: int
    row: SampleRow

    @property
    def has_address(self) -> bool:
        return any(self.row.addresses.values())

    @property
    def has_part_of_address(self) -> bool:
        """Whether a cell has an address and more: it may be several cells."""
        return not all(self.row.addresses.values())

    @property
    def is_comment(self) -> bool:
        return self.row.cells[0].lstrip().startswith("#")


class _Head:
    """A file's first records with one delimiter, without blank records and `sep=;`."""

    def __init__(self, text: str, delimiter: str, *, is_whole: bool, has_sep: bool) -> None:
        self.delimiter = delimiter
        self._has_sep = has_sep
        count = HEADER_WITHIN_RECORDS + SAMPLE_RECORDS + has_sep
        self.records: list[_HeadRecord] = []
        self._is_whole = is_whole
        self.broken = self._read(text, count)
        if has_sep and self.records and self.records[0].number == 1:
            self.records.pop(0)
        self._is_cut = not is_whole and len(self.records) == 1
        self.errors: list[tuple[_HeadRecord, FileError]] = []

    def _read(self, text: str, count: int) -> FileError | None:
        """Reads the first records; returns the error if one of them cannot be read."""
        content = io.BytesIO(text.encode("utf-8", "surrogatepass"))
        reader = RecordReader(content, "utf-8", self.delimiter)
        escaped = False
        try:
            for number, cells in reader:
                escaped = escaped or is_spreadsheet_report(cells)
                if escaped:
                    cells = restore_formulas(cells)
                if not is_blank(cells):
                    self.records.append(_HeadRecord(number, reader.line, sample_row(cells)))
                if len(self.records) == count:
                    return None
        except FileError as error:
            return error
        if not self._is_whole and len(self.records) > 1:
            # It may be cut off.
            self.records.pop()
        return None

    @cached_property
    def likelihood(self) -> tuple[float, int]:
        """How well the delimiter fits: the share of records that have the most common width, and that width."""
        widths = Counter(len(record.row.cells) for record in self.records)
        if not widths:
            return 0.0, 0
        width, times = widths.most_common(1)[0]
        return (times / len(self.records), width) if width > 1 else (0.0, 1)

    def find(self, column_map: ColumnMap | None) -> _Start | None:
        """The record that is most clearly the header, or None."""
        if self._is_cut:
            # A header that is wider than this head is looked at when it is read as a whole.
            return _Start(0, (), 0)
        best: _Start | None = None
        for index, record in enumerate(self.records[:HEADER_WITHIN_RECORDS]):
            if record.has_address:
                continue
            try:
                start = self._mapped(index, column_map) if column_map else self._matched(index)
            except FileError as error:
                self.errors.append((record, error))
                continue
            if start is not None and (best is None or start.quality > best.quality):
                best = start
        return best

    def check_skipped(self, start: _Start) -> None:
        """Raises FileError if a record before the header looks like a row."""
        for record in self.records[: start.index]:
            if record.row.addresses.get(start.email) and not record.is_comment:
                header = self.records[start.index]
                raise FileError(
                    "HEADER_NOT_FOUND",
                    f"Line {header.line} names the columns, but line {record.line} before it has an email "
                    "address in the same column. Move the names to the first line.",
                    data={"line": record.line, "headerLine": header.line},
                )

    def check_rows(self, start: _Start) -> None:
        """Raises FileError where the rows are not written as the header is, so that their cells are not theirs."""
        header = self.records[start.index]
        width = len(header.row.cells)
        rows = self.records[start.index + 1 :]
        if not rows and self._is_whole and header.row.addresses:
            raise FileError(
                "UNREADABLE_FILE",
                f"The file is one line with email addresses in it, line {header.line}: its lines do not end in a "
                "line feed. Save it as CSV again.",
                data={"line": header.line},
            )
        if width > 1 and any(row.has_part_of_address for row in rows):
            first = rows[0]
            if all(len(row.row.cells) == 1 for row in rows):
                cells = [row.row.cells[0] for row in rows]
                if all(self.delimiter in cell for cell in cells):
                    raise _lines_in_quotes(first.line)
                others = [one for one in DELIMITERS if all(one in cell for cell in cells)]
                if others:
                    raise FileError(
                        "UNREADABLE_FILE",
                        f"The header in line {header.line} is separated by {_called(self.delimiter)}, but the rows from "
                        f"line {first.line} on by {_called(others[0])}. Write all lines with the same delimiter.",
                        data={"line": first.line},
                    )
        for what, records in (("The names", [header]), ("The values", rows)):
            if width > 1 and _are_in_quotes([one.row.cells for one in records]):
                raise FileError(
                    "UNREADABLE_FILE",
                    f"{what} from line {records[0].line} on are in quotes that are part of them: single or "
                    'typographic quotes, or two pairs. Put each cell in one pair of straight double quotes ("), or in none.',
                    data={"line": records[0].line},
                )

    def table_start(self, start: _Start) -> TableStart:
        """Where the table begins, if its header is this record."""
        header = self.records[start.index]
        notes = []
        if start.index:
            lines = "Line 1 was" if header.line == 2 else f"Lines 1 to {header.line - 1} were"
            message = f"{lines} skipped, since line {header.line} names the columns."
            notes.append(Note("lines_skipped", message))
        elif self._has_sep:
            message = "Line 1 was skipped: it says that the delimiter is "
            notes.append(Note("lines_skipped", f"{message}{_called(self.delimiter)}."))
        return TableStart(
            self.delimiter, header.number, tuple(self._rows(start.index)), tuple(notes)
        )

    def refusal(self) -> FileError:
        """Why no record is the header."""
        first = self.records[0]
        # The likeliest header goes first; of records that name nothing, the first one.
        errors = sorted(self.errors, key=lambda one: -_known_names(one[0].row.cells) // 2)
        for code in ("UNREADABLE_FILE", "AMBIGUOUS_COLUMN"):
            for _, error in errors:
                if error.code == code:
                    return error
        if self.broken is not None and len(self.records) < HEADER_WITHIN_RECORDS:
            # The header may be among the records that could not be read.
            return self.broken
        # What is in a record with an address is somebody's data, and no list of columns.
        with_address = [record for record in self.records if record.row.addresses]
        width = len(first.row.cells)
        if not errors and not first.has_address and _known_names(first.row.cells):
            wider = [record for record in with_address if len(record.row.cells) > width]
            if wider:
                return FileError(
                    "HEADER_NOT_FOUND",
                    f"The header in line {first.line} names {width} column{'' if width == 1 else 's'}, but line "
                    f"{wider[0].line} has {len(wider[0].row.cells)} cells. Name every column in the header, also the "
                    "first one.",
                    data={"line": wider[0].line, "headerLine": first.line},
                )
        if with_address and (not errors or errors[0][0].row.addresses or first.has_address):
            return _no_header(with_address[0].line)
        return errors[0][1] if errors else _no_header(first.line)

    def lines_in_quotes(self) -> bool:
        """Whether each record is one cell that has the delimiter in it."""
        cells = [record.row.cells for record in self.records]
        return all(len(one) == 1 and self.delimiter in one[0] for one in cells)

    def _rows(self, index: int) -> list[SampleRow]:
        after = self.records[index + 1 : index + 1 + SAMPLE_RECORDS]
        return [record.row for record in after]

    def _matched(self, index: int) -> _Start | None:
        """This record as the header, judged by names and values; None if it is not clearly the header."""
        header, rows = self.records[index].row.cells, self._rows(index)
        match = match_columns(header, rows)
        agrees = _agree(header, rows)
        quality = (
            match.is_named and match.has_addresses,
            match.has_addresses,
            match.is_named,
            agrees,
            match.known,
        )
        if match.is_named:
            is_clear = index == 0 or match.has_addresses or match.known > 1
        else:
            name = header[match.email]
            # "n/a" is a value: then this is the first row of a file without a header.
            is_name = bool(clean_value(name)) and plain(name) not in known_names().answers
            has_name = is_name or match.known > 1
            narrower = all(
                _filled(record.row.cells) < _filled(header) for record in self.records[:index]
            )
            is_clear = agrees and has_name and narrower
        return _Start(index, quality, match.email) if is_clear else None

    def _mapped(self, index: int, column_map: ColumnMap) -> _Start | None:
        """This record as the header, judged by the column map; None if it is not clearly the header."""
        header, rows = self.records[index].row.cells, self._rows(index)
        columns = find_columns(column_map, header)
        email = columns.positions[0]
        has_addresses = any(email in row.addresses for row in rows)
        blank = not any(len(row.cells) > email and row.cells[email].strip() for row in rows)
        is_clear = index == 0 or has_addresses or (blank and len(columns.fields) > 1)
        quality = (has_addresses, _agree(header, rows))
        return _Start(index, quality, email) if is_clear else None


def _called(delimiter: str) -> str:
    return _DELIMITER_NAMES.get(delimiter, repr(delimiter))


def _with_rare_delimiters(
    text: str, options: ImportOptions, *, is_whole: bool
) -> list[tuple[_Start, _Head]]:
    found = []
    for delimiter in _RARE_DELIMITERS:
        head = _Head(text, delimiter, is_whole=is_whole, has_sep=False)
        start = head.find(options.column_map) if head.likelihood[0] > _MOSTLY else None
        if start is not None and all(start.quality):
            found.append((start, head))
    return found


def _agree(header: Sequence[str], rows: Sequence[SampleRow]) -> bool:
    """Whether most rows are as wide as the header."""
    same = sum(len(row.cells) == len(header) for row in rows)
    return same >= len(rows) * _MOSTLY


def _are_in_quotes(records: Sequence[Sequence[str]]) -> bool:
    """Whether every record begins and ends with quotes that are part of its cells, and one has each cell in them."""
    cleaned = [[text for text in map(clean_value, cells) if text] for cells in records]
    return all(cells and cells[0][0] + cells[-1][-1] in _QUOTES for cells in cleaned) and any(
        all(len(text) > 1 and text[0] + text[-1] in _QUOTES for text in cells) for cells in cleaned
    )


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _known_names(cells: Sequence[str]) -> int:
    return sum(named(cell) is not None for cell in cells)


def _empty() -> FileError:
    return FileError("EMPTY_FILE", "The file is empty. Its first line must name the columns.")


def _blank(text: str) -> FileError:
    return FileError(
        "HEADER_NOT_FOUND",
        f"The first {len(text):,} characters of the file are blank lines. Remove them.",
    )


def _refuse_other_formats(text: str) -> None:
    start = text[:_FORMAT_CHARS].lstrip("\ufeff")
    for pattern, name, what_to_do in _FORMATS:
        if pattern.match(start):
            raise FileError("UNREADABLE_FILE", f"The file is {name}, not a CSV. {what_to_do}")
    if _SQL.search(start):
        raise FileError(
            "UNREADABLE_FILE", "The file is an SQL dump, not a CSV. Export the table's rows as CSV."
        )


def _no_header(line: int) -> FileError:
    where = f"line {line} has an email address where the columns' names should be. Put a first line"
    if line > 1:
        where = (
            f"no line names the columns before line {line}, which has an email address. Put a line"
        )
    return FileError(
        "HEADER_NOT_FOUND",
        f"The file has no header: {where} above it that names each column, such as 'Email'.",
        data={"line": line},
    )


def _lines_in_quotes(line: int) -> FileError:
    return FileError(
        "UNREADABLE_FILE",
        f"Each line from line {line} on is in quotes as a whole, so that the file has one column. "
        "Remove the quotes around the lines, and save it again.",
        data={"line": line},
    )


def _refusal(
    text: str, heads: Sequence[_Head], options: ImportOptions, *, is_whole: bool
) -> FileError:
    """The refusal of a file in which no delimiter gives a table, with a suggestion if there is one."""
    others = [
        _Head(text, delimiter, is_whole=is_whole, has_sep=False)
        for delimiter in DELIMITERS
        if delimiter not in {head.delimiter for head in heads}
    ]
    every = [head for head in (*heads, *others) if head.records]
    if any(head.lines_in_quotes() for head in every):
        return _lines_in_quotes(heads[0].records[0].line)
    head = max(heads, key=lambda one: (one.delimiter == options.delimiter, *one.likelihood))
    error = head.refusal()
    if error.code != "COLUMN_NOT_FOUND":
        return error
    fitting = None
    if options.column_map is not None:
        fitting = _with_suggestion(error, text, is_whole=is_whole)
    if fitting is None and any(one.records[0].has_address for one in every):
        return _no_header(head.records[0].line)
    return fitting or error


def _with_suggestion(error: FileError, text: str, *, is_whole: bool) -> FileError | None:
    """The refusal of a column map, with the delimiter and the column map that would fit the file; None if there are
    none."""
    try:
        table = find_table(text, ImportOptions(None, delimiter=None), is_whole=is_whole)
        head = _Head(text, table.delimiter, is_whole=is_whole, has_sep=False)
        header = next(one for one in head.records if one.number == table.header_record)
        column_map = match_columns(header.row.cells, table.rows).column_map
    except FileError as other:
        return other if other.code == "UNREADABLE_FILE" else None
    except StopIteration:
        return None
    data = dict(error.data or {})
    message = error.message
    likely = column_map.headers().get(data.get("field", ""))
    if likely is not None and not data.get("nearest"):
        message += f" Its {data['field']} is probably in {likely!r}."
    data["suggestion"] = {"delimiter": table.delimiter, "columnMap": column_map.as_dict()}
    return FileError(error.code, message, data=data)
