"""What a try of a report leaves to the next one, what it takes away, and what a dry run does not leave."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws.report_files import ReportFiles, result_key
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import ImportOptions
from tests.pipeline import Pipeline, imports_of, items_of

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
CONTENT = b"Email,Name\na@example.com,Ann\nno email,Bob\n"


def test_a_call_that_aws_refuses_for_now_is_left_to_the_next_try(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    pipeline.drain()

    def refuse(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(ReportFiles, "put_report", refuse)
        with pytest.raises(ClientError):
            pipeline.finish(job)
    assert not pipeline.get(job).reported
    pipeline.finish(job)
    assert [row["row"] for row in pipeline.report(job)] == [3]


def test_failed_rows_of_an_earlier_file_are_not_beside_a_result_without_a_report(
    pipeline: Pipeline, project: str
) -> None:
    pipeline.process(pipeline.drop(f"drop/{project}/c.csv", CONTENT))
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    key = result_key(job, "errors.csv")
    pipeline.s3.put_object(Bucket=pipeline.bucket, Key=key, Body=b"earlier")
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=f"drop/{project}/c.csv")
    pipeline.finish(job)
    found = pipeline.s3.list_objects_v2(Bucket=pipeline.bucket, Prefix=f"results/{project}/")
    assert [each["Key"] for each in found["Contents"]] == [result_key(job, "result.json")]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_dry_run_makes_no_tags(pipeline: Pipeline, project: str, dry_run: bool) -> None:
    options = ImportOptions(OPTIONS.column_map, tags=("vip",), dry_run=dry_run)
    _, event = pipeline.accept(project, CONTENT, options)
    pipeline.process(event)
    pipeline.take_all()
    items = items_of(pipeline.dynamodb, pipeline.tags_table)
    assert any(project in str(item) for item in items) is not dry_run
