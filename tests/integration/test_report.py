"""What follows an import's end: the report of its failed rows, and the event."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contact_imports.jobs.list_imports import failed_rows_csv
from contact_imports.jobs.report_import import report_import
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import RequestError, SplitChangedError
from contact_imports.model.import_job import REPORT_SECONDS, Import, ImportOptions, Status
from local.stack import ROOT
from tests.events import Context, ended_event, handler
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
FILE = "Email,Name\n" + "".join(
    f"{'no email' if n % 3 else f'c{n}@example.com'},Name {n}\n" for n in range(40)
)
pytestmark = pytest.mark.usefixtures("many_batches")


def csv_of(pipeline: Pipeline, job: Import) -> bytes:
    return pipeline.reports.report(job)


def test_a_report_has_every_failed_row_in_file_order(pipeline: Pipeline, project: str) -> None:
    ended = pipeline.run(project, FILE.encode(), OPTIONS)
    assert ended.partition_count is not None
    assert ended.partition_count > 1
    reference = expected(FILE.encode(), OPTIONS)
    assert [(row["row"], row["code"], row["field"]) for row in pipeline.report(ended)] == [
        (error.row, error.code, error.field) for error in reference.errors
    ]
    assert all(row["line"] == row["row"] for row in pipeline.report(ended))
    assert len(csv_of(pipeline, ended).splitlines()) == len(reference.errors) + 1


def test_a_report_sent_again_fails_the_same_rows_and_mended_imports_them(
    pipeline: Pipeline, project: str
) -> None:
    first = pipeline.run(project, FILE.encode(), OPTIONS)
    report = csv_of(pipeline, first)
    again = pipeline.run(project, report, OPTIONS)
    assert again.counts.total == again.counts.failed == first.counts.failed
    said = [(row["code"], row["message"], row["field"]) for row in pipeline.report(first)]
    assert [(r["code"], r["message"], r["field"]) for r in pipeline.report(again)] == said
    lines = report.decode().replace("no email", "{}@example.com").splitlines()
    mended = "\n".join(line.replace("{}", f"m{n}") for n, line in enumerate(lines))
    third = pipeline.run(project, mended.encode(), OPTIONS)
    assert third.counts.created == third.counts.total == first.counts.failed


def test_an_end_is_shown_once_the_report_is_there(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    ended = pipeline.get(job)
    assert ended.status is Status.COMPLETED
    assert ended.completed_at is not None
    shown = ended.as_api(ended.completed_at)
    assert (shown["status"], shown["completed_at"]) == ("processing", None)
    assert shown["counts"]["total"] == 40
    reported = pipeline.finish(job)
    assert reported.as_api(ended.completed_at)["status"] == "completed"


def test_an_end_is_shown_without_a_report_where_none_comes(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    ended = pipeline.get(job)
    assert ended.completed_at is not None
    late = ended.completed_at + timedelta(seconds=REPORT_SECONDS + 1)
    assert ended.as_api(late)["status"] == "completed"


def test_dead_letters_are_reported_with_their_cells(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    dead, *rest = pipeline.take_all()
    assert pipeline.give_up([dead]) == []
    for message in rest:
        assert pipeline.apply([message]) == []
    ended = pipeline.finish(job)
    given_up = {error.row for error in pipeline.errors(job) if error.code == "not_processed"}
    assert given_up
    reference = expected(FILE.encode(), OPTIONS, leave_out=given_up)
    assert ended.counts.as_dict() == counts_of(reference, len(given_up))
    reported = {row["row"]: row["code"] for row in pipeline.report(job)}
    assert {row for row, code in reported.items() if code == "not_processed"} == given_up
    assert len(reported) == ended.counts.failed
    # Sent again, the rows that nothing was wrong with are imported.
    again = pipeline.run(project, csv_of(pipeline, job), OPTIONS)
    assert again.counts.created == sum(b"c%d@" % (row - 2) in FILE.encode() for row in given_up)


def test_a_file_that_is_gone_has_no_report_but_ends(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=f"imports/{project}/{job.id}.csv")
    ended = pipeline.finish(job)
    assert ended.reported
    assert pipeline.reports.report_size(job) is None


def test_a_report_that_is_made_again_is_the_same(pipeline: Pipeline, project: str) -> None:
    ended = pipeline.run(project, FILE.encode(), OPTIONS)
    before = csv_of(pipeline, ended), pipeline.report(ended)
    pipeline.finish(ended)
    assert (csv_of(pipeline, ended), pipeline.report(ended)) == before


def test_a_report_larger_than_a_part_and_a_page(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.files.failed_rows._FLUSH_CHARS", 1024)
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 500)
    rows = 60_000
    content = b"Email,Name\n" + b"".join(b"no email %d,%s\n" % (n, b"x" * 80) for n in range(rows))
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.counts.failed == rows
    size = pipeline.reports.report_size(ended)
    assert size is not None
    assert size > 8 * 1024 * 1024
    lines = csv_of(pipeline, ended).splitlines()
    assert len(lines) == rows + 1
    assert lines[-1].startswith(b"no email 59999,xxx")
    assert [row["row"] for row in pipeline.report(ended)] == list(range(2, rows + 2))


def test_a_report_ends_where_it_would_take_too_long(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.model.limits.MAX_REPORTED_ROWS", 5)
    ended = pipeline.run(project, FILE.encode(), OPTIONS)
    assert ended.reported
    assert ended.counts.failed == 26
    reference = expected(FILE.encode(), OPTIONS)
    assert [row["row"] for row in pipeline.report(ended)] == [e.row for e in reference.errors[:5]]
    assert len(csv_of(pipeline, ended).splitlines()) == 1 + 5


def test_malformed_rows_are_failed_and_reported(pipeline: Pipeline, project: str) -> None:
    content = (ROOT / "tests" / "inputs" / "quotes-stray-open-swallows-rows.csv").read_bytes()
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.counts.as_dict() == {
        "total": 4,
        "created": 3,
        "updated": 0,
        "skipped": 0,
        "failed": 1,
    }
    (row,) = pipeline.report(ended)
    assert (row["row"], row["line"], row["code"]) == (2, 2, "malformed_quoting")
    assert '"x@example.com,""Ann,Paris"' in csv_of(pipeline, ended).decode()


def test_a_report_for_spreadsheets_can_be_sent_again(pipeline: Pipeline, project: str) -> None:
    content = b"Email,Name\nbad,=1+1\nbad,'=x\n"
    first = pipeline.run(project, content, OPTIONS)
    report = pipeline.reports.report(first, for_spreadsheet=True)
    assert b'"bad","\'=1+1"' in report
    mended = report.replace(b'"bad"', b'"a@example.com"', 1).replace(
        b'"bad"', b'"b@example.com"', 1
    )
    assert pipeline.run(project, mended, OPTIONS).counts.created == 2
    assert pipeline.contacts_of(project)["a@example.com"].fields == {"name": "=1+1"}
    assert pipeline.contacts_of(project)["b@example.com"].fields == {"name": "'=x"}


class Bus:
    """EventBridge, as the function calls it."""

    def __init__(self, error: str | None = None) -> None:
        self.entries: list[dict[str, Any]] = []
        self._answer = {"ErrorCode": error} if error else {"EventId": "1"}

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [self._answer]}


def test_an_end_is_told_with_what_get_returns(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus()
    monkeypatch.setattr("functions.import_ended.app.events", bus)
    ended = pipeline.run(project, FILE.encode(), OPTIONS)
    failed = pipeline.run(project, b"Mail\n", OPTIONS)
    told, told_of_failure = bus.entries
    assert (told["Source"], told["DetailType"]) == ("contact-imports", "contact_import.completed")
    assert ended.completed_at is not None
    assert json.loads(told["Detail"]) == replace(ended, reported=True).as_api(ended.completed_at)
    assert told["Resources"] == [f"project/{project}", "stack/test"]
    assert told_of_failure["DetailType"] == "contact_import.failed"
    assert json.loads(told_of_failure["Detail"])["error"] == failed.error


def test_an_event_that_is_not_taken_comes_again(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    pipeline.drain()
    monkeypatch.setattr("functions.import_ended.app.events", Bus("NotAuthorizedForSourceException"))
    with pytest.raises(Exception, match="NotAuthorizedForSource"):
        handler("import_ended").lambda_handler(ended_event(ended.id), Context())
    # It is shown, and the event is still to be sent: once.
    assert pipeline.get(ended).reported
    bus = Bus()
    monkeypatch.setattr("functions.import_ended.app.events", bus)
    for _ in range(2):
        handler("import_ended").lambda_handler(ended_event(ended.id), Context())
    assert len(bus.entries) == 1


def test_records_of_the_stream_that_are_no_ends_do_nothing(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Bus()
    monkeypatch.setattr("functions.import_ended.app.events", bus)
    job, _ = pipeline.accept(project, FILE.encode(), OPTIONS)
    handler("import_ended").lambda_handler(ended_event(job.id), Context())
    handler("import_ended").lambda_handler(ended_event("0" * 24), Context())
    assert bus.entries == []
    assert not pipeline.get(job).reported


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_a_report_after_an_upgrade_has_the_right_rows_or_is_not_made(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    job, event = pipeline.accept(project, FILE.encode(), OPTIONS)
    pipeline.process(event)
    messages = pipeline.take_all()
    if status is Status.FAILED:
        del messages[-1]
    assert pipeline.apply(messages) == []
    pipeline.make_overdue(job.id)
    handler("dead_letter").lambda_handler({}, Context())
    assert pipeline.get(job).status is status
    upgraded = replace(handler("import_ended").stores(), layer="another")
    now = datetime.now(UTC)
    with monkeypatch.context() as patch:
        patch.setattr("contact_imports.files.split.crc32", lambda email: len(email))
        reported = report_import(job.id, upgraded, now, lambda: True)
    assert reported is not None
    assert reported.report_error == SplitChangedError.__name__
    assert pipeline.report(job) == []
    ended = pipeline.get(job)
    with pytest.raises(RequestError, match="There is no report of the failed rows"):
        failed_rows_csv(ended, pipeline.reports, now)
    # A version that splits the file in the same way reports it, though.
    pipeline.dynamodb.update_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": job.id}, "record": {"S": "import"}},
        UpdateExpression="SET report = :due REMOVE reportedAt",
        ExpressionAttributeValues={":due": {"S": "due"}},
    )
    reported = report_import(job.id, upgraded, now, lambda: True)
    assert reported is not None
    assert reported.report_error is None
    assert len(pipeline.report(job)) == ended.counts.failed
