"""What the stores of an import write and read, one method at a time: the fast half of what the simulation shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws import retry
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    PENDING_DEADLINE_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
    BatchLimits,
    Import,
    ImportOptions,
    Split,
    Status,
    Upload,
    new_import_id,
)
from contact_imports.model.progress import BatchKey, Partition
from tests.pipeline import Pipeline

NOW = datetime.now(UTC).replace(microsecond=0)
UPLOAD = Upload("imports/p/i.csv", "etag", 10)
COLUMN_MAP = ColumnMap(email="Email")
FULL = 400 * 1024
"""Bytes of the largest item. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


def created(pipeline: Pipeline, status: Status = Status.PROCESSING, project: str = "p") -> str:
    job = Import(new_import_id(NOW), project, status, ImportOptions(COLUMN_MAP), NOW)
    assert pipeline.imports.create(job, NOW)
    return job.id


def started(
    pipeline: Pipeline, split: Split, total: int = 1, at: datetime = NOW, project: str = "p"
) -> str:
    import_id = created(pipeline, project=project)
    pipeline.imports.claim(import_id, UPLOAD, at)
    pipeline.imports.start(
        import_id,
        total=total,
        split=split,
        encoding="utf-8",
        delimiter=",",
        header_record=1,
        column_map=COLUMN_MAP,
        notes=(),
        now=at,
    )
    return import_id


def commit(
    progress: ProgressRecords,
    import_id: str,
    partition: int,
    *errors: RowError,
    last: bool = False,
) -> Partition:
    """Counts a batch of one row that was created, and of those that failed."""
    outcomes = Counter({Outcome.CREATED: 1, Outcome.FAILED: len(errors)})
    batch = BatchKey(import_id, partition, 0, last)
    return progress.commit(batch, Partition(), outcomes, errors)


def written(pipeline: Pipeline, import_id: str, **values: Any) -> None:
    """Writes attributes of an import past its store."""
    pipeline.dynamodb.update_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": import_id}, "record": {"S": "import"}},
        UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
    )


@pytest.mark.parametrize(
    "read",
    [
        lambda pipeline, of: pipeline.imports.get(of),
        lambda pipeline, of: pipeline.progress.get(of, 0),
        lambda pipeline, of: pipeline.progress.of_import(of),
        lambda pipeline, of: list(pipeline.progress.errors(of, 1)),
        lambda pipeline, _: pipeline.writes.is_quiet("p", NOW),
        lambda pipeline, _: pipeline.contacts.read("p", ["a@example.com"]),
    ],
    ids=["import", "partition", "partitions", "errors", "last write", "contacts"],
)
def test_a_read_is_consistent(pipeline: Pipeline, read: Callable[[Pipeline, str], object]) -> None:
    # That each of them has to be shows tests/simulation/test_consistent_reads.py.
    asked: list[Any] = []

    def note(params: Any, **_: Any) -> None:
        asked.extend(params.get("RequestItems", {None: params}).values())

    events = pipeline.dynamodb.meta.events
    events.register("provide-client-params.dynamodb", note)
    try:
        read(pipeline, new_import_id(NOW))
    finally:
        events.unregister("provide-client-params.dynamodb", note)
    assert asked
    assert all(request.get("ConsistentRead") is True for request in asked)


class _CancelsOnce:
    """A client whose first transaction is cancelled for a reason."""

    def __init__(self, client: Any, reason: str) -> None:
        self._client, self._reason = client, reason

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        if self._reason:
            response: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": "None"}, {"Code": self._reason}],
            }
            self._reason = ""
            raise ClientError(response, "TransactWriteItems")
        return self._client.transact_write_items(**arguments)


@pytest.mark.parametrize(
    "reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
def test_a_transaction_that_was_cancelled_for_now_is_made_again(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(retry, "_BASE_SECONDS", 0)
    import_id = new_import_id(NOW)
    progress = ProgressRecords(_CancelsOnce(pipeline.dynamodb, reason), pipeline.imports_table)  # type: ignore[arg-type]
    assert commit(progress, import_id, 0, RowError(1, "invalid_email", "why")).next_seq == 1
    assert pipeline.progress.get(import_id, 0).next_seq == 1


def test_reasons_are_in_file_order(pipeline: Pipeline) -> None:
    import_id = new_import_id(NOW)
    # By code the second partition would come first, and in a batch all rows of one reason.
    first = (
        RowError(9, "too_many_cells", "b"),
        RowError(4, "too_many_cells", "a"),
        RowError(1, "too_many_cells", "b"),
    )
    second = (RowError(5, "invalid_email", "a"), RowError(2, "invalid_email", "b"))
    commit(pipeline.progress, import_id, 0, *first)
    commit(pipeline.progress, import_id, 1, *second)
    found = list(pipeline.progress.errors(import_id, 2))
    assert found == sorted((*first, *second), key=lambda error: error.row)


def test_an_import_has_the_rows_of_all_its_partitions(pipeline: Pipeline, project: str) -> None:
    import_id = started(pipeline, Split(2), total=9, project=project)
    commit(pipeline.progress, import_id, 0)
    commit(pipeline.progress, import_id, 1, RowError(1, "invalid_email", "why"))
    (listed,) = pipeline.imports.of_project(project, limit=5, now=NOW).imports
    for job in (pipeline.imports.get(import_id), listed):
        assert job is not None
        assert (job.counts.total, job.counts.created, job.counts.failed) == (9, 2, 1)


@pytest.mark.parametrize("total", [1, 3])
def test_rows_that_were_not_imported_fail_their_import(pipeline: Pipeline, total: int) -> None:
    import_id = started(pipeline, Split(1), total=total)
    commit(pipeline.progress, import_id, 0, last=True)
    told = pipeline.imports.end_if_done(import_id, NOW)
    ended = pipeline.imports.get(import_id)
    for job in (told, ended):
        assert job is not None
        assert job.status is (Status.COMPLETED if total == 1 else Status.FAILED)
        assert (job.counts.created, job.counts.failed) == (1, total - 1)


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (lambda pipeline: created(pipeline, Status.PENDING), PENDING_DEADLINE_SECONDS),
        (created, UPLOAD_DEADLINE_SECONDS),
        (lambda pipeline: started(pipeline, Split(1)), IMPORT_DEADLINE_SECONDS),
    ],
    ids=["pending", "uploaded", "started"],
)
def test_an_import_is_overdue_after_its_deadline(
    pipeline: Pipeline, make: Callable[[Pipeline], str], seconds: int
) -> None:
    import_id = make(pipeline)
    deadline = NOW + timedelta(seconds=seconds)
    assert import_id not in set(pipeline.imports.overdue(deadline))
    assert import_id in set(pipeline.imports.overdue(deadline + timedelta(seconds=1)))
    pipeline.imports.give_up(import_id, "over", NOW)


def test_a_split_is_read_as_it_was_recorded(pipeline: Pipeline) -> None:
    split = Split(3, BatchLimits(7, 77), "digest", "version")
    job = pipeline.imports.get(started(pipeline, split))
    assert job is not None
    assert job.split == split


@pytest.mark.parametrize("partitions", [0, 65, 10**9])
def test_an_absurd_number_of_partitions_is_refused(pipeline: Pipeline, partitions: int) -> None:
    import_id = started(pipeline, Split(1))
    written(pipeline, import_id, partitionCount={"N": str(partitions)})
    with pytest.raises(ValueError, match="64 partitions"):
        pipeline.imports.get(import_id)


def test_an_import_whose_record_is_full_ends_with_a_reason_of_any_length(
    pipeline: Pipeline,
) -> None:
    import_id = created(pipeline)
    written(pipeline, import_id, columnMap={"S": "x" * (FULL - 1_200)})
    assert pipeline.imports.fail(import_id, "y" * FULL, NOW)
    job = pipeline.imports.get(import_id)
    assert job is not None
    assert job.ended
    assert job.error is not None
    assert 1_000 < len(job.error) < 5_000


def test_what_follows_an_end_is_noted_step_by_step(pipeline: Pipeline) -> None:
    import_id = created(pipeline)
    seen = []
    for step in (
        lambda: pipeline.imports.fail(import_id, "why", NOW),
        lambda: pipeline.imports.set_reported(import_id, NOW),
        lambda: pipeline.imports.set_followed(import_id),
    ):
        step()
        job = pipeline.imports.get(import_id)
        assert job is not None
        later = NOW + timedelta(days=1)
        seen.append(
            (job.reported, job.followed, import_id in set(pipeline.imports.unfollowed(later)))
        )
    assert seen == [(False, False, True), (True, False, True), (True, True, False)]
    item = pipeline.dynamodb.get_item(
        TableName=pipeline.imports_table,
        Key={"importId": {"S": import_id}, "record": {"S": "import"}},
    )["Item"]
    assert not {"open", "deadline"} & set(item)


def test_an_end_starts_what_follows_it(pipeline: Pipeline) -> None:
    import_id = created(pipeline)
    pipeline.imports.fail(import_id, "why", NOW)
    key = {"importId": {"S": import_id}, "record": {"S": "import"}}
    item = pipeline.dynamodb.get_item(TableName=pipeline.imports_table, Key=key)["Item"]
    # The filter of the stream's event source in template.yaml.
    assert item["report"] == {"S": "due"}
