"""What the functions' handlers decide by themselves: until when they retry, and which queue has a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contact_imports.aws import retry
from contact_imports.aws.retry import RESERVED_SECONDS
from contact_imports.jobs.apply_row_batch import GIVEN_BACK_AFTER_SECONDS
from contact_imports.messages.sqs_event import SqsRecord, records_of
from tests.events import Context, handler, sqs_event

pytestmark = pytest.mark.usefixtures("function_environment")

REMAINING_SECONDS = 100


@pytest.mark.parametrize(
    ("function", "called", "expected"),
    [
        ("processor", "uploads_of", REMAINING_SECONDS - RESERVED_SECONDS),
        ("row_batch", "handle_each", GIVEN_BACK_AFTER_SECONDS),
        ("dead_letter", "handle_each", REMAINING_SECONDS - RESERVED_SECONDS),
        ("import_ended", "handle_record", REMAINING_SECONDS - RESERVED_SECONDS),
    ],
)
def test_a_function_retries_until_it_must_answer(
    monkeypatch: pytest.MonkeyPatch, function: str, called: str, expected: float
) -> None:
    limits: list[float] = []
    found: list[list[float]] = []

    @contextmanager
    def time_limit(seconds: float) -> Iterator[None]:
        limits.append(seconds)
        yield
        limits.pop()

    def note(*_: Any) -> list[Any]:
        found.append([*limits])
        return []

    module = handler(function)
    monkeypatch.setattr(retry, "time_limit", time_limit)
    monkeypatch.setattr(module, called, note)
    records = sqs_event([{"MessageId": "m", "ReceiptHandle": "r", "Body": ""}], "Queue.fifo")
    context = Context(remaining_time_in_millis=REMAINING_SECONDS * 1000)
    module.lambda_handler(records, context)
    assert found == [[expected]]


@pytest.mark.parametrize(
    ("queue", "variable"),
    [
        ("DeadLetterQueue.fifo", "DEAD_LETTER_QUEUE_URL"),
        ("ProcessorFailuresQueue", "PROCESSOR_FAILURES_QUEUE_URL"),
    ],
)
def test_a_dead_letter_that_fails_is_put_off_where_it_is(
    monkeypatch: pytest.MonkeyPatch, queue: str, variable: str
) -> None:
    module = handler("dead_letter")
    put_off: list[tuple[str, str, int]] = []

    class Received:
        def __init__(self, _client: Any, url: str) -> None:
            self._url = url

        def put_off(self, receipt_handle: str, receives: int, _error: Exception) -> int:
            put_off.append((self._url, receipt_handle, receives))
            return 0

    def fail(_record: SqsRecord) -> None:
        raise RuntimeError

    monkeypatch.setattr(module, "ReceivedMessages", Received)
    monkeypatch.setattr(module, "handle_record", fail)
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "",
        "Attributes": {"ApproximateReceiveCount": "3"},
    }
    event = sqs_event([message], queue)
    assert records_of(event)
    answer = module.lambda_handler(event, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert put_off == [(getattr(module.environment(), variable), "r", 3)]


def test_a_row_batch_knows_how_often_it_was_received(monkeypatch: pytest.MonkeyPatch) -> None:
    module = handler("row_batch")
    receives: list[int] = []

    class Stop(Exception):  # noqa: N818
        """Nothing else is of interest."""

    def handle_message(_message: Any, _stores: Any, _now: Any, received: int = 1) -> None:
        receives.append(received)
        raise Stop

    monkeypatch.setattr(module, "handle_message", handle_message)
    monkeypatch.setattr(module, "decode_message", lambda body: body)
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "",
        "Attributes": {"ApproximateReceiveCount": "4"},
    }
    (record,) = records_of(sqs_event([message], "RowQueue.fifo"))
    with pytest.raises(Stop):
        module.handle_record(record)
    assert receives == [4]
