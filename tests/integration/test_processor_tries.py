"""What a processor does with an import that another try has begun: it sends the same row batches, and only the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from orjson import dumps

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads
from contact_imports.files.split import EncodedBatch, row_batches
from contact_imports.jobs.split_upload import NotAllSentError
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError, SplitChangedError
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.events import handler
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, imports_of

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
ROWS = 7
BATCHES = 4
"""Of two rows each."""

CONTENT = b"Email,Name\n" + b"".join(b"c%d@example.com,Name\n" % n for n in range(ROWS))


@pytest.fixture(autouse=True)
def one_partition_of_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 2)


@pytest.fixture
def try_to_send(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any], int], list[str]]:
    """Runs the processor with time for so many messages; returns the numbers of the batches that it sent."""

    def run(event: dict[str, Any], most: int) -> list[str]:
        sent: list[str] = []
        queue = type(pipeline.queue)
        really_send = queue.send

        def send(self: Any, import_id: str, partition: int, name: str, body: str) -> None:
            sent.append(name)
            really_send(self, import_id, partition, name, body)

        asked = 0

        def has_time() -> bool:
            nonlocal asked
            asked += 1
            return asked <= most

        module = handler("processor")
        time = module.ProcessorTime
        with monkeypatch.context() as patch:
            patch.setattr(queue, "send", send)
            patch.setattr(
                module,
                "ProcessorTime",
                lambda to_read, to_send: time(to_read, has_time),
            )
            try:
                pipeline.process(event)
            except NotAllSentError:
                assert len(sent) == most
            else:
                assert len(sent) <= most
        return sent

    return run


def test_each_try_sends_what_the_one_before_had_no_time_for(
    pipeline: Pipeline, project: str, try_to_send: Callable[[dict[str, Any], int], list[str]]
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    sent = [try_to_send(event, most) for most in (1, 0, 2, BATCHES)]
    assert [len(names) for names in sent] == [1, 0, 2, 1]
    assert len({name for names in sent for name in names}) == BATCHES
    pipeline.drain()
    ended = pipeline.finish(job)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(expected(CONTENT, OPTIONS))


def test_a_batch_that_was_refused_does_not_count_as_sent(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)

    def refuse(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline.queue), "send", refuse)
        with pytest.raises(ConnectionError):
            pipeline.process(event)
    assert pipeline.get(job).sent_batches == 0


def begun(pipeline: Pipeline, project: str) -> tuple[Import, dict[str, Any]]:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    assert len(pipeline.take_all()) == BATCHES
    return job, event


def forget_digest(pipeline: Pipeline, job: Import) -> None:
    """As the releases that recorded none."""
    pipeline.dynamodb.update_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": job.id}, "record": {"S": "import"}},
        UpdateExpression="REMOVE splitDigest",
    )


def test_other_rules_send_nothing(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = begun(pipeline, project)
    # As many rows in as many batches, but with other values.
    monkeypatch.setattr("contact_imports.files.split.dumps", lambda *what: dumps(*what).upper())
    with pytest.raises(SplitChangedError):
        pipeline.process(event)
    assert pipeline.messages() == []
    assert not pipeline.get(job).ended


def test_an_import_without_a_digest_goes_on_if_it_has_as_many_rows(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = begun(pipeline, project)
    forget_digest(pipeline, job)
    pipeline.process(event)
    pipeline.take_all()

    def without_last_batch(*of_file: Any, **named: Any) -> list[EncodedBatch]:
        return list(row_batches(*of_file, **named))[:-1]

    monkeypatch.setattr("contact_imports.jobs.split_upload.row_batches", without_last_batch)
    with pytest.raises(SplitChangedError):
        pipeline.process(event)
    assert pipeline.messages() == []


def test_of_two_processors_that_split_otherwise_the_first_to_record_it_counts(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    really_start = ImportTable.start
    partitions = [1, 3]
    monkeypatch.setattr(
        "contact_imports.jobs.split_upload.choose_partition_count", lambda _: partitions.pop(0)
    )

    def start(imports: ImportTable, *arguments: Any, **named: Any) -> None:
        if partitions:
            # Another one, which is as far, and faster from here on.
            pipeline.process(event)
        really_start(imports, *arguments, **named)

    monkeypatch.setattr(ImportTable, "start", start)
    pipeline.process(event)
    assert pipeline.get(job).partition_count == 3
    pipeline.drain()
    ended = pipeline.finish(job)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(expected(CONTENT, OPTIONS))
    assert len(pipeline.contacts_of(project)) == ROWS


def test_a_file_that_is_refused_by_now_does_not_fail_an_import_that_has_begun(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = begun(pipeline, project)

    def refuse(*_: Any) -> None:
        raise FileError("UNREADABLE_FILE", "There is another table.")

    monkeypatch.setattr("contact_imports.jobs.split_upload.read_contact_file", refuse)
    with pytest.raises(SplitChangedError):
        pipeline.process(event)
    assert not pipeline.get(job).ended


def test_a_dropped_file_that_is_gone_after_its_import_was_recorded_ends_it(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", CONTENT)

    def die(*_: Any, **__: Any) -> None:
        raise MemoryError

    def be_gone(*_: Any) -> None:
        raise UploadGoneError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("contact_imports.jobs.split_upload.read_contact_file", die)
        with pytest.raises(MemoryError):
            pipeline.process(event)
    monkeypatch.setattr(Uploads, "metadata", be_gone)
    pipeline.process(event)
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED
    assert "replaced or deleted" in (job.error or "")
