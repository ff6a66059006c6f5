"""How a file's rows are split: by email into partitions, in file order into row batches.

The split follows from the file, the columns and the number of partitions alone, so that a processor that
died is simply run again: it sends the same row batches.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from contact_imports.column_map import Columns
from contact_imports.contact import normalise_email
from contact_imports.csv_rows import Record, is_blank
from contact_imports.errors import RowError
from contact_imports.limits import MAX_ROW_BYTES

MAX_PARTITIONS = 64
PARTITION_BYTES = 512 * 1024
"""File bytes a partition: about 5,000 rows of usual width."""

MAX_BATCH_ROWS = 500
MAX_BATCH_BYTES = 250_000
"""Rows of a batch as JSON, in UTF-8. SQS bills 64 KB steps and takes 1 MiB a message; a row alone
may be larger than this (see MAX_ROW_BYTES) and is then a batch by itself."""


def partition_count(size: int) -> int:
    """How many partitions a file of `size` bytes is imported in."""
    return max(1, min(MAX_PARTITIONS, -(-size // PARTITION_BYTES)))


def partition_of(email: str, partitions: int) -> int:
    """The partition that every row of a normalised email goes to."""
    return zlib.crc32(email.encode()) % partitions


def mapped_cells(number: int, record: list[str], columns: Columns) -> list[str] | RowError:
    """The cells of a record that are mapped, in the order of `columns.fields`; missing cells are blank.

    A record with values beyond the header is an error, since its other values may have shifted; so is one
    whose mapped cells are over MAX_ROW_BYTES.
    """
    if len(record) > columns.width and not is_blank(record[columns.width :]):
        message = (
            f"The row has {len(record)} cells, but the header has {columns.width}: "
            "a value with the delimiter in it may stand without quotes."
        )
        return RowError(number, "too_many_cells", message)
    length = len(record)
    cells = [record[position] if position < length else "" for position in columns.positions]
    # A character is at most 6 bytes of JSON (an escape), so that most rows need no closer look.
    if sum(map(len, cells)) * 6 > MAX_ROW_BYTES and len(orjson.dumps(cells)) > MAX_ROW_BYTES:
        message = f"The row's mapped values are over {MAX_ROW_BYTES:,} bytes."
        return RowError(number, "row_too_large", message)
    return cells


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Some rows of one partition, in file order, as they are sent.

    `seq` counts the partition's batches from 0, without a gap; `last` marks the partition's end. `rows`
    is a JSON array of [row number, mapped cells], `rejected` a JSON array of [row number, code, message]
    for the rows that are known to be failed.
    """

    partition: int
    seq: int
    last: bool
    rows: bytes
    rejected: bytes


@dataclass(slots=True)
class _Open:
    """A partition's batch that is being filled: JSON arrays without their brackets.

    One growing buffer a batch: as bytes objects of their own, rows take many times their size.
    """

    seq: int = 0
    count: int = 0
    rows: bytearray = field(default_factory=bytearray)
    rejected: bytearray = field(default_factory=bytearray)


def row_batches(
    records: Iterable[Record], columns: Columns, partitions: int
) -> Iterator[EncodedBatch]:
    """The records after the header, as row batches; every partition ends with exactly one `last` one.

    A batch is given out when the next row of its partition does not fit any more. Memory is bounded by
    one open batch a partition.
    """
    filling = [_Open() for _ in range(partitions)]
    # The email's column, for rows that have too many cells as well: same email, same partition.
    email_position = columns.positions[0]
    for number, record in records:
        if is_blank(record):
            continue
        cells = mapped_cells(number, record, columns)
        email = normalise_email(record[email_position]) if email_position < len(record) else ""
        partition = partition_of(email, partitions)
        batch = filling[partition]
        if isinstance(cells, RowError):
            encoded = orjson.dumps((number, cells.code, cells.message))
        else:
            encoded = orjson.dumps((number, cells))
        size = len(batch.rows) + len(batch.rejected)
        if batch.count >= MAX_BATCH_ROWS or (size and size + len(encoded) > MAX_BATCH_BYTES):
            yield _encode(partition, batch, last=False)
            batch = filling[partition] = _Open(seq=batch.seq + 1)
        batch.count += 1
        buffer = batch.rejected if isinstance(cells, RowError) else batch.rows
        if buffer:
            buffer += b","
        buffer += encoded
    for partition, batch in enumerate(filling):
        yield _encode(partition, batch, last=True)


def _encode(partition: int, batch: _Open, *, last: bool) -> EncodedBatch:
    rows, rejected = b"[%s]" % batch.rows, b"[%s]" % batch.rejected
    return EncodedBatch(partition, batch.seq, last, rows, rejected)
