"""Lives of an object: overwritten, deleted, told of again or stopped, at every AWS call of what reads it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from contact_imports.jobs.end_import import GONE, NO_UPLOAD, OVERDUE, PROCESSOR_FAILED
from contact_imports.messages.row_messages import RowBatch, decode_message
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.pipeline import imports_of
from tests.simulation.aws_calls import Call, CrashPoint, When
from tests.simulation.one_import import at_each
from tests.simulation.world import PROCESSOR_TRIES, Fault, NewWorld, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")

OPTIONS = ImportOptions(ColumnMap(email="Email", first_name="First"))
DROPPED_OPTIONS = ImportOptions(None, delimiter=None)
"""As a dropped object without metadata has them."""

CONTENT = b"Email,First\n" + b"".join(
    b"c%d@example.com,First %d\n" % (row % 4, row) for row in range(9)
)
OTHER = b"Email,First\n" + b"".join(
    b"c%d@example.com,Other %d\n" % (row % 7, row) for row in range(12)
)
WHENS: tuple[When, When] = ("before", "after")
SCHEDULED = {"detail-type": "Scheduled Event"}


def upload_key(job: Import) -> str:
    return f"imports/{job.project_id}/{job.id}.csv"


def calls_of(world: World, function: str) -> list[Call]:
    """The calls of a function's longest invocation."""
    longest: list[Call] = []
    for calls in world.calls.invocations:
        if len(calls) > len(longest) and calls[0].function == function:
            longest = calls
    return list(longest)


def last(calls: list[Call], operation: str) -> int:
    """The number of the last call of an operation."""
    return max(number for number, call in enumerate(calls) if call.operation == operation)


def rows_sent(world: World, job: Import) -> set[int]:
    """The rows of an import that are in a message."""
    rows: set[int] = set()
    for sent in world.all_sent.values():
        message = decode_message(sent.body)
        if isinstance(message, RowBatch) and message.import_id == job.id:
            rows |= {row.number for row in message.rows} | {row[0] for row in message.rejected}
    return rows


def check(
    world: World,
    job: Import,
    content: bytes,
    error: str | None = None,
    *,
    left_out: set[int] | None = None,
    before: dict[str, Contact] | None = None,
    options: ImportOptions = OPTIONS,
) -> dict[str, Contact]:
    """The import has ended as the reference import without the rows `left_out`, which failed for a reason that
    begins with `error`; without `left_out` and with an error, it has not begun. Returns the contacts as it left them."""
    ended = world.pipeline.get(job)
    assert ended.followed
    assert (ended.error or "").startswith(error or "")
    if error is not None and left_out is None:
        assert ended.status is Status.FAILED
        assert ended.counts.total == 0
        return before or {}
    reference = expected(content, options, before, leave_out=left_out or ())
    assert ended.status is (Status.FAILED if left_out else Status.COMPLETED)
    assert bool(ended.error) == bool(left_out)
    assert ended.counts.as_dict() == counts_of(reference, len(left_out or ()))
    return reference.contacts


def overwrite(world: World, key: str) -> dict[str, Any]:
    """Puts another file under an object's key; returns its event."""
    return world.pipeline.drop(key, OTHER)


def change(world: World, key: str, how: str) -> None:
    """Deletes an object, or overwrites it, of which S3 then tells, or overwrites it, of which S3 tells late."""
    if how == "deleted":
        world.pipeline.s3.delete_object(Bucket=world.pipeline.bucket, Key=key)
    else:
        world.events.append((overwrite(world, key), 0))


# ---------------------------------------------------------------- overwritten under the same key


def import_overwritten(new_world: NewWorld, at: int | None) -> tuple[World, Import]:
    """An upload that is overwritten and told of again while its processor waits at a call."""
    world = new_world(0)
    project = new_project()
    job = world.accept(project, CONTENT, OPTIONS)

    def overwrite_and_tell() -> None:
        event = overwrite(world, upload_key(job))
        # SQS no longer knows the messages that were sent: it would take them for new ones.
        world.recent.clear()
        world.invoke("processor", event)
        world.recent.clear()

    world.fault_of = lambda number, *_: (
        Fault(meanwhile=(at, overwrite_and_tell)) if number == 0 and at is not None else None
    )
    world.finish()
    return world, job


def test_a_file_that_is_overwritten_never_becomes_part_of_another(
    new_world: NewWorld, tried: Callable[[str, int], None]
) -> None:
    world, _ = import_overwritten(new_world, None)
    calls = calls_of(world, "processor")
    world.pipeline.delete_contacts()
    read = last(calls, "GetObject")
    assert 0 < read < len(calls) - 1
    for at, made in enumerate(calls):
        world, job = import_overwritten(new_world, at)
        try:
            if at == 0:
                contacts = check(world, job, OTHER)
            elif at <= read:
                contacts = check(world, job, CONTENT, GONE)
            else:
                contacts = check(world, job, CONTENT)
            assert world.pipeline.contacts_of(job.project_id) == contacts
        except AssertionError as error:
            error.add_note(f"overwritten at call {at}, {made}")
            raise
        finally:
            world.pipeline.delete_contacts()
    tried("an object overwritten and told of again, at every AWS call of the processor", len(calls))


def test_an_ended_import_is_not_opened_by_another_file_under_its_key(new_world: NewWorld) -> None:
    world, job = import_overwritten(new_world, None)
    ended = world.pipeline.get(job)
    sent = len(world.all_sent)
    world.recent.clear()
    world.events.append((overwrite(world, upload_key(job)), 0))
    world.finish()
    assert world.pipeline.get(job) == ended
    assert len(world.all_sent) == sent
    world.pipeline.delete_contacts()


# ---------------------------------------------------------------- gone before the processor's second run


def uploaded(world: World) -> tuple[str, str, ImportOptions]:
    job = world.accept(new_project(), CONTENT, OPTIONS)
    return job.project_id, upload_key(job), OPTIONS


def dropped(world: World) -> tuple[str, str, ImportOptions]:
    project = new_project()
    key = f"drop/{project}/c.csv"
    world.events.append((world.pipeline.drop(key, CONTENT), 0))
    return project, key, DROPPED_OPTIONS


def died_and_changed(
    new_world: NewWorld,
    put: Callable[[World], tuple[str, str, ImportOptions]],
    how: str,
    crash: CrashPoint | None,
) -> World:
    """An object whose first processor dies, and that is changed before the second one."""
    world = new_world(0)
    project, key, options = put(world)
    sent_before: set[int] = set()

    def changed() -> None:
        for job in imports_of(world.pipeline, project):
            sent_before.update(rows_sent(world, job))
        change(world, key, how)

    world.fault_of = lambda number, *_: (
        Fault(crash, after_crash=changed) if number == 0 and crash is not None else None
    )
    world.finish()
    if crash is None:
        return world
    jobs = sorted(imports_of(world.pipeline, project), key=lambda job: job.created_at)
    contacts: dict[str, Contact] = {}
    first_is_recorded = bool(jobs) and not (
        how == "overwritten" and put is dropped and len(jobs) == 1
    )
    claims_again = (
        how == "overwritten" and put is uploaded and (crash.call, crash.when) == (0, "before")
    )
    if claims_again:
        contacts = check(world, jobs[0], OTHER)
    elif first_is_recorded:
        job = world.pipeline.get(jobs[0])
        left_out = None
        if job.partition_count is not None:
            left_out = set(expected(CONTENT, options).rows) - sent_before
        error = None if left_out == set() else GONE
        contacts = check(world, job, CONTENT, error, left_out=left_out, options=options)
    if how == "overwritten" and put is dropped:
        contacts = check(world, jobs[-1], OTHER, before=contacts, options=options)
    assert world.pipeline.contacts_of(project) == contacts
    return world


@pytest.mark.parametrize("put", [uploaded, dropped])
@pytest.mark.parametrize("how", ["deleted", "overwritten"])
def test_a_file_that_is_gone_before_the_processors_second_run_ends_its_import_with_what_was_sent(
    new_world: NewWorld,
    tried: Callable[[str, int], None],
    put: Callable[[World], tuple[str, str, ImportOptions]],
    how: str,
) -> None:
    world = died_and_changed(new_world, put, how, None)
    calls = calls_of(world, "processor")
    world.pipeline.delete_contacts()
    for call, made in enumerate(calls):
        for when in WHENS:
            try:
                died_and_changed(new_world, put, how, CrashPoint(call, when))
            except AssertionError as error:
                error.add_note(f"died {when} call {call}, {made}")
                raise
            finally:
                world.pipeline.delete_contacts()
    tried("an object gone after a crash at every AWS call of the processor", 2 * len(calls))


# ---------------------------------------------------------------- recorded partitions other than the computed ones


@pytest.mark.parametrize(("first", "second"), [(3, 2), (2, 3), (1, 3)])
@pytest.mark.parametrize("dies", [False, True], ids=["while it waits", "after it died"])
def test_the_recorded_partitions_count_whatever_a_later_processor_computes(
    new_world: NewWorld,
    monkeypatch: pytest.MonkeyPatch,
    tried: Callable[[str, int], None],
    first: int,
    second: int,
    dies: bool,
) -> None:
    computed = [first]
    monkeypatch.setattr(
        "contact_imports.jobs.split_upload.choose_partition_count", lambda _: computed[0]
    )

    def run(at: int | None) -> World:
        world = new_world(0)
        computed[0] = first
        job = world.accept(new_project(), CONTENT, OPTIONS)
        (event,) = world.all_events

        def compute_otherwise() -> None:
            computed[0] = second
            world.recent.clear()

        def another() -> None:
            compute_otherwise()
            world.invoke("processor", event)
            computed[0] = first
            world.recent.clear()

        def fault_of(number: int, _function: str, _event: Any) -> Fault | None:
            if number or at is None:
                return None
            if dies:
                return Fault(CrashPoint(at, "after"), after_crash=compute_otherwise)
            return Fault(meanwhile=(at, another))

        world.fault_of = fault_of
        try:
            world.finish()
            world.check(job, CONTENT)
        finally:
            world.pipeline.delete_contacts()
        return world

    calls = calls_of(run(None), "processor")
    at_each(calls, run, "at call")
    tried("a second processor that splits otherwise, at every AWS call of the first", len(calls))


# ---------------------------------------------------------------- told of while, and after, it is stopped


@pytest.mark.parametrize("started", [False, True], ids=["not started", "started"])
def test_an_event_while_an_import_is_stopped_sends_all_or_nothing(
    new_world: NewWorld, tried: Callable[[str, int], None], started: bool
) -> None:
    def run(at: int | None, dies_at: CrashPoint) -> World:
        """A processor that dies at every try, and its event once more while dead_letter waits at a call, or after."""
        world = new_world(0)
        job = world.accept(new_project(), CONTENT, OPTIONS)
        (event,) = world.all_events
        told = False

        def tell_again() -> None:
            nonlocal told
            told = True
            world.recent.clear()
            world.invoke("processor", event)
            world.recent.clear()

        def fault_of(_: int, function: str, _event: Any) -> Fault | None:
            if function == "processor" and not told:
                return Fault(dies_at)
            if function == "dead_letter" and at is not None and not told:
                return Fault(meanwhile=(at, tell_again))
            return None

        world.fault_of = fault_of
        for _ in range(PROCESSOR_TRIES):
            world.deliver_event()
        sent = rows_sent(world, job)
        assert bool(sent) == started
        world.deliver_failure()
        if at is None:
            tell_again()
        else:
            assert told
        all_rows = set(expected(CONTENT, OPTIONS).rows)
        now_sent = rows_sent(world, job)
        # Before it is failed, or its failure is noted, an event starts it; afterwards none does.
        assert now_sent == (all_rows if at in (0, 1) else sent)
        world.finish()
        try:
            left_out = all_rows - now_sent
            if not now_sent:
                contacts = check(world, job, CONTENT, PROCESSOR_FAILED)
            else:
                error = PROCESSOR_FAILED if left_out else None
                contacts = check(world, job, CONTENT, error, left_out=left_out)
            assert world.pipeline.contacts_of(job.project_id) == contacts
            # Nobody can open it again.
            ended, messages = world.pipeline.get(job), len(world.all_sent)
            tell_again()
            assert world.pipeline.get(job) == ended
            assert len(world.all_sent) == messages
        finally:
            world.pipeline.delete_contacts()
        return world

    world = new_world(0)
    world.accept(new_project(), CONTENT, OPTIONS)
    world.finish()
    world.pipeline.delete_contacts()
    processor = calls_of(world, "processor")
    first_sent = min(n for n, call in enumerate(processor) if call.operation == "SendMessage")
    dies_at = CrashPoint(first_sent + 1 if started else 1, "after")
    calls = calls_of(run(None, dies_at), "dead_letter")
    assert len(calls) >= (5 if started else 2)
    at_each(calls, partial(run, dies_at=dies_at), "told again at call")
    tried("an event once more, at every AWS call of what stops its import", len(calls))


def test_an_import_stopped_by_the_sweep_at_any_call_of_its_processor_applies_nothing_after(
    new_world: NewWorld, tried: Callable[[str, int], None]
) -> None:
    def run(at: int | None) -> World:
        world = new_world(0)
        job = world.accept(new_project(), CONTENT, OPTIONS)

        def sweep() -> None:
            world.pipeline.make_overdue(job.id)
            world.invoke("dead_letter", SCHEDULED)

        world.fault_of = lambda number, *_: (
            Fault(meanwhile=(at, sweep)) if number == 0 and at is not None else None
        )
        world.deliver_event()
        started = world.pipeline.get(job).partition_count is not None
        if at is not None:
            ended = world.pipeline.get(job)
            assert ended.ended
            sent = rows_sent(world, job)
            assert started or not sent
        world.finish()
        try:
            if at is None:
                contacts = check(world, job, CONTENT)
            elif not started:
                contacts = check(world, job, CONTENT, NO_UPLOAD)
            else:
                rows = set(expected(CONTENT, OPTIONS).rows)
                contacts = check(world, job, CONTENT, OVERDUE, left_out=rows)
                reported = world.pipeline.report(job)
                assert [(row["row"], row["code"]) for row in reported] == [
                    (row, "not_processed") for row in sorted(rows)
                ]
            assert world.pipeline.contacts_of(job.project_id) == contacts
        finally:
            world.pipeline.delete_contacts()
        return world

    calls = calls_of(run(None), "processor")
    at_each(calls, run, "stopped at call")
    tried("an import stopped by the sweep, at every AWS call of its processor", len(calls))


@pytest.mark.parametrize("started", [False, True], ids=["not started", "started"])
def test_an_event_while_the_sweep_fails_its_import_loses_no_count(
    new_world: NewWorld, tried: Callable[[str, int], None], started: bool
) -> None:
    def run(at: int | None) -> World:
        world = new_world(0)
        job = world.accept(new_project(), CONTENT, OPTIONS)
        (event,) = world.all_events
        if started:
            world.deliver_event()
        else:
            world.events.clear()

        def tell_again() -> None:
            world.recent.clear()
            world.invoke("processor", event)

        sweeps = len(world.calls.invocations)
        world.fault_of = lambda number, *_: (
            Fault(meanwhile=(at, tell_again)) if number == sweeps and at is not None else None
        )
        world.pipeline.make_overdue(job.id)
        world.invoke("dead_letter", SCHEDULED)
        listed = started or at != 0
        ended = world.pipeline.get(job)
        assert ended.ended == listed
        world.finish()
        try:
            if not listed:
                # It was started before the sweep listed the overdue ones.
                contacts = check(world, job, CONTENT)
            elif ended.partition_count is None:
                contacts = check(world, job, CONTENT, NO_UPLOAD)
                assert world.all_sent == {}
            else:
                # Nothing of it was applied before it ended.
                rows = set(expected(CONTENT, OPTIONS).rows)
                contacts = check(world, job, CONTENT, OVERDUE, left_out=rows)
            assert world.pipeline.contacts_of(job.project_id) == contacts
        finally:
            world.pipeline.delete_contacts()
        return world

    calls = calls_of(run(None), "dead_letter")
    at_each(calls, run, "told again at call")
    tried("an event once more, at every AWS call of the sweep", len(calls))


# ---------------------------------------------------------------- a dropped object told of twice


def test_a_dropped_object_that_is_told_of_twice_is_one_import(
    new_world: NewWorld, tried: Callable[[str, int], None]
) -> None:
    def run(at: int | None, *, dies: bool) -> World:
        world = new_world(0)
        project, _, options = dropped(world)
        ((event, _),) = world.events

        def tell_again() -> None:
            world.recent.clear()
            world.invoke("processor", event)
            world.recent.clear()

        def fault_of(number: int, _function: str, _event: Any) -> Fault | None:
            if number or at is None:
                return None
            if dies:
                return Fault(CrashPoint(at, "after"), after_crash=tell_again)
            return Fault(meanwhile=(at, tell_again))

        world.fault_of = fault_of
        world.finish()
        try:
            (job,) = imports_of(world.pipeline, project)
            assert world.pipeline.contacts_of(project) == check(
                world, job, CONTENT, options=options
            )
        finally:
            world.pipeline.delete_contacts()
        return world

    calls = calls_of(run(None, dies=False), "processor")
    for dies in (False, True):
        at_each(calls, partial(run, dies=dies), f"dies: {dies}; told again at call")
    tried("a dropped object told of again, at every AWS call of the processor", 2 * len(calls))
