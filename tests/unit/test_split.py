from __future__ import annotations

from collections.abc import Iterable, Iterator
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files.records import Block, Record
from contact_imports.files.split import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    EncodedBatch,
    Repeats,
    SplitDigest,
    cells_beyond,
    choose_partition_count,
    mapped_cells,
    row_batches,
)
from contact_imports.model.column_map import ColumnMap, Columns
from contact_imports.model.errors import FileError, RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.import_job import BatchLimits
from contact_imports.model.limits import MAX_ROW_BYTES
from contact_imports.model.text import clean_value
from tests.reference import reference_import

COLUMNS = Columns(("email", "name"), (2, 0), 3)


HEADER = ["Name", "Plan", "Email"]
OTHER = ["Phone", "Title", "Email"]


def blocks(records: Iterable[Record]) -> Iterator[Block]:
    """Records as a reader gives them, one at a time."""
    return ((number, [record]) for number, record in records)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("table", "row"),
    [
        ([["Ann", "a", "a@x.com"], [], ["Table 2"], OTHER, ["555", "Mr", "b@x.com"]], 5),
        ([["Ann", "a", "a@x.com"], ["", "", ""], OTHER], 4),
        ([["Ann", "a", "a@x.com"], [*OTHER, "More"], ["555", "Mr", "b@x.com", "x"]], 3),
    ],
)
def test_another_table_below_the_first_is_no_part_of_it(
    table: list[list[str]], row: int, size: int
) -> None:
    in_blocks = [(first + 2, table[first : first + size]) for first in range(0, len(table), size)]
    with pytest.raises(FileError) as refused:
        list(row_batches(in_blocks, COLUMNS, 2, header=HEADER))
    assert f"Row {row} of the file" in refused.value.message
    with pytest.raises(FileError) as by_reference:
        reference_import(
            enumerate([HEADER, *table], 1), ColumnMap("Email", name="Name"),
        )  # fmt: skip
    assert by_reference.value.message == refused.value.message


@pytest.mark.parametrize(
    "table",
    [
        # The same header again, a value that is called like a column, and a report of such rows.
        [["Ann", "a", "a@x.com"], [], HEADER, ["Bob", "b", "b@x.com"]],
        [[], ["Ann", "a", "Email"]],
        [[], ["Name", "no email", "no email"], ["Phone", "x", "No email address"]],
        [[*HEADER, "3", "The email has no @."]],
        # Right below the header, and below a row: only after a break is another header looked for.
        [OTHER, ["Ann", "a", "a@x.com"]],
        [[], ["Ann", "a", "a@x.com"], OTHER],
        [["Ann"], ["Ann", "a", "a@x.com"], OTHER],
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_row_that_is_no_other_header_is_a_row(table: list[list[str]], size: int) -> None:
    in_blocks = [(first + 2, table[first : first + size]) for first in range(0, len(table), size)]
    batches = list(row_batches(in_blocks, COLUMNS, 1, header=HEADER))
    assert sum(batch.count for batch in batches) == sum(map(any, table))
    by_reference = reference_import(
        enumerate([HEADER, *table], 1), ColumnMap("Email", name="Name"),
    )  # fmt: skip
    assert by_reference.total == sum(map(any, table))


def test_a_row_of_a_report_is_no_other_header() -> None:
    columns = Columns(COLUMNS.fields, COLUMNS.positions, COLUMNS.width, is_report=True)
    header = [*HEADER, "import_row", "import_error"]
    (batch,) = row_batches([(2, [[*OTHER, "3", "The email has no @."]])], columns, 1, header=header)
    assert batch.count == 1


def test_partitions_grow_with_the_file_up_to_64() -> None:
    kib = 1024
    sizes = [0, 1, 512 * kib, 512 * kib + 1, 32 * 1024 * kib, 5 * 1024**3]
    assert [choose_partition_count(size) for size in sizes] == [1, 1, 1, 2, 64, 64]


def test_the_partition_of_an_email_never_changes() -> None:
    # CRC-32, by its published check value: a running import must survive a deployment.
    assert crc32(b"123456789") == 0xCBF43926
    (sent,) = (batch for batch in batches_of([(2, ["n", "x", "123456789"])], 64) if batch.count)
    assert sent.partition == 0xCBF43926 % 64


def test_cells_are_picked_and_missing_ones_are_blank() -> None:
    assert mapped_cells(2, ["n", "x", "e"], COLUMNS) == ["e", "n"]
    assert mapped_cells(2, ["n"], COLUMNS) == ["", "n"]
    assert mapped_cells(2, ["n", "x", "e", "", " "], COLUMNS) == ["e", "n"]


@pytest.mark.parametrize("record", [[], ["n"], ["n", "x"]])
def test_a_record_that_ends_before_the_email_has_none(record: list[str]) -> None:
    assert mapped_cells(2, record, COLUMNS) == ["", *(record[:1] or [""])]


def test_values_beyond_the_header_are_an_error() -> None:
    error = mapped_cells(9, ["n", "x", "e", "", "more"], COLUMNS)
    assert isinstance(error, RowError)
    assert (error.row, error.code) == (9, "too_many_cells")


REPORT = Columns(COLUMNS.fields, COLUMNS.positions, COLUMNS.width, is_report=True)


@pytest.mark.parametrize(
    ("columns", "added", "beyond"),
    [
        (COLUMNS, [], []),
        (COLUMNS, ["", " "], []),
        (COLUMNS, ["", "x"], ["", "x"]),
        (COLUMNS, ["3", "The reason"], ["3", "The reason"]),
        (REPORT, [], []),
        (REPORT, ["", ""], []),
        (REPORT, ["3", "The reason"], []),
        (REPORT, ["3", "The reason", "", " "], []),
        (REPORT, ["3"], []),
        (REPORT, ["", "The reason"], []),
        (REPORT, [" ", "The reason"], []),
        (REPORT, ["shifted"], ["shifted"]),
        (REPORT, ["shifted", "twice"], ["shifted", "twice"]),
        (REPORT, ["shifted", "3", "The reason"], ["shifted"]),
        (REPORT, ["5", "twice", "3", "The reason", ""], ["5", "twice"]),
        (REPORT, ["", "3", "The reason"], []),
    ],
)
def test_the_cells_that_a_report_added_are_no_values(
    columns: Columns, added: list[str], beyond: list[str]
) -> None:
    assert cells_beyond(["n", "x", "e", *added], columns) == beyond


def test_a_row_over_the_limit_is_an_error() -> None:
    room = MAX_ROW_BYTES - len(orjson.dumps(["e", ""]))
    assert mapped_cells(2, ["x" * room, "", "e"], COLUMNS) == ["e", "x" * room]
    error = mapped_cells(2, ["x" * (room + 1), "", "e"], COLUMNS)
    assert isinstance(error, RowError)
    assert error.code == "row_too_large"
    # What is not mapped may be as large as it likes.
    assert mapped_cells(2, ["n", "x" * 10 * MAX_ROW_BYTES, "e"], COLUMNS) == ["e", "n"]


def batches_of(records: list[Record], partitions: int) -> list[EncodedBatch]:
    return list(row_batches(blocks(records), COLUMNS, partitions))


def numbers(batch: EncodedBatch) -> list[int]:
    both = orjson.loads(batch.rows) + orjson.loads(batch.rejected)
    return sorted(row[0] for row in both)


emails = st.builds(
    lambda wrapped, email: wrapped.format(email),
    st.sampled_from(
        ["{}", " {}", "Ann <{}>", "mailto:{}", "\u200b{}", "{};", "“{}”", "a; {}", "{}."]
    ),
    st.sampled_from(
        [
            *(f"{letter}@example.com" for letter in "abcd"),
            *("A@EXAMPLE.COM", "é@example.com", "e\u0301@example.com", "B@Example.com", "\u200b"),
            *("a@münchen.de", "a@mu\u0308nchen.de", "a@xn--mnchen-3ya.de", "a@MÜNCHEN。DE"),
        ]
    ),
)
records = st.lists(
    st.one_of(
        emails.map(lambda email: ["n", "", email]),
        emails.map(lambda email: ["n", "", email, "shifted"]),
        st.just([]),
        st.just([""]),
        st.just(["\u200b", "\0", "\ufeff"]),
        st.just(["only a name"]),
    ),
    max_size=50,
).map(lambda rows: list(enumerate(rows, 2)))


@given(records, st.integers(1, 9))
def test_every_row_is_sent_once_and_emails_stay_together_in_order(
    records: list[Record], partitions: int
) -> None:
    sent = batches_of(records, partitions)
    rows = [number for number, cells in records if any(clean_value(cell) for cell in cells)]
    assert sorted(number for batch in sent for number in numbers(batch)) == rows
    by_number = dict(records)
    for partition in range(partitions):
        of_partition = [batch for batch in sent if batch.partition == partition]
        assert [batch.seq for batch in of_partition] == list(range(len(of_partition)))
        assert [batch.last for batch in of_partition] == [False] * (len(of_partition) - 1) + [True]
        order = [number for batch in of_partition for number in numbers(batch)]
        assert order == sorted(order)
        for number in order:
            cells = by_number[number]
            email = email_identity(cells[2]) if len(cells) > 2 else ""
            assert crc32(email.encode()) % partitions == partition


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize(
    "columns",
    [
        Columns(("email", "name", "phone"), (0, 1, 2), 3),
        Columns(("email", "name"), (0, 2), 3),
        Columns(("email",), (0,), 3),
        Columns(("email",), (1,), 3),
    ],
)
def test_rows_have_their_mapped_cells_whatever_is_beside_them(columns: Columns, size: int) -> None:
    table = [
        ["a@example.com", "a@example.org", "1"],
        ["b@example.com", "b@example.org"],
        ["c@example.com", "c@example.org", "3"],
        ["d@example.com", "d@example.org", "4", "shifted"],
        [],
        ["no email", "no email", "6"],
        ["", "", "7"],
        ["g@example.com", "g@example.org", "8", ""],
        ["Ann <h@example.com>", "Ann <h@example.org>", "9" * MAX_ROW_BYTES],
        ["i@example.com", "i@example.org", "10"],
    ]
    in_blocks = [(first + 2, table[first : first + size]) for first in range(0, len(table), size)]
    (batch,) = row_batches(in_blocks, columns, 1)
    expected = [
        (number, mapped_cells(number, record, columns))
        for number, record in enumerate(table, 2)
        if any(record)
    ]
    assert orjson.loads(batch.rows) == [
        [number, cells] for number, cells in expected if not isinstance(cells, RowError)
    ]
    assert orjson.loads(batch.rejected) == [
        [number, cells.code, cells.message]
        for number, cells in expected
        if isinstance(cells, RowError)
    ]
    assert batch.count == len(expected)


@given(records, st.integers(1, 9))
def test_the_split_is_deterministic(records: list[Record], partitions: int) -> None:
    assert batches_of(records, partitions) == batches_of(records, partitions)


@pytest.mark.parametrize("rows", [0, 1, MAX_BATCH_ROWS, MAX_BATCH_ROWS + 1, 3 * MAX_BATCH_ROWS])
def test_a_batch_has_at_most_so_many_rows(rows: int) -> None:
    sent = batches_of([(n, ["n", "", "a@example.com"]) for n in range(2, rows + 2)], 1)
    sizes = [len(numbers(batch)) for batch in sent]
    assert sum(sizes) == rows
    assert len(sizes) == max(1, -(-rows // MAX_BATCH_ROWS))
    assert max(sizes) <= MAX_BATCH_ROWS
    assert [batch.seq for batch in sent] == list(range(len(sent)))
    assert [batch.last for batch in sent] == [False] * (len(sent) - 1) + [True]


def test_a_batch_has_at_most_so_many_bytes() -> None:
    wide = [(n, ["x" * 60_000, "", "a@example.com"]) for n in range(2, 12)]
    sent = batches_of(wide, 1)
    assert [len(numbers(batch)) for batch in sent] == [4, 4, 2]
    assert all(len(batch.rows) <= MAX_BATCH_BYTES + MAX_BATCH_ROWS for batch in sent)


@given(
    st.lists(st.sampled_from([f"{n}@example.com" for n in range(30)])),
    st.sampled_from([0, 1, 5_000_000]),
    st.integers(1, 3),
)
def test_repeats_are_all_known(emails: list[str], size: int, partitions: int) -> None:
    records = [(n, ["", "", email]) for n, email in enumerate(emails, 2)]
    hashes = [
        batch.hashes
        for batch in row_batches(blocks(records), COLUMNS, partitions, with_hashes=True)
    ]
    repeats = Repeats(size)
    for some in hashes:
        repeats.add(some)
    repeated = {n for n, record in records if emails.count(record[2]) > 1}
    assert {n for some in hashes for n in repeats.numbers(some)} == repeated


@pytest.mark.parametrize(("more", "batches"), [(0, 1), (1, 2)])
def test_a_batch_may_have_exactly_the_most_bytes(more: int, batches: int) -> None:
    empty = len(orjson.dumps([2, ["a@example.com", ""]])) + 1  # and the comma behind it
    values = [62_000] * 3 + [MAX_BATCH_BYTES - 3 * 62_000 - 4 * empty + more]
    rows = [(n, ["x" * size, "", "a@example.com"]) for n, size in enumerate(values, 2)]
    assert len(batches_of(rows, 1)) == batches


def test_rows_of_repeated_emails_are_marked_where_it_was_asked_for() -> None:
    records = [
        (n, ["", "", email]) for n, email in enumerate(("a@x.org", "b@x.org", "A@x.org "), 2)
    ]
    (batch,) = row_batches(blocks(records), COLUMNS, 1, with_hashes=True)
    repeats = Repeats(100)
    repeats.add(batch.hashes)
    assert repeats.numbers(batch.hashes) == [2, 4]
    (plain,) = row_batches(blocks(records), COLUMNS, 1)
    assert not plain.hashes


def test_a_row_is_marked_whatever_its_number() -> None:
    # The numbers of the largest file's records, blank lines included, take 33 bits.
    records = [(n, ["", "", "a@x.org"]) for n in (2, 5 * 1024**3)]
    (batch,) = row_batches(blocks(records), COLUMNS, 1, with_hashes=True)
    repeats = Repeats(100)
    repeats.add(batch.hashes)
    assert repeats.numbers(batch.hashes) == [2, 5 * 1024**3]


ROWS: list[list[str]] = [[f"Name {n}", "plan", f"{n}@example.com"] for n in range(20)]


def limited(
    rows: list[list[str]], partitions: int, limits: BatchLimits | None
) -> list[EncodedBatch]:
    return list(row_batches([(2, rows)], COLUMNS, partitions, limits=limits))


def digest_of(rows: list[list[str]], partitions: int = 2, limits: BatchLimits | None = None) -> str:
    digest = SplitDigest(COLUMNS)
    for batch in limited(rows, partitions, limits):
        digest.add(batch)
    return digest.hexdigest()


def test_batches_have_the_limits_that_are_given() -> None:
    by_rows = limited(ROWS, 1, BatchLimits(7, 10_000))
    assert [batch.count for batch in by_rows] == [7, 7, 6]
    bytes_of_five = 5 * len(by_rows[0].rows) // 7
    by_bytes = limited(ROWS, 1, BatchLimits(100, bytes_of_five))
    assert len(by_bytes) > 3
    assert all(len(batch.rows) <= bytes_of_five + 1 for batch in by_bytes)
    assert sum(batch.count for batch in by_bytes) == len(ROWS)


def test_the_digest_shows_every_change_of_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_of(ROWS)
    assert digest_of(ROWS) == digest
    (name, plan, email) = ROWS[-1]
    others = [
        digest_of([ROWS[1], ROWS[0], *ROWS[2:]]),
        digest_of([*ROWS[:-1], [name, plan, f"x{email}"]]),
        digest_of([*ROWS[:-1], [name, plan, email, "beyond"]]),
        digest_of(ROWS[:-1]),
        digest_of(ROWS, 3),
        digest_of(ROWS, limits=BatchLimits(7, 10_000)),
    ]
    monkeypatch.setattr("contact_imports.files.split.crc32", lambda email: len(email))
    others.append(digest_of(ROWS))
    assert len({digest, *others}) == 1 + len(others)
