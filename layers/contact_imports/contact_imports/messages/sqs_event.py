"""The event that a function receives from SQS, and its response.

Powertools' batch processor does this too, but takes as long to import as boto3's client for DynamoDB. That is too
long for a function that receives one record at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import msgspec


class _Attributes(msgspec.Struct, frozen=True, rename="pascal"):
    message_group_id: str = ""
    approximate_receive_count: str = "1"


class SqsRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One message of a FIFO queue."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: _Attributes
    event_source_arn: str = msgspec.field(default="", name="eventSourceARN")

    @property
    def group(self) -> str:
        """Its message group, in which messages are delivered in order."""
        return self.attributes.message_group_id

    @property
    def receives(self) -> int:
        """How often it was received, this time included."""
        return int(self.attributes.approximate_receive_count)


class SqsEvent(msgspec.Struct, frozen=True, rename="pascal"):
    """Messages, in the order of their groups."""

    records: list[SqsRecord]


def records_of(event: Mapping[str, Any]) -> list[SqsRecord]:
    """The messages of a function's event; raises msgspec.ValidationError, which quotes no value."""
    return msgspec.convert(event, SqsEvent).records


class BatchFailure(TypedDict):
    """A message to deliver again."""

    itemIdentifier: str


class BatchFailures(TypedDict):
    """A partial batch response: the messages to deliver again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    batchItemFailures: list[BatchFailure]


def handle_each(
    records: Sequence[SqsRecord],
    handle: Callable[[SqsRecord], None],
    put_off: Callable[[SqsRecord, Exception], None],
) -> BatchFailures:
    """Handles messages one after another, and returns which of them to deliver again.

    If one fails, the later ones of its group fail too, by the same error, so that they stay in order. `put_off` is
    called for each of them.
    """
    failed: list[SqsRecord] = []
    errors: dict[str, Exception] = {}
    for record in records:
        if record.group not in errors:
            try:
                handle(record)
                continue
            except Exception as error:
                errors[record.group] = error
        put_off(record, errors[record.group])
        failed.append(record)
    return failures_of(failed)


def failures_of(records: Sequence[SqsRecord]) -> BatchFailures:
    """The response that makes SQS deliver these messages again."""
    return {"batchItemFailures": [{"itemIdentifier": record.message_id} for record in records]}
