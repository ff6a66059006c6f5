"""No write goes on after the answer: what AWS delivers again must not meet what is still under way."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Event, Semaphore
from typing import Any, cast

import pytest

from contact_imports.aws.contacts_table import ContactTable
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.messages.row_messages import RowBatch, SentRow
from contact_imports.model.contact import Contact, OnConflict
from contact_imports.model.import_job import new_import_id
from contact_imports.model.progress import Partition
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact

NOW = datetime(2030, 1, 2, tzinfo=UTC)
IMPORT = new_import_id(NOW)
SECONDS = 0.3
"""How long a call waits for an answer that must not come before it has ended."""


class RefusedError(Exception):
    """The first call's error."""


class Calls:
    """The first call fails; the others are under way until there is an answer, or it is clear that there is none."""

    def __init__(self) -> None:
        self._answered = Event()
        self._failed = Event()
        self._ended = Semaphore(0)
        self._overtaken = 0

    def make(self, *, is_first: bool) -> None:
        if is_first:
            self._failed.set()
            raise RefusedError
        assert self._failed.wait(60)
        self._overtaken += self._answered.wait(SECONDS)
        self._ended.release()

    def overtaken(self, others: int) -> int:
        """How many of so many other calls were under way when the answer, which is there now, was given."""
        self._answered.set()
        for _ in range(others):
            assert self._ended.acquire(timeout=60)
        return self._overtaken


@pytest.fixture
def calls() -> Calls:
    return Calls()


class Client:
    """DynamoDB, as far as contacts need it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def batch_get_item(self, **request: Any) -> Any:
        (keys,) = (table["Keys"] for table in request["RequestItems"].values())
        self._calls.make(is_first=len(keys) == 100)
        return {"Responses": {}}

    def batch_execute_statement(self, **request: Any) -> Any:
        statements = request["Statements"]
        self._calls.make(is_first=len(statements) == 25)
        return {"Responses": [{} for _ in statements]}


def test_a_write_waits_for_all_its_calls(calls: Calls) -> None:
    contacts = ContactTable(cast("Any", Client(calls)), "table")
    written = [
        StoredContact(
            Contact(f"{n}@example.com"), 1, CreatedBy(IMPORT, n), {IMPORT: (AppliedRows(n),)}
        )
        for n in range(30)
    ]
    with pytest.raises(RefusedError):
        contacts.write("p", written)
    assert calls.overtaken(1) == 0


def test_a_read_waits_for_all_its_calls(calls: Calls) -> None:
    contacts = ContactTable(cast("Any", Client(calls)), "table")
    with pytest.raises(RefusedError):
        contacts.read("p", [f"{n}@example.com" for n in range(130)])
    assert calls.overtaken(1) == 0


class Stores:
    """What a batch of new contacts needs of its stores."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, import_id: str, partition: int) -> Partition:
        return Partition()

    def is_quiet(self, project_id: str, now: datetime) -> bool:
        return True

    def read(self, project_id: str, emails: Iterable[str], **_: Any) -> Any:
        self._calls.make(is_first="0@example.com" in emails)
        return {}

    def note(self, project_id: str, now: datetime) -> None:
        pass

    def write(self, project_id: str, contacts: Any, *_: Any) -> set[str]:
        return set()


def test_a_row_batch_waits_for_all_its_slices(calls: Calls) -> None:
    fake = cast("Any", Stores(calls))
    rows = [SentRow(n + 2, [f"{n}@example.com"]) for n in range(350)]
    batch = RowBatch(
        IMPORT,
        "p",
        0,
        seq=0,
        last=True,
        fields=("email",),
        on_conflict=OnConflict.UPSERT,
        tags=(),
        rows=rows,
        rejected=[],
    )
    with pytest.raises(RefusedError):
        handle_message(batch, RowBatchStores(fake, fake, fake, fake, fake), NOW)
    assert calls.overtaken(3) == 0
