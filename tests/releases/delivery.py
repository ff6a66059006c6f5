"""Delivers events and messages to the functions of one release, or of several at once as during an upgrade."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.events import ended_event, failure_event, sqs_event
from tests.pipeline import Pipeline
from tests.releases.recording import Recording
from tests.releases.release import DiesAt, FunctionError, Release

TRIES = 3
_MOST_STEPS = 100

ReleaseOf = Callable[[str], Release]
"""The release that a function has now, by the function's name."""


class Delivery:
    """What is on its way between the functions."""

    def __init__(self, pipeline: Pipeline, release_of: ReleaseOf) -> None:
        self._pipeline = pipeline
        self._release_of = release_of
        self.groups: dict[str, list[str]] = defaultdict(list)
        self.dead: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        pipeline.take_all()

    @classmethod
    def of(cls, recording: Recording, pipeline: Pipeline, release_of: ReleaseOf) -> Delivery:
        """What was on its way when it was recorded."""
        delivery = cls(pipeline, release_of)
        delivery.groups.update({group: list(bodies) for group, bodies in recording.groups.items()})
        delivery.dead = [(group, body) for group, body in recording.dead]
        delivery.events = list(recording.events)
        delivery.failures = list(recording.failures)
        return delivery

    def invoke(self, function: str, event: Any, dies_at: DiesAt | None = None) -> Any:
        """Calls a function; what it sends is on its way afterwards, also if it raises FunctionError."""
        try:
            return self._release_of(function).invoke(function, event, dies_at)
        finally:
            for message in self._pipeline.take_all():
                self.groups[message["Attributes"]["MessageGroupId"]].append(message["Body"])

    def upload(self, event: dict[str, Any], dies_at: DiesAt | None = None) -> None:
        """Tells the processor of an upload; if it fails, the event comes again."""
        try:
            self.invoke("processor", event, dies_at)
        except FunctionError:
            self.events.append(event)

    def rows(self, group: str, dies_at: DiesAt | None = None) -> bool:
        """Delivers the first message of a group; False if it must be delivered again."""
        body = self.groups[group][0]
        try:
            answer = self.invoke("row_batch", _sqs(group, body, "RowQueue.fifo"), dies_at)
        except FunctionError:
            return False
        if answer["batchItemFailures"]:
            return False
        self.groups[group].pop(0)
        return True

    def bury(self, group: str) -> None:
        """Makes a dead letter of the first message of a group."""
        self.dead.append((group, self.groups[group].pop(0)))

    def finish(self, import_id: str) -> None:
        """Delivers everything until nothing is left, and then what follows the import's end."""
        for _ in range(_MOST_STEPS):
            waiting = [group for group, bodies in self.groups.items() if bodies]
            if self.events:
                self._finish_upload(self.events.pop(0))
            elif self.failures:
                self.invoke("dead_letter", self.failures.pop(0))
            elif waiting:
                if not any(self.rows(waiting[0]) for _ in range(TRIES)):
                    self.bury(waiting[0])
            elif self.dead:
                event = _sqs(*self.dead.pop(0), "DeadLetterQueue.fifo")
                assert not self.invoke("dead_letter", event)["batchItemFailures"]
            elif self._is_due(import_id):
                self.invoke("import_ended", ended_event(import_id))
            else:
                return
        raise AssertionError("something is delivered for ever")

    def _finish_upload(self, event: dict[str, Any]) -> None:
        error = ""
        for _ in range(TRIES):
            try:
                self.invoke("processor", event)
                return
            except FunctionError as raised:
                error = str(raised)
        self.failures.append(failure_event(event, error))

    def _is_due(self, import_id: str) -> bool:
        item = self._pipeline.dynamodb.get_item(
            TableName=self._pipeline.imports_table,
            Key={"importId": {"S": import_id}, "record": {"S": "import"}},
            ConsistentRead=True,
        )["Item"]
        return bool(item.get("report") == {"S": "due"})


def _sqs(group: str, body: str, queue: str) -> dict[str, Any]:
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": body,
        "Attributes": {"MessageGroupId": group},
    }
    return sqs_event([message], queue)
