"""Which failures of AWS pass, how long we wait for them, and until when.

An invocation has one deadline, from the time that Lambda leaves it. Every call of every client is retried until then
(see `retry_or_stop`), and so is what calls leave undone that succeed (see `attempts`).
"""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol, TypeVar

from botocore import exceptions

_ATTEMPTS = 8
"""Outside of an invocation, which has no deadline."""

_BASE_SECONDS = 0.05
_MAX_SECONDS = 3.0
_MAX_DOUBLINGS = 8

RESERVED_SECONDS = 10.0
"""What a deadline leaves of an invocation's time: for a call that begins just before it, which DynamoDB or SQS answers
in 8.1 seconds or never (see `clients`), and for the function's answer."""

TRANSIENT_CODES = frozenset(
    {
        # Of whole calls: botocore's own list, botocore/retries/standard.py, and what DynamoDB's documentation adds:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
        "BandwidthLimitExceeded",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMSThrottlingException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
        # Of one statement, or of one item of a transaction:
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchStatementError.html
        # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})

_LOST = (exceptions.ConnectionError, exceptions.HTTPClientError)
"""A connection that cannot be made, breaks off or does not answer: nobody knows what became of the call."""


E = TypeVar("E")
R = TypeVar("R")


class StillUnprocessedError(Exception):
    """AWS left something unprocessed in every attempt; the message must be delivered again later."""


class Context(Protocol):
    """What a deadline needs of an invocation's context."""

    def get_remaining_time_in_millis(self) -> int:
        """How long the invocation may still run."""


_deadline: float | None = None
"""By time.monotonic(). One for the process, as an environment of Lambda runs one invocation at a time; the threads of
an invocation read it too."""


_waits = 0
_counting = threading.Lock()
"""Threads of an invocation wait too."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Within it, nothing is retried after `seconds`, or after the limit around it. What does not fail is not stopped."""
    global _deadline
    before = _deadline
    limit = time.monotonic() + seconds
    _deadline = limit if before is None else min(before, limit)
    try:
        yield
    finally:
        _deadline = before


C = TypeVar("C", bound=Context)


def limits_retries(
    longest: float = math.inf,
) -> Callable[[Callable[[E, C], R]], Callable[[E, C], R]]:
    """Decorates a Lambda handler: it retries while Lambda leaves it more than RESERVED_SECONDS, for at most `longest`
    seconds."""

    def decorate(handle: Callable[[E, C], R]) -> Callable[[E, C], R]:
        @wraps(handle)
        def limited(event: E, context: C) -> R:
            left = context.get_remaining_time_in_millis() / 1000 - RESERVED_SECONDS
            with time_limit(min(left, longest)):
                return handle(event, context)

        return limited

    return decorate


def attempts() -> Iterator[int]:
    """Numbers the attempts of a call from 0, and waits between them.

    Ends at the deadline, or without one after about 8 seconds. Then the caller raises StillUnprocessedError.
    """
    for attempt in itertools.count():
        if attempt:
            if not _may_retry(attempt):
                return
            time.sleep(_wait(attempt))
        yield attempt


def retry_or_stop(**event: Any) -> float | None:
    """Handles botocore's event `needs-retry`, which it emits after every attempt of every call.

    Returns how many seconds botocore waits before the next one; None if there is none. An answer that was lost may be
    that of a call that took effect: each write that we make bears being made twice (tests/simulation/test_throttling.py).
    https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
    """
    attempts: int = event["attempts"]
    if event["response"] is None:
        passes = isinstance(event["caught_exception"], _LOST)
    else:
        http, parsed = event["response"]
        passes = http.status_code in _TRANSIENT_STATUS or _code(parsed) in TRANSIENT_CODES
    return _wait(attempts) if passes and _may_retry(attempts) else None


def is_transient(error: BaseException) -> bool:
    """Whether an error passes by itself: AWS is throttling or down, or cannot be reached."""
    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return _code(error.response) in TRANSIENT_CODES or status in _TRANSIENT_STATUS
    return isinstance(error, (StillUnprocessedError, *_LOST))


def take_waits() -> int:
    """How many waits for AWS there were since this was called last."""
    global _waits
    with _counting:
        waits, _waits = _waits, 0
    return waits


def _may_retry(attempt: int) -> bool:
    return attempt < _ATTEMPTS if _deadline is None else time.monotonic() < _deadline


def _wait(attempt: int) -> float:
    """The seconds to wait after `attempt` attempts: exponential backoff with full jitter.

    Every wait for AWS passes through here, whoever waits, and is counted.
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    global _waits
    with _counting:
        _waits += 1
    longest = min(_MAX_SECONDS, _BASE_SECONDS * 2 ** min(attempt, _MAX_DOUBLINGS))
    return random.uniform(0, longest)


def _code(response: Mapping[str, Any]) -> str:
    code: str = response.get("Error", {}).get("Code", "")
    return code
