"""Imports that end in the processor: the file is gone after rows were sent, or the disk is full."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import ImportOptions, Status
from tests.pipeline import Pipeline

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
CONTENT = b"Email,Name\na@example.com,Ann\n"
READS_THE_FILE = "contact_imports.jobs.split_upload.read_contact_file"


def test_a_file_that_is_gone_after_its_rows_were_sent_ends_each_partition(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    (rows,) = pipeline.take_all()
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=f"imports/{project}/{job.id}.csv")
    pipeline.process(event)
    (end,) = pipeline.take_all()
    assert not pipeline.get(job).ended
    assert pipeline.apply([rows, end]) == []
    assert pipeline.get(job).status is Status.COMPLETED


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_full_disk_fails_the_import_and_a_broken_one_its_try(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)

    def fail(*_: Any) -> None:
        raise OSError(number, "why")

    monkeypatch.setattr(READS_THE_FILE, fail)
    if number == errno.ENOSPC:
        pipeline.process(event)
        assert pipeline.get(job).status is Status.FAILED
    else:
        with pytest.raises(OSError, match="why"):
            pipeline.process(event)
        assert not pipeline.get(job).ended
