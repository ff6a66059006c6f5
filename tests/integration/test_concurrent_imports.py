"""Imports into the same project at the same time, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnConflict, Outcome, Row
from contact_imports.model.import_job import Import, ImportOptions, Status
from contact_imports.model.row_validation import RowReader
from tests.events import Context, handler, sqs_event
from tests.oracle import expected, possible_contacts
from tests.pipeline import Pipeline

COLUMN_MAP = ColumnMap(email="Email", first_name="First", custom_fields={"plan": "Plan"})
FIELDS = ("email", "firstName", "customFields.plan")
EMAILS = [f"c{n}@example.com" for n in range(60)]
ROWS = 150


def set_environment(environment: dict[str, str]) -> None:
    os.environ.update(environment)


def invoke(function: str, event: dict[str, Any]) -> Any:
    """Runs a handler in a process that has it to itself, as Lambda does."""
    return handler(function).lambda_handler(event, Context())


@pytest.fixture(scope="module")
def processes(pipeline: Pipeline) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(
        4, multiprocessing.get_context("spawn"), set_environment, (dict(os.environ),)
    ) as pool:
        yield pool


def rows_of(import_number: int, chance: random.Random) -> list[list[str]]:
    """Rows with the emails of the other imports, some more than once, and values that tell who wrote them."""
    return [
        [
            chance.choice(EMAILS),
            chance.choice(["", f"{import_number}.{row}"]),
            chance.choice(["", f"{import_number}.{row}"]),
        ]
        for row in range(ROWS)
    ]


@pytest.mark.parametrize(
    "conflicts",
    [
        [OnConflict.UPSERT, OnConflict.UPSERT],
        [OnConflict.UPSERT, OnConflict.SKIP],
        [OnConflict.UPSERT, OnConflict.SKIP, OnConflict.UPSERT, OnConflict.SKIP],
    ],
    ids=["two", "two, one skips", "four, two skip"],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_result_is_that_of_some_order(
    pipeline: Pipeline,
    project: str,
    processes: ProcessPoolExecutor,
    many_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    conflicts: list[OnConflict],
    seed: int,
    tried: Callable[[str, int], None],
) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 20)
    chance = random.Random(seed)
    files = [rows_of(number, chance) for number in range(len(conflicts))]
    jobs: list[Import] = []
    for rows, on_conflict in zip(files, conflicts, strict=True):
        content = "\n".join(("Email,First,Plan", *map(",".join, rows), "")).encode()
        job, event = pipeline.accept(project, content, ImportOptions(COLUMN_MAP, on_conflict))
        pipeline.process(event)
        jobs.append(job)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in pipeline.take_all():
        groups[message["Attributes"]["MessageGroupId"]].append(message)

    def deliver(messages: list[dict[str, Any]]) -> None:
        for message in messages:  # a group is delivered in order, all groups at once
            event = sqs_event([message], "RowQueue.fifo")
            assert processes.submit(invoke, "row_batch", event).result() == {
                "batchItemFailures": []
            }

    threads = [threading.Thread(target=deliver, args=(messages,)) for messages in groups.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ended = [pipeline.get(job) for job in jobs]
    assert all(one.status is Status.COMPLETED for one in ended)
    assert all(one.counts.total == one.counts.settled == ROWS for one in ended)
    contacts = pipeline.contacts_of(project)
    used = {row[0] for rows in files for row in rows}
    assert set(contacts) == used
    assert sum(one.counts.created for one in ended) == len(used)
    for email in used:
        orders = [_rows_of_email(rows, email) for rows in files]
        creator = pipeline.creator(project, email, jobs)
        assert contacts[email] in possible_contacts(orders, conflicts, creator)
    tried("two or four imports of the same contacts at once, in processes", 1)


def test_everything_twice_in_two_processes(
    pipeline: Pipeline,
    project: str,
    processes: ProcessPoolExecutor,
    many_batches: None,
    tried: Callable[[str, int], None],
) -> None:
    rows = rows_of(0, random.Random(0))
    content = "\n".join(("Email,First,Plan", *map(",".join, rows), "")).encode()
    options = ImportOptions(COLUMN_MAP)
    job, event = pipeline.accept(project, content, options)
    _twice(processes, "processor", event)
    deliveries = 1
    while messages := pipeline.messages():
        deliveries += 1
        answers = _twice(processes, "row_batch", sqs_event(messages, "RowQueue.fifo"))
        assert answers == [{"batchItemFailures": []}] * 2
        pipeline.delete(messages)
    reference = expected(content, options)
    ended = pipeline.get(job)
    assert ended.counts.total == ended.counts.settled == ROWS
    assert ended.counts.created == reference.counts[Outcome.CREATED]
    assert pipeline.contacts_of(project) == reference.contacts
    tried("every delivery twice, in two processes at once", deliveries)


def _twice(processes: ProcessPoolExecutor, function: str, event: dict[str, Any]) -> list[Any]:
    both = [processes.submit(invoke, function, event) for _ in range(2)]
    return [one.result() for one in both]


def _rows_of_email(rows: list[list[str]], email: str) -> list[Row]:
    reader = RowReader(FIELDS, ())
    read = [reader.read(number, row) for number, row in enumerate(rows, 2)]
    return [row for row in read if isinstance(row, Row) and row.contact.email == email]
