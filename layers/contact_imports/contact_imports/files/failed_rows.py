"""The failed rows of an import, and the report of them: a file that can be corrected and sent again."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Protocol

import msgspec
import orjson

from contact_imports.files.bit_set import BitSet
from contact_imports.files.formulas import escape_formulas
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import Block, RecordReader, is_blank
from contact_imports.files.split import SplitDigest, cells_beyond, row_batches
from contact_imports.model.column_map import REPORT_COLUMNS, SPREADSHEET_COLUMNS, Columns
from contact_imports.model.errors import RowError, not_processed
from contact_imports.model.import_job import BatchLimits

PAGE_ROWS = 1_000
"""Failed rows on one page of JSON."""

_FLUSH_CHARS = 1024 * 1024


class Counted(Protocol):
    """A partition that knows which of its row batches were counted."""

    def counted(self, seq: int) -> bool:
        """Whether the batch with this number was counted."""
        ...


class FailedRow(msgspec.Struct, frozen=True):
    """A failed row with its original cells; `line` is the line where it starts, from 1."""

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
    """The numbers of rows whose batches were never counted, one bit each.

    They are right only if the file is split as it was: `total` is its number of rows now, `digest` its SplitDigest.
    """

    def __init__(
        self,
        blocks: Iterable[Block],
        columns: Columns,
        partitions: Mapping[int, Counted | None],
        limits: BatchLimits | None = None,
    ) -> None:
        self._numbers = BitSet()
        self.total = 0
        digest = SplitDigest(columns)
        for batch in row_batches(blocks, columns, len(partitions), limits=limits):
            digest.add(batch)
            self.total += batch.count
            partition = partitions[batch.partition]
            if partition is None or not partition.counted(batch.seq):
                for row in (*orjson.loads(batch.rows), *orjson.loads(batch.rejected)):
                    self._numbers.add(row[0])
        self.digest = digest.hexdigest()

    def __contains__(self, number: int) -> bool:
        return number in self._numbers


def failed_rows(
    reader: RecordReader,
    errors: Iterator[RowError],
    lost: LostRows | None = None,
) -> Iterator[FailedRow]:
    """The rows of `errors` (in file order) and the lost rows, with their cells.

    `reader` must have read the header. Nothing after the last failed row is read.
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
    """Writes the report: the header, and the failed rows as they were with their row number and error at the end.

    Short rows are filled up with blank cells, so that every cell is under its header. Blank cells beyond the header are
    left out. For a row with malformed quoting, the report has the cells that the row seems to have and, in one more
    cell, the line as it was. As long as that cell is there, the row fails again.

    The report is UTF-8 with a byte order mark, because spreadsheets read UTF-8 without one as Windows-1252. Lines end
    in CRLF (RFC 4180).
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        delimiter: str,
        header: list[str],
        columns: Columns,
    ) -> None:
        self._write = write
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, delimiter=delimiter)
        self._columns = columns
        self._text.write("\ufeff")
        self._writer.writerow((*header[: columns.width], *REPORT_COLUMNS))

    def write(self, row: FailedRow) -> None:
        """Adds a row."""
        cells = row.cells[: self._columns.width]
        cells += [""] * (self._columns.width - len(cells))
        error = f"{row.error.code}: {row.error.message}"
        if isinstance(row.cells, MalformedRecord):
            beyond = [row.cells.text]
        else:
            beyond = cells_beyond(row.cells, self._columns)
        self._writer.writerow((*cells, *beyond, row.error.row, error))
        if self._text.tell() > _FLUSH_CHARS:
            self.flush()

    def flush(self) -> None:
        """Writes what is still in memory."""
        self._write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


def spreadsheet_report(report: BinaryIO, delimiter: str) -> Iterator[bytes]:
    """Turns a report into one that is safe to open in a spreadsheet; gives it in pieces, in UTF-8.

    Cells that would be formulas are escaped. All cells are quoted, so that a spreadsheet that expects another delimiter
    does not split them. The name of the last column marks the file as escaped, so that it is read back unescaped.
    """
    records = csv.reader(
        io.TextIOWrapper(report, encoding="utf-8-sig", newline=""), delimiter=delimiter
    )
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    text.write("\ufeff")
    header = next(records)
    writer.writerow(escape_formulas((*header[: -len(REPORT_COLUMNS)], *SPREADSHEET_COLUMNS)))
    for cells in records:
        writer.writerow(escape_formulas(cells))
        if text.tell() > _FLUSH_CHARS:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()
