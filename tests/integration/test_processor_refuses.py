"""What a processor does not send: another project's file, other row batches than those it began with, what is late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contact_imports.files.split import EncodedBatch, row_batches
from contact_imports.jobs.split_upload import NotAllSentError
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import SplitChangedError
from contact_imports.model.import_job import ImportOptions
from tests.events import handler
from tests.pipeline import Pipeline

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
CONTENT = b"Email,Name\na@example.com,Ann\n"


def test_an_object_under_another_projects_name_does_not_start_an_import(
    pipeline: Pipeline, project: str
) -> None:
    job, _ = pipeline.accept(project, CONTENT, OPTIONS)
    other = f"{project}2"
    pipeline.uploads.put(other, job.id, CONTENT)
    pipeline.process(pipeline.object_event(f"imports/{other}/{job.id}.csv"))
    assert pipeline.messages() == []
    assert pipeline.get(job).split is None


def test_row_batches_with_other_values_are_not_sent(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    assert len(pipeline.take_all()) == 1

    def in_capitals(*of_file: Any, **named: Any) -> Iterator[EncodedBatch]:
        for batch in row_batches(*of_file, **named):
            yield replace(batch, rows=batch.rows.upper())

    monkeypatch.setattr("contact_imports.jobs.split_upload.row_batches", in_capitals)
    with pytest.raises(SplitChangedError):
        pipeline.process(event)
    assert pipeline.messages() == []


def test_a_processor_without_time_to_send_fails_so_that_it_is_tried_again(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    module = handler("processor")
    with monkeypatch.context() as patch:
        time = module.ProcessorTime
        patch.setattr(module, "ProcessorTime", lambda to_read, **_: time(to_read, lambda: False))
        with pytest.raises(NotAllSentError):
            pipeline.process(event)
    assert pipeline.messages() == []
    assert not pipeline.get(job).ended
    pipeline.process(event)
    assert len(pipeline.take_all()) == 1
