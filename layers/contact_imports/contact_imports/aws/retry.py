"""Backoff for calls that succeed but leave something unprocessed, which botocore does not retry."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator

_ATTEMPTS = 8
_BASE_SECONDS = 0.05
_MAX_SECONDS = 3.0


class StillUnprocessedError(Exception):
    """AWS left something unprocessed in every attempt; the message must be delivered again later."""


def attempts(until: float | None = None) -> Iterator[int]:
    """Numbers the attempts from 0 and waits between them: exponential backoff with full jitter.

    Ends after about 8 seconds at most, or at `until` (time.monotonic()) if it is given. Then the caller raises
    StillUnprocessedError.
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    for attempt in itertools.count():
        if attempt:
            over = attempt >= _ATTEMPTS if until is None else time.monotonic() > until
            if over:
                return
            longest = min(_MAX_SECONDS, _BASE_SECONDS * 2 ** min(attempt, _ATTEMPTS))
            time.sleep(random.uniform(0, longest))
        yield attempt
