"""A file of contacts whose header was read: how it is read, and where in it the contacts' fields are."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from contact_imports.files.formulas import is_spreadsheet_report, restore_formulas
from contact_imports.files.quoting import is_whole_line
from contact_imports.files.records import RecordReader, likely_delimiter, read_header
from contact_imports.model.column_map import ColumnMap, Columns, find_columns, match_columns
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import ImportOptions

_BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ContactFile:
    """`reader` has the records after the header."""

    reader: RecordReader
    header: list[str]
    delimiter: str
    column_map: ColumnMap
    columns: Columns


def open_contact_file(
    file: io.RawIOBase | io.BufferedIOBase, head: bytes, encoding: str, options: ImportOptions
) -> ContactFile:
    """Reads a file's header, with the delimiter and column map of the options, or those that it shows.

    `head` is the file's beginning. Raises FileError where the file has no header or it does not fit the
    column map, UnicodeDecodeError where it is not in this encoding.
    """
    delimiter = options.delimiter or likely_delimiter(head, encoding)
    raw: Any = file
    reader = RecordReader(io.BufferedReader(raw, _BUFFER_BYTES), encoding, delimiter)
    header = read_header(iter(reader))
    if is_whole_line(header, delimiter) and not _is_mapped(header[0], options.column_map):
        raise FileError(
            "UNREADABLE_FILE",
            f"Line {reader.line} is in quotes as a whole, so that it is one cell instead of a cell a column. "
            "Take away the quotes around each line, and undouble those within, or export the file again.",
        )
    escaped = is_spreadsheet_report(header)
    if escaped:
        header = restore_formulas(header)
    column_map = options.column_map or match_columns(header)
    columns = find_columns(column_map, header)
    reader.expect(len(header), columns.positions[0], escaped=escaped and columns.is_report)
    return ContactFile(reader, header, delimiter, column_map, columns)


def _is_mapped(name: str, column_map: ColumnMap | None) -> bool:
    return column_map is not None and name.strip() in column_map.headers().values()
