"""processor, row_batch and dead_letter on the embedded AWS, compared with the reference import."""

from __future__ import annotations

import io
import itertools
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnConflict, Outcome
from contact_imports.model.import_job import UPLOAD_DEADLINE_SECONDS, ImportOptions, Status
from tests.events import Context, failure_event, handler, s3_event, sqs_event
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, items_of

UPSERT, SKIP = OnConflict.UPSERT, OnConflict.SKIP
COLUMN_MAP = ColumnMap(email="Email", first_name="First", custom_fields={"plan": "Plan"})


def csv_file(*rows: str) -> bytes:
    return "\r\n".join(("Email,First,Plan,Ignored", *rows, "")).encode()


# New, repeated (near and far apart), blank, bad, short, long, quoted: several batches in several partitions.
FILE = csv_file(
    *(f"c{n}@example.com,Name {n},plan {n % 3},x" for n in range(25)),
    "",
    "not an email,Eve,pro,x",
    *(f"C{n}@Example.com ,,plan {n},x" for n in range(0, 25, 4)),
    ",,,",
    "short@example.com",
    "long@example.com,a,b,c,d",
    'quoted@example.com,"two\nlines, one ""cell""",,',
    *(f"c{n}@example.com,Other {n},,x" for n in range(0, 25, 3)),
)
OTHER_FILE = csv_file(*(f"c{n}@example.com,Again {n},,x" for n in range(10, 40)))


def options(on_conflict: OnConflict = UPSERT, *tags: str) -> ImportOptions:
    return ImportOptions(COLUMN_MAP, on_conflict, tags=tags)


pytestmark = pytest.mark.usefixtures("many_batches")


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_an_import_is_the_reference_import(
    pipeline: Pipeline, project: str, on_conflict: OnConflict
) -> None:
    chosen = options(on_conflict, "a", "b")
    ended = pipeline.run(project, FILE, chosen)
    reference = expected(FILE, chosen)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(reference)
    assert ended.error is None
    assert ended.completed_at is not None
    assert ended.partition_count is not None
    assert ended.partition_count > 1
    assert pipeline.contacts_of(project) == reference.contacts
    assert pipeline.errors(ended) == reference.errors


@pytest.mark.parametrize("first", OnConflict)
@pytest.mark.parametrize("second", OnConflict)
def test_imports_one_after_the_other(
    pipeline: Pipeline, project: str, first: OnConflict, second: OnConflict
) -> None:
    pipeline.run(project, FILE, options(first, "first"))
    ended = pipeline.run(project, OTHER_FILE, options(second, "second"))
    before = expected(FILE, options(first, "first"))
    reference = expected(OTHER_FILE, options(second, "second"), before.contacts)
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts


def test_the_same_file_again_writes_nothing(pipeline: Pipeline, project: str) -> None:
    content = csv_file(*(f"c{n}@example.com,Name,plan,x" for n in range(30)))
    pipeline.run(project, content, options())
    before = _items(pipeline, project)
    ended = pipeline.run(project, content, options())
    assert ended.counts.as_dict() == {
        "total": 30,
        "created": 0,
        "updated": 30,
        "skipped": 0,
        "failed": 0,
    }
    assert _items(pipeline, project) == before


def test_every_message_twice_and_the_processor_twice(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    pipeline.process(event)
    while messages := pipeline.messages():
        assert pipeline.apply(messages) == []
        assert pipeline.apply(messages) == []
        pipeline.delete(messages)
    pipeline.process(event)
    assert pipeline.messages() == []
    reference = expected(FILE, options())
    assert pipeline.get(job).counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts


def test_counts_only_grow_and_the_total_is_known_once_the_file_is_checked(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    assert pipeline.get(job).counts.as_dict() == dict.fromkeys(
        ("total", "created", "updated", "skipped", "failed"), 0
    )
    pipeline.process(event)
    seen = [pipeline.get(job)]
    assert seen[0].counts.total == expected(FILE, options()).total
    for message in pipeline.take_all():
        assert pipeline.apply([message]) == []
        seen.append(pipeline.get(job))
    for before, after in itertools.pairwise(seen):
        for name, count in before.counts.as_dict().items():
            assert count <= after.counts.as_dict()[name]
    assert [one.status for one in seen[:-1]] == [Status.PROCESSING] * (len(seen) - 1)
    assert seen[-1].status is Status.COMPLETED


@pytest.mark.parametrize("rows", [(), ("", ",,,")])
def test_a_header_alone_is_an_import_of_no_rows(
    pipeline: Pipeline, project: str, rows: tuple[str, ...]
) -> None:
    ended = pipeline.run(project, csv_file(*rows), options())
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict()["total"] == 0


def test_tags_are_created_once(pipeline: Pipeline, project: str) -> None:
    pipeline.run(project, FILE, options(UPSERT, "a", "b"))
    first = _tags(pipeline, project)
    pipeline.run(project, FILE, options(UPSERT, "b", "c"))
    assert set(first) == {"a", "b"}
    assert _tags(pipeline, project) == {**first, "c": _tags(pipeline, project)["c"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (csv_file("a@example.com,A,p,x", 'b@example.com,"B,p,x'), "line 3 and never closed"),
        (csv_file("a@example.com,A,p,x") + b'\xff\x81"', "Line 3 is not text in UTF-8"),
        (b"Mail,First,Plan\na@example.com,A,p\n", "no column 'Email'"),
        (b"Email,First,Plan,Email\na@example.com,A,p,b@example.com\n", "2 columns named 'Email'"),
        (b"\n\n", "empty"),
        (b"PK\x03\x04rest of a workbook", "Excel"),
    ],
)
def test_a_file_that_cannot_be_read_imports_nothing_and_says_why(
    pipeline: Pipeline, project: str, content: bytes, said: str
) -> None:
    ended = pipeline.run(project, content, options(UPSERT, "tag"))
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert said in ended.error
    assert ended.counts.as_dict()["total"] == 0
    assert pipeline.contacts_of(project) == {}
    assert _tags(pipeline, project) == {}


def test_a_file_of_windows_1252_is_read_as_that(pipeline: Pipeline, project: str) -> None:
    content = "Email,First,Plan\r\nrene@example.com,René,“pro”\r\n".encode("cp1252")
    ended = pipeline.run(project, content, options())
    assert ended.encoding == "cp1252"
    contact = pipeline.contacts_of(project)["rene@example.com"]
    assert contact.fields == {"firstName": "René"}
    assert contact.custom_fields == {"plan": "“pro”"}


def test_a_dead_letter_counts_its_rows_as_failed_once(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    taken = pipeline.take_all()
    dead, rest = taken[0], taken[1:]
    dead_rows = len(json.loads(dead["Body"])["rows"])
    # Later batches of its partition overtake it, as SQS lets them once it is a dead letter.
    for message in rest:
        assert pipeline.apply([message]) == []
    assert pipeline.get(job).status is Status.PROCESSING
    assert pipeline.give_up([dead]) == []
    ended = pipeline.get(job)
    assert ended.status is Status.COMPLETED
    assert ended.counts.settled == ended.counts.total == expected(FILE, options()).total
    not_processed = [e for e in pipeline.errors(job) if e.code == "not_processed"]
    assert len(not_processed) == dead_rows
    assert pipeline.give_up([dead]) == []
    assert pipeline.apply([dead]) == []
    assert pipeline.get(job) == ended


def test_a_dead_letter_that_was_applied_before_it_died_counts_as_applied(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    messages = pipeline.take_all()
    for message in messages:
        assert pipeline.apply([message]) == []
    ended = pipeline.get(job)
    assert pipeline.give_up(messages) == []
    assert pipeline.get(job) == ended


def test_an_import_of_dead_letters_alone_ends(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    for message in pipeline.take_all():
        assert pipeline.give_up([message]) == []
    ended = pipeline.get(job)
    total = expected(FILE, options()).total
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == {
        "total": total,
        "created": 0,
        "updated": 0,
        "skipped": 0,
        "failed": total,
    }
    assert pipeline.contacts_of(project) == {}


def test_a_dead_letter_that_is_no_row_batch_is_let_go(pipeline: Pipeline) -> None:
    assert pipeline.give_up([{"MessageId": "m", "ReceiptHandle": "r", "Body": "{}"}]) == []


def test_a_processor_that_failed_before_it_sent_fails_the_import(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    ended = pipeline.get(job)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert "could not be processed" in ended.error
    # Its event comes late all the same: the import has ended.
    pipeline.process(event)
    assert pipeline.messages() == []
    assert pipeline.get(job) == ended


def test_a_processor_that_failed_half_way_fails_what_it_did_not_send(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    send = type(pipeline.queue).send
    sent: list[str] = []

    def fail_after_five(*arguments: object) -> None:
        if len(sent) == 5:
            raise RuntimeError("the processor dies here")
        sent.append("one")
        send(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("contact_imports.aws.row_queue.RowQueue.send", fail_after_five)
        with pytest.raises(RuntimeError):
            pipeline.process(event)
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    assert pipeline.get(job).status is Status.PROCESSING
    pipeline.drain()
    ended = pipeline.get(job)
    assert ended.status is Status.FAILED
    assert ended.counts.total == ended.counts.settled == expected(FILE, options()).total
    assert ended.counts.created == len(pipeline.contacts_of(project)) > 0
    assert ended.error is not None
    assert (
        f"{ended.counts.failed:,} of {ended.counts.total:,} rows were not imported" in ended.error
    )


def test_a_processor_that_failed_after_it_sent_everything_completes(
    pipeline: Pipeline, project: str
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    pipeline.drain()
    ended = pipeline.get(job)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(expected(FILE, options()))


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_an_upload_that_is_gone_fails_the_import(
    pipeline: Pipeline, project: str, change: str
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    key = f"imports/{project}/{job.id}.csv"
    if change == "deleted":
        pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key)
    else:
        pipeline.s3.put_object(Bucket=pipeline.bucket, Key=key, Body=OTHER_FILE)
    pipeline.process(event)
    ended = pipeline.get(job)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert "replaced or deleted" in ended.error
    assert pipeline.messages() == []


def test_events_that_are_no_imports_do_nothing(pipeline: Pipeline, project: str) -> None:
    pipeline.process(s3_event(pipeline.bucket, "imports/readme.txt", "e", 1))
    pipeline.process(s3_event(pipeline.bucket, f"imports/{project}/{'0' * 24}.csv", "e", 1))
    job, _ = pipeline.accept(project, FILE, options())
    pipeline.process(s3_event(pipeline.bucket, f"imports/other/{job.id}.csv", "e", 1))
    assert pipeline.messages() == []


def test_an_upload_that_never_came_fails_the_import_in_time(
    pipeline: Pipeline, project: str
) -> None:
    long_ago = datetime.now(UTC) - timedelta(seconds=UPLOAD_DEADLINE_SECONDS + 60)
    overdue, _ = pipeline.accept(project, FILE, options(), now=long_ago)
    fresh, _ = pipeline.accept(project, FILE, options())
    handler("dead_letter").lambda_handler({"detail-type": "Scheduled Event"}, Context())
    ended = pipeline.get(overdue)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert "never arrived" in ended.error
    assert pipeline.get(fresh).status is Status.PROCESSING


def test_an_import_whose_messages_were_lost_ends_at_its_deadline(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.aws.imports_table.IMPORT_DEADLINE_SECONDS", -1)
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    messages = pipeline.take_all()
    assert pipeline.apply(messages[3:4]) == []
    handler("dead_letter").lambda_handler({"detail-type": "Scheduled Event"}, Context())
    ended = pipeline.get(job)
    assert ended.status is Status.FAILED
    assert ended.counts.settled == ended.counts.total
    # What turns up afterwards is neither applied nor counted.
    contacts = pipeline.contacts_of(project)
    assert pipeline.apply(messages) == []
    assert pipeline.get(job) == ended
    assert pipeline.contacts_of(project) == contacts


def test_a_batch_that_fails_holds_up_its_own_partition_alone(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, event = pipeline.accept(project, FILE, options())
    pipeline.process(event)
    messages = pipeline.take_all()
    groups = {m["MessageId"]: m["Attributes"]["MessageGroupId"] for m in messages}
    broken = groups[messages[0]["MessageId"]]
    handle = handler("row_batch").handle_message

    def fail_one_partition(message: object, *arguments: object) -> object:
        if f"{job.id}:{message.partition}" == broken:  # type: ignore[attr-defined]
            raise RuntimeError("a bug, made on purpose")
        return handle(message, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr("functions.row_batch.app.handle_message", fail_one_partition)
        failed = pipeline.apply(messages)
    assert set(failed) == {m for m, group in groups.items() if group == broken}
    assert pipeline.apply([m for m in messages if m["MessageId"] in failed]) == []
    assert pipeline.get(job).counts.as_dict() == counts_of(expected(FILE, options()))


def test_logs_hold_ids_and_counts_but_nobodys_data(pipeline: Pipeline, project: str) -> None:
    stream = io.StringIO()
    loggers = [handler(function).logger for function in ("processor", "row_batch", "dead_letter")]
    for logger in loggers:
        copy = logging.StreamHandler(stream)
        copy.setFormatter(logger.registered_formatter)
        logger.addHandler(copy)
    job = pipeline.run(project, FILE, options(SKIP))
    event = sqs_event(
        [
            {
                "MessageId": "m",
                "ReceiptHandle": "r",
                "Body": '{"kind":"rows","rows":"ada@example.com"}',
            }
        ],
        "RowQueue.fifo",
    )
    handler("row_batch").lambda_handler(event, Context())
    handler("dead_letter").lambda_handler(event, Context())
    for logger in loggers:
        logger._logger.handlers.pop()
    written = stream.getvalue()
    assert f'"import_id":"{job.id}"' in written
    assert '"counts":{"total":' in written
    assert "dead letter is not a row batch" in written
    assert "@example.com" not in written.lower()
    assert "Name 1" not in written


def test_a_contact_too_large_fails_its_row(pipeline: Pipeline, project: str) -> None:
    fields = {f"k{n}": f"K{n}" for n in range(8)}
    header = ",".join(("Email", *fields.values()))
    first = "a@example.com," + ",".join(["é" * 4_000] * 7) + ","
    files = []
    for part in range(6):
        mapped = ColumnMap(
            email="Email", custom_fields={f"{key}-{part}": h for key, h in fields.items()}
        )
        files.append((f"{header}\n{first}\n".encode(), ImportOptions(mapped)))
    before = None
    outcomes = []
    for content, chosen in files:
        ended = pipeline.run(project, content, chosen)
        reference = expected(content, chosen, before)
        assert ended.counts.as_dict() == counts_of(reference)
        outcomes.append(reference.counts[Outcome.FAILED])
        before = reference.contacts
    assert outcomes == [0, 0, 0, 0, 1, 1]
    assert pipeline.contacts_of(project) == before


def _items(pipeline: Pipeline, project: str) -> list[object]:
    items = items_of(pipeline.dynamodb, pipeline.contacts_table)
    return [item for item in items if item["pk"]["S"].startswith(project + "#")]


def _tags(pipeline: Pipeline, project: str) -> dict[str, object]:
    items = items_of(pipeline.dynamodb, pipeline.tags_table)
    return {i["name"]["S"]: i["createdAt"] for i in items if i["projectId"]["S"] == project}


@contextmanager
def reads_of_contacts() -> Iterator[list[bool]]:
    """The reads that row_batch makes, each with whether it is consistent."""
    reads: list[bool] = []
    events = handler("row_batch").dynamodb.meta.events
    event = "provide-client-params.dynamodb.BatchGetItem"

    def note(params: dict[str, Any], **_: Any) -> None:
        reads.extend(one["ConsistentRead"] for one in params["RequestItems"].values())

    events.register(event, note)
    try:
        yield reads
    finally:
        events.unregister(event, note)


def test_rows_that_change_nothing_are_looked_at_twice_unless_all_is_quiet(
    pipeline: Pipeline, project: str
) -> None:
    content = csv_file(*(f"c{n}@example.com,Name,plan,x" for n in range(3)))
    with reads_of_contacts() as reads:
        pipeline.run(project, content, options())
        assert reads == [False]
        pipeline.run(project, content, options())
        assert reads == [False, False, True]
        pipeline.dynamodb.delete_item(
            TableName="ImportsTable",
            Key={"importId": {"S": f"project#{project}"}, "record": {"S": "writes"}},
        )
        pipeline.run(project, content, options())
        assert reads == [False, False, True, False]


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_contacts_are_taken_for_new_while_those_before_them_are(
    pipeline: Pipeline, project: str, on_conflict: OnConflict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.files.split.PARTITION_BYTES", 1_000_000)
    existing = csv_file(*(f"old{n}@example.com,Before,,x" for n in range(3)))
    pipeline.run(project, existing, options())
    rows = [
        *(f"new{n}@example.com,Name,plan,x" for n in range(9)),
        *(f"old{n}@example.com,After,plan,x" for n in range(3)),
        *(f"new{n}@example.com,Again,,x" for n in range(3)),
        *(f"more{n}@example.com,Name,plan,x" for n in range(3)),
    ]
    chosen = options(on_conflict)
    with reads_of_contacts() as reads:
        ended = pipeline.run(project, csv_file(*rows), chosen)
    # Three rows a batch: the first is read, the next three are not, and of the last of these, which were not
    # new, what is there is read; then the next two batches are read first, each with a closer look at no-ops.
    assert reads[:3] == [False, True, False]
    reference = expected(csv_file(*rows), chosen, expected(existing, options()).contacts)
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts


def test_a_dry_run_reads_contacts_even_where_all_were_new(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.files.split.PARTITION_BYTES", 1_000_000)
    existing = csv_file(*(f"old{n}@example.com,Before,,x" for n in range(3)))
    pipeline.run(project, existing, options())
    content = (
        csv_file(*(f"new{n}@example.com,N,,x" for n in range(6))) + existing.split(b"\n", 1)[1]
    )
    dry = replace(options(), dry_run=True)
    reference = expected(content, dry, expected(existing, options()).contacts)
    ended = pipeline.run(project, content, dry)
    assert ended.counts.as_dict() == counts_of(reference)
    assert ended.counts.created == 6


def test_a_message_of_a_newer_version_waits_for_it(pipeline: Pipeline, project: str) -> None:
    job, event = pipeline.accept(project, FILE, ImportOptions(COLUMN_MAP))
    pipeline.process(event)
    messages = pipeline.take_all()
    newer = [
        {**message, "Body": message["Body"].replace("{", '{"version":2,', 1)}
        for message in messages
    ]
    failed = [message["MessageId"] for message in newer]
    assert pipeline.apply(newer) == failed
    assert pipeline.give_up(newer) == failed
    assert pipeline.get(job).counts.settled == 0
    assert pipeline.apply(messages) == []
    assert pipeline.get(job).status is Status.COMPLETED
