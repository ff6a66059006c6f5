"""Writes whose answers are lost after they took effect, and items as earlier versions wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contact_imports.aws import retry
from contact_imports.aws.clients import fast_dynamodb_client
from contact_imports.aws.contacts_table import ContactTable
from contact_imports.aws.dynamodb_items import from_item, to_item
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.retry import time_limit
from contact_imports.model.contact import Contact, Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import ImportOptions, new_import_id
from contact_imports.model.progress import BatchKey, Partition
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact
from tests.http_faults import HttpFault, http_faults
from tests.integration.test_pipeline import csv_file, options, reads_of_contacts
from tests.pipeline import Pipeline

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_BASE_SECONDS", 0)


def commit(
    progress: ProgressRecords, import_id: str, seq: int, known: Partition, failed: int = 0
) -> Partition:
    errors = [RowError(n, "invalid_email", "why") for n in range(failed)]
    outcomes = Counter({Outcome.CREATED: 1, Outcome.FAILED: failed})
    return progress.commit(BatchKey(import_id, 0, seq, last=False), known, outcomes, errors)


def counters(pipeline: Pipeline, import_id: str) -> tuple[int, int]:
    item = record(pipeline, import_id, "partition#00")
    return item.get("created", 0), item.get("failed", 0)


def record(pipeline: Pipeline, import_id: str, name: str) -> dict[str, Any]:
    key = {"importId": {"S": import_id}, "record": {"S": name}}
    return from_item(pipeline.dynamodb.get_item(TableName="ImportsTable", Key=key)["Item"])


def test_reasons_that_were_written_before_they_were_packed_are_read(pipeline: Pipeline) -> None:
    import_id = new_import_id(NOW)
    old = [RowError(7, "invalid_email", "why", "email"), RowError(9, "not_processed", "again")]
    rows = [{"row": e.row, "code": e.code, "message": e.message, "field": e.field} for e in old]
    item: dict[str, Any] = {"importId": import_id, "record": "errors#00#000000", "rows": rows}
    pipeline.dynamodb.put_item(TableName="ImportsTable", Item=to_item(item))
    commit(pipeline.progress, import_id, 1, Partition(1), failed=3)
    new = [RowError(n, "invalid_email", "why") for n in range(3)]
    found = list(pipeline.progress.errors(import_id, 1))
    assert sorted(found, key=lambda error: error.row) == [*new, *old]


@pytest.fixture
def lost_answers(function_environment: None) -> Iterator[Any]:
    """A client of the functions, whose first answer to each call is lost after the call took effect."""
    client = fast_dynamodb_client()
    operations: list[str] = []
    client.meta.events.register(
        "before-call.dynamodb",
        lambda model, **_: operations.append(model.name),
    )
    seen = 0

    def fault_of() -> HttpFault | None:
        nonlocal seen
        first = seen < len(operations)
        seen = len(operations)
        return "answer lost" if first else None

    with http_faults(fault_of), time_limit(60):
        yield client
    assert operations


@pytest.mark.usefixtures("no_waiting")
def test_a_write_whose_answer_was_lost_is_not_made_twice(
    pipeline: Pipeline, project: str, lost_answers: Any
) -> None:
    contacts = ContactTable(lost_answers, pipeline.contacts_table)
    import_id = new_import_id(NOW)
    applied = {import_id: (AppliedRows(2),)}
    contact = Contact("a@example.com", {"firstName": "A"})
    new = StoredContact(contact, 1, CreatedBy(import_id, 2), applied)
    # It is there, which looks as if another writer had been faster: it is read again, and shows what was applied.
    assert contacts.write(project, [new]) == {"a@example.com"}
    assert contacts.read(project, ["a@example.com"]) == {"a@example.com": new}
    changed = replace(new, version=2)
    assert contacts.write(project, [changed]) == {"a@example.com"}
    assert contacts.read(project, ["a@example.com"])["a@example.com"].version == 2

    progress = ProgressRecords(lost_answers, "ImportsTable")
    for failed in (0, 2):
        seq = int(failed > 0)
        known = commit(progress, import_id, seq, Partition(seq), failed=failed)
        assert known == progress.get(import_id, 0) == Partition(seq + 1, mostly_new=True)
    assert counters(pipeline, import_id) == (2, 2)
    # A batch that leaves a gap, and the one that fills it.
    overtaking = commit(progress, import_id, 3, progress.get(import_id, 0))
    assert overtaking.gaps == {2}
    assert commit(progress, import_id, 2, overtaking).gaps == frozenset()
    assert counters(pipeline, import_id) == (4, 2)
    commit(progress, import_id, 6, progress.get(import_id, 0))
    ended = progress.end_partition(import_id, 0, forget_gaps=True)
    assert ended == progress.get(import_id, 0)
    assert ended == Partition(7, True, lost=frozenset({4, 5}), mostly_new=True)


@pytest.mark.usefixtures("no_waiting")
def test_tries_are_counted_once_if_an_answer_was_lost(
    pipeline: Pipeline, project: str, lost_answers: Any
) -> None:
    imports = ImportTable(lost_answers, "ImportsTable")
    job, _ = pipeline.accept(project, b"Email\n", ImportOptions(None))
    for number in range(1, 3):
        imports.postpone(job.id, NOW + timedelta(seconds=number))
        assert record(pipeline, job.id, "import")["sweeps"] == number
    imports.fail(job.id, "why", NOW)
    for number in range(1, 3):
        imports.follow_again(job.id, NOW + timedelta(seconds=number))
        assert record(pipeline, job.id, "import")["reportTries"] == number


@pytest.mark.usefixtures("many_batches")
@pytest.mark.parametrize(("receives", "expected_reads"), [("1", []), ("2", [False])])
def test_contacts_of_a_batch_that_comes_again_are_not_taken_for_new(
    pipeline: Pipeline,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    receives: str,
    expected_reads: list[bool],
) -> None:
    monkeypatch.setattr("contact_imports.files.split.PARTITION_BYTES", 1_000_000)
    content = csv_file(*(f"c{n}@example.com,Name,plan,x" for n in range(6)))
    _, event = pipeline.accept(project, content, options())
    pipeline.process(event)
    first, second = pipeline.take_all()
    assert pipeline.apply([first]) == []
    second["Attributes"]["ApproximateReceiveCount"] = receives
    with reads_of_contacts() as reads:
        assert pipeline.apply([second]) == []
    # Its first delivery may have inserted them: doing so again would cost a write each.
    assert reads == expected_reads
