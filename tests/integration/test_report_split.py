"""The report of an import whose file is split again: by the same rules, by others, and where no digest was recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from orjson import dumps

from contact_imports.files.split import EncodedBatch, row_batches
from contact_imports.jobs.report_import import ReportStores, report_import
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import SplitChangedError
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.pipeline import Pipeline

NOW = datetime.now(UTC)
OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
CONTENT = (
    b"Email,Name\n"
    + b"".join(b"c%d@example.com,Name\n" % n for n in range(3))
    + b"no email,Name\n"
    + b"".join(b"c%d@example.com,Name\n" % n for n in range(4, 7))
)
INVALID_ROW, LAST_ROWS = 5, [6, 7, 8]
"""Row 1 is the header. With batches of two rows, the last two batches have the last three."""


class Bus:
    """Nobody listens."""

    def import_ended(self, *_: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2)


def ended(pipeline: Pipeline, project: str, *, batches: int) -> Import:
    """An import that ended after so many of its four row batches."""
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    messages = pipeline.take_all()
    assert len(messages) == 4
    assert pipeline.apply(messages[:batches]) == []
    pipeline.progress.end_partition(job.id, 0)
    pipeline.imports.end_if_done(job.id, NOW)
    return pipeline.get(job)


def report(pipeline: Pipeline, job: Import, *, layer: str | None = None) -> str | None:
    """Reports an import, by the version of the code that split it or another; returns what kept the report."""
    assert job.split is not None
    stores = ReportStores(
        pipeline.imports,
        pipeline.progress,
        pipeline.uploads,
        pipeline.reports,
        cast("Any", Bus()),
        job.split.layer if layer is None else layer,
    )
    reported = report_import(job.id, stores, NOW, lambda: True)
    assert reported is not None
    return reported.report_error


def numbers(pipeline: Pipeline, job: Import) -> list[int]:
    return [row["row"] for row in pipeline.report(job)]


@pytest.mark.parametrize("layer", [None, "another"])
def test_rows_that_were_lost_are_reported_by_the_limits_they_were_split_by(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, layer: str | None
) -> None:
    job = ended(pipeline, project, batches=2)
    assert job.status is Status.FAILED
    assert job.counts.failed == 1 + len(LAST_ROWS)
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 1_000)
    assert report(pipeline, job, layer=layer) is None
    assert numbers(pipeline, job) == [INVALID_ROW, *LAST_ROWS]


@pytest.mark.parametrize(
    ("batches", "layer"), [(2, None), (4, "another")], ids=["rows lost", "another version"]
)
def test_a_file_that_is_split_otherwise_by_now_is_not_reported(
    pipeline: Pipeline,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    layer: str | None,
) -> None:
    job = ended(pipeline, project, batches=batches)
    monkeypatch.setattr("contact_imports.files.split.dumps", lambda *what: dumps(*what).upper())
    assert report(pipeline, job, layer=layer) == SplitChangedError.__name__
    assert pipeline.report(job) == []
    assert pipeline.get(job).followed


def test_a_file_that_the_same_version_split_is_not_split_again(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(pipeline, project, batches=4)
    assert job.status is Status.COMPLETED
    monkeypatch.setattr("contact_imports.files.failed_rows.row_batches", None)
    assert report(pipeline, job) is None
    assert numbers(pipeline, job) == [INVALID_ROW]


@pytest.mark.parametrize("as_many_rows", [True, False])
def test_without_a_digest_a_file_must_have_as_many_rows(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, as_many_rows: bool
) -> None:
    job = ended(pipeline, project, batches=2)
    pipeline.dynamodb.update_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": job.id}, "record": {"S": "import"}},
        UpdateExpression="REMOVE splitDigest",
    )

    def without_last_batch(*of_file: Any, **named: Any) -> list[EncodedBatch]:
        return list(row_batches(*of_file, **named))[:-1]

    if not as_many_rows:
        monkeypatch.setattr("contact_imports.files.failed_rows.row_batches", without_last_batch)
    assert report(pipeline, job) == (None if as_many_rows else SplitChangedError.__name__)
    assert numbers(pipeline, job) == ([INVALID_ROW, *LAST_ROWS] if as_many_rows else [])
