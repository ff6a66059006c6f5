"""Splits a file's rows: by email into partitions, and each partition in file order into row batches.

The same file, columns, number of partitions and batch limits give the same row batches, as long as the rules for reading
files and for telling people apart are the same. So a processor that died can run again. Whether the rules are the same
after an upgrade shows the digest of the row batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from zlib import crc32

from orjson import OPT_APPEND_NEWLINE, dumps

from contact_imports.files.bit_set import BitSet
from contact_imports.files.quoting import MalformedRecord
from contact_imports.files.records import Block, is_blank
from contact_imports.files.table_end import check_same_table
from contact_imports.model.column_map import REPORT_COLUMNS, Columns
from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity, identity_bytes
from contact_imports.model.import_job import BatchLimits
from contact_imports.model.limits import MAX_ROW_BYTES
from contact_imports.model.progress import MAX_PARTITIONS
from contact_imports.model.text import clean_value

PARTITION_BYTES = 512 * 1024
"""File bytes for each partition: about 5,000 rows of usual width."""

MAX_BATCH_ROWS = 1_000
MAX_BATCH_BYTES = 250_000
"""The size of a batch's rows as JSON in UTF-8, without its rejected rows, which are short. SQS bills steps of 64 KB
and takes messages of up to 1 MiB. MAX_ROW_BYTES is less than this, so that every row fits into a batch.

Both numbers are of new imports: they are recorded with an import, and whatever reads its file again uses those.
"""

_REPEAT_BITS = 2**27
"""Two sets of 16 MiB. With 10 million emails, one in 13 is wrongly taken for a repeated one."""

_NO_EMAIL = ("",)
"""Instead of the mapped cells of a record that is to be looked at more closely."""


def choose_partition_count(size: int) -> int:
    """How many partitions a file of `size` bytes is imported in."""
    return max(1, min(MAX_PARTITIONS, -(-size // PARTITION_BYTES)))


def new_batch_limits() -> BatchLimits:
    """The limits of the row batches of an import that begins now."""
    return BatchLimits(MAX_BATCH_ROWS, MAX_BATCH_BYTES)


def email_of(record: list[str], columns: Columns) -> str:
    """The identity of a record's email, also if the record has too many cells."""
    position = columns.positions[0]
    return email_identity(record[position]) if position < len(record) else ""


def mapped_cells(number: int, record: list[str], columns: Columns) -> list[str] | RowError:
    """The mapped cells of a record, in the order of `columns.fields`; missing cells are blank.

    A RowError if the record is malformed, if it has values beyond the header (the others may have shifted), or if its
    mapped cells are over MAX_ROW_BYTES.
    """
    if len(record) > columns.width:
        if isinstance(record, MalformedRecord):
            return record.error(number)
        beyond = cells_beyond(record, columns)
        if beyond:
            message = (
                f"The row has {columns.width + len(beyond)} cells, but the header has {columns.width}: "
                "a value with the delimiter in it may lack quotes. Put each such value in quotes."
            )
            return RowError(number, "too_many_cells", message)
    length = len(record)
    cells = [record[position] if position < length else "" for position in columns.positions]
    # A character is at most 6 bytes of JSON (an escape), so that most rows need no closer look.
    if sum(map(len, cells)) * 6 > MAX_ROW_BYTES and len(dumps(cells)) > MAX_ROW_BYTES:
        message = f"The row's mapped values are over {MAX_ROW_BYTES:,} bytes. Make them shorter."
        return RowError(number, "row_too_large", message)
    return cells


def cells_beyond(record: list[str], columns: Columns) -> list[str]:
    """A record's cells beyond the header, without those that a report added; empty if all are blank."""
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
    """The emails, by identity, that a file has more than once, and by chance a few others.

    It keeps two bits for the hash of each email, so its size is fixed, however many emails the file has.
    """

    def __init__(self) -> None:
        self._once = BitSet(_REPEAT_BITS)
        self._more = BitSet(_REPEAT_BITS)

    def add(self, email: str) -> None:
        """Adds an email that was read."""
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

    `seq` numbers the partition's batches from 0. `last` marks the partition's last batch. `count` is the number of rows.
    `rows` is a JSON array of [row number, mapped cells]; `rejected` is a JSON array of [row number, code, message] for
    rows that are already failed. `repeated` has the numbers of rows whose email occurs elsewhere in the file; it is
    empty if the caller did not pass `repeats`.
    """

    partition: int
    seq: int
    last: bool
    count: int
    rows: bytes
    rejected: bytes
    repeated: tuple[int, ...] = ()


class SplitDigest:
    """Identifies the row batches of a file, so that two versions of the code can tell whether they split it alike.

    It covers each batch's place, rows and rejected rows, and so every rule that decides them, known or not. It leaves out
    what `Repeats` adds for dry runs, which follows from the same emails. Hashing takes a twelfth of the time of
    `row_batches`, reading the file not counted.
    """

    def __init__(self, columns: Columns) -> None:
        self._hash = sha256(dumps(columns.fields), usedforsecurity=False)

    def add(self, batch: EncodedBatch) -> None:
        """Adds the next row batch."""
        place = (batch.partition, batch.seq, batch.last, len(batch.rows), len(batch.rejected))
        self._hash.update(dumps(place))
        self._hash.update(batch.rows)
        self._hash.update(batch.rejected)

    def hexdigest(self) -> str:
        """The digest of what was added so far, 64 hex digits."""
        return self._hash.hexdigest()


@dataclass(slots=True)
class _OpenBatch:
    """A partition's batch that is being filled, with one row as JSON on each line.

    Rows are in one growing buffer, since as bytes objects they would take many times their size.
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
    header: Sequence[str] = (),
    limits: BatchLimits | None = None,
) -> Iterator[EncodedBatch]:
    """The records after the header as row batches, with the limits of new imports unless others are given. Every
    partition has exactly one `last` batch.

    A batch is yielded when the next row of its partition does not fit. Memory holds one open batch for each partition.
    Raises FileError where another table than the one of `header` begins: such a header is looked for where a record
    is not as wide as this one, and after a blank one.
    """
    max_rows, max_bytes = limits or new_batch_limits()
    is_after_break = False
    filling = [_OpenBatch() for _ in range(partitions)]
    pick = _picker(columns)
    width = columns.width
    for first, records in blocks:
        if is_after_break:
            check_same_table(first, records[0], header, columns)
            is_after_break = False
        # Nearly every row is as wide as the header and has a plain email: then there is little to look at.
        if set(map(len, records)) == {width}:
            mapped = list(map(pick, records)) if pick else records
        else:
            mapped = [
                (pick(record) if pick else record) if len(record) == width else _NO_EMAIL
                for record in records
            ]
        emails = identity_bytes([cells[0] for cells in mapped])
        for number, (cells, email) in enumerate(zip(mapped, emails, strict=True), first):
            rejected = None
            encoded = dumps((number, cells), None, OPT_APPEND_NEWLINE)
            if not email or len(encoded) > MAX_ROW_BYTES:
                record = records[number - first]
                if not email:
                    is_empty = is_blank(record)
                    if is_empty or len(record) != width:
                        check_same_table(number, record, header, columns)
                        following = records[number - first + 1 : number - first + 2]
                        is_after_break = not following
                        for after in following:
                            check_same_table(number + 1, after, header, columns)
                    if is_empty:
                        continue
                    email = email_of(record, columns).encode()
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
            count = batch.count
            if count >= max_rows or (count and len(batch.rows) + len(encoded) > max_bytes):
                yield _encode(partition, batch, last=False)
                batch = filling[partition] = _OpenBatch(seq=batch.seq + 1)
                count = 0
            batch.count = count + 1
            if repeats is not None and email.decode() in repeats:
                batch.repeated.append(number)
            if rejected is None:
                batch.rows += encoded
            else:
                batch.rejected += encoded
    for partition, batch in enumerate(filling):
        yield _encode(partition, batch, last=True)


def _picker(columns: Columns) -> Callable[[list[str]], Sequence[str]] | None:
    """Picks the mapped cells of a record that is as wide as the header; None where they are the record."""
    if columns.positions == tuple(range(columns.width)):
        return None
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
