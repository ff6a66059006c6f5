"""Gaps: a row batch that later ones overtook while it was in the dead-letter queue, and what becomes of its rows.

One partition with batches of two rows. What is expected is written down row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from contact_imports.jobs.end_import import OVERDUE, PROCESSOR_FAILED
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.simulation.aws_calls import Call, CrashPoint
from tests.simulation.one_import import at_each
from tests.simulation.world import (
    MAX_RECEIVES,
    PROCESSOR_TRIES,
    Fault,
    Message,
    NewWorld,
    World,
    new_project,
)

COLUMN_MAP = ColumnMap(email="Email", first_name="First", last_name="Last")
SCHEDULED = {"detail-type": "Scheduled Event"}

BATCHES = (
    ("shared@example.com,From 0,Zero", "only0@example.com,Only 0,"),
    ("only1@example.com,Only 1,", "other1@example.com,Other 1,"),
    ("shared@example.com,From 2,", "no email,Bad 2,"),
    ("only3@example.com,Only 3,", "shared@example.com,,Three"),
)
"""The first email is in batches 0, 2 and 3: batch 2 comes right after one without it, so only the gap says that one
with it is missing. Row 7 is invalid."""

SHARED_AT_ONCE = (BATCHES[0], BATCHES[2], BATCHES[1], BATCHES[3])
"""The same with the email in the batch that makes the gap. Row 5 is invalid."""

OVERTAKEN = {2, 3}
"""The rows of batch 0."""

Applied = Literal["not applied", "applied"]
Queue = Literal["dead letters", "rows"]


def content_of(batches: tuple[tuple[str, ...], ...]) -> bytes:
    rows = [row for batch in batches for row in batch]
    return "\n".join(("Email,First,Last", *rows, "")).encode()


@pytest.fixture(autouse=True)
def one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2)
    monkeypatch.setattr("contact_imports.jobs.split_upload.choose_partition_count", lambda _: 1)


def options(on_conflict: OnConflict = OnConflict.UPSERT) -> ImportOptions:
    return ImportOptions(COLUMN_MAP, on_conflict)


def group_of(world: World, job: Import) -> list[Message]:
    return world.groups[f"{job.id}:0"]


def sent_import(
    new_world: NewWorld, content: bytes, on_conflict: OnConflict
) -> tuple[World, Import]:
    """An import whose four batches are in the row queue."""
    world = new_world(0)
    job = world.accept(new_project(), content, options(on_conflict))
    world.deliver_event()
    assert len(group_of(world, job)) == len(BATCHES)
    return world, job


def kill_first(world: World, job: Import, applied: Applied) -> Message:
    """Makes a dead letter of the first batch, before or after its rows were applied; returns it."""
    world.poison = {
        (0, 0): "after it was applied" if applied == "applied" else "before it is applied"
    }
    for _ in range(MAX_RECEIVES):
        deliver(world, job)
    world.poison = {}
    (message,) = world.dead
    assert len(group_of(world, job)) == len(BATCHES) - 1
    assert bool(world.pipeline.contacts_of(job.project_id)) == (applied == "applied")
    return message


def deliver(world: World, job: Import, batches: int = 1) -> None:
    world.deliver_rows([(f"{job.id}:0", batches)])


def deliver_again(world: World, job: Import, message: Message, queue: Queue) -> None:
    """Delivers a batch that was overtaken: as a dead letter, or moved back to the row queue, as a person may do."""
    if queue == "dead letters":
        world.dead = [message]
        world.deliver_dead()
        assert world.dead == []
        return
    world.dead = []
    message.receives = 0
    group_of(world, job).insert(0, message)
    left = len(group_of(world, job))
    deliver(world, job)
    assert len(group_of(world, job)) == left - 1


def check(
    world: World,
    job: Import,
    content: bytes,
    on_conflict: OnConflict,
    left_out: set[int],
    error: str | None = None,
    *,
    lost: bool = False,
) -> None:
    """The import has ended as the reference import without the rows `left_out`, and its report says so, row by row.

    `lost`: nobody counted these rows, so there is no record of them but the import's end.
    """
    ended = world.pipeline.get(job)
    assert ended.followed
    reference = expected(content, options(on_conflict), leave_out=left_out)
    assert ended.counts.as_dict() == counts_of(reference, len(left_out))
    assert world.pipeline.contacts_of(job.project_id) == reference.contacts
    assert ended.status is (Status.COMPLETED if error is None else Status.FAILED)
    assert (ended.error or "").startswith(error or "")
    reasons = {one.row: one.code for one in reference.errors}
    counted = reasons if lost else reasons | dict.fromkeys(left_out, "not_processed")
    assert {one.row: one.code for one in world.pipeline.errors(job)} == counted
    reported = [(row["row"], row["code"], row["line"]) for row in world.pipeline.report(job)]
    failed = reasons | dict.fromkeys(left_out, "not_processed")
    assert reported == [(row, code, row) for row, code in sorted(failed.items())]


# ---------------------------------------------------------------- overtaken, and delivered again


@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("applied", ["not applied", "applied"])
@pytest.mark.parametrize("queue", ["dead letters", "rows"])
@pytest.mark.parametrize("batches", [BATCHES, SHARED_AT_ONCE], ids=["later", "at once"])
@pytest.mark.parametrize("overtaking", [1, 2, 3])
def test_an_overtaken_batch_is_counted_as_what_it_did_and_never_applied_after_its_successors(
    new_world: NewWorld,
    on_conflict: OnConflict,
    applied: Applied,
    queue: Queue,
    batches: tuple[tuple[str, ...], ...],
    overtaking: int,
) -> None:
    content = content_of(batches)
    world, job = sent_import(new_world, content, on_conflict)
    try:
        message = kill_first(world, job, applied)
        for _ in range(overtaking):
            deliver(world, job)
        before = world.pipeline.contacts_of(job.project_id)
        assert not world.pipeline.get(job).ended
        deliver_again(world, job, message, queue)
        assert world.pipeline.contacts_of(job.project_id) == before
        world.finish()
        left_out = set() if applied == "applied" else OVERTAKEN
        check(world, job, content, on_conflict, left_out)
        # Once more, from either queue, it changes nothing.
        ended, contacts = world.pipeline.get(job), world.pipeline.contacts_of(job.project_id)
        for again in ("dead letters", "rows"):
            deliver_again(world, job, message, again)
        assert world.pipeline.get(job) == ended
        assert world.pipeline.contacts_of(job.project_id) == contacts
    finally:
        world.pipeline.delete_contacts()


def test_a_gap_is_filled_once_even_before_its_import_has_ended(new_world: NewWorld) -> None:
    content = content_of(BATCHES)
    world, job = sent_import(new_world, content, OnConflict.UPSERT)
    try:
        message = kill_first(world, job, "not applied")
        deliver(world, job)
        for queue in ("dead letters", "rows", "dead letters"):
            deliver_again(world, job, message, queue)
            assert world.pipeline.get(job).counts.failed == len(OVERTAKEN)
        world.finish()
        check(world, job, content, OnConflict.UPSERT, OVERTAKEN)
    finally:
        world.pipeline.delete_contacts()


@pytest.mark.parametrize("applied", ["not applied", "applied"])
@pytest.mark.parametrize("waiting", ["row_batch", "dead_letter"])
def test_a_batch_is_overtaken_at_any_call_of_the_one_that_counts_it(
    new_world: NewWorld,
    tried: Callable[[str, int], None],
    applied: Applied,
    waiting: Literal["row_batch", "dead_letter"],
) -> None:
    content = content_of(SHARED_AT_ONCE)

    def run(at: int | None) -> list[Call]:
        """The dead letter and the batch that overtakes it: one waits at a call, and the other is handled meanwhile."""
        world, job = sent_import(new_world, content, OnConflict.UPSERT)
        try:
            kill_first(world, job, applied)
            first = len(world.calls.invocations)

            def other() -> None:
                if waiting == "row_batch":
                    world.deliver_dead()
                else:
                    deliver(world, job)

            world.fault_of = lambda number, *_: (
                Fault(meanwhile=(at, other)) if number == first and at is not None else None
            )
            if waiting == "row_batch":
                deliver(world, job)
            else:
                world.deliver_dead()
            calls = list(world.calls.invocations[first])
            world.finish()
            left_out = set() if applied == "applied" else OVERTAKEN
            check(world, job, content, OnConflict.UPSERT, left_out)
            return calls
        finally:
            world.pipeline.delete_contacts()

    calls = run(None)
    at_each(calls, run, "at call")
    tried("a dead letter and the batch that overtakes it, at every AWS call of either", len(calls))


# ---------------------------------------------------------------- a gap at the deadline


def sweep(world: World, job: Import) -> None:
    world.pipeline.make_overdue(job.id)
    world.invoke("dead_letter", SCHEDULED)


@pytest.mark.parametrize("queue", ["dead letters", "rows"])
@pytest.mark.parametrize("overtaking", [1, 3])
def test_a_gap_at_the_deadline_is_lost_and_is_never_filled(
    new_world: NewWorld, queue: Queue, overtaking: int
) -> None:
    content = content_of(BATCHES)
    world, job = sent_import(new_world, content, OnConflict.UPSERT)
    try:
        message = kill_first(world, job, "not applied")
        world.dead = []
        deliver(world, job, overtaking)
        late = list(group_of(world, job))
        world.groups.clear()
        sweep(world, job)
        assert world.pipeline.get(job).ended
        world.finish()
        uncounted = OVERTAKEN | set(range(2 + 2 * (1 + overtaking), 10))
        error = f"{OVERDUE} {len(uncounted)} of 8 rows were not imported."
        check(world, job, content, OnConflict.UPSERT, uncounted, error, lost=True)
        ended, contacts = world.pipeline.get(job), world.pipeline.contacts_of(job.project_id)
        # What turns up late is neither applied nor counted.
        deliver_again(world, job, message, queue)
        for one in late:
            deliver_again(world, job, one, "rows")
            deliver_again(world, job, one, "dead letters")
        assert world.pipeline.get(job) == ended
        assert world.pipeline.contacts_of(job.project_id) == contacts
        check(world, job, content, OnConflict.UPSERT, uncounted, error, lost=True)
    finally:
        world.pipeline.delete_contacts()


def test_a_gap_is_filled_at_any_call_of_the_sweep_that_ends_its_import(
    new_world: NewWorld, tried: Callable[[str, int], None]
) -> None:
    content = content_of(BATCHES)

    def run(at: int | None) -> list[Call]:
        world, job = sent_import(new_world, content, OnConflict.UPSERT)
        try:
            kill_first(world, job, "not applied")
            (dead,) = world.dead
            deliver(world, job, 2)
            world.groups.clear()  # the last batch is lost
            first = len(world.calls.invocations)
            world.fault_of = lambda number, *_: (
                Fault(meanwhile=(at, world.deliver_dead))
                if number == first and at is not None
                else None
            )
            sweep(world, job)
            calls = list(world.calls.invocations[first])
            world.dead = [dead]
            world.deliver_dead()
            if not world.pipeline.get(job).ended:
                sweep(world, job)  # an hour later
            world.finish()
            ended = world.pipeline.get(job)
            assert ended.status is Status.FAILED
            left_out = OVERTAKEN | {8, 9}
            reference = expected(content, options(), leave_out=left_out)
            assert ended.counts.as_dict() == counts_of(reference, len(left_out))
            assert world.pipeline.contacts_of(job.project_id) == reference.contacts
            reported = [row["row"] for row in world.pipeline.report(job)]
            assert reported == sorted(left_out | {error.row for error in reference.errors})
            return calls
        finally:
            world.pipeline.delete_contacts()

    calls = run(None)
    at_each(calls, run, "at call")
    tried("a gap filled at every AWS call of the sweep", len(calls))


# ---------------------------------------------------------------- rows that were never sent


@pytest.fixture
def first_send(new_world: NewWorld) -> int:
    """The number of the call by which the processor sends the first batch; the other batches follow."""
    world, _ = sent_import(new_world, content_of(BATCHES), OnConflict.UPSERT)
    operations = [call.operation for call in world.calls.invocations[0]]
    first = operations.index("SendMessage")
    assert operations[first:] == ["SendMessage"] * len(BATCHES)
    return first


@pytest.mark.parametrize("sent", range(len(BATCHES)))
@pytest.mark.parametrize("dead", [False, True], ids=["", "the first one dead"])
def test_a_report_has_the_rows_that_were_never_sent(
    new_world: NewWorld, first_send: int, sent: int, dead: bool
) -> None:
    content = content_of(BATCHES)
    world = new_world(0)
    job = world.accept(new_project(), content, options())
    deaths = [CrashPoint(first_send + sent, "before"), *[CrashPoint(0, "before")] * 2]
    assert len(deaths) == PROCESSOR_TRIES
    world.fault_of = lambda _, function, __: (
        Fault(deaths.pop(0)) if function == "processor" else None
    )
    try:
        for _ in range(PROCESSOR_TRIES):
            world.deliver_event()
        world.deliver_failure()
        # Behind the rows, the message that ends the partition.
        assert len(group_of(world, job)) == sent + 1
        if dead and sent:
            world.poison = {(0, 0): "before it is applied"}
            for _ in range(MAX_RECEIVES):
                deliver(world, job)
            assert len(world.dead) == 1
        world.finish()
        unsent = set(range(2 + 2 * sent, 10))
        left_out = unsent | (OVERTAKEN if dead and sent else set())
        # A dead letter that no batch had overtaken when its partition ended is not looked at any more.
        missing = len(left_out if sent == 1 else unsent)
        ended = world.pipeline.get(job)
        reference = expected(content, options(), leave_out=left_out)
        assert ended.counts.as_dict() == counts_of(reference, len(left_out))
        assert world.pipeline.contacts_of(job.project_id) == reference.contacts
        assert ended.status is Status.FAILED
        error = f"{PROCESSOR_FAILED} {missing} of 8 rows were not imported."
        assert (ended.error or "").startswith(error)
        reasons = {one.row: one.code for one in reference.errors}
        failed = reasons | dict.fromkeys(left_out, "not_processed")
        reported = [(row["row"], row["code"], row["line"]) for row in world.pipeline.report(job)]
        assert reported == [(row, code, row) for row, code in sorted(failed.items())]
        # And the same rows as CSV, with their cells.
        report = world.pipeline.reports.report(job).decode("utf-8-sig").splitlines()[1:]
        lines = content.decode().splitlines()
        assert [line.split(",")[:3] for line in report] == [
            lines[row - 1].split(",") for row in sorted(failed)
        ]
    finally:
        world.pipeline.delete_contacts()
