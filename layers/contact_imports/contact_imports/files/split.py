"""How a file's rows are split: by email into partitions, in file order into row batches.

The split follows from the file, the columns and the number of partitions alone, so that a processor that
died is simply run again: it sends the same row batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from zlib import crc32

from orjson import OPT_APPEND_NEWLINE, dumps

from contact_imports.files.bit_set import BitSet
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import Block, is_blank
from contact_imports.model.column_map import REPORT_COLUMNS, Columns
from contact_imports.model.errors import RowError
from contact_imports.model.identity import ODD_BYTE, PLAIN_BYTES, email_identity
from contact_imports.model.limits import MAX_ROW_BYTES
from contact_imports.model.progress import MAX_PARTITIONS
from contact_imports.model.text import clean_value

PARTITION_BYTES = 512 * 1024
"""File bytes a partition: about 5,000 rows of usual width."""

MAX_BATCH_ROWS = 1_000
MAX_BATCH_BYTES = 250_000
"""Rows of a batch as JSON, in UTF-8, without those that are rejected, of which a few words are sent. SQS bills
64 KB steps and takes 1 MiB a message; a row alone may be larger than this (see MAX_ROW_BYTES) and is then a
batch by itself."""

_REPEAT_BITS = 2**27
"""16 MiB twice; of the emails of 10 million rows, one in 13 is taken for a repeated one."""


def choose_partition_count(size: int) -> int:
    """How many partitions a file of `size` bytes is imported in."""
    return max(1, min(MAX_PARTITIONS, -(-size // PARTITION_BYTES)))


def partition_of(email: str, partitions: int) -> int:
    """The partition that every row of an email goes to, which is given as its identity."""
    return crc32(email.encode()) % partitions


def email_of(record: list[str], columns: Columns) -> str:
    """The identity of the email that a record is of; of one that has too many cells as well."""
    position = columns.positions[0]
    return email_identity(record[position]) if position < len(record) else ""


def mapped_cells(number: int, record: list[str], columns: Columns) -> list[str] | RowError:
    """The cells of a record that are mapped, in the order of `columns.fields`; missing cells are blank.

    A MalformedRecord, which is always wider than the header, is an error. A record with values beyond the header is an error, since its other values may have shifted; so is one
    whose mapped cells are over MAX_ROW_BYTES.
    """
    if len(record) > columns.width:
        if isinstance(record, MalformedRecord):
            return record.error(number)
        beyond = cells_beyond(record, columns)
        if beyond:
            message = (
                f"The row has {columns.width + len(beyond)} cells, but the header has {columns.width}: "
                "a value with the delimiter in it may stand without quotes."
            )
            return RowError(number, "too_many_cells", message)
    length = len(record)
    cells = [record[position] if position < length else "" for position in columns.positions]
    # A character is at most 6 bytes of JSON (an escape), so that most rows need no closer look.
    if sum(map(len, cells)) * 6 > MAX_ROW_BYTES and len(dumps(cells)) > MAX_ROW_BYTES:
        message = f"The row's mapped values are over {MAX_ROW_BYTES:,} bytes."
        return RowError(number, "row_too_large", message)
    return cells


def cells_beyond(record: list[str], columns: Columns) -> list[str]:
    """A record's cells beyond the header, less those that a report added at its end; none if all are blank."""
    beyond = record[columns.width :]
    if columns.is_report:
        while beyond and not clean_value(beyond[-1]):
            beyond.pop()
        added = len(REPORT_COLUMNS)
        if len(beyond) > added:
            beyond = beyond[:-added]
        elif beyond and (beyond[0].isdecimal() or not clean_value(beyond[0])):
            beyond = []
    return [] if is_blank(beyond) else beyond


class Repeats:
    """Which emails, by identity, a file has more than once: all of those, and a few others.

    Two bits of a hash an email, in a fixed size, for a file that may have more emails than memory.
    """

    def __init__(self) -> None:
        self._once = BitSet(_REPEAT_BITS)
        self._more = BitSet(_REPEAT_BITS)

    def add(self, email: str) -> None:
        """Notes an email that was read."""
        place = self._place(email)
        if place in self._once:
            self._more.add(place)
        self._once.add(place)

    def __contains__(self, email: str) -> bool:
        return self._place(email) in self._more

    @staticmethod
    def _place(email: str) -> int:
        return crc32(email.encode()) % _REPEAT_BITS


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Some rows of one partition, in file order, as they are sent.

    `seq` counts the partition's batches from 0, without a gap; `last` marks the partition's end; `count` is
    the number of its rows. `rows` is a JSON array of [row number, mapped cells], `rejected` a JSON array of [row number, code, message]
    for the rows that are known to be failed. `repeated` are the numbers of rows whose email stands
    elsewhere in the file, where that was asked for.
    """

    partition: int
    seq: int
    last: bool
    count: int
    rows: bytes
    rejected: bytes
    repeated: tuple[int, ...] = ()


@dataclass(slots=True)
class _OpenBatch:
    """A partition's batch that is being filled: a row a line, as JSON, in which there is no line end.

    One growing buffer a batch: as bytes objects of their own, rows take many times their size.
    """

    seq: int = 0
    count: int = 0
    rows: bytearray = field(default_factory=bytearray)
    rejected: bytearray = field(default_factory=bytearray)
    repeated: list[int] = field(default_factory=list)


def row_batches(
    blocks: Iterable[Block],
    columns: Columns,
    partitions: int,
    repeats: Repeats | None = None,
) -> Iterator[EncodedBatch]:
    """The records after the header, as row batches; every partition ends with exactly one `last` one.

    A batch is given out when the next row of its partition does not fit any more. Memory is bounded by
    one open batch a partition.
    """
    filling = [_OpenBatch() for _ in range(partitions)]
    pick = _picker(columns)
    width = columns.width
    for first, records in blocks:
        for number, record in enumerate(records, first):
            rejected, email, encoded = None, b"", b""
            # Nearly every row is as wide as the header and has a plain email: then there is little to look at.
            # What email_identity and partition_of do is done here without the calls.
            if len(record) == width:
                cells = pick(record)
                email = cells[0].strip().encode().translate(PLAIN_BYTES)
                if ODD_BYTE in email or email.endswith(b"."):
                    email = email_identity(cells[0]).encode()
            if email:
                encoded = dumps((number, cells), None, OPT_APPEND_NEWLINE)
            elif is_blank(record):
                continue
            else:
                email = email_of(record, columns).encode()
            if not encoded or len(encoded) > MAX_ROW_BYTES:
                checked = mapped_cells(number, record, columns)
                if isinstance(checked, RowError):
                    rejected = checked
                    encoded = dumps(
                        (number, checked.code, checked.message), None, OPT_APPEND_NEWLINE
                    )
                else:
                    encoded = dumps((number, checked), None, OPT_APPEND_NEWLINE)
            partition = crc32(email) % partitions
            batch = filling[partition]
            if batch.count >= MAX_BATCH_ROWS or (
                batch.count and len(batch.rows) + len(encoded) > MAX_BATCH_BYTES
            ):
                yield _encode(partition, batch, last=False)
                batch = filling[partition] = _OpenBatch(seq=batch.seq + 1)
            batch.count += 1
            if repeats is not None and email.decode() in repeats:
                batch.repeated.append(number)
            if rejected is None:
                batch.rows += encoded
            else:
                batch.rejected += encoded
    for partition, batch in enumerate(filling):
        yield _encode(partition, batch, last=True)


def _picker(columns: Columns) -> Callable[[list[str]], tuple[str, ...]]:
    """Picks the mapped cells of a record that is as wide as the header."""
    if len(columns.positions) > 1:
        return itemgetter(*columns.positions)
    (position,) = columns.positions
    return lambda record: (record[position],)


def _encode(partition: int, batch: _OpenBatch, *, last: bool) -> EncodedBatch:
    rows, rejected = (
        b"[%s]" % lines[:-1].replace(b"\n", b",") for lines in (batch.rows, batch.rejected)
    )
    return EncodedBatch(
        partition, batch.seq, last, batch.count, rows, rejected, tuple(batch.repeated)
    )
