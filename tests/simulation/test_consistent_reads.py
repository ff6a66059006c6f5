"""Each consistent read is needed: the simulation sees the difference when it is answered as if it were not consistent."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import Import, ImportOptions, Status
from local.stack import ROOT
from tests.simulation.one_import import BEFORE, CONTENT, POISON, PROCESSOR_DIES_AT, put_before
from tests.simulation.one_import import COLUMN_MAP as SMALL_MAP
from tests.simulation.world import (
    MAX_RECEIVES,
    Fault,
    Message,
    NewWorld,
    Poison,
    TakesForStale,
    World,
    new_project,
)

COLUMN_MAP = ColumnMap(email="Email", first_name="First")
AWS = ROOT / "layers/contact_imports/contact_imports/aws"
SEEDS = range(10)
STALE_SHARE = 0.9


def imported(world: World, content: bytes, options: ImportOptions, project: str = "") -> Import:
    """One import to its end, which must be the reference import's."""
    job = world.accept(project or new_project(), content, options)
    world.finish()
    return world.check(job, content)


def small_import(
    world: World, poison: dict[tuple[int, int], Poison] | None = None, processor_fails: bool = False
) -> None:
    """The import with every kind of row, in three partitions."""
    world.poison = dict(poison or {})
    fails = Fault(PROCESSOR_DIES_AT) if processor_fails else None
    world.fault_of = lambda _number, function, _event: fails if function == "processor" else None
    project = new_project()
    put_before(world.pipeline, project, BEFORE)
    job = world.accept(project, CONTENT, ImportOptions(SMALL_MAP, tags=("t",)))
    world.finish()
    world.check(job, CONTENT, BEFORE)


def with_dead_letters(world: World) -> None:
    small_import(world, POISON)


def with_a_processor_that_fails_for_good(world: World) -> None:
    small_import(world, processor_fails=True)


def an_upload_that_is_gone(world: World) -> None:
    """It fails its import at once."""
    job = world.accept(new_project(), b"Email\na@example.com\n", ImportOptions(COLUMN_MAP))
    key = f"imports/{job.project_id}/{job.id}.csv"
    world.pipeline.s3.delete_object(Bucket=world.pipeline.bucket, Key=key)
    world.deliver_event()
    assert world.pipeline.get(job).status is Status.FAILED


def there_and_back(world: World) -> None:
    """A row of the same contact in each batch: read too early, the last one seems to change nothing."""
    content = b"Email,First\n" + b"".join(b"a@example.com,%c\n" % value for value in b"xyxyx")
    imported(world, content, ImportOptions(COLUMN_MAP))


THREE_ROWS = b"Email,First\na@example.com,x\na@example.com,y\na@example.com,z\n"


def overtaken(world: World) -> tuple[Import, Message]:
    """An import whose second batch has overtaken the first one, which is a dead letter; the third one waits."""
    job = world.accept(new_project(), THREE_ROWS, ImportOptions(COLUMN_MAP))
    world.deliver_event()
    ((group, (first, *_)),) = world.groups.items()
    world.poison = {(0, 0): "before it is applied"}
    for _ in range(MAX_RECEIVES):
        world.deliver_rows([(group, 1)])
    assert world.dead == [first]
    world.deliver_rows([(group, 1)])
    world.poison = {}
    return job, first


def an_overtaken_batch_that_row_batch_gets_once_more(world: World) -> None:
    """As after a redrive of dead letters: its row must not be applied after its successor's."""
    job, first = overtaken(world)
    world.dead, first.receives = [], 0
    world.groups[first.group].insert(0, first)
    world.finish()
    world.check(job, THREE_ROWS)


def an_overtaken_batch_that_is_given_up_last(world: World) -> None:
    """Whoever fills the last gap ends the import."""
    job, _ = overtaken(world)
    world.finish()
    world.check(job, THREE_ROWS)


def a_dry_run_with_a_value_that_gets_shorter(world: World) -> None:
    """Read too early, the contact has no room for the last row, which fails: no write, so no condition."""
    long = "x" * 20
    rows = (f"a@example.com,{long},", "a@example.com,x,", f"a@example.com,,{long}")
    content = "\n".join(("Email,First,Last", *rows, "")).encode()
    column_map = ColumnMap(email="Email", first_name="First", last_name="Last")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contact_imports.model.contact.MAX_CONTACT_BYTES", 60)
        imported(world, content, ImportOptions(column_map, dry_run=True))


def a_dry_run_right_after_an_import(world: World) -> None:
    content = b"Email,First\na@example.com,x\nb@example.com,x\n"
    project = new_project()
    job = imported(world, content, ImportOptions(COLUMN_MAP), project)
    contacts = world.pipeline.contacts_of(project)
    dry = world.accept(project, content, ImportOptions(COLUMN_MAP, OnConflict.SKIP, dry_run=True))
    world.finish()
    assert world.check(dry, content, contacts).counts.skipped == job.counts.created


def a_caller_who_polls(world: World) -> None:
    """Counts that GET has shown never go back."""
    content = b"Email,First\n" + b"".join(b"%c@example.com,x\n" % letter for letter in b"abcdef")
    job = world.accept(new_project(), content, ImportOptions(COLUMN_MAP))
    world.deliver_event()
    shown = [0]
    while waiting := [group for group, messages in world.groups.items() if messages]:
        world.deliver_rows([(waiting[0], 1)])
        for _ in range(3):
            with world.running("api"):
                found = world.pipeline.imports.get(job.id)
            assert found is not None
            shown.append(found.counts.settled)
    assert shown == sorted(shown)


def a_key_that_is_revoked(world: World) -> None:
    """It is refused at once, and a new one is accepted at once."""
    keys = ApiKeyTable(world.pipeline.dynamodb, "ApiKeysTable")
    with world.running("api"):
        text = keys.create([Scope.READ], ["p"], datetime.now(UTC))
        found = keys.find(text)
        assert found is not None
        assert keys.revoke(found.id)
        assert keys.find(text) is None


def a_new_key(world: World) -> None:
    keys = ApiKeyTable(world.pipeline.dynamodb, "ApiKeysTable")
    with world.running("api"):
        assert keys.find(keys.create([Scope.READ], ["p"], datetime.now(UTC))) is not None


@dataclass(frozen=True)
class Read:
    """A consistent read: the function of a store that makes it, perhaps only for one caller, or of one table.

    `seen_by` is the import that goes wrong if this read is late.
    """

    store: str
    seen_by: Callable[[World], None]
    caller: str = ""
    table: str = ""


CONTACT, PARTITION = "ContactTable._read_chunk", "ProgressRecords.get"
READS = {
    "an import that was just started": Read(
        "ImportTable._items", small_import, caller="process_upload"
    ),
    "an import whose partitions are done": Read(
        "ImportTable._items", small_import, caller="ImportTable.end_if_done"
    ),
    "an import that has just ended": Read(
        "ImportTable._items", small_import, caller="report_import"
    ),
    "an import that is stopped": Read(
        "ImportTable._items", an_upload_that_is_gone, caller="stop_import"
    ),
    "counts": Read("ImportTable._items", a_caller_who_polls, caller="ImportTable.get"),
    "gaps of a partition": Read(PARTITION, an_overtaken_batch_that_row_batch_gets_once_more),
    "a partition whose gap was just filled": Read(
        PARTITION, an_overtaken_batch_that_is_given_up_last, caller="ProgressRecords.commit"
    ),
    "lost rows of a partition": Read(
        "ProgressRecords.of_import", with_a_processor_that_fails_for_good
    ),
    "reasons of failed rows": Read("ProgressRecords._partition_errors", small_import),
    "the last write of a project": Read("ProjectWrites.is_quiet", there_and_back),
    "contacts of rows that change nothing": Read(
        CONTACT, there_and_back, caller="_BatchApplication._apply_slice"
    ),
    "contacts of a dead letter": Read(CONTACT, with_dead_letters, caller="_count_without_applying"),
    "contacts that a dry run wrote": Read(
        CONTACT, a_dry_run_with_a_value_that_gets_shorter, table="DryRunContactsTable"
    ),
    "contacts that a dry run reads": Read(
        CONTACT, a_dry_run_right_after_an_import, table="ContactsTable"
    ),
    "a revoked API key": Read("ApiKeyTable.find", a_key_that_is_revoked),
    "a new API key": Read("ApiKeyTable.find", a_new_key),
}


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Callable[[Read], None]:
    """Splits the small import's file as its other tests do, and others into batches of one row."""

    def split(read: Read) -> None:
        small = read.seen_by in (
            small_import,
            with_dead_letters,
            with_a_processor_that_fails_for_good,
        )
        monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2 if small else 1)
        monkeypatch.setattr(
            "contact_imports.jobs.split_upload.choose_partition_count", lambda _: 3 if small else 1
        )

    return split


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_read_that_were_late_would_be_seen(
    new_world: NewWorld,
    batches: Callable[[Read], None],
    tried: Callable[[str, int], None],
    read: Read,
) -> None:
    batches(read)
    late: list[str] = []

    def is_meant(arguments: dict[str, Any]) -> bool:
        running = set(callers())
        meant = (
            read.store in running
            and (not read.caller or read.caller in running)
            and (not read.table or read.table in arguments.get("RequestItems", {}))
        )
        late.extend([read.store] * meant)
        return meant

    seen_with = next((seed for seed in SEEDS if goes_wrong(new_world, read, seed, is_meant)), None)
    assert late
    assert seen_with is not None
    assert not goes_wrong(new_world, read, seen_with, None)
    tried("a consistent read answered as if it were not", 1)


def goes_wrong(new_world: NewWorld, read: Read, seed: int, late: TakesForStale | None) -> bool:
    world = new_world(seed)
    world.stale_share, world.takes_for_stale = STALE_SHARE, late
    try:
        read.seen_by(world)
    except AssertionError:
        return True
    finally:
        world.pipeline.delete_contacts()
    return False


def callers() -> Iterator[str]:
    """The qualified names of the functions that are running, the innermost first."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        yield frame.f_code.co_qualname


def test_every_consistent_read_of_the_code_is_one_of_these() -> None:
    found = {
        f"{store.name}.{function.name}"
        for path in AWS.glob("*.py")
        for store in ast.walk(ast.parse(path.read_text()))
        if isinstance(store, ast.ClassDef)
        for function in store.body
        if isinstance(function, ast.FunctionDef) and "ConsistentRead" in _names(function)
    }
    assert found == {read.store for read in READS.values()}


def _names(function: ast.FunctionDef) -> set[str]:
    keywords = {node.arg for node in ast.walk(function) if isinstance(node, ast.keyword)}
    keys = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    return {str(name) for name in keywords | keys}


def test_a_list_shows_an_import_as_it_is_or_not_yet(new_world: NewWorld) -> None:
    content = b"Email,First\na@example.com,x\nno email,x\n"
    for seed in range(3):
        world = new_world(seed)
        world.stale_share = 0.7
        project, now = new_project(), datetime.now(UTC)
        jobs = [world.accept(project, content, ImportOptions(COLUMN_MAP)) for _ in range(3)]
        listed = 0
        while world.events or any(world.groups.values()) or world.ended:
            world._deliver_one(0)
            with world.running("api"):
                shown = world.pipeline.imports.of_project(project, limit=2, now=now)
                again = world.pipeline.imports.of_project(
                    project, limit=9, before=shown.next_id, now=now
                )
            for job in (*shown.imports, *again.imports):
                current = world.pipeline.get(job)
                assert job.as_api(now) == current.as_api(now)
                listed += 1
            for page in (shown, again):
                ids = [job.id for job in page.imports]
                assert ids == sorted(set(ids), reverse=True)
                assert set(ids) <= {job.id for job in jobs}
        assert listed
        world.pipeline.delete_contacts()


def test_an_index_that_is_late_ends_nothing_twice(new_world: NewWorld) -> None:
    # The schedule sees imports as overdue that have ended, and ends as not followed that are.
    content = b"Email,First\na@example.com,x\n"
    for seed in range(5):
        world = new_world(seed)
        world.stale_share = 0.9
        long_ago = datetime.now(UTC) - timedelta(days=2)
        job, _ = world.pipeline.accept(
            new_project(), content, ImportOptions(COLUMN_MAP), now=long_ago
        )
        schedule = {"detail-type": "Scheduled Event"}
        while not world.pipeline.get(job).ended:
            world.invoke("dead_letter", schedule)
        world.deliver_ended()
        followed = world.pipeline.get(job)
        assert followed.followed
        for _ in range(3):
            world.invoke("dead_letter", schedule)
        assert world.ended == []
        assert world.pipeline.get(job) == followed
