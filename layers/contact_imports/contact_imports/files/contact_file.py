"""A file of contacts whose header was read: how it is read, and where in it the contacts' fields are."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contact_imports.files.records import RecordReader
from contact_imports.files.table_end import TableRows
from contact_imports.files.table_start import TABLE_HEAD_BYTES, find_table, read_table_header
from contact_imports.model.column_map import ColumnMap, Columns
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import Note

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True)
class ContactFile:
    """`reader` has the records after the header, which is the `header_record`-th of the file; `notes` are what
    was skipped and chosen before them."""

    reader: RecordReader
    header: list[str]
    header_record: int
    delimiter: str
    column_map: ColumnMap
    columns: Columns
    notes: tuple[Note, ...]

    def rows(self) -> TableRows:
        """The records after the header as blocks, without the footer; to be read once."""
        return TableRows(self.reader.blocks(), self.columns)


def open_contact_file(
    file: io.RawIOBase | io.BufferedIOBase, head: bytes, encoding: str, options: ImportOptions
) -> ContactFile:
    """Reads a file up to its header, with the delimiter and column map of the options, or those that it shows.

    Raises FileError where the file has no header or it does not fit the column map, UnicodeDecodeError where
    it is not in this encoding.
    """
    raw: Any = file
    start = io.BufferedReader(raw, TABLE_HEAD_BYTES)
    head = start.read(TABLE_HEAD_BYTES)
    stream = io.BufferedReader(_Rejoined(head, start), TABLE_HEAD_BYTES)
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    table = find_table(text, options, is_whole=len(head) < TABLE_HEAD_BYTES)
    reader = RecordReader(stream, encoding, table.delimiter)
    header = read_table_header(reader, table, options)
    return ContactFile(
        reader,
        header.cells,
        table.header_record,
        table.delimiter,
        header.column_map,
        header.columns,
        header.notes,
    )


class _Rejoined(io.RawIOBase):
    """A file again from its beginning, of which `head` was read."""

    def __init__(self, head: bytes, rest: io.BufferedReader[Any]) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer with the next bytes; returns how many, 0 at the end."""
        view = memoryview(buffer)
        if not self._head:
            return self._rest.readinto(view)
        count = min(len(view), len(self._head))
        view[:count] = self._head[:count]
        self._head = self._head[count:]
        return count
