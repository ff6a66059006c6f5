"""The world around the handlers: it owns delivery and time, and does to them what AWS may do.

S3 tells of an object at least once; Lambda tries an asynchronous invocation three times and then hands it over;
SQS FIFO keeps order inside a group, gives what was not deleted again, drops what was sent twice within five minutes,
and makes a dead letter of what was received too often. What happens is drawn from a random number generator that is
given, so that a seed is a schedule.
"""

from __future__ import annotations

import json
import random
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Literal

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from contact_imports.aws.import_records import IMPORT, record_key
from contact_imports.aws.imports_table import REPORT_DUE
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.jobs.split_upload import NotAllSentError
from contact_imports.messages.row_messages import RowBatch, decode_message
from contact_imports.model.contact import Contact
from contact_imports.model.errors import SplitChangedError
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.events import Context, ended_event, failure_event, handler, sqs_event
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline
from tests.simulation.aws_calls import AwsCalls, Crash, CrashPoint, Real
from tests.simulation.stale_reads import READS, StaleReads

PROCESSOR_TRIES = 3
STREAM_TRIES = 3
"""As the template has it."""

TRANSIENT = ("ThrottlingError", "TransactionConflict", "InternalServerError")
MAX_RECEIVES = 3
"""Less than in the template, so that schedules get to dead letters sooner."""

MOST_STEPS = 400
MOST_CALLS = 40
Poison = Literal["before it is applied", "after it was applied"]


@dataclass(frozen=True)
class Fault:
    """What happens to one invocation: it dies at `crash`, and then `after_crash` happens; or at a call, while
    it waits, something else does (`meanwhile`: the call's number from 0, and what happens); or its time is what
    `context` says."""

    crash: CrashPoint | None = None
    context: Context = field(default_factory=Context)
    after_crash: Callable[[], None] | None = None
    meanwhile: tuple[int, Callable[[], None]] | None = None


NO_FAULT = Fault()
FaultOf = Callable[[int, str, Any], Fault | None]
"""Chooses the fault of an invocation by its number from 0, counted over all functions, its function and its event."""


TakesForStale = Callable[[dict[str, Any]], bool]
"""Chooses consistent reads by their arguments."""


class BugOnPurposeError(Exception):
    """What a batch that can never succeed raises."""


@dataclass
class Message:
    """A message of the row queue."""

    group: str
    deduplication: str
    body: str
    receives: int = 0

    def as_received(self, message_id: str) -> dict[str, Any]:
        attributes = {
            "MessageGroupId": self.group,
            "ApproximateReceiveCount": str(self.receives),
        }
        return {
            "MessageId": message_id,
            "ReceiptHandle": message_id,
            "Body": self.body,
            "Attributes": attributes,
        }


@dataclass
class World:
    """One or more imports, with everything that is on its way between the functions."""

    pipeline: Pipeline
    calls: AwsCalls
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    groups: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    dead: list[Message] = field(default_factory=list)
    taken_dead: list[Message] = field(default_factory=list)
    events: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    """S3 events that were not taken yet, with the tries so far."""
    failures: list[dict[str, Any]] = field(default_factory=list)
    given_up_events: int = 0
    ended: list[tuple[str, int]] = field(default_factory=list)
    """Ids of imports that ended, of which import_ended was not told by the stream yet, with the tries so far."""
    lost_ends: list[str] = field(default_factory=list)
    """Ids of imports that ended, which the stream tells of no more."""
    all_events: list[dict[str, Any]] = field(default_factory=list)
    all_sent: dict[str, Message] = field(default_factory=dict)
    recent: set[str] = field(default_factory=set)
    """Deduplication ids of the last five minutes."""
    hidden_seconds: list[int] = field(default_factory=list)
    """Of each message that failed, when the function has it delivered again."""
    trouble_share: float = 0
    """How many of the calls AWS answers in part, or not at all."""
    stale_share: float = 0
    """How many items a read that is not consistent sees as they were some writes before."""
    takes_for_stale: TakesForStale | None = None
    """Is asked of every consistent read whether it is answered as if it were not consistent."""
    poison: dict[tuple[int, int], Poison] = field(default_factory=dict)
    """(partition, seq) of the batches that can never succeed."""
    fault_of: FaultOf | None = None
    """Is asked for the fault of every invocation; None for none, or for the schedule's own."""

    def __post_init__(self) -> None:
        self._stale_reads = StaleReads(self.pipeline.dynamodb, self.chance)

    def accept(self, project: str, content: bytes, options: ImportOptions) -> Import:
        job, event = self.pipeline.accept(project, content, options)
        self._stale_reads.just_created(self.pipeline.imports_table, record_key(job.id, IMPORT))
        self.events.append((event, 0))
        self.all_events.append(event)
        return job

    # ------------------------------------------------------------ what AWS does

    def send_message(self, arguments: dict[str, Any]) -> Any:
        """SQS SendMessage."""
        deduplication = arguments["MessageDeduplicationId"]
        if deduplication not in self.recent:
            self.recent.add(deduplication)
            message = Message(arguments["MessageGroupId"], deduplication, arguments["MessageBody"])
            self.groups[message.group].append(message)
            self.all_sent.setdefault(deduplication, message)
        return {"MessageId": deduplication}

    def put_off(self, arguments: dict[str, Any]) -> Any:
        """SQS ChangeMessageVisibility."""
        self.hidden_seconds.append(arguments["VisibilityTimeout"])
        return {}

    def before(self, operation: str, arguments: dict[str, Any]) -> None:
        """Remembers what items are like before they are written."""
        if self.stale_share:
            self._stale_reads.before(operation, arguments)

    def watch(self, operation: str, arguments: dict[str, Any], answer: Any) -> Any:
        """The stream of the imports' table, and reads of items as they were before."""
        due = {"S": REPORT_DUE}
        match operation:
            case "UpdateItem" if due in arguments.get("ExpressionAttributeValues", {}).values():
                self.ended.append((arguments["Key"]["importId"]["S"], 0))
            case "PutItem" if arguments["Item"].get("report") == due:
                self.ended.append((arguments["Item"]["importId"]["S"], 0))
        if self.stale_share and operation in READS and self._may_be_stale(arguments):
            return self._stale_reads.answer(operation, arguments, answer, self.stale_share)
        return answer

    def _may_be_stale(self, arguments: dict[str, Any]) -> bool:
        requests = list(arguments.get("RequestItems", {}).values()) or [arguments]
        consistent = all(request.get("ConsistentRead", False) for request in requests)
        if consistent and self.takes_for_stale is not None:
            return self.takes_for_stale(arguments)
        return not consistent

    def invoke(self, function: str, event: Any, crash: CrashPoint | None = None) -> Any:
        """Runs a handler to its end, or to the crash, which is raised."""
        fault = None
        if self.fault_of is not None:
            fault = self.fault_of(len(self.calls.invocations), function, event)
        fault = fault or Fault(crash)
        try:
            with self.running(function, fault):
                return handler(function).lambda_handler(event, fault.context)
        except Crash:
            if fault.after_crash is not None:
                fault.after_crash()
            raise

    @contextmanager
    def running(self, function: str, fault: Fault = NO_FAULT) -> Iterator[None]:
        """Whatever runs here is an invocation of a function in this world."""
        self.calls.answers["SendMessage"] = self.send_message
        self.calls.answers["ChangeMessageVisibility"] = self.put_off
        self.calls.before, self.calls.watch = self.before, self.watch
        self.calls.trouble = self._trouble if self.trouble_share else None
        with self.calls.invocation(function, fault.crash, fault.meanwhile):
            yield

    def _trouble(self, real: Real, operation: str, arguments: dict[str, Any]) -> Any:
        """What AWS may answer besides what was asked for."""
        if self.chance.random() >= self.trouble_share:
            return real(arguments)
        match operation:
            case "BatchExecuteStatement":
                statements = arguments["Statements"]
                done = self.chance.randrange(len(statements))
                answer = real({"Statements": statements[:done]}) if done else {"Responses": []}
                code = self.chance.choice(TRANSIENT)
                put_off = [{"Error": {"Code": code}} for _ in statements[done:]]
                return {"Responses": [*answer["Responses"], *put_off]}
            case "BatchGetItem":
                ((table, request),) = arguments["RequestItems"].items()
                keys = request["Keys"]
                done = self.chance.randrange(len(keys))
                left = {table: {**request, "Keys": keys[done:]}}
                read = {table: {**request, "Keys": keys[:done]}}
                answer = real({"RequestItems": read}) if done else {"Responses": {}}
                return {**answer, "UnprocessedKeys": left}
            case "TransactWriteItems":
                response = {
                    "Error": {"Code": "TransactionCanceledException", "Message": ""},
                    "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}],
                }
                raise ClientError(response, operation)  # type: ignore[arg-type]
            case "GetObject" if self.chance.random() < 0.5:
                answer = real(arguments)
                body = answer["Body"].read()
                cut = BytesIO(body[: self.chance.randrange(len(body))])
                return {**answer, "Body": StreamingBody(cut, len(body))}
            case _:
                # After botocore's own retries.
                response = {"Error": {"Code": "SlowDown", "Message": "Reduce your request rate."}}
                raise ClientError(response, operation)  # type: ignore[arg-type]

    def deliver_event(self, crash: CrashPoint | None = None) -> None:
        """An S3 event, or the next try of one."""
        event, tries = self.events.pop(0)
        try:
            self.invoke("processor", event, crash)
        except (Crash, ClientError, NotAllSentError, SplitChangedError) as error:
            if tries + 1 < PROCESSOR_TRIES:
                self.events.append((event, tries + 1))
            else:
                self.failures.append(failure_event(event, type(error).__name__))
                self.given_up_events += 1

    def deliver_rows(
        self,
        wanted: list[tuple[str, int]],
        crash: CrashPoint | None = None,
        *,
        deleted: bool = True,
    ) -> None:
        """Some messages of some groups, in order; what is not `deleted` comes again."""
        taken = [message for group, count in wanted for message in self.groups[group][:count]]
        for message in taken:
            message.receives += 1
        received = [message.as_received(str(index)) for index, message in enumerate(taken)]
        failed = {str(index) for index in range(len(taken))}
        try:
            answer = self.invoke("row_batch", sqs_event(received, "RowQueue.fifo"), crash)
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        except Crash:
            deleted = True
        for index, message in enumerate(taken):
            if str(index) not in failed and deleted:
                self.groups[message.group].remove(message)
        self._redrive()

    def deliver_dead(self, crash: CrashPoint | None = None, *, deleted: bool = True) -> None:
        """A dead letter."""
        message = self.dead[0]
        event = sqs_event([message.as_received("dead")], "DeadLetterQueue.fifo")
        try:
            answer = self.invoke("dead_letter", event, crash)
            if deleted and not answer["batchItemFailures"]:
                self.taken_dead.append(self.dead.pop(0))
        except Crash:
            pass

    def deliver_failure(self, crash: CrashPoint | None = None) -> None:
        """A processor's invocation whose tries are spent."""
        try:
            answer = self.invoke("dead_letter", self.failures[0], crash)
            if not answer["batchItemFailures"]:
                self.failures.pop(0)
        except Crash:
            pass

    def deliver_ended(self, crash: CrashPoint | None = None) -> None:
        """The stream's record of an import that ended, or the next try of one."""
        import_id, tries = self.ended.pop(0)
        try:
            self.invoke("import_ended", ended_event(import_id), crash)
        except (Crash, ClientError):
            if tries + 1 < STREAM_TRIES:
                self.ended.append((import_id, tries + 1))
            else:
                self.lost_ends.append(import_id)

    def sweep_ends(self, crash: CrashPoint | None = None) -> None:
        """The schedule, after the time within which everything should have followed the ends that were lost."""
        for import_id in self.lost_ends:
            self.pipeline.make_overdue(import_id)
        # An hour later there is less trouble; with as much as before, everybody would give up at last.
        self.trouble_share /= 2
        with suppress(Crash, ClientError):
            self.invoke("dead_letter", {"detail-type": "Scheduled Event"}, crash)
        told = {import_id for import_id, _ in self.ended}
        self.lost_ends = [
            import_id
            for import_id in self.lost_ends
            if import_id not in told and not self._is_followed(import_id)
        ]

    def _is_followed(self, import_id: str) -> bool:
        job = self.pipeline.imports.get(import_id)
        return job is not None and job.followed

    def _redrive(self) -> None:
        for group in self.groups.values():
            while group and group[0].receives >= MAX_RECEIVES:
                self.dead.append(group.pop(0))

    # ------------------------------------------------------------ schedules

    def run_schedule(self, crash_share: float) -> None:
        """Some steps of whatever may happen, drawn from `chance`; then the rest without faults."""
        chance = self.chance
        for _ in range(MOST_STEPS):
            if not self._deliver_one(crash_share):
                break
            if chance.random() < 0.1:
                self.recent.clear()
        self.finish()

    def _deliver_one(self, crash_share: float) -> bool:
        chance = self.chance
        waiting = [group for group, messages in self.groups.items() if messages]
        choices: list[str] = []
        choices += ["event"] * 4 * bool(self.events)
        choices += ["rows"] * 6 * bool(waiting)
        choices += ["dead"] * 2 * bool(self.dead)
        choices += ["failure"] * 2 * bool(self.failures)
        choices += ["ended"] * 2 * bool(self.ended)
        choices += ["sweep"] * bool(self.lost_ends)
        if not choices:
            return False
        choices += ["event again"] + ["dead again"] * bool(self.taken_dead)
        crash = self._draw_crash(crash_share)
        match chance.choice(choices):
            case "event":
                chance.shuffle(self.events)
                self.deliver_event(crash)
            case "rows":
                groups = chance.sample(waiting, chance.randint(1, min(3, len(waiting))))
                wanted = [(group, chance.randint(1, len(self.groups[group]))) for group in groups]
                self.deliver_rows(wanted, crash, deleted=chance.random() < 0.85)
            case "dead":
                chance.shuffle(self.dead)
                self.deliver_dead(crash, deleted=chance.random() < 0.7)
            case "dead again":
                self.dead.append(self.taken_dead.pop())
            case "failure":
                self.deliver_failure(crash)
            case "ended":
                self.deliver_ended(crash)
            case "sweep":
                self.sweep_ends(crash)
            case "event again":
                # The event's own tries are counted elsewhere: this one is S3's, which tells twice.
                with suppress(Crash, ClientError):
                    self.invoke("processor", chance.choice(self.all_events), crash)
        return True

    def _draw_crash(self, share: float) -> CrashPoint | None:
        if self.chance.random() >= share:
            return None
        call = self.chance.randrange(MOST_CALLS)
        return CrashPoint(call, "before" if self.chance.random() < 0.5 else "after")

    def finish(self) -> None:
        """Delivers what is left, without faults, until nothing is left."""
        self.trouble_share = 0
        for _ in range(MOST_STEPS):
            waiting = [group for group, messages in self.groups.items() if messages]
            if self.events:
                self.deliver_event()
            elif self.failures:
                self.deliver_failure()
            elif waiting:
                self.deliver_rows([(waiting[0], len(self.groups[waiting[0]]))])
            elif self.dead:
                self.deliver_dead()
            elif self.ended:
                self.deliver_ended()
            elif self.lost_ends:
                self.sweep_ends()
            else:
                return
        raise AssertionError("something is delivered for ever")

    # ------------------------------------------------------------ what must be true then

    def check(
        self, job: Import, content: bytes, before: dict[str, Contact] | None = None
    ) -> Import:
        """The import has ended, and everything is the reference import's, less the rows given up."""
        ended = self.pipeline.get(job)
        assert ended.ended, "the import is stuck"
        errors = self.pipeline.errors(job)
        assert ended.reported, "nobody did what follows the end"
        assert ended.followed, "nobody was told of the end"
        given_up = {error.row for error in errors if error.code == "not_processed"}
        assert ended.counts.settled == ended.counts.total
        if ended.partition_count is None:
            # Its processor failed for good before it had checked the file.
            assert self.given_up_events
            assert ended.status is Status.FAILED
            assert ended.counts.total == 0
            assert self.pipeline.contacts_of(job.project_id) == (before or {})
            return ended
        # Rows that no message was sent for, because the processor failed for good.
        unsent = set(expected(content, job.options).rows) - _rows_of(self.all_sent.values(), job)
        if self._rows_dead(job) - given_up - unsent and ended.status is Status.FAILED:
            # Its processor and one of its batches failed for good: the partition was ended before the
            # dead letter came, so its rows are counted as failed without being looked at.
            return ended
        reference = expected(content, job.options, before, leave_out=given_up | unsent)
        assert ended.counts.as_dict() == counts_of(reference, len(given_up | unsent))
        after = (before or {}) if job.options.dry_run else reference.contacts
        assert self.pipeline.contacts_of(job.project_id) == after
        explained = [error for error in errors if error.code != "not_processed"]
        assert explained == reference.errors
        assert given_up.isdisjoint(unsent)
        reported = [row["row"] for row in self.pipeline.report(job)]
        assert reported == sorted({error.row for error in errors} | unsent)
        assert ended.status is (Status.FAILED if unsent else Status.COMPLETED)
        return ended

    def _rows_dead(self, job: Import) -> set[int]:
        """Rows of batches that became dead letters before they were counted."""
        return _rows_of((m for m in self.taken_dead if not self._counted(m)), job)

    def _counted(self, message: Message) -> bool:
        parsed = decode_message(message.body)
        if not isinstance(parsed, RowBatch):
            return True
        state = self.pipeline.progress.get(parsed.import_id, parsed.partition)
        return parsed.seq < state.next_seq


def _rows_of(messages: Iterable[Message], job: Import) -> set[int]:
    rows: set[int] = set()
    for message in messages:
        parsed = decode_message(message.body)
        if isinstance(parsed, RowBatch) and parsed.import_id == job.id:
            rows |= {row[0] for row in parsed.rows} | {row[0] for row in parsed.rejected}
    return rows


def poisoned_handle_message(world: World) -> Any:
    """row_batch's `handle_message`, with the world's poison in it."""

    def handle(message: Any, stores: RowBatchStores, *arguments: Any) -> Any:
        seq = getattr(message, "seq", -1)
        poison = world.poison.get((message.partition, seq))
        if poison == "before it is applied":
            raise BugOnPurposeError
        if poison == "after it was applied":
            stores = replace(stores, progress=_FailingCommit(stores.progress))
        return handle_message(message, stores, *arguments)

    return handle


class _FailingCommit(ProgressRecords):
    def __init__(self, progress: ProgressRecords) -> None:
        super().__init__(progress._client, progress._table)

    def commit(self, *_: Any) -> Any:
        raise BugOnPurposeError


NewWorld = Callable[[int], World]
"""Makes a world whose chance comes from a seed; the fixture `new_world`."""


def new_project() -> str:
    """A project that no other test uses."""
    return f"s-{secrets.token_hex(6)}"


def describe(world: World) -> str:
    """Where everything is, for a person who reads a failing schedule."""
    return json.dumps(
        {
            "groups": {group: [m.deduplication for m in ms] for group, ms in world.groups.items()},
            "dead": [message.deduplication for message in world.dead],
            "events": len(world.events),
            "failures": len(world.failures),
        },
        indent=2,
    )
