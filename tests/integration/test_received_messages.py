from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from contact_imports.aws import received_messages
from contact_imports.aws.received_messages import ReceivedMessages
from contact_imports.aws.retry import StillUnprocessedError
from tests.pipeline import Pipeline


@pytest.mark.parametrize(
    "error",
    [
        StillUnprocessedError(),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1"),
    ],
)
def test_a_throttled_batch_comes_again_soon_and_before_its_successors(
    pipeline: Pipeline, project: str, error: Exception
) -> None:
    for name in ("first", "second"):
        pipeline.queue.send(project, 0, name, name)
    wait = {"QueueUrl": pipeline.queue_url, "AttributeNames": ["All"], "MaxNumberOfMessages": 1}
    (message,) = pipeline.sqs.receive_message(**wait)["Messages"]
    received = ReceivedMessages(lambda: pipeline.sqs, pipeline.queue_url)
    assert received.put_off(message["ReceiptHandle"], 1, error) <= 2
    # Far less than the queue's own time.
    (again,) = pipeline.sqs.receive_message(WaitTimeSeconds=20, **wait)["Messages"]
    assert again["Body"] == "first"
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"
    pipeline.delete([again])
    assert [m["Body"] for m in pipeline.take_all()] == ["second"]


def test_another_failure_comes_again_after_minutes() -> None:
    seconds = received_messages.seconds_put_off(1, passes=False)
    assert received_messages.FAILED_SECONDS / 2 <= seconds <= received_messages.FAILED_SECONDS

    def no_client() -> None:
        raise RuntimeError

    # Where SQS cannot be told, the queue's own time holds.
    received = ReceivedMessages(no_client, "url")  # type: ignore[arg-type]
    least = received_messages.FAILED_SECONDS / 2
    assert least <= received.put_off("r", 1, ValueError()) <= received_messages.FAILED_SECONDS


def test_a_throttled_batch_waits_twice_as_long_each_time_but_not_for_hours() -> None:
    for receives, longest in ((1, 2), (4, 16), (8, 256), (12, 1800), (1_000, 1800)):
        seconds = received_messages.seconds_put_off(receives, passes=True)
        assert longest / 2 <= seconds <= longest
