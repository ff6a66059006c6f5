"""Everything follows every end: if the stream lost it, if its report cannot be made, if nothing can be made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws.report_files import ReportFiles
from contact_imports.jobs.end_import import SWEEPS
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import (
    FOLLOW_TRIES,
    REPORT_TRIES,
    Import,
    ImportOptions,
    Status,
)
from tests.events import Context, ended_event, handler
from tests.integration.test_drop_bucket import text_of
from tests.integration.test_report import Bus
from tests.pipeline import Pipeline, imports_of

OPTIONS = ImportOptions(ColumnMap(email="Email"))
FILE = b"Email\na@example.com\nno email\n"


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus()
    monkeypatch.setattr("functions.import_ended.app.events", bus)
    return bus


def ended_import(pipeline: Pipeline, project: str) -> Import:
    """An import that has ended, and that nothing has followed."""
    job, event = pipeline.accept(project, FILE, OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    return job


def record(pipeline: Pipeline, job: Import) -> dict[str, Any]:
    key = {"importId": {"S": job.id}, "record": {"S": "import"}}
    return dict(pipeline.dynamodb.get_item(TableName="ImportsTable", Key=key)["Item"])


def sweep(pipeline: Pipeline, job: Import) -> bool:
    """One run of the schedule when what follows an end is late; whether the stream then tells of the end again."""
    pipeline.make_overdue(job.id)
    before = record(pipeline, job)
    handler("dead_letter").lambda_handler({"detail-type": "Scheduled Event"}, Context())
    after = record(pipeline, job)
    return before != after and after["report"] == {"S": "due"}


def follow(job: Import) -> None:
    handler("import_ended").lambda_handler(ended_event(job.id), Context())


def refuse(*_: Any, **__: Any) -> None:
    raise ClientError({"Error": {"Code": "InternalError", "Message": ""}}, "PutObject")


def test_an_end_that_the_stream_lost_is_followed(
    pipeline: Pipeline, project: str, bus: Bus
) -> None:
    job = ended_import(pipeline, project)
    now = datetime.now(UTC)
    assert job.id not in set(pipeline.imports.unfollowed(now))
    assert job.id in set(pipeline.imports.unfollowed(now + timedelta(hours=2)))
    assert sweep(pipeline, job)
    # Not every minute from then on.
    assert job.id not in set(pipeline.imports.unfollowed(datetime.now(UTC)))
    follow(job)
    assert pipeline.get(job).followed
    assert [row["row"] for row in pipeline.report(job)] == [3]
    assert len(bus.entries) == 1
    assert not {"open", "deadline"} & set(record(pipeline, job))
    assert not sweep(pipeline, job)


def test_an_end_is_neither_open_nor_overdue(pipeline: Pipeline, project: str) -> None:
    job = ended_import(pipeline, project)
    before = pipeline.get(job)
    pipeline.make_overdue(job.id)
    now = datetime.now(UTC)
    assert job.id not in set(pipeline.imports.overdue(now))
    assert not pipeline.imports.fail(job.id, "late", now)
    assert not pipeline.imports.give_up(job.id, "late", now)
    assert not pipeline.imports.postpone(job.id, now)
    pipeline.process(pipeline.upload_event(job))
    assert pipeline.messages() == []
    assert pipeline.get(job) == before


@pytest.mark.parametrize("refused", ["put_report", "copy_report", "put_result", "delete_result"])
def test_an_end_whose_report_is_refused_for_ever_is_told_without(
    pipeline: Pipeline, project: str, bus: Bus, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    pipeline.process(pipeline.drop(f"drop/{project}/c.csv", FILE))
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    monkeypatch.setattr(ReportFiles, refused, refuse)
    tries = 0
    while not pipeline.get(job).followed:
        try:
            follow(job)
        except ClientError:
            assert bus.entries == []
            assert sweep(pipeline, job)
            tries += 1
    assert tries in ({REPORT_TRIES} if refused != "delete_result" else {0})
    (entry,) = bus.entries
    assert json.loads(entry["Detail"])["counts"] == job.counts.as_dict()
    ended = pipeline.get(job)
    assert ended.end_is_shown(datetime.now(UTC))
    if refused in ("put_report", "copy_report"):
        result = json.loads(text_of(pipeline, f"results/{project}/c.csv.result.json"))
        assert result["counts"] == job.counts.as_dict()


def test_an_end_that_can_never_be_followed_is_given_up(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended_import(pipeline, project)
    monkeypatch.setattr("functions.import_ended.app.events", Bus("NotAuthorizedForSourceException"))
    for _ in range(FOLLOW_TRIES):
        assert sweep(pipeline, job)
        with pytest.raises(Exception, match="NotAuthorizedForSource"):
            follow(job)
    assert pipeline.get(job).reported
    assert not sweep(pipeline, job)
    assert pipeline.get(job).followed
    assert not {"open", "deadline"} & set(record(pipeline, job))


def test_an_overdue_import_that_cannot_be_read_ends(pipeline: Pipeline, project: str) -> None:
    job, _ = pipeline.accept(project, FILE, OPTIONS)
    unreadable = record(pipeline, job) | {"partitionCount": {"N": "1000000000"}}
    pipeline.dynamodb.put_item(TableName="ImportsTable", Item=unreadable)
    for _ in range(SWEEPS):
        assert record(pipeline, job)["status"] == {"S": "processing"}
        pipeline.make_overdue(job.id)
        handler("dead_letter").lambda_handler({"detail-type": "Scheduled Event"}, Context())
    ended = record(pipeline, job)
    assert ended["status"] == {"S": Status.FAILED.value}
    assert "could not be read" in ended["error"]["S"]
