"""Nothing that one project does can stop, or delay without bound, the end of another project's import.

The sweep of overdue imports, dead_letter and import_ended are given arbitrary items and events, of which a project
may have as many as it likes, and imports of another project among them. Those must end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.end_import import SWEPT_AGAIN_AFTER
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import FOLLOW_TRIES, Import, ImportOptions, Status
from tests.events import Context, ended_event, failure_event, handler, s3_event, sqs_event
from tests.pipeline import Pipeline, imports_of, items_of
from tests.simulation.world import new_project

OPTIONS = ImportOptions(ColumnMap(email="Email"))
FILE = b"Email\na@example.com\nno email\n"
ITEM_BYTES = 400 * 1024
LONG_AGO = timedelta(days=2)
SCHEDULE = {"detail-type": "Scheduled Event"}
TABLE = "ImportsTable"

arbitrary = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

names = st.sampled_from(
    [
        *("status", "onConflict", "onBlank", "dryRun", "tagNames", "createdAt", "expiresAt"),
        *("columnMap", "delimiter", "droppedKey", "upload", "total", "partitionCount", "failure"),
        *("counts", "error", "completedAt", "report", "objectVersion", "encoding", "other"),
    ]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        texts.map(lambda text: {"S": text}),
        st.integers(-(10**37), 10**37).map(lambda number: {"N": str(number)}),
        st.booleans().map(lambda truth: {"BOOL": truth}),
        st.just({"NULL": True}),
        st.sampled_from(["completed", "failed", "processing", "skip", "due"]).map(
            lambda text: {"S": text}
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: {"L": found}),
        st.dictionaries(texts, inner, max_size=3).map(lambda found: {"M": found}),
    ),
    max_leaves=4,
)
progress_names = st.sampled_from(["nextSeq", "ended", "gaps", "lost", "mostlyNew", "created"])


@dataclass(frozen=True)
class Hostile:
    """How an import's records differ from real ones, and which attribute fills the item up, if one does."""

    changes: dict[str, dict[str, Any] | None]
    partitions: dict[int, dict[str, Any]]
    filled: str | None


hostiles = st.builds(
    Hostile,
    st.dictionaries(names, st.none() | values, max_size=4),
    st.dictionaries(
        st.integers(0, 99), st.dictionaries(progress_names, values, max_size=3), max_size=2
    ),
    st.sampled_from([None, None, "columnMap", "other"]),
)


@pytest.fixture(autouse=True)
def nothing_left_behind(pipeline: Pipeline) -> Iterator[None]:
    yield
    remove_open_imports(pipeline)


def remove_open_imports(pipeline: Pipeline) -> None:
    for item in items_of(pipeline.dynamodb, TABLE):
        if "open" in item:
            key = {name: item[name] for name in ("importId", "record")}
            pipeline.dynamodb.delete_item(TableName=TABLE, Key=key)


def put_hostile(pipeline: Pipeline, project: str, hostile: Hostile, since: timedelta) -> Import:
    job, _ = pipeline.accept(project, FILE, OPTIONS, now=datetime.now(UTC) - since)
    key = {"importId": {"S": job.id}, "record": {"S": "import"}}
    item = pipeline.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    for name, value in hostile.changes.items():
        item.pop(name, None)
        if value is not None:
            item[name] = value
    pipeline.dynamodb.put_item(TableName=TABLE, Item=item)
    if hostile.filled is not None:
        fill(pipeline, item, hostile.filled)
    for partition, attributes in hostile.partitions.items():
        record = {"importId": {"S": job.id}, "record": {"S": f"partition#{partition:02}"}}
        pipeline.dynamodb.put_item(TableName=TABLE, Item=record | attributes)
    return job


def fill(pipeline: Pipeline, item: dict[str, Any], name: str) -> None:
    """Stores an item with an attribute as long as DynamoDB takes it, to less than what an end needs."""
    for size in range(ITEM_BYTES, 0, -100):
        item[name] = {"S": json.dumps({"email": "x" * size})}
        try:
            pipeline.dynamodb.put_item(TableName=TABLE, Item=item)
        except ClientError:
            continue
        return


class FewAttempts(Context):
    """A context whose time is over after some imports that the sweep has begun."""

    def __init__(self, attempts: int) -> None:
        super().__init__()
        self._left = attempts

    def get_remaining_time_in_millis(self) -> int:
        self._left -= 1
        return 30_000 if self._left >= 0 else 0


def sweep(attempts: int) -> None:
    # The limit of retries looks at the time once.
    handler("dead_letter").lambda_handler(SCHEDULE, FewAttempts(attempts + 1))


@example([Hostile({"partitionCount": {"N": "1000000000"}}, {}, None)] * 3, 1)
@arbitrary
@given(st.lists(hostiles, max_size=8), st.integers(1, 3))
def test_an_overdue_import_ends_whatever_is_overdue_before_it(
    pipeline: Pipeline, project: str, hostile: list[Hostile], attempts: int
) -> None:
    before = [put_hostile(pipeline, f"{project}-x", one, LONG_AGO * 2) for one in hostile]
    never_came, _ = pipeline.accept(project, FILE, OPTIONS, now=datetime.now(UTC) - LONG_AGO)
    stuck, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    pipeline.take_all()
    pipeline.imports.postpone(stuck.id, datetime.now(UTC) - LONG_AGO)
    # Every import that is overdue is tried once before any is tried again.
    for _ in range(-(-(len(before) + 2) // attempts)):
        sweep(attempts)
    for job in (never_came, stuck):
        ended = pipeline.get(job)
        assert ended.status is Status.FAILED
        assert ended.error
    remove_open_imports(pipeline)


@pytest.mark.parametrize("started", [False, True])
def test_an_import_whose_record_is_full_ends(
    pipeline: Pipeline, project: str, *, started: bool
) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    if started:
        pipeline.process(event)
        pipeline.take_all()
    key = {"importId": {"S": job.id}, "record": {"S": "import"}}
    fill(pipeline, pipeline.dynamodb.get_item(TableName=TABLE, Key=key)["Item"], "columnMap")
    pipeline.imports.postpone(job.id, datetime.now(UTC) - LONG_AGO)
    sweep(1)
    ended = pipeline.get(job)
    assert ended.status is Status.FAILED
    assert ended.counts.settled == ended.counts.total
    assert pipeline.finish(job).reported


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING])
def test_an_import_whose_record_is_full_is_failed_by_its_dead_letter(
    pipeline: Pipeline, project: str, status: Status
) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    key = {"importId": {"S": job.id}, "record": {"S": "import"}}
    item = pipeline.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    fill(pipeline, item | {"status": {"S": status.value}}, "columnMap")
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    assert pipeline.get(job).status is Status.FAILED


def test_a_reason_of_any_length_ends_an_import(pipeline: Pipeline, project: str) -> None:
    job, _ = pipeline.accept(project, FILE, OPTIONS)
    assert pipeline.imports.fail(job.id, "é" * 1_000_000, datetime.now(UTC))
    error = pipeline.get(job).error
    assert error is not None
    assert error.startswith("éé")
    assert len(error) < 10_000


def test_an_import_that_cannot_be_ended_is_logged_and_tried_again_later(
    pipeline: Pipeline,
    project: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handler("dead_letter").logger._logger, "disabled", False)
    hostile = Hostile({"partitionCount": {"N": "1000000000"}}, {}, None)
    job = put_hostile(pipeline, project, hostile, LONG_AGO)
    sweep(1)
    now = datetime.now(UTC)
    assert job.id not in set(pipeline.imports.overdue(now))
    assert job.id in set(pipeline.imports.overdue(now + SWEPT_AGAIN_AFTER + timedelta(minutes=1)))
    (record,) = [one for one in caplog.records if getattr(one, "import_id", None) == job.id]
    assert record.message == "overdue import could not be ended"
    assert vars(record)["error"] == "ValueError"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
batch_fields = st.sampled_from(
    [
        *("kind", "importId", "projectId", "partition", "seq", "last", "fields", "onConflict"),
        *("tags", "rows", "rejected", "dryRun", "repeated", "another"),
    ]
)
event_parts = st.sampled_from(
    ["key", "size", "eTag", "versionId", "sequencer", "object", "bucket", "s3", "Records"]
)
SURROGATE = "drop/x/\ud800.csv"
event_values = st.one_of(
    json_values,
    st.sampled_from(
        [SURROGATE, "drop/x/" + "é" * 1_000, "drop/x/c.csv", "%ED%A0%80", "e" * 10_000]
    ),
)


def row_batch(import_id: str, project: str) -> dict[str, Any]:
    return {
        "kind": "rows",
        "importId": import_id,
        "projectId": project,
        "partition": 0,
        "seq": 0,
        "last": True,
        "fields": ["email"],
        "onConflict": "upsert",
        "tags": [],
        "rows": [[2, ["a@example.com"]]],
        "rejected": [],
    }


ROW_WITHOUT_CELLS = json.dumps(row_batch("70dbd880aabbccddeeff0055", "x") | {"rows": [[2, []]]})
KEY_TOO_LONG = json.dumps(row_batch("70dbd880aabbccddeeff0066", "x" * 3_000))
bodies = st.one_of(
    texts,
    st.sampled_from([ROW_WITHOUT_CELLS, KEY_TOO_LONG]),
    json_values.map(json.dumps),
    st.dictionaries(batch_fields, json_values, max_size=3).map(
        lambda changes: json.dumps(row_batch("70dbd880aabbccddeeff0033", "x") | changes)
    ),
    st.dictionaries(
        st.sampled_from(["importId", "partition", "seq", "rows"]),
        st.sampled_from(
            ["", 64, 10**6, 10**18, -1, [], [[2, []]], [[2, [""]]], [[2, ["é" * 999]]]]
        ),
    ).map(lambda changes: json.dumps(row_batch("70dbd880aabbccddeeff0044", "x") | changes)),
)


def _replaced(value: Any, name: str, by: Any) -> Any:
    """A JSON value in which whatever has a name is something else."""
    if isinstance(value, list):
        return [_replaced(one, name, by) for one in value]
    if isinstance(value, dict):
        return {k: by if k == name else _replaced(v, name, by) for k, v in value.items()}
    return value


failures = st.one_of(
    bodies,
    st.builds(
        lambda key, name, by: json.dumps(
            {"requestPayload": _replaced(s3_event("uploads", key, "e", 1), name, by)}
        ),
        st.sampled_from([f"imports/x/{'0' * 24}.csv", "drop/x/c.csv", "drop/no project/c.csv"]),
        event_parts,
        event_values,
    ),
)
BAD_ETAG = json.dumps(
    {"requestPayload": _replaced(s3_event("uploads", "drop/x/c.csv", "e", 1), "eTag", "\ud800")}
)
BAD_VERSION = json.dumps({"requestPayload": s3_event("uploads", "drop/x/c.csv", 5, 1)})  # type: ignore[arg-type]
TOO_DEEP = "[" * 100_000


@example([KEY_TOO_LONG, ROW_WITHOUT_CELLS], [BAD_ETAG, BAD_VERSION, TOO_DEEP])
@arbitrary
@given(st.lists(bodies, max_size=6), st.lists(failures, max_size=6))
def test_a_dead_letter_is_counted_whatever_comes_before_it(
    pipeline: Pipeline, project: str, bad_bodies: list[str], bad_failures: list[str]
) -> None:
    given_up, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    (message,) = pipeline.take_all()
    unread, event = pipeline.accept(project, FILE, OPTIONS)
    bad = [
        {
            "MessageId": f"bad-{n}",
            "ReceiptHandle": "r",
            "Body": body,
            "Attributes": {"MessageGroupId": f"x:{n}"},
        }
        for n, body in enumerate(bad_bodies)
    ]
    records = sqs_event([*bad, message], "DeadLetterQueue.fifo")["Records"]
    for n, body in enumerate(bad_failures):
        hostile = {"MessageId": f"failure-{n}", "ReceiptHandle": "r", "Body": body}
        records += sqs_event([hostile], "ProcessorFailuresQueue")["Records"]
    records += failure_event(event)["Records"]
    answer = handler("dead_letter").lambda_handler({"Records": records}, Context())
    again = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert again.isdisjoint({message["MessageId"], "m"})
    # Whatever a processor failed by, dead_letter does not.
    assert not {one for one in again if one.startswith("failure-")}
    assert pipeline.get(given_up).status is Status.COMPLETED
    assert pipeline.get(unread).status is Status.FAILED


stream_records = st.one_of(
    st.builds(
        lambda name, by: _replaced(ended_event("0" * 24), name, by)["Records"],
        st.sampled_from(["Keys", "dynamodb", "importId", "record"]),
        st.one_of(json_values, values),
    ).filter(lambda records: isinstance(records, list)),
    st.just(ended_event("no id")["Records"]),
)


@arbitrary
@given(st.lists(hostiles, max_size=5), st.lists(stream_records, max_size=4))
def test_an_end_is_followed_whatever_ended_before_it(
    pipeline: Pipeline,
    project: str,
    hostile: list[Hostile],
    bad_records: list[list[dict[str, Any]]],
) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    ends = [put_hostile(pipeline, f"{project}-x", one, timedelta()) for one in hostile]
    ids = [*(end.id for end in ends), job.id]
    records = [record for bad in bad_records for record in bad]
    records += [record for import_id in ids for record in ended_event(import_id)["Records"]]
    with suppress(Exception):
        handler("import_ended").lambda_handler({"Records": records}, Context())
    assert pipeline.get(job).reported
    assert [row["row"] for row in pipeline.report(job)] == [3]
    remove_open_imports(pipeline)


@arbitrary
@given(st.lists(hostiles.filter(lambda one: one.filled != "other"), min_size=1, max_size=4))
def test_no_end_is_followed_again_for_ever(
    pipeline: Pipeline, project: str, hostile: list[Hostile]
) -> None:
    ended: dict[str, dict[str, Any] | None] = {
        "open": {"S": "reporting"},
        "report": {"S": "due"},
        "status": {"S": "failed"},
        "completedAt": {"S": datetime.now(UTC).isoformat()},
    }
    ends = [
        put_hostile(pipeline, project, replace(one, changes=ended | one.changes), timedelta())
        for one in hostile
    ]
    for _ in range(FOLLOW_TRIES + 1):
        for end in ends:
            pipeline.make_overdue(end.id)
        sweep(len(ends))
        for end in ends:
            with suppress(Exception):
                handler("import_ended").lambda_handler(ended_event(end.id), Context())
    assert set(pipeline.imports.unfollowed(datetime.now(UTC) + LONG_AGO)).isdisjoint(
        end.id for end in ends
    )
    remove_open_imports(pipeline)


encoded = st.builds(
    "=?{}?{}?{}?=".format,
    st.sampled_from(["utf-8", "UTF-7", "foo", "unicode_escape", "", "hex", "idna", "utf-8*en"]),
    st.sampled_from(["B", "Q", "q", "x"]),
    st.sampled_from(["YQ==", "a?", "=ff", "\\ud800", "====", "YQ", "=00", ""]) | texts,
)
metadata_names = st.sampled_from(
    [
        *("column-map", "columnMap", "delimiter", "on_conflict", "onBlank", "dryrun", "tags"),
        *("encoding", "tag", "projectId", "project-id", "x", "mtime"),
    ]
)
metadata_values = st.one_of(
    texts,
    encoded,
    json_values.map(json.dumps),
    st.sampled_from(["true", "skip", "\0", ",", "9" * 5000]),
)


@arbitrary
@given(st.dictionaries(metadata_names, metadata_values, max_size=4))
def test_a_dropped_file_becomes_one_import_whatever_its_metadata(
    pipeline: Pipeline, metadata: dict[str, str]
) -> None:
    project = new_project()
    event = pipeline.drop(f"drop/{project}/c.csv", FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Uploads, "metadata", lambda *_: metadata)
        for _ in range(2):
            pipeline.process(event)
    (job,) = imports_of(pipeline, project)
    assert bool(job.error) == (job.status is Status.FAILED)
    answer = handler("dead_letter").lambda_handler(failure_event(event), Context())
    assert answer["batchItemFailures"] == []
    pipeline.drain()
    assert pipeline.finish(job).followed


def test_an_import_that_cannot_be_reported_is_shown_without(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    key = {"importId": {"S": job.id}, "record": {"S": "import"}}
    item = pipeline.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    # Read as it was, the file has no such column: it was not this file, or not this map.
    column_map = {"S": '{"email":"Gone","customFields":{}}'}
    pipeline.dynamodb.put_item(TableName=TABLE, Item=item | {"columnMap": column_map})
    ended = pipeline.finish(job)
    assert ended.reported
    assert pipeline.reports.report_size(job) is None


def test_a_report_ends_in_time(pipeline: Pipeline, project: str) -> None:
    content = b"Email\n" + b"no email\n" * 20
    job, event = pipeline.accept(project, content, OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    # The time is looked at once for the limit of retries, five times while the file's beginning is read, and for each row.
    context = FewAttempts(1 + 5 + 5)
    margin = handler("import_ended").REPORT_ENDS_BEFORE_TIMEOUT_MS
    assert margin > 30_000
    handler("import_ended").lambda_handler(ended_event(job.id), LongContext(context))
    assert pipeline.get(job).reported
    assert [row["row"] for row in pipeline.report(job)] == [2, 3, 4, 5, 6]


def test_a_report_ends_in_time_where_failed_rows_are_far_between(
    pipeline: Pipeline, project: str
) -> None:
    # Three parts that are read from S3, and a failed row in the first and the last.
    row = b"a@example.com," + b"x" * 10_000 + b"\n"
    content = b"Email,Note\n" + b"no email,\n" + row * 300 + b"no email,\n"
    job, event = pipeline.accept(project, content, OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    handler("import_ended").lambda_handler(ended_event(job.id), LongContext(FewAttempts(9)))
    assert pipeline.get(job).followed
    assert [row["row"] for row in pipeline.report(job)] == [2]


class LongContext(Context):
    """The same for a function that has 15 minutes."""

    def __init__(self, few: FewAttempts) -> None:
        super().__init__()
        self._few = few

    def get_remaining_time_in_millis(self) -> int:
        return 30 * self._few.get_remaining_time_in_millis()
