"""The conditions of writes, one by one: each caller here has read its state before somebody else changed it.

The code looks at what it has read first, so a test that passes the current state never reaches the condition. For each term
of each condition there is a case that fails without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import QUIET_AFTER, ProjectWrites
from contact_imports.aws.tags_table import TagTable
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.messages.row_messages import PartitionEnd, RowBatch, RowMessage, SentRow
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact, OnConflict, Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import (
    Import,
    ImportOptions,
    Split,
    Status,
    Upload,
    new_import_id,
)
from contact_imports.model.progress import BatchKey, Partition
from contact_imports.model.stored_contact import CreatedBy, StoredContact
from local.stack import LocalStack
from tests.caller import UPLOADS, Caller
from tests.pipeline import Pipeline, items_of

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(seconds=1)

UPLOAD = Upload("imports/p/i.csv", "etag", 10)
REPLACED = replace(UPLOAD, etag="another")
COLUMN_MAP = ColumnMap(email="Email")


class _Meanwhile:
    """A client that lets something else happen once, just before it makes its first call of an operation."""

    def __init__(self, client: Any, operation: str, happens: Callable[[], object]) -> None:
        self._client, self._operation, self._happens = client, operation, happens
        self.happened = False

    def __getattr__(self, name: str) -> Any:
        if name == self._operation and not self.happened:
            self.happened = True
            self._happens()
        return getattr(self._client, name)


def meanwhile(client: Any, operation: str, happens: Callable[[], object]) -> Any:
    return _Meanwhile(client, operation, happens)


# ---------------------------------------------------------------- the import's record


def start(imports: ImportTable, import_id: str, total: int = 1, now: datetime = NOW) -> None:
    imports.start(
        import_id,
        total=total,
        split=Split(1),
        encoding="utf-8",
        delimiter=",",
        header_record=1,
        column_map=COLUMN_MAP,
        notes=(),
        now=now,
    )


def new_import(import_id: str, now: datetime = NOW) -> Import:
    return Import(import_id, "p", Status.PROCESSING, ImportOptions(COLUMN_MAP), now)


Change = Callable[[ImportTable, str], object]

CREATED: tuple[Change, ...] = (lambda imports, of: imports.create(new_import(of), NOW),)
CLAIMED: tuple[Change, ...] = (*CREATED, lambda imports, of: imports.claim(of, UPLOAD, NOW))
STARTED: tuple[Change, ...] = (*CLAIMED, start)
FAILED: tuple[Change, ...] = (*CLAIMED, lambda imports, of: imports.fail(of, "no file", NOW))
STATES: dict[str, tuple[Change, ...]] = {
    "absent": (),
    "created": CREATED,
    "claimed": CLAIMED,
    "claimed for another object": (
        *CREATED,
        lambda imports, of: imports.claim(of, REPLACED, NOW),
    ),
    "started": STARTED,
    "stopped": (*STARTED, lambda imports, of: imports.set_failure(of, "stopped")),
    # Ended without partitions, so that only `open` says so; and with them.
    "failed": FAILED,
    "ended": (*STARTED, lambda imports, of: imports.give_up(of, "overdue", NOW)),
    "followed": (*FAILED, lambda imports, of: imports.set_followed(of)),
}
OPEN = {"created", "claimed", "claimed for another object", "started", "stopped"}
NOT_STARTED = OPEN - {"started", "stopped"}

WRITES: dict[str, tuple[Change, set[str]]] = {
    "create": (lambda imports, of: imports.create(new_import(of, LATER), LATER), {"absent"}),
    "claim": (
        lambda imports, of: imports.claim(of, UPLOAD, LATER),
        {"created", "claimed", "started"},
    ),
    "start": (lambda imports, of: start(imports, of, total=2, now=LATER), NOT_STARTED),
    "fail": (lambda imports, of: imports.fail(of, "again", LATER), NOT_STARTED),
    "set_failure": (lambda imports, of: imports.set_failure(of, "again"), OPEN),
    "postpone": (lambda imports, of: imports.postpone(of, LATER), OPEN),
    "give_up": (lambda imports, of: imports.give_up(of, "again", LATER), OPEN),
    "follow_again": (lambda imports, of: imports.follow_again(of, LATER), {"failed", "ended"}),
    "set_reported": (
        lambda imports, of: imports.set_reported(of, LATER),
        STATES.keys() - {"absent"},
    ),
    "set_followed": (
        lambda imports, of: imports.set_followed(of),
        STATES.keys() - {"absent", "followed"},
    ),
}
"""Each write of an import's record, and the states in which it changes the record."""


def record_of(pipeline: Pipeline, import_id: str) -> Any:
    key = {"importId": {"S": import_id}, "record": {"S": "import"}}
    answer = pipeline.dynamodb.get_item(TableName=pipeline.imports_table, Key=key)
    return answer.get("Item")


def in_state(pipeline: Pipeline, state: str) -> str:
    """A new import that is in a state; returns its id."""
    import_id = new_import_id(NOW)
    for change in STATES[state]:
        change(pipeline.imports, import_id)
    return import_id


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_changes_an_import_only_in_these_states(
    pipeline: Pipeline, write: str, state: str
) -> None:
    change, allowed = WRITES[write]
    import_id = in_state(pipeline, state)
    before = record_of(pipeline, import_id)
    told = None
    try:
        told = change(pipeline.imports, import_id)
    except ClientError as error:
        # What follows an end that has expired meanwhile is an error: nobody would see a record without an import.
        assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
        assert (write, state) in {("set_reported", "absent"), ("set_followed", "absent")}
    assert (record_of(pipeline, import_id) != before) is (state in allowed)
    if write in {"create", "claim", "fail", "give_up", "postpone", "follow_again"}:
        assert bool(told) is (state in allowed)


def test_tries_of_the_schedule_are_counted(pipeline: Pipeline) -> None:
    open_import, ended = in_state(pipeline, "started"), in_state(pipeline, "ended")
    moments = [NOW + timedelta(seconds=n) for n in range(1, 4)]
    assert [pipeline.imports.postpone(open_import, moment) for moment in moments] == [1, 2, 3]
    assert [pipeline.imports.follow_again(ended, moment) for moment in moments] == [1, 2, 3]
    # The same once more is a try whose first answer was lost.
    assert pipeline.imports.postpone(open_import, moments[-1]) == 0
    assert pipeline.imports.follow_again(ended, moments[-1]) == 0


def test_a_claim_is_for_one_version_of_an_object(pipeline: Pipeline) -> None:
    first, second = replace(UPLOAD, version_id="1"), replace(UPLOAD, version_id="2")
    import_id = in_state(pipeline, "created")
    assert pipeline.imports.claim(import_id, first, NOW) is not None
    assert pipeline.imports.claim(import_id, second, NOW) is None
    claimed = pipeline.imports.claim(import_id, first, NOW)
    assert claimed is not None
    assert claimed.upload == first


@pytest.mark.parametrize("other", ["ends it too", "gives it up"])
def test_an_import_that_two_see_done_ends_once(pipeline: Pipeline, other: str) -> None:
    import_id = in_state(pipeline, "started")
    batch = BatchKey(import_id, 0, 0, last=True)
    pipeline.progress.commit(batch, Partition(), {Outcome.CREATED: 1}, [])

    def end() -> None:
        if other == "gives it up":
            assert pipeline.imports.give_up(import_id, "overdue", NOW)
        else:
            assert pipeline.imports.end_if_done(import_id, NOW) is not None

    client = meanwhile(pipeline.dynamodb, "update_item", end)
    assert ImportTable(client, pipeline.imports_table).end_if_done(import_id, LATER) is None
    assert client.happened
    ended = pipeline.imports.get(import_id)
    assert ended is not None
    assert ended.completed_at == NOW
    assert ended.status is (Status.FAILED if other == "gives it up" else Status.COMPLETED)


def test_an_import_whose_partition_has_a_gap_does_not_end(pipeline: Pipeline) -> None:
    import_id = in_state(pipeline, "started")
    pipeline.progress.commit(BatchKey(import_id, 0, 1, last=True), Partition(), {}, [])
    assert pipeline.imports.end_if_done(import_id, NOW) is None
    pipeline.progress.commit(BatchKey(import_id, 0, 0, last=False), Partition(), {}, [])
    assert pipeline.imports.end_if_done(import_id, NOW) is not None


def test_a_dropped_object_has_the_import_of_whoever_was_first(pipeline: Pipeline) -> None:
    identity = new_import_id(NOW)
    first, second = new_import_id(NOW), new_import_id(NOW + timedelta(days=1))
    assert pipeline.imports.id_of_dropped(identity, first) == first
    key = {"importId": {"S": f"drop#{identity}"}, "record": {"S": "dropped"}}
    before = pipeline.dynamodb.get_item(TableName=pipeline.imports_table, Key=key)["Item"]
    assert pipeline.imports.id_of_dropped(identity, second) == first
    after = pipeline.dynamodb.get_item(TableName=pipeline.imports_table, Key=key)["Item"]
    assert after == before


# ---------------------------------------------------------------- a partition's progress


def batch(import_id: str, seq: int) -> BatchKey:
    return BatchKey(import_id, 0, seq, last=False)


def commit(
    progress: ProgressRecords, import_id: str, seq: int, known: Partition, failed: int, why: str
) -> Partition:
    """Counts a batch of one row that was created, and of some that failed."""
    errors = [RowError(10 * seq + n, "invalid_email", why) for n in range(failed)]
    outcomes = {Outcome.CREATED: 1, Outcome.FAILED: failed}
    return progress.commit(batch(import_id, seq), known, outcomes, errors)


@dataclass(frozen=True)
class Stale:
    """A batch whose caller has read its partition when batches `before` were counted.

    Then somebody counts batches `meanwhile`, and may end the partition (or end it and forget its gaps). After all, each
    batch in `counted` has been counted once, and so has the caller's if `counts`.
    """

    before: tuple[int, ...]
    meanwhile: tuple[int, ...]
    seq: int
    ends: bool = False
    forgets: bool = False
    counts: bool = False


STALE = {
    # attribute_not_exists(nextSeq)
    "of a fresh partition, counted meanwhile": Stale((), (0,), 0),
    "of a fresh partition, counted with its successor": Stale((), (0, 1), 0),
    "of a fresh partition, overtaken meanwhile": Stale((), (1,), 0, counts=True),
    "that overtakes in a fresh partition, counted meanwhile": Stale((), (2,), 2),
    # nextSeq = :known
    "that is next, counted meanwhile": Stale((0,), (1,), 1),
    "that is next, counted with its successor": Stale((0,), (1, 2), 1),
    "that is next, overtaken meanwhile": Stale((0,), (2,), 1, counts=True),
    "that overtakes, counted meanwhile": Stale((0,), (2,), 2),
    "that overtakes, whose gap was counted meanwhile": Stale((0,), (1,), 2, counts=True),
    # attribute_not_exists(ended)
    "of a fresh partition that was ended": Stale((), (), 0, ends=True),
    "that is next in a partition that was ended": Stale((0,), (), 1, ends=True),
    "that overtakes in a partition that was ended": Stale((0,), (), 2, ends=True),
    # contains(gaps, :seq)
    "in a gap that was filled": Stale((1,), (0,), 0),
    "in one of two gaps that was filled": Stale((2,), (0,), 0),
    "in the other of two gaps": Stale((2,), (0,), 1, counts=True),
    "in a gap that was given up": Stale((1,), (), 0, ends=True, forgets=True),
    "in a gap of a partition that was ended": Stale((1,), (), 0, ends=True, counts=True),
    # No term: what is told must be the partition as it is, or nobody knows that it is done.
    "in a gap, while the next one was counted": Stale((1,), (2,), 0, counts=True),
    "that is next, while a gap was filled": Stale((1,), (0,), 2, counts=True),
    "that overtakes, while a gap was filled": Stale((1,), (0,), 3, counts=True),
}


@pytest.mark.parametrize("failed", [0, 2], ids=["update", "transaction"])
@pytest.mark.parametrize("case", STALE.values(), ids=STALE.keys())
def test_a_batch_whose_caller_is_late_is_counted_once_or_not(
    pipeline: Pipeline, case: Stale, failed: int
) -> None:
    import_id, progress = new_import_id(NOW), pipeline.progress
    for seq in case.before:
        commit(progress, import_id, seq, progress.get(import_id, 0), failed, "first")
    stale = progress.get(import_id, 0)
    for seq in case.meanwhile:
        commit(progress, import_id, seq, progress.get(import_id, 0), failed, "first")
    if case.ends:
        progress.end_partition(import_id, 0, forget_gaps=case.forgets)
    current = progress.get(import_id, 0)
    assert not stale.is_closed_for(case.seq)
    told = commit(progress, import_id, case.seq, stale, failed, "second")
    assert told == progress.get(import_id, 0)
    counted = [*case.before, *case.meanwhile, *([case.seq] * case.counts)]
    assert counters_of(pipeline, import_id) == (len(counted), failed * len(counted))
    if not case.counts:
        assert told == current
    assert told.counted(case.seq) is (case.seq in counted)
    reasons = {(e.row // 10, e.message) for e in progress.errors(import_id, 1)}
    first = {(seq, "first") for seq in (*case.before, *case.meanwhile)}
    second = {(case.seq, "second")} if case.counts else set()
    assert reasons == (first | second if failed else set())


def test_a_row_batch_and_its_reasons_are_written_together(pipeline: Pipeline) -> None:
    # Of two callers that know the same, each with other reasons: those of the one that counted.
    import_id, progress = new_import_id(NOW), pipeline.progress

    def other() -> None:
        commit(progress, import_id, 0, Partition(), 1, "first")

    client = meanwhile(pipeline.dynamodb, "transact_write_items", other)
    late = ProgressRecords(client, pipeline.imports_table)
    assert commit(late, import_id, 0, Partition(), 2, "second") == progress.get(import_id, 0)
    assert client.happened
    assert [error.message for error in progress.errors(import_id, 1)] == ["first"]
    assert counters_of(pipeline, import_id) == (1, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a gap", "the last batch"),
        ("the last batch", "a gap"),
        ("a gap", "the partition's end"),
        ("the partition's end", "a gap"),
    ],
)
def test_an_import_ends_whose_gap_and_last_message_are_handled_at_the_same_time(
    pipeline: Pipeline, project: str, first: str, second: str
) -> None:
    last_is_sent = "the last batch" in (first, second)
    import_id = in_state(pipeline, "claimed")
    start(pipeline.imports, import_id, total=2 + last_is_sent)
    commit(pipeline.progress, import_id, 1, Partition(), 0, "")

    def handle(which: str, client: Any) -> None:
        stores = RowBatchStores(
            pipeline.imports,
            ProgressRecords(client, pipeline.imports_table),
            pipeline.writes,
            pipeline.contacts,
            pipeline.contacts,
        )
        gap = which == "a gap"
        message: RowMessage = RowBatch(
            import_id,
            project,
            0,
            seq=0 if gap else 2,
            last=not gap,
            fields=("email",),
            on_conflict=OnConflict.UPSERT,
            tags=(),
            rows=[SentRow(2, ["a@example.com"])],
            rejected=[],
        )
        if which == "the partition's end":
            message = PartitionEnd(import_id, project, 0)
        handle_message(message, stores, NOW, give_up=gap)

    # The row of the gap is given up with its reason, so it is counted in a transaction.
    operation = "transact_write_items" if first == "a gap" else "update_item"
    client = meanwhile(pipeline.dynamodb, operation, lambda: handle(second, pipeline.dynamodb))
    handle(first, client)
    assert client.happened
    ended = pipeline.imports.get(import_id)
    assert ended is not None
    assert ended.status is Status.COMPLETED
    assert ended.counts.settled == ended.counts.total


def counters_of(pipeline: Pipeline, import_id: str) -> tuple[int, int]:
    key = {"importId": {"S": import_id}, "record": {"S": "partition#00"}}
    item = pipeline.dynamodb.get_item(TableName=pipeline.imports_table, Key=key).get("Item", {})
    created, failed = (int(item.get(name, {"N": "0"})["N"]) for name in ("created", "failed"))
    return created, failed


def test_a_partition_ends_with_its_gaps_or_without(pipeline: Pipeline) -> None:
    import_id, progress = new_import_id(NOW), pipeline.progress
    commit(progress, import_id, 2, Partition(), 0, "")
    two_gaps = Partition(3, ended=True, gaps=frozenset({0, 1}), mostly_new=True)
    assert progress.end_partition(import_id, 0) == two_gaps
    forgotten = replace(two_gaps, gaps=frozenset(), lost=frozenset({0, 1}))
    assert progress.end_partition(import_id, 0, forget_gaps=True) == forgotten
    # Again, as the schedule does it: what was lost stays.
    assert progress.end_partition(import_id, 0, forget_gaps=True) == forgotten
    assert progress.get(import_id, 0) == forgotten


def test_gaps_that_are_filled_while_they_are_given_up_are_not_lost(pipeline: Pipeline) -> None:
    import_id, progress = new_import_id(NOW), pipeline.progress
    commit(progress, import_id, 2, Partition(), 0, "")

    def fill() -> None:
        commit(progress, import_id, 0, Partition(), 0, "")

    client = meanwhile(pipeline.dynamodb, "update_item", fill)
    late = ProgressRecords(client, pipeline.imports_table)
    ended = late.end_partition(import_id, 0, forget_gaps=True)
    assert client.happened
    assert ended == Partition(3, ended=True, lost=frozenset({1}), mostly_new=True)
    assert ended == progress.get(import_id, 0)


# ---------------------------------------------------------------- contacts


def stored(email: str, version: int, name: str) -> StoredContact:
    return StoredContact(Contact(email, {"name": name}), version, CreatedBy(new_import_id(NOW), 2))


@pytest.mark.parametrize("written", [1, 2, 3])
@pytest.mark.parametrize("there", [0, 1, 2, 3])
def test_a_contact_is_written_after_the_version_that_was_read(
    pipeline: Pipeline, project: str, there: int, written: int
) -> None:
    first, other = "a@example.com", "b@example.com"
    for version in range(1, there + 1):
        assert pipeline.contacts.write(project, [stored(first, version, f"v{version}")]) == set()
    conflicts = pipeline.contacts.write(
        project, [stored(first, written, "late"), stored(other, 1, "other")]
    )
    found = pipeline.contacts.read(project, [first, other])
    shown = {e: (c.version, c.contact.fields["name"]) for e, c in found.items()}
    assert shown.pop(other) == (1, "other")
    if written == there + 1:
        assert conflicts == set()
        assert shown == {first: (written, "late")}
    else:
        assert conflicts == {first}
        assert shown == ({first: (there, f"v{there}")} if there else {})


def test_a_late_note_of_an_earlier_write_does_not_make_a_project_quiet(pipeline: Pipeline) -> None:
    # A batch notes the time of its beginning, up to two minutes late, and so may put an older time over a newer one.
    project, beginning = new_import_id(NOW), NOW
    longest = timedelta(minutes=2)
    ProjectWrites(pipeline.dynamodb, pipeline.imports_table).note(project, NOW + longest)
    ProjectWrites(pipeline.dynamodb, pipeline.imports_table).note(project, beginning)
    last_write = NOW + longest + timedelta(seconds=30) + longest
    reader = ProjectWrites(pipeline.dynamodb, pipeline.imports_table)
    assert not reader.is_quiet(project, last_write + timedelta(minutes=5))
    assert reader.is_quiet(project, NOW + longest + QUIET_AFTER)


# ---------------------------------------------------------------- tags, API keys, answers to repeated requests


def test_a_tag_stays_as_it_was_created(pipeline: Pipeline, project: str) -> None:
    tags = TagTable(pipeline.dynamodb, pipeline.tags_table)
    tags.create_missing(project, ["old"], NOW)
    tags.create_missing(project, ["old", "new"], LATER)
    tags.create_missing(f"{project}2", ["old"], LATER)
    created = {}
    for of_project, name in ((project, "old"), (project, "new"), (f"{project}2", "old")):
        key = {"projectId": {"S": of_project}, "name": {"S": name}}
        item = pipeline.dynamodb.get_item(TableName=pipeline.tags_table, Key=key)["Item"]
        created[of_project, name] = datetime.fromisoformat(item["createdAt"]["S"])
    assert list(created.values()) == [NOW, LATER, LATER]


def test_a_key_is_never_put_over_another(
    embedded_aws: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeyTable(embedded_aws.client("dynamodb"), embedded_aws.outputs["ApiKeysTable"])
    first = keys.create([Scope.READ], ["a"], NOW)
    key_id = first.split("_")[1]
    monkeypatch.setattr("contact_imports.aws.api_keys_table.secrets.token_hex", lambda _: key_id)
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        keys.create([Scope.WRITE], ["b"], NOW)
    found = keys.find(first)
    assert found is not None
    assert found.projects == {"a"}


@pytest.fixture(scope="module")
def caller(embedded_aws: LocalStack, function_environment: None) -> Caller:
    return Caller(embedded_aws, "conditions")


PAST, FUTURE = NOW - timedelta(minutes=1), NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "in_progress_until", "kept_until", "answer"),
    [
        ("COMPLETED", FUTURE, FUTURE, "the same"),
        ("COMPLETED", PAST, FUTURE, "the same"),
        ("COMPLETED", PAST, PAST, "another import"),
        ("INPROGRESS", FUTURE, FUTURE, "in progress"),
        ("INPROGRESS", PAST, FUTURE, "another import"),
        ("INPROGRESS", FUTURE, PAST, "another import"),
    ],
)
def test_a_repeated_request_is_answered_by_what_became_of_the_first(
    embedded_aws: LocalStack,
    caller: Caller,
    status: str,
    in_progress_until: datetime,
    kept_until: datetime,
    answer: str,
) -> None:
    dynamodb, table = embedded_aws.client("dynamodb"), embedded_aws.outputs["IdempotencyTable"]
    for item in items_of(dynamodb, table):
        dynamodb.delete_item(TableName=table, Key={"id": item["id"]})
    headers = {"Idempotency-Key": new_import_id(NOW)}
    first = caller.ask(UPLOADS, **headers).json()["data"]
    (item,) = items_of(dynamodb, table)
    assert item["status"] == {"S": "COMPLETED"}
    changed = {
        "status": {"S": status},
        "expiration": {"N": str(int(kept_until.timestamp()))},
        "in_progress_expiration": {"N": str(int(in_progress_until.timestamp() * 1000))},
    }
    assert changed.keys() <= item.keys()
    dynamodb.put_item(TableName=table, Item=item | changed)
    again = caller.ask(UPLOADS, **headers)
    if answer == "in progress":
        assert (again.status, again.json()["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
        return
    assert (again.status, again.json()["data"] == first) == (200, answer == "the same")
    assert (again.json()["data"]["id"] == first["id"]) is (answer == "the same")
