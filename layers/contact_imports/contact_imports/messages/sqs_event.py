"""What SQS gives a function, and what it is told of it.

Powertools' batch processor does the same and more, and takes as long to import as boto3's client for DynamoDB:
too much for a function that gets one record at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec


class _Attributes(msgspec.Struct, frozen=True):
    MessageGroupId: str = ""


class SqsRecord(msgspec.Struct, frozen=True):
    """One message of a FIFO queue."""

    messageId: str
    body: str
    attributes: _Attributes

    @property
    def group(self) -> str:
        """Its message group, in which messages come one after another."""
        return self.attributes.MessageGroupId


class SqsEvent(msgspec.Struct, frozen=True):
    """Messages, in the order of their groups."""

    Records: list[SqsRecord]


def records_of(event: Mapping[str, Any]) -> list[SqsRecord]:
    """The messages of a function's event; raises msgspec.ValidationError, which quotes no value."""
    return msgspec.convert(event, SqsEvent).Records


class BatchFailure(TypedDict):
    """A message that comes again, by its id."""

    itemIdentifier: str


class BatchFailures(TypedDict):
    """A partial batch response: the messages that come again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    batchItemFailures: list[BatchFailure]


def failures_of(records: Sequence[SqsRecord]) -> BatchFailures:
    """Lets these come again; none if there are none."""
    return {"batchItemFailures": [{"itemIdentifier": record.messageId} for record in records]}
