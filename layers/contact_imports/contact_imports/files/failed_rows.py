"""The failed rows of an import: which they are, and as a file that can be mended and sent again."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from contact_imports.files.formulas import escape_formulas
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import Block, RecordReader, is_blank
from contact_imports.files.split import cells_beyond, row_batches
from contact_imports.model.column_map import REPORT_COLUMNS, SPREADSHEET_COLUMNS, Columns
from contact_imports.model.errors import RowError, not_processed

PAGE_ROWS = 1_000
"""Failed rows of one page of JSON."""

_FLUSH_CHARS = 1024 * 1024


class Counted(Protocol):
    """A partition that can tell which of its row batches were counted."""

    def counted(self, seq: int) -> bool:
        """Whether its batch of this number was counted."""
        ...


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A failed row with its original cells; `line` is the line that it starts at, from 1."""

    error: RowError
    line: int
    cells: list[str]

    def as_api(self) -> dict[str, Any]:
        """One entry of the API's list of errors."""
        error = self.error
        return {
            "row": error.row,
            "line": self.line,
            "field": error.field,
            "code": error.code,
            "message": error.message,
        }


class LostRows:
    """The rows of batches that were never counted: a bit a row, whatever the size of the file."""

    def __init__(
        self, blocks: Iterable[Block], columns: Columns, partitions: Mapping[int, Counted | None]
    ) -> None:
        self._bits = bytearray()
        for batch in row_batches(blocks, columns, len(partitions)):
            partition = partitions[batch.partition]
            if partition is None or not partition.counted(batch.seq):
                for row in (*orjson.loads(batch.rows), *orjson.loads(batch.rejected)):
                    self._add(row[0])

    def _add(self, number: int) -> None:
        missing = (number >> 3) + 1 - len(self._bits)
        if missing > 0:
            self._bits.extend(bytes(missing))
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] & 1 << (number & 7))


def failed_rows(
    reader: RecordReader,
    errors: Iterator[RowError],
    lost: LostRows | None = None,
) -> Iterator[FailedRow]:
    """The rows of `errors` (in file order) and the lost ones, with their cells.

    `reader` has read the header. It reads no further than the last failed row.
    """
    error = next(errors, None)
    for number, record in reader:
        if error is not None and error.row == number:
            yield FailedRow(error, reader.line, record)
            error = next(errors, None)
        elif lost is not None and number in lost and not is_blank(record):
            yield FailedRow(not_processed(number), reader.line, record)
        if error is None and lost is None:
            return


class ReportWriter:
    """Writes the report: the header and the failed rows as they were, then which row it is and why.

    A row that is short is filled up with blanks, so that every cell stands under its header; blank cells
    beyond the header are left out. Of a row whose quoting is malformed there are the cells that it seems to have, and
    the line as it was in one more cell: with it the row cannot be taken for a mended one.

    With `for_spreadsheet`, cells that would be formulas are escaped, and all are quoted, so that a spreadsheet that
    expects another delimiter does not make two cells of one; the last columns' names say so. UTF-8 with a byte order mark, since spreadsheets take it for
    Windows-1252 without; lines end as RFC 4180 has it.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        delimiter: str,
        header: list[str],
        columns: Columns,
        *,
        for_spreadsheet: bool = False,
    ) -> None:
        self._write = write
        self._text = io.StringIO(newline="")
        quoting: Literal[0, 1] = csv.QUOTE_ALL if for_spreadsheet else csv.QUOTE_MINIMAL
        self._writer = csv.writer(self._text, delimiter=delimiter, quoting=quoting)
        self._columns = columns
        self._for_spreadsheet = for_spreadsheet
        self._text.write("\ufeff")
        added = SPREADSHEET_COLUMNS if for_spreadsheet else REPORT_COLUMNS
        self._add((*header[: columns.width], *added))

    def write(self, row: FailedRow) -> None:
        """Adds a row."""
        cells = row.cells[: self._columns.width]
        cells += [""] * (self._columns.width - len(cells))
        error = f"{row.error.code}: {row.error.message}"
        if isinstance(row.cells, MalformedRecord):
            beyond = [row.cells.text]
        else:
            beyond = cells_beyond(row.cells, self._columns)
        self._add((*cells, *beyond, str(row.error.row), error))
        if self._text.tell() > _FLUSH_CHARS:
            self.flush()

    def _add(self, cells: tuple[str, ...]) -> None:
        self._writer.writerow(escape_formulas(cells) if self._for_spreadsheet else cells)

    def flush(self) -> None:
        """Hands on what is still in memory."""
        self._write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()
