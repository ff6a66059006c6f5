"""Sending row batches with real threads: of a partition one after another, of several at once, in bounded memory.

No test waits for time to pass: a send goes on when what it waits for has happened, and a wait that is never met fails.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws import row_queue
from contact_imports.aws.row_queue import OrderedSender, RowQueue
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline

HANGS_AFTER_SECONDS = 20
"""When a test that waits for what never happens fails."""

Batch = tuple[int, int]
"""A row batch: its partition and its number."""


class RefusedError(Exception):
    """The queue refused a message."""


class Queue:
    """A row queue whose sends begin, wait, and are then accepted or refused."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.begun: list[Batch] = []
        self.accepted: list[Batch] = []
        self.refused: set[Batch] = set()
        self.too_early: list[Batch] = []
        """Batches whose send began before the one before them was accepted."""
        self.waits_for: dict[Batch, Callable[[], bool]] = {}
        """What a batch's send waits for."""
        self.asked: list[Future[None]] = []
        """Sends whose result somebody waits for."""
        self.shut_down: list[bool] = []
        """For each end of the sender's threads, whether it waits for them."""
        self.is_full = False
        """Whether the sender has waited for room."""

    def send(self, _import_id: str, partition: int, name: str, _body: str) -> None:
        batch = (partition, int(name))
        with self.changed:
            self.begun.append(batch)
            if batch[1] and (partition, batch[1] - 1) not in self.accepted:
                self.too_early.append(batch)
            self.changed.notify_all()
        if batch in self.waits_for:
            self.wait(self.waits_for[batch])
        if batch in self.refused:
            raise RefusedError(batch)
        with self.changed:
            self.accepted.append(batch)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        """Waits until something is the case."""
        with self.changed:
            assert self.changed.wait_for(condition, HANGS_AFTER_SECONDS), "it never happened"

    def note(self, change: Callable[[], object]) -> None:
        """Changes what others wait for."""
        with self.changed:
            change()
            self.changed.notify_all()


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    """A queue that also sees what its sender waits for."""
    queue = Queue()

    class Sending(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            queue.note(lambda: queue.asked.append(self))
            return super().result(timeout)

    class Threads(ThreadPoolExecutor):
        def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            sending, done = Sending(), super().submit(function, *arguments, **named)

            def settle(sent: Future[Any]) -> None:
                if (error := sent.exception()) is not None:
                    sending.set_exception(error)
                else:
                    sending.set_result(None)

            done.add_done_callback(settle)
            return sending

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            queue.note(lambda: queue.shut_down.append(wait))
            super().shutdown(wait, cancel_futures=cancel_futures)

    class Room(threading.BoundedSemaphore):
        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            if super().acquire(blocking=False):
                return True
            queue.note(lambda: setattr(queue, "is_full", True))
            return super().acquire(blocking, timeout)

    monkeypatch.setattr(row_queue, "ThreadPoolExecutor", Threads)
    monkeypatch.setattr(row_queue, "BoundedSemaphore", Room)
    return queue


def new_sender(queue: Queue) -> OrderedSender:
    return OrderedSender(queue, "an import")  # type: ignore[arg-type]


def send_all(sender: OrderedSender, batches: list[Batch]) -> None:
    for partition, seq in batches:
        sender.send(partition, seq, "a body")


def test_a_slow_batch_keeps_the_next_of_its_partition_back(queue: Queue) -> None:
    # It is sent until the sender waits for it, or has begun the next one.
    queue.waits_for[0, 0] = lambda: bool(queue.asked) or (0, 1) in queue.begun
    with new_sender(queue) as sender:
        send_all(sender, [(0, 0), (0, 1), (0, 2)])
    assert queue.too_early == []
    assert queue.accepted == [(0, 0), (0, 1), (0, 2)]


def test_other_partitions_go_on_while_a_batch_is_slow(queue: Queue) -> None:
    others = [(partition, seq) for seq in range(3) for partition in (1, 2)]
    queue.waits_for[0, 0] = lambda: set(others) <= set(queue.accepted)
    with new_sender(queue) as sender:
        send_all(sender, [(0, 0), *others])
    assert queue.accepted[-1] == (0, 0)
    assert queue.too_early == []


def test_as_many_partitions_are_sent_at_once_as_there_are_threads(queue: Queue) -> None:
    first = [(partition, 0) for partition in range(row_queue._THREADS)]
    for batch in first:
        queue.waits_for[batch] = lambda: set(first) <= set(queue.begun)
    with new_sender(queue) as sender:
        send_all(sender, first)
    assert sorted(queue.accepted) == first


def test_after_a_refused_batch_none_of_its_partition_is_sent(queue: Queue) -> None:
    queue.refused = {(0, 1)}
    with pytest.raises(RefusedError) as refused, new_sender(queue) as sender:
        send_all(sender, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (0, 3)])
    assert refused.value.args == ((0, 1),)
    assert [batch for batch in queue.begun if batch[0] == 0] == [(0, 0), (0, 1)]
    assert queue.too_early == []
    # What it had begun of other partitions was sent to its end.
    assert {batch for batch in queue.begun if batch[0] == 1} <= set(queue.accepted)


def test_a_last_batch_that_is_refused_raises_when_the_sender_is_left(queue: Queue) -> None:
    queue.refused = {(0, 0)}
    # No other batch of its partition follows, which could raise its error.
    with pytest.raises(RefusedError), new_sender(queue) as sender:
        send_all(sender, [(0, 0), (1, 0), (1, 1)])
    assert queue.accepted == [(1, 0), (1, 1)]


def test_of_several_refused_batches_the_first_ones_error_is_raised(queue: Queue) -> None:
    queue.refused = {(1, 0), (2, 0)}
    queue.waits_for[1, 0] = lambda: bool(queue.shut_down)
    with pytest.raises(RefusedError) as refused, new_sender(queue) as sender:
        send_all(sender, [(0, 0), (1, 0), (2, 0)])
    assert refused.value.args == ((1, 0),)


class ReaderError(Exception):
    """The file could not be read further."""


def send_and_fail(queue: Queue, batches: list[Batch], begun: int) -> None:
    """Sends batches, and fails as a reader does once some of them have begun."""
    with new_sender(queue) as sender:
        send_all(sender, batches)
        queue.wait(lambda: len(queue.begun) == begun)
        raise ReaderError


def test_a_reader_that_fails_leaves_nothing_being_sent_behind(queue: Queue) -> None:
    # One more than its threads can send at a time.
    batches = [(partition, 0) for partition in range(row_queue._THREADS + 1)]
    left = False
    # These sends go on when the sender waits for its threads, or, if it never does, when it was left.
    for batch in batches:
        queue.waits_for[batch] = lambda: True in queue.shut_down or left
    with pytest.raises(ReaderError):
        send_and_fail(queue, batches, begun=row_queue._THREADS)
    with queue.changed:
        at_the_end = list(queue.accepted)
        left = True
        queue.changed.notify_all()
    assert queue.shut_down == [True]
    assert set(queue.begun) == set(at_the_end)


def test_a_readers_error_is_not_hidden_by_a_refused_batch(queue: Queue) -> None:
    queue.refused = {(0, 0)}
    with pytest.raises(ReaderError):
        send_and_fail(queue, [(0, 0)], begun=1)


@pytest.mark.parametrize("refused", [False, True])
def test_memory_is_bounded_and_room_comes_back(queue: Queue, refused: bool) -> None:
    batches = [(partition, 0) for partition in range(64)]
    read: list[Batch] = []
    errors: list[BaseException] = []

    def has_stopped() -> bool:
        return queue.is_full or len(read) == len(batches)

    for batch in batches[: row_queue._THREADS]:
        queue.waits_for[batch] = has_stopped
    queue.refused = set(batches) if refused else set()

    def run() -> None:
        try:
            with new_sender(queue) as sender:
                for batch in batches:
                    with queue.changed:
                        if not queue.is_full:
                            read.append(batch)
                            queue.changed.notify_all()
                    send_all(sender, [batch])
        except RefusedError as error:
            errors.append(error)

    reader = threading.Thread(target=run, daemon=True)
    reader.start()
    reader.join(HANGS_AFTER_SECONDS)
    assert not reader.is_alive(), "it waits for room that never comes back"
    # One more than there is room for was read, and waits.
    assert len(read) == row_queue._MOST_WAITING + 1
    assert sorted(queue.begun) == batches
    assert sorted(queue.accepted) == ([] if refused else batches)
    assert len(errors) == refused


# ---------------------------------------------------------------- the same in the processor, with a real queue

OPTIONS = ImportOptions(ColumnMap(email="Email", first_name="First"))
FILE = b"Email,First\n" + b"".join(
    b"c%d@example.com,Name %d\n" % (row % 20, row) for row in range(60)
)


@pytest.fixture
def project(project: str, many_batches: None) -> str:
    return project


def sent(messages: list[dict[str, Any]]) -> dict[int, list[int]]:
    """The numbers of the row batches of each partition, in the order of the queue."""
    numbers: dict[int, list[int]] = {}
    for message in messages:
        body = json.loads(message["Body"])
        numbers.setdefault(body["partition"], []).append(body["seq"])
    return numbers


def check_second_run(pipeline: Pipeline, project: str, event: dict[str, Any], first: Any) -> None:
    """The next run of the processor sends what is missing; then everything is the reference import's."""
    pipeline.process(event)
    rest = pipeline.take_all()
    for message in (*first, *rest):
        assert pipeline.apply([message]) == []
    reference = expected(FILE, OPTIONS)
    import_id = json.loads(rest[0]["Body"])["importId"]
    job = pipeline.imports.get(import_id)
    assert job is not None
    assert job.status is Status.COMPLETED
    assert job.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts


@pytest.mark.parametrize("seq", [0, 1])
def test_the_processor_sends_no_batch_after_a_refused_one(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, seq: int
) -> None:
    send = RowQueue.send
    refused = ClientError({"Error": {"Code": "RequestThrottled", "Message": ""}}, "SendMessage")

    def refuse_one(queue: RowQueue, import_id: str, partition: int, name: str, body: str) -> None:
        if (partition, name) == (0, str(seq)):
            raise refused
        send(queue, import_id, partition, name, body)

    _, event = pipeline.accept(project, FILE, OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(RowQueue, "send", refuse_one)
        with pytest.raises(ClientError) as raised:
            pipeline.process(event)
    assert raised.value is refused
    first = pipeline.take_all()
    numbers = sent(first)
    assert numbers.pop(0, []) == list(range(seq))
    assert all(of_one == list(range(len(of_one))) for of_one in numbers.values())
    check_second_run(pipeline, project, event, first)


class _BrokenFile:
    """A temporary file that cannot be read after some lines, as on a disk that fails."""

    def __init__(self, file: BytesIO, lines: int) -> None:
        self._file, self._lines = file, lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._lines):
            yield next(self._file)
        raise ReaderError


def test_the_processor_sends_nothing_after_it_could_not_read_on(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = 5
    under_way: list[int] = []
    send = RowQueue.send

    def counted(queue: RowQueue, *arguments: str) -> None:
        under_way.append(1)
        send(queue, *arguments)  # type: ignore[arg-type]
        under_way.pop()

    _, event = pipeline.accept(project, FILE, OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(
            "contact_imports.jobs.split_upload.TemporaryFile",
            lambda *_: _BrokenFile(BytesIO(), lines),
        )
        patch.setattr(RowQueue, "send", counted)
        with pytest.raises(ReaderError):
            pipeline.process(event)
        assert under_way == []
    first = pipeline.take_all()
    assert len(first) == lines
    assert all(of_one == list(range(len(of_one))) for of_one in sent(first).values())
    check_second_run(pipeline, project, event, first)
