"""The reasons of a row batch's failed rows as one short text: DynamoDB charges for each KB of an item, twice in a
transaction, and writes at most 1,000 units a second to an import's key.

A reason repeats for many rows, so it is written once, with the rows that have it, each as the distance from the one
before. A thousand rows that took 80 to 94 KB, and so 160 to 190 units, take 0.1 to 2.6 KB, and 2 to 6 units.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from contact_imports.model.errors import RowError, RowErrorCode


class _Reason(NamedTuple):
    code: RowErrorCode
    message: str
    field: str | None
    distances: list[int]


_decoder = msgspec.json.Decoder(list[_Reason])


def pack(errors: Sequence[RowError]) -> str:
    """The errors of a row batch as ASCII: base64 of deflated JSON.

    Not bytes: the client of `row_batch` passes values on as they are (see `clients`), others encode bytes.
    """
    rows: dict[tuple[RowErrorCode, str, str | None], list[int]] = {}
    for error in errors:
        rows.setdefault((error.code, error.message, error.field), []).append(error.row)
    reasons = [_Reason(*reason, _distances(sorted(numbers))) for reason, numbers in rows.items()]
    return base64.b64encode(zlib.compress(msgspec.json.encode(reasons))).decode()


def unpack(packed: str) -> list[RowError]:
    """The errors that were packed, in no order; raises ValueError for anything else."""
    try:
        reasons = _decoder.decode(zlib.decompress(base64.b64decode(packed)))
    except zlib.error:
        raise ValueError("the packed reasons of failed rows are malformed") from None
    errors: list[RowError] = []
    for reason in reasons:
        row = 0
        for distance in reason.distances:
            row += distance
            errors.append(RowError(row, reason.code, reason.message, reason.field))
    return errors


def _distances(numbers: Sequence[int]) -> list[int]:
    return [number - before for before, number in zip((0, *numbers), numbers, strict=False)]
