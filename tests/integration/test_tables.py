"""The stores on the embedded AWS: what their conditions protect from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from contact_imports.aws import retry
from contact_imports.aws.api_keys_table import ApiKeyTable, Scope, key_id_of
from contact_imports.aws.contacts_table import ContactTable, ContactWriteError
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import QUIET_AFTER, ProjectWrites
from contact_imports.aws.retry import StillUnprocessedError
from contact_imports.model.contact import Contact, Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import new_import_id
from contact_imports.model.progress import BatchKey, Partition
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact
from local.stack import LocalStack
from tests.pipeline import Pipeline, items_of

NOW = datetime.now(UTC).replace(microsecond=0)


def stored(email: str, version: int = 1, **fields: str) -> StoredContact:
    import_id = new_import_id(NOW)
    return StoredContact(
        Contact(email, fields, {"k": "é", "": "x"} if fields else {}, frozenset(fields)),
        version,
        CreatedBy(import_id, 7),
        {import_id: (AppliedRows(4), AppliedRows(9, {8: "why"}))},
    )


def test_contacts_come_back_as_they_were_written(pipeline: Pipeline, project: str) -> None:
    written = {f"c{n}@example.com": stored(f"c{n}@example.com", name=str(n)) for n in range(260)}
    written["bare@example.com"] = stored("bare@example.com")
    assert pipeline.contacts.write(project, written.values()) == set()
    assert pipeline.contacts.read(project, [*written, "none@example.com"]) == written
    changed = {
        e: replace(
            c, version=2, contact=structs.replace(c.contact, fields={"phone": "1", "name": "n"})
        )
        for e, c in written.items()
    }
    assert pipeline.contacts.write(project, changed.values()) == set()
    assert pipeline.contacts.read(project, changed) == changed


def test_a_contact_is_kept_by_its_id_and_shows_a_readable_email(
    pipeline: Pipeline, project: str
) -> None:
    email = "info@xn--mnchen-3ya.de"
    written = {email: stored(email, name="Ann")}
    assert pipeline.contacts.write(project, written.values()) == set()
    of_contact = hashlib.sha256(f"{project}\n{email}".encode()).hexdigest()[:24]
    key = {"pk": {"S": f"{project}#{of_contact[:2]}"}, "sk": {"S": of_contact}}
    item = pipeline.dynamodb.get_item(TableName=pipeline.contacts_table, Key=key)["Item"]
    assert item["email"] == {"S": "info@münchen.de"}
    assert pipeline.contacts.read(project, [email]) == written
    changed = replace(written[email], version=2, contact=Contact(email, {"name": "Bob"}))
    assert pipeline.contacts.write(project, [changed]) == set()
    item = pipeline.dynamodb.get_item(TableName=pipeline.contacts_table, Key=key)["Item"]
    assert (item["email"], item["name"]) == ({"S": "info@münchen.de"}, {"S": "Bob"})


def test_a_contact_that_one_row_created_says_so_once(pipeline: Pipeline, project: str) -> None:
    created = stored("a@example.com")
    import_id, row = created.created_by
    by_creation = replace(created, applied={import_id: (AppliedRows(row),)})
    later_rows = replace(stored("b@example.com"), applied={import_id: (AppliedRows(row + 1),)})
    written = {"a@example.com": by_creation, "b@example.com": later_rows}
    assert pipeline.contacts.write(project, written.values()) == set()
    assert pipeline.contacts.read(project, written) == written
    items = items_of(pipeline.dynamodb, pipeline.contacts_table)
    ours = [item for item in items if item["pk"]["S"].startswith(f"{project}#")]
    assert {item["email"]["S"]: "applied" in item for item in ours} == {
        "a@example.com": False,
        "b@example.com": True,
    }


def test_a_contact_that_is_there_is_not_inserted_again(pipeline: Pipeline, project: str) -> None:
    first = stored("a@example.com", name="first")
    pipeline.contacts.write(project, [first])
    second = [stored("a@example.com", name="second"), stored("b@example.com")]
    assert pipeline.contacts.write(project, second) == {"a@example.com"}
    assert pipeline.contacts.read(project, ["a@example.com"]) == {"a@example.com": first}


def test_a_contact_that_somebody_else_changed_is_not_overwritten(
    pipeline: Pipeline, project: str
) -> None:
    pipeline.contacts.write(project, [stored("a@example.com")])
    theirs = stored("a@example.com", 2, name="theirs")
    pipeline.contacts.write(project, [theirs])
    assert pipeline.contacts.write(project, [stored("a@example.com", 2)]) == {"a@example.com"}
    assert pipeline.contacts.read(project, ["a@example.com"]) == {"a@example.com": theirs}


def test_a_project_does_not_see_anothers_contacts(pipeline: Pipeline, project: str) -> None:
    pipeline.contacts.write(project, [stored("a@example.com")])
    assert pipeline.contacts.read(f"{project}2", ["a@example.com"]) == {}


class _Answering:
    """A client that gives some answers first, and then passes calls on."""

    def __init__(self, client: Any, operation: str, change: list[Callable[[Any], Any]]) -> None:
        self._client, self._operation, self._change = client, operation, change

    def __getattr__(self, name: str) -> Any:
        if name != self._operation or not self._change:
            return getattr(self._client, name)
        change = self._change.pop(0)
        return lambda **arguments: change(arguments)


def answering(client: Any, operation: str, change: list[Callable[[Any], Any]]) -> Any:
    return _Answering(client, operation, change)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_BASE_SECONDS", 0)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceeded",
        "ThrottlingError",
        "TransactionConflict",
        "InternalServerError",
    ],
)
def test_a_statement_that_aws_puts_off_is_made_again(
    pipeline: Pipeline, project: str, code: str
) -> None:
    real = pipeline.dynamodb

    def half(arguments: dict[str, Any]) -> Any:
        statements = arguments["Statements"]
        done = real.batch_execute_statement(Statements=statements[:1])["Responses"]
        return {"Responses": done + [{"Error": {"Code": code}} for _ in statements[1:]]}

    client = answering(real, "batch_execute_statement", [half])
    contacts = ContactTable(client, pipeline.contacts_table)
    written = [stored("a@example.com"), stored("b@example.com"), stored("c@example.com")]
    assert contacts.write(project, written) == set()
    assert len(contacts.read(project, [c.contact.email for c in written])) == 3


@pytest.mark.usefixtures("no_waiting")
def test_a_statement_that_aws_refuses_is_an_error(pipeline: Pipeline, project: str) -> None:
    def refuse(arguments: dict[str, Any]) -> Any:
        return {"Responses": [{"Error": {"Code": "ValidationError"}}]}

    client = answering(pipeline.dynamodb, "batch_execute_statement", [refuse])
    contacts = ContactTable(client, pipeline.contacts_table)
    with pytest.raises(ContactWriteError, match="ValidationError"):
        contacts.write(project, [stored("a@example.com")])


@pytest.mark.usefixtures("no_waiting")
def test_keys_that_aws_leaves_unread_are_read_again(pipeline: Pipeline, project: str) -> None:
    written = {f"c{n}@example.com": stored(f"c{n}@example.com") for n in range(5)}
    pipeline.contacts.write(project, written.values())

    def one(arguments: dict[str, Any]) -> Any:
        ((table, request),) = arguments["RequestItems"].items()
        keys = request["Keys"]
        answer = pipeline.dynamodb.batch_get_item(
            RequestItems={table: {**request, "Keys": keys[:1]}}
        )
        return {**answer, "UnprocessedKeys": {table: {**request, "Keys": keys[1:]}}}

    contacts = ContactTable(
        answering(pipeline.dynamodb, "batch_get_item", [one, one]), pipeline.contacts_table
    )
    assert contacts.read(project, written) == written

    def nothing(arguments: dict[str, Any]) -> Any:
        return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}

    contacts = ContactTable(
        answering(pipeline.dynamodb, "batch_get_item", [nothing] * 99), pipeline.contacts_table
    )
    with pytest.raises(StillUnprocessedError):
        contacts.read(project, written)


def commit(
    progress: ProgressRecords,
    import_id: str,
    seq: int,
    known: Partition,
    *,
    last: bool = False,
    failed: int = 0,
) -> Partition:
    errors = [RowError(n, "invalid_email", "why") for n in range(failed)]
    outcomes = Counter({Outcome.CREATED: 1, Outcome.FAILED: failed})
    return progress.commit(BatchKey(import_id, 0, seq, last), known, outcomes, errors)


NEW_BATCH = Partition(1, mostly_new=True)
"""A partition after its first row batch, whose contacts were all new."""


@pytest.mark.parametrize("failed", [0, 2])
def test_a_row_batch_is_counted_once(pipeline: Pipeline, failed: int) -> None:
    import_id = new_import_id(NOW)
    once = commit(pipeline.progress, import_id, 0, Partition(), failed=failed)
    again = commit(pipeline.progress, import_id, 0, Partition(), failed=failed)
    assert once == again == pipeline.progress.get(import_id, 0) == NEW_BATCH
    assert _counters(pipeline, import_id) == (1, failed)
    assert len(list(pipeline.progress.errors(import_id, 1))) == failed


@pytest.mark.parametrize("failed", [0, 2])
def test_a_gap_is_filled_once(pipeline: Pipeline, failed: int) -> None:
    import_id = new_import_id(NOW)
    progress = pipeline.progress
    after = commit(progress, import_id, 2, Partition(), last=True)
    assert after == progress.get(import_id, 0)
    assert after == replace(NEW_BATCH, next_seq=3, ended=True, gaps=frozenset({0, 1}))
    assert not after.done
    for seq in (1, 1, 0, 0):
        # Known as it was before anything: what is read again decides.
        filled = commit(progress, import_id, seq, Partition(), failed=failed)
    assert filled == progress.get(import_id, 0)
    assert filled == replace(NEW_BATCH, next_seq=3, ended=True)
    assert filled.done
    assert _counters(pipeline, import_id) == (3, 2 * failed)


@pytest.mark.parametrize(
    ("outcomes", "mostly_new"),
    [
        ({Outcome.CREATED: 95, Outcome.UPDATED: 3, Outcome.SKIPPED: 2, Outcome.FAILED: 50}, True),
        ({Outcome.CREATED: 94, Outcome.UPDATED: 6}, False),
        ({Outcome.FAILED: 1}, False),
        ({}, False),
    ],
)
def test_a_partition_knows_whether_its_last_batch_was_mostly_new(
    pipeline: Pipeline, outcomes: dict[Outcome, int], mostly_new: bool
) -> None:
    import_id = new_import_id(NOW)
    known = commit(pipeline.progress, import_id, 0, Partition())
    assert known.mostly_new
    known = pipeline.progress.commit(BatchKey(import_id, 0, 1, last=False), known, outcomes, [])
    assert known == pipeline.progress.get(import_id, 0)
    assert known.mostly_new is mostly_new


def test_a_partition_that_has_ended_counts_nothing_more(pipeline: Pipeline) -> None:
    import_id = new_import_id(NOW)
    assert pipeline.progress.end_partition(import_id, 0) == Partition(0, True)
    assert commit(pipeline.progress, import_id, 0, Partition()) == Partition(0, True)
    assert _counters(pipeline, import_id) == (0, 0)


def _counters(pipeline: Pipeline, import_id: str) -> tuple[int, int]:
    item = pipeline.dynamodb.get_item(
        TableName="ImportsTable",
        Key={"importId": {"S": import_id}, "record": {"S": "partition#00"}},
    )["Item"]
    return tuple(int(item.get(name, {"N": 0})["N"]) for name in ("created", "failed"))  # type: ignore[return-value]


def test_keys_are_found_until_they_are_revoked(embedded_aws: LocalStack) -> None:
    dynamodb = embedded_aws.client("dynamodb")
    keys = ApiKeyTable(dynamodb, embedded_aws.outputs["ApiKeysTable"])
    text = keys.create([Scope.READ], ["a", "b"], NOW)
    found = keys.find(text)
    assert found is not None
    assert (set(found.scopes), set(found.projects)) == ({"audience:read"}, {"a", "b"})
    assert found.id == key_id_of(text) == key_id_of(found.id)
    other = keys.create([Scope.READ], ["a"], NOW)
    assert keys.find(text[:-43] + other[-43:]) is None
    assert keys.find(text[:-1]) is None
    assert keys.find("") is None
    secret = text.split("_", 2)[2]
    assert secret not in str(items_of(dynamodb, embedded_aws.outputs["ApiKeysTable"]))
    assert keys.revoke(found.id)
    assert keys.find(text) is None
    assert not keys.revoke(found.id)


def test_a_project_is_quiet_some_minutes_after_the_last_write(pipeline: Pipeline) -> None:
    writes = ProjectWrites(pipeline.dynamodb, "ImportsTable")
    project = new_import_id(NOW)
    assert writes.is_quiet(project, NOW)
    writes.note(project, NOW)
    assert not writes.is_quiet(project, NOW)
    assert not writes.is_quiet(project, NOW + QUIET_AFTER)
    assert writes.is_quiet(project, NOW + QUIET_AFTER + timedelta(seconds=1))
    assert writes.is_quiet("another", NOW)


def test_a_note_is_as_good_as_new_for_half_a_minute(pipeline: Pipeline) -> None:
    writes = ProjectWrites(pipeline.dynamodb, "ImportsTable")
    project = new_import_id(NOW)
    for seconds in (0, 29, 30, 59):
        writes.note(project, NOW + timedelta(seconds=seconds))
    key = {"importId": {"S": f"project#{project}"}, "record": {"S": "writes"}}
    item = pipeline.dynamodb.get_item(TableName="ImportsTable", Key=key)["Item"]
    assert int(item["wroteAt"]["N"]) == int(NOW.timestamp()) + 30
