"""The event that a function receives from the stream of the table of imports.

Powertools' data classes do this too, but take a tenth of the time of importing boto3 to import.
"""

from __future__ import annotations

from typing import Any

import msgspec


class _Text(msgspec.Struct, frozen=True, rename={"text": "S"}):
    text: str


class _Keys(msgspec.Struct, frozen=True, rename="camel"):
    import_id: _Text
    record: _Text


class _Change(msgspec.Struct, frozen=True, rename="pascal"):
    keys: _Keys


class _StreamRecord(msgspec.Struct, frozen=True):
    dynamodb: _Change


class ChangedRecord(msgspec.Struct, frozen=True):
    """The key of an item that was written or deleted: an import, and which of its records."""

    import_id: str
    record: str


def changed_record(record: Any) -> ChangedRecord:
    """The item that one of an event's records is about; raises msgspec.ValidationError, which quotes no value.

    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
    """
    keys = msgspec.convert(record, _StreamRecord).dynamodb.keys
    return ChangedRecord(keys.import_id.text, keys.record.text)
