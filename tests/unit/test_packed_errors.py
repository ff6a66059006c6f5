from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.aws.packed_errors import pack, unpack
from contact_imports.files.split import MAX_BATCH_ROWS
from contact_imports.model.errors import RowError, RowErrorCode, not_processed
from contact_imports.model.progress import MAX_PARTITIONS
from contact_imports.model.row_validation import RowReader

errors = st.lists(
    st.builds(
        RowError,
        row=st.integers(1, 10**9),
        code=st.sampled_from(get_args(RowErrorCode)),
        message=st.text(max_size=20),
        field=st.none() | st.text(max_size=5),
    ),
    unique_by=lambda error: error.row,
)


def by_row(found: list[RowError]) -> list[RowError]:
    return sorted(found, key=lambda error: error.row)


@given(errors)
def test_what_is_packed_comes_back(found: list[RowError]) -> None:
    packed = pack(found)
    assert packed.isascii()
    assert by_row(unpack(packed)) == by_row(found)


@pytest.mark.parametrize("text", ["", "no base64", "AAAA", "eJwDAAAAAAE=", pack([])[:-5]])
def test_what_is_not_packed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(text)


@pytest.mark.parametrize("partitions", [1, MAX_PARTITIONS])
@pytest.mark.parametrize("kind", ["bad emails", "given up"])
def test_a_full_batch_of_failed_rows_costs_few_write_units(partitions: int, kind: str) -> None:
    # Their rows are every one, or those that fell to one of the partitions.
    chance = random.Random(3)
    reader = RowReader(("email",), (), "keep")  # type: ignore[arg-type]
    number, found = 4_000_000, list[RowError]()
    for _ in range(MAX_BATCH_ROWS):
        number += chance.randint(1, 2 * partitions - 1)
        if kind == "given up":
            found.append(not_processed(number))
            continue
        email = chance.choice(["", "x", "a b@example.com", "a@b", "a@b.com, c@d.com", "a@@b.com"])
        error = reader.read(number, [email], email)
        assert isinstance(error, RowError)
        found.append(error)
    # A unit a KB, two in a transaction; the rest of the item is below 200 bytes.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    units = 2 * -(-(len(pack(found)) + 200) // 1024)
    assert units <= 8
    # With the two units of the count, a partition key's 1,000 units a second are 100,000 failed rows a second.
    assert 1000 / (units + 2) * MAX_BATCH_ROWS >= 100_000
