"""When a message that failed is delivered again.

Lambda leaves a failed message hidden until its visibility timeout is over, and its message group with it, so we
set that time: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
A message becomes a dead letter after so many receives, whatever they failed by. So the time between them depends on the
error: docs/decisions.md has the arithmetic ("Give a throttled batch back").
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from contact_imports.aws.retry import is_transient

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

FIRST_THROTTLED_SECONDS = 2
LONGEST_THROTTLED_SECONDS = 1800
"""After failures that pass by themselves: doubled with each receive, so that a short one costs seconds, and thirty
receives are hours."""

FAILED_SECONDS = 120
"""After any other failure, which would most likely be the same again: thirty receives are an hour."""

_MAX_DOUBLINGS = 16


class ReceivedMessages:
    """The messages of one queue that a function has received."""

    def __init__(self, client: Callable[[], SQSClient], queue_url: str) -> None:
        """Gets its client only when a message has failed: making one takes some of a cold start."""
        self._client = client
        self._url = queue_url

    def put_off(self, receipt_handle: str, receives: int, error: BaseException) -> int:
        """Has a message that failed by an error in its `receives`-th receive delivered again; returns after how many
        seconds. Raises nothing: where this fails too, the queue's own timeout holds."""
        seconds = seconds_put_off(receives, passes=is_transient(error))
        with suppress(Exception):
            self._client().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
        return seconds


def seconds_put_off(receives: int, *, passes: bool) -> int:
    """How long a message stays hidden after its `receives`-th receive (from 1) failed, by something that `passes` or not.
    Half of it is jitter."""
    longest = FAILED_SECONDS
    if passes:
        doubled = FIRST_THROTTLED_SECONDS * 2 ** min(receives - 1, _MAX_DOUBLINGS)
        longest = min(LONGEST_THROTTLED_SECONDS, doubled)
    return random.randint(longest // 2, longest)
