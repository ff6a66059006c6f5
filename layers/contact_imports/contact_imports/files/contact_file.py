"""Opening a file of contacts: its encoding, delimiter, header and columns, then its records."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from contact_imports.files.encoding import (
    HEAD_BYTES,
    UTF_8,
    canonical_encoding,
    find_encoding,
    first_encoding,
    iso_2022_error,
    mark_bytes,
    must_be_checked,
)
from contact_imports.files.formulas import is_spreadsheet_report
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.records import RecordReader
from contact_imports.files.table_end import TableRows
from contact_imports.files.table_start import TABLE_HEAD_BYTES, find_table, read_table_header
from contact_imports.model.column_map import ColumnMap, Columns, check_stored_size
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import Note

T = TypeVar("T")


class ContactFile(msgspec.Struct, frozen=True):
    """A file that was read up to its header.

    `reader` gives the records after the header. `header_record` is the header's record number, from 1. `notes` say what
    was skipped and chosen up to the header.
    """

    stream: PlainFile
    reader: RecordReader
    header: list[str]
    header_record: int
    delimiter: str
    column_map: ColumnMap
    columns: Columns
    notes: tuple[Note, ...]

    @property
    def encoding(self) -> str:
        """The name of Python's codec; that of the whole file once it was read to its end."""
        return self.reader.encoding

    def rows(self) -> TableRows:
        """The records after the header in blocks, without the footer. They can be read once."""
        return TableRows(self.reader.blocks(), self.columns)


def open_contact_file(
    stream: PlainFile,
    options: ImportOptions,
    encoding: str | None = None,
    find_other: Callable[[], str] | None = None,
) -> ContactFile:
    """Reads a file up to its header, with the delimiter and column map of the options, or those found in the file.

    Pass `encoding` if it is known. Otherwise it is the one of the options, or the one that the first bytes show. If the
    file turns out to be in another encoding, it is read on in the one that `find_other` returns, as `Lines` does; or
    reading raises UnicodeDecodeError, here or later, which `read_contact_file` handles. Raises FileError if the file has no header, or if the header does not fit the column map.
    """
    head = stream.head(HEAD_BYTES)
    encoding = encoding or first_encoding(head, _given(options))
    marks = stream.read(mark_bytes(head, encoding))
    stream.set_encoding(encoding)
    head = stream.head(TABLE_HEAD_BYTES)
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    table = find_table(text, options, is_whole=len(head) < TABLE_HEAD_BYTES)
    raw: Any = stream
    # A mark is none in another encoding.
    find_other = None if marks else find_other
    buffered = io.BufferedReader(raw, TABLE_HEAD_BYTES)
    reader = RecordReader(buffered, encoding, table.delimiter, find_other)
    header = read_table_header(reader, table, options)
    check_stored_size(header.column_map)
    reader.expect(
        len(header.cells),
        header.columns.positions[0],
        escaped=header.columns.is_report and is_spreadsheet_report(header.cells),
    )
    return ContactFile(
        stream=stream,
        reader=reader,
        header=header.cells,
        header_record=table.header_record,
        delimiter=table.delimiter,
        column_map=header.column_map,
        columns=header.columns,
        notes=header.notes,
    )


def read_contact_file(
    open_stream: Callable[[], PlainFile],
    options: ImportOptions,
    read: Callable[[ContactFile], T],
) -> T:
    """Calls `read` with the opened file and returns its result, in the encoding of the whole file.

    `open_stream` opens the file at its beginning. Where a file turns out not to be in UTF-8 or UTF-16, the encoding is
    found from all of its bytes, which takes a fraction of the time of reading its records. If it was ASCII until there,
    which most files are that have a few names in Windows-1252, reading goes on. If not, the first result is dropped, and
    `read` is called again. Raises FileError as `find_encoding` and `open_contact_file` do, and whatever `read` raises.
    """
    given = _given(options)

    @cache
    def find() -> str:
        return find_encoding(open_stream(), given)

    encoding = find() if must_be_checked(given) else None
    try:
        file = open_contact_file(open_stream(), options, encoding, find)
        made = read(file)
    except UnicodeDecodeError:
        return read(open_contact_file(open_stream(), options, find()))
    if file.encoding == UTF_8 and file.stream.has_iso_2022:
        raise iso_2022_error()
    return made


def check_contact_file(open_stream: Callable[[], PlainFile], options: ImportOptions) -> ContactFile:
    """Checks the encoding of the whole file, then opens it and reads its header. Raises FileError."""
    encoding = find_encoding(open_stream(), _given(options))
    return open_contact_file(open_stream(), options, encoding)


def _given(options: ImportOptions) -> str | None:
    return canonical_encoding(options.encoding) if options.encoding else None
