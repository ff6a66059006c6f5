"""Thousands of files that are dropped at once into an account with few concurrent executions: every one ends."""

from __future__ import annotations

import pytest

from contact_imports.model.import_job import UPLOAD_DEADLINE_SECONDS
from tests.simulation.lambda_account import EVENT_AGE, QUEUES, Account, drop
from tests.template import load

NEW_ACCOUNT = 10
"""Concurrent executions. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

LEFT_TO_OTHERS = 1
"""The API, and the schedule's call each minute."""

CONCURRENCY = NEW_ACCOUNT - LEFT_TO_OTHERS
ROW_BATCHES = load()["Parameters"]["RowBatchConcurrency"]["Default"]
MOST_RECEIVES = QUEUES["RowQueue"]["RedrivePolicy"]["maxReceiveCount"]


@pytest.mark.parametrize("longer", [1, 4])
def test_ten_thousand_small_files_are_imported_by_a_new_account(longer: float) -> None:
    account = Account(CONCURRENCY, longer)
    ends = drop(account, 10_000, row_batch_concurrency=ROW_BATCHES, processor_seconds=2)
    assert (ends.imported, ends.failed) == (10_000, 0)
    assert ends.lost_batches == ends.lost_failures == ends.lost_ends == 0
    # No row batch was near to being a dead letter, which would have counted its rows as failed.
    assert ends.most_receives < MOST_RECEIVES - 1
    # The work alone is 40,000 seconds. docs/operations.md says two hours.
    assert 40_000 / CONCURRENCY < ends.last["reported"] < 2 * 3600 < EVENT_AGE


def test_ten_thousand_files_of_a_minute_need_a_hundred_executions() -> None:
    account = Account(100 - LEFT_TO_OTHERS)
    ends = drop(account, 10_000, row_batch_concurrency=ROW_BATCHES, processor_seconds=60)
    assert (ends.imported, ends.failed) == (10_000, 0)
    assert ends.lost_batches == ends.lost_failures == ends.lost_ends == 0
    # docs/operations.md says two hours.
    assert ends.last["reported"] < 2 * 3600


def test_files_for_which_six_hours_are_too_short_fail_then() -> None:
    account = Account(CONCURRENCY)
    ends = drop(account, 2_000, row_batch_concurrency=ROW_BATCHES, processor_seconds=300)
    assert ends.imported + ends.failed == 2_000
    assert ends.failed > ends.imported > 0.8 * EVENT_AGE / 300 * CONCURRENCY
    assert ends.lost_batches == ends.lost_failures == ends.lost_ends == 0
    assert EVENT_AGE < ends.last["given up"] < ends.last["reported"] < UPLOAD_DEADLINE_SECONDS
