"""How messages of the row queue are told apart, and which of them stay in order."""

from __future__ import annotations

from typing import Any, cast

from contact_imports.aws.row_queue import RowQueue


class Client:
    """SQS, which notes what it is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_message(self, **message: Any) -> None:
        self.sent.append(message)


def test_sqs_takes_only_the_same_batch_for_the_same() -> None:
    # SQS drops a message with the deduplication id of another one of the last five minutes, whatever its group is.
    client = Client()
    queue = RowQueue(cast("Any", client), "url")
    batches = [
        (of, partition, name)
        for of in ("first", "second")
        for partition in range(3)
        for name in ("0", "1", "end")
    ]
    for _ in range(2):
        for of, partition, name in batches:
            queue.send(of, partition, name, "body")
    ids = [message["MessageDeduplicationId"] for message in client.sent]
    assert len(set(ids)) == len(batches)
    assert ids[: len(batches)] == ids[len(batches) :]


def test_the_messages_of_a_partition_are_a_group() -> None:
    client = Client()
    queue = RowQueue(cast("Any", client), "url")
    for name in ("0", "1"):
        for of in ("first", "second"):
            for partition in range(2):
                queue.send(of, partition, name, "body")
    groups = [message["MessageGroupId"] for message in client.sent]
    assert len(set(groups)) == 4
    assert groups[:4] == groups[4:]
