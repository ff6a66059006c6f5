"""The metrics of whole imports, read back from what the functions print, against the imports themselves."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws.metrics import Metric
from contact_imports.aws.retry import take_waits
from contact_imports.jobs.end_import import SWEPT_AGAIN_AFTER
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import Import, ImportOptions, Status, import_time
from local.stack import LocalStack
from tests import emitted
from tests.caller import Caller
from tests.events import Context, failure_event, handler
from tests.http_faults import HttpFault, http_faults
from tests.integration.test_report import Bus
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, imports_of

OPTIONS = ImportOptions(ColumnMap(email="Email"))
FILE = b"Email,First Name\n" + b"".join(
    (b"c%d@example.com,A\n" % row, b"no email %d,B\n" % row, b"C%d@example.com,D\n" % row)[row % 3]
    for row in range(40)
)

pytestmark = pytest.mark.usefixtures("many_batches")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus()
    monkeypatch.setattr("functions.import_ended.app.events", bus)
    return bus


@pytest.fixture(autouse=True)
def no_waits_of_other_tests() -> None:
    take_waits()


def of_end(job: Import) -> dict[str, list[float]]:
    """What is sent of an import's end."""
    assert job.completed_at is not None
    ended = Metric.IMPORTS_COMPLETED if job.status is Status.COMPLETED else Metric.IMPORTS_FAILED
    return {
        ended: [1],
        Metric.ROWS_CREATED: [job.counts.created],
        Metric.ROWS_UPDATED: [job.counts.updated],
        Metric.ROWS_SKIPPED: [job.counts.skipped],
        Metric.ROWS_FAILED: [job.counts.failed],
        Metric.SECONDS_TO_END: [(job.completed_at - job.created_at).total_seconds()],
    }


def sweep(capsys: Capture) -> dict[str, list[float]]:
    capsys.readouterr()
    handler("dead_letter").lambda_handler({"detail-type": "Scheduled Event"}, Context())
    return emitted.values(capsys)


def in_index(pipeline: Pipeline, state: str) -> set[str]:
    """The ids of the imports whose attribute `open` is this."""
    pages = pipeline.dynamodb.get_paginator("scan").paginate(TableName=pipeline.imports_table)
    items = (item for page in pages for item in page["Items"])
    return {item["importId"]["S"] for item in items if item.get("open") == {"S": state}}


def test_a_whole_import_is_counted_once(
    pipeline: Pipeline, embedded_aws: LocalStack, project: str, capsys: Capture
) -> None:
    reference = counts_of(expected(FILE, OPTIONS))
    assert min(reference["failed"], reference["created"]) > 0
    caller = Caller(embedded_aws, project)
    caller.post_file(file=FILE.decode())
    assert emitted.values(capsys) == {Metric.IMPORTS_ACCEPTED: [1]}

    (job,) = imports_of(pipeline, project)
    pipeline.process(pipeline.upload_event(job))
    messages = pipeline.take_all()
    assert len(messages) > 2
    # Some batches are delivered twice, and counted once.
    assert pipeline.apply(messages[:1]) == pipeline.apply(messages) == []
    assert emitted.values(capsys) == {}

    ended = pipeline.finish(job)
    sent = capsys.readouterr().out
    (line,) = emitted.read(sent)
    assert line.namespace == "test"
    assert line.values == of_end(ended)
    assert ended.counts.as_dict() == reference
    assert line.units == dict.fromkeys(line.values, "Count") | {"SecondsToEnd": "Seconds"}
    assert "example.com" not in sent

    # What follows an end is done once, so it is counted once, however often the stream tells of it.
    pipeline.finish(job)
    assert emitted.values(capsys) == {}


def test_a_dropped_file_is_accepted_once(pipeline: Pipeline, project: str, capsys: Capture) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE)
    pipeline.process(event)
    pipeline.process(event)
    assert emitted.values(capsys) == {Metric.IMPORTS_ACCEPTED: [1]}
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    ended = pipeline.finish(job)
    assert ended.status is Status.COMPLETED
    assert emitted.values(capsys) == of_end(ended)


def test_a_file_that_cannot_be_imported(pipeline: Pipeline, project: str, capsys: Capture) -> None:
    job, event = pipeline.accept(project, b"no header\n", OPTIONS)
    pipeline.process(event)
    ended = pipeline.finish(job)
    assert ended.status is Status.FAILED
    assert emitted.values(capsys) == of_end(ended)


def test_a_batch_that_is_put_off_or_fails_is_seen(
    pipeline: Pipeline, project: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    messages = pipeline.take_all()
    for error, metric in (
        (ClientError({"Error": {"Code": "ThrottlingException"}}, "X"), Metric.ROW_BATCHES_PUT_OFF),
        (RuntimeError(), Metric.ROW_BATCHES_FAILED),
    ):

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr("functions.row_batch.app.handle_message", fail)
            # Lambda's own Errors stay 0: the function returns.
            assert len(pipeline.apply(messages[:1])) == 1
        assert emitted.values(capsys) == {metric: [1]}
    assert pipeline.apply(messages) == []
    assert emitted.values(capsys) == {}


def test_what_is_given_up_is_seen(pipeline: Pipeline, project: str, capsys: Capture) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    messages = pipeline.take_all()
    assert pipeline.give_up(messages[:1]) == []
    assert pipeline.apply(messages[1:]) == []
    assert emitted.values(capsys) == {Metric.ROW_BATCHES_GIVEN_UP: [1]}
    ended = pipeline.finish(job)
    assert ended.counts.failed > counts_of(expected(FILE, OPTIONS))["failed"]
    assert emitted.values(capsys) == of_end(ended)

    assert pipeline.give_up([messages[0] | {"Body": "{"}]) == []
    assert emitted.values(capsys) == {Metric.ROW_BATCHES_GIVEN_UP: [1]}


def test_a_file_that_is_given_up_is_seen(pipeline: Pipeline, project: str, capsys: Capture) -> None:
    job, event = pipeline.accept(project, FILE, OPTIONS)
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    assert emitted.values(capsys) == {Metric.UPLOADS_GIVEN_UP: [1]}
    ended = pipeline.finish(job)
    assert ended.status is Status.FAILED
    assert emitted.values(capsys) == of_end(ended)

    # A dropped one is accepted only by its failure, if the processor never recorded it.
    dropped = pipeline.drop(f"drop/{project}/c.csv", FILE)
    handler("dead_letter").lambda_handler(failure_event(dropped), Context())
    assert emitted.values(capsys) == {
        Metric.IMPORTS_ACCEPTED: [1],
        Metric.UPLOADS_GIVEN_UP: [1],
    }


def test_every_wait_for_aws_is_counted(
    pipeline: Pipeline, project: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.aws.retry._BASE_SECONDS", 0)
    requests = itertools.count()
    throttled: list[HttpFault] = []

    def fault() -> HttpFault | None:
        if next(requests) % 3:
            return None
        throttled.append("throttled")
        return throttled[-1]

    _, event = pipeline.accept(project, FILE, OPTIONS)
    capsys.readouterr()
    with http_faults(fault):
        pipeline.process(event)
        assert emitted.values(capsys) == {Metric.THROTTLED_WAITS: [len(throttled)]}
        throttled.clear()
        assert pipeline.apply(pipeline.take_all()) == []
        assert emitted.values(capsys) == {Metric.THROTTLED_WAITS: [len(throttled)]}


def test_waits_are_told_of_a_function_that_fails(
    pipeline: Pipeline, project: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.aws.retry._BASE_SECONDS", 0)
    monkeypatch.setattr("contact_imports.aws.retry.RESERVED_SECONDS", 0)
    _, event = pipeline.accept(project, FILE, OPTIONS)
    with http_faults(lambda: "throttled"), pytest.raises(ClientError):
        handler("processor").lambda_handler(event, Context(remaining_time_in_millis=200))
    sent = emitted.values(capsys)
    assert sent.keys() == {Metric.THROTTLED_WAITS}
    assert sent[Metric.THROTTLED_WAITS][0] > 0


def test_the_sweep_tells_what_is_open_and_since_when(
    pipeline: Pipeline, project: str, capsys: Capture
) -> None:
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    job, _ = pipeline.accept(project, FILE, OPTIONS, two_days_ago)
    # It would be ended by the sweep otherwise, as it is overdue.
    pipeline.imports.postpone(job.id, datetime.now(UTC) + SWEPT_AGAIN_AFTER)
    before = datetime.now(UTC)
    sent = sweep(capsys)
    after = datetime.now(UTC)
    still_open = in_index(pipeline, "open")
    assert job.id in still_open
    assert sent[Metric.OPEN_IMPORTS] == [len(still_open)]
    oldest = min(map(import_time, still_open))
    (age,) = sent[Metric.OLDEST_OPEN_IMPORT_SECONDS]
    assert (before - oldest).total_seconds() <= age <= (after - oldest).total_seconds()
    pipeline.imports.give_up(job.id, "enough", datetime.now(UTC))
    pipeline.finish(job)
    assert sweep(capsys)[Metric.OPEN_IMPORTS] == [len(still_open) - 1]


def test_the_sweep_tells_which_ends_nothing_has_followed(
    pipeline: Pipeline, project: str, capsys: Capture
) -> None:
    now = datetime.now(UTC)
    # The oldest end is not that of the oldest import, nor that of the first deadline.
    ages = {"first": (50, 1), "second": (40, 30), "third": (20, 10)}
    jobs = {}
    for name, (accepted, ended) in ages.items():
        jobs[name], _ = pipeline.accept(project, FILE, OPTIONS, now - timedelta(days=accepted))
        assert pipeline.imports.fail(jobs[name].id, "why", now - timedelta(days=ended))
        pipeline.imports.follow_again(jobs[name].id, now)
    before = datetime.now(UTC)
    sent = sweep(capsys)
    after = datetime.now(UTC)
    waiting = in_index(pipeline, "reporting")
    assert {job.id for job in jobs.values()} <= waiting
    assert sent[Metric.UNREPORTED_ENDS] == [len(waiting)]
    oldest = now - timedelta(days=ages["second"][1])
    (age,) = sent[Metric.OLDEST_UNREPORTED_END_SECONDS]
    assert (before - oldest).total_seconds() <= age <= (after - oldest).total_seconds()
    for job in jobs.values():
        pipeline.finish(job)
    assert sweep(capsys)[Metric.UNREPORTED_ENDS] == [len(waiting) - len(jobs)]


def test_the_sweep_tells_what_it_could_not_do(
    pipeline: Pipeline, project: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Metric.SWEEP_FAILURES not in sweep(capsys)
    job, _ = pipeline.accept(project, FILE, OPTIONS)
    pipeline.make_overdue(job.id)

    def refuse(*_: Any) -> bool:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")

    with monkeypatch.context() as patch:
        patch.setattr("contact_imports.aws.imports_table.ImportTable.fail", refuse)
        sent = sweep(capsys)
    assert sent[Metric.SWEEP_FAILURES] == [1]
    # It goes on, and tells of the rest.
    assert sent[Metric.OPEN_IMPORTS] == [len(in_index(pipeline, "open"))]


@pytest.mark.parametrize("completed_at", [{"S": "?"}, {"N": "1"}, {"S": "2030-01-02T03:04:05"}])
def test_an_end_that_cannot_be_read_hides_no_other(
    pipeline: Pipeline, project: str, capsys: Capture, completed_at: dict[str, str]
) -> None:
    now = datetime.now(UTC)
    bad, good = (
        pipeline.accept(project, FILE, OPTIONS, now - timedelta(days=days))[0] for days in (70, 60)
    )
    for job in (bad, good):
        assert pipeline.imports.fail(job.id, "why", now - timedelta(days=55))
        pipeline.imports.follow_again(job.id, now)
    pipeline.dynamodb.update_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": bad.id}, "record": {"S": "import"}},
        UpdateExpression="SET completedAt = :bad",
        ExpressionAttributeValues={":bad": completed_at},
    )
    sent = sweep(capsys)
    assert sent[Metric.UNREPORTED_ENDS] == [len(in_index(pipeline, "reporting"))]
    assert sent[Metric.OLDEST_UNREPORTED_END_SECONDS][0] >= timedelta(days=55).total_seconds()
    for job in (bad, good):
        pipeline.imports.set_followed(job.id)
