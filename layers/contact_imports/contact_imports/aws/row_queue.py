"""The SQS FIFO queue of row batches, with a message group for each partition."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from types import TracebackType
from typing import TYPE_CHECKING, Self

from contact_imports.messages.row_messages import PartitionEnd, encode_partition_end

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_THREADS = 8
_MOST_WAITING = 2 * _THREADS
"""The most messages in memory, being sent or waiting for a thread, for any number of partitions."""


class RowQueue:
    """Sends messages. Its client needs a connection pool for 8 threads."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._url = queue_url

    def send(self, import_id: str, partition: int, name: str, body: str) -> None:
        """Sends one message of a partition. SQS drops a second message of the same `name` within 5 minutes."""
        group = f"{import_id}:{partition}"
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=f"{group}:{name}",
        )

    def send_partition_end(self, import_id: str, project_id: str, partition: int) -> None:
        """Sends the message that ends a partition, behind all its messages in the queue."""
        message = PartitionEnd(import_id, project_id, partition)
        self.send(import_id, partition, "end", encode_partition_end(message))


class OrderedSender:
    """Sends partitions in parallel, and the messages of one partition one after another.

    Each message is a request: SendMessageBatch can accept the entry of a later row batch and refuse an earlier one.
    Use it in a `with` statement; leaving it waits for messages that are being sent, and raises the first error.
    Of each partition, at most one message is being sent.
    """

    def __init__(self, queue: RowQueue, import_id: str) -> None:
        self._queue = queue
        self._import_id = import_id
        self._threads = ThreadPoolExecutor(_THREADS)
        self._room = BoundedSemaphore(_MOST_WAITING)
        self._last_of: dict[int, Future[None]] = {}

    def send(self, partition: int, seq: int, body: str) -> None:
        """Sends a partition's next row batch after the previous one is accepted; raises the previous one's error."""
        before = self._last_of.get(partition)
        if before is not None:
            before.result()
        self._room.acquire()
        sending = self._threads.submit(self._queue.send, self._import_id, partition, str(seq), body)
        sending.add_done_callback(lambda _: self._room.release())
        self._last_of[partition] = sending

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown(wait=True)
        if error is None:
            for sent in self._last_of.values():
                sent.result()
