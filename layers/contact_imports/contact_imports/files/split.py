"""Splits a file's rows: by email into partitions, and each partition in file order into row batches.

The same file, columns, number of partitions and batch limits give the same row batches, as long as the rules for reading
files and for telling people apart are the same. So a processor that died can run again. Whether the rules are the same
after an upgrade shows the digest of the row batches.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from zlib import crc32

from orjson import OPT_APPEND_NEWLINE, dumps

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

_REPEAT_BITS_LEAST, _REPEAT_BITS_MOST = 2**20, 2**30
"""Of each of the two sets: 128 KiB to 128 MiB. A file has at least as many bits as bytes, up to 1 GiB: of 10 million
emails in such a file, one in a hundred is wrongly taken for a repeated one, and of MAX_ROWS one in 11."""

_HASH_BITS = 30
_HASH_MASK = 2**_HASH_BITS - 1
"""A row's hash has as many bits as there are in the largest set. That leaves 34 of 64 for the row's number: a file of
blank lines has more than 2**32 records."""

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
    """Which rows have an email, by identity, that the file has more than once, and by chance a few others.

    It keeps two bits for the hash of each email, so its size is fixed, however many emails the file has. A row is
    known by its number and its email's hash in one integer of 64 bits: see `EncodedBatch`.
    """

    def __init__(self, file_bytes: int) -> None:
        """No emails yet, of a file of about `file_bytes`."""
        wanted = 1 << max(file_bytes - 1, 0).bit_length()
        bits = min(max(wanted, _REPEAT_BITS_LEAST), _REPEAT_BITS_MOST)
        self._mask = bits - 1
        self._once = bytearray(bits // 8)
        self._more = bytearray(bits // 8)

    def add(self, rows: Iterable[int]) -> None:
        """Adds rows that were read."""
        once, more, mask = self._once, self._more, self._mask
        for row in rows:
            place = row & mask
            at, bit = place >> 3, 1 << (place & 7)
            if once[at] & bit:
                more[at] |= bit
            else:
                once[at] |= bit

    def numbers(self, rows: Iterable[int]) -> list[int]:
        """The numbers of those of the rows whose email is repeated; complete once all rows of the file were added."""
        more, mask = self._more, self._mask
        return [row >> _HASH_BITS for row in rows if more[(row & mask) >> 3] & 1 << (row & 7)]


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Some rows of one partition, in file order, as they are sent.

    `seq` numbers the partition's batches from 0. `last` marks the partition's last batch. `count` is the number of rows.
    `rows` is a JSON array of [row number, mapped cells]; `rejected` is a JSON array of [row number, code, message] for
    rows that are already failed. If the caller asked for `hashes`, they have for each row a number of 64 bits: the
    row's number, and in the lowest _HASH_BITS the hash of its email's identity.
    """

    partition: int
    seq: int
    last: bool
    count: int
    rows: bytes
    rejected: bytes
    hashes: array[int]


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
    hashes: array[int] = field(default_factory=lambda: array("Q"))


def row_batches(
    blocks: Iterable[Block],
    columns: Columns,
    partitions: int,
    header: Sequence[str] = (),
    limits: BatchLimits | None = None,
    *,
    with_hashes: bool = False,
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
            hashed = crc32(email)
            partition = hashed % partitions
            batch = filling[partition]
            count = batch.count
            if count >= max_rows or (count and len(batch.rows) + len(encoded) > max_bytes):
                yield _encode(partition, batch, last=False)
                batch = filling[partition] = _OpenBatch(seq=batch.seq + 1)
                count = 0
            batch.count = count + 1
            if with_hashes:
                batch.hashes.append(number << _HASH_BITS | hashed & _HASH_MASK)
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
    return EncodedBatch(partition, batch.seq, last, batch.count, rows, rejected, batch.hashes)
