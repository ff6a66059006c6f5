"""Contacts copied back from a restored table: values of then, the memory of now, and no write over somebody else's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from contact_imports.aws.contacts_table import ContactTable
from contact_imports.model.contact import Contact
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact
from local.restore import CHANGED, DIFFERENT, MISSING, NEWER, SAME, restore
from local.stack import LocalStack
from tests.template import resources

THEN, NOW = "then", "now"
FIRST, SECOND = "6b037e4474b9b60a27094167", "6b037e4474b9b60a27094168"
TABLE = resources("AWS::DynamoDB::Table")["ContactsTable"]


@pytest.fixture
def dynamodb(embedded_aws: LocalStack) -> Iterator[Any]:
    client = embedded_aws.client("dynamodb", config=Config(max_pool_connections=8))
    for name in (THEN, NOW):
        client.create_table(
            TableName=name,
            BillingMode=TABLE["BillingMode"],
            KeySchema=TABLE["KeySchema"],
            AttributeDefinitions=TABLE["AttributeDefinitions"],
        )
    yield client
    for name in (THEN, NOW):
        client.delete_table(TableName=name)


def contact(email: str, name: str, version: int = 1, **applied: int) -> StoredContact:
    values = Contact(email, {"firstName": name}, {"plan": "pro"}, frozenset({"b", "a"}))
    rows = {import_id: (AppliedRows(row),) for import_id, row in applied.items()}
    return StoredContact(values, version, CreatedBy(FIRST, 2), rows or {FIRST: (AppliedRows(2),)})


def put(client: Any, table: str, project: str, *contacts: StoredContact) -> None:
    """Stores contacts as our code does, version by version."""
    for stored in contacts:
        assert not ContactTable(client, table).write(project, [stored])


def read(client: Any, email: str, project: str = "acme") -> StoredContact | None:
    return ContactTable(client, NOW).read(project, [email]).get(email)


def test_values_are_of_then_and_the_memory_is_of_now(dynamodb: Any) -> None:
    put(dynamodb, THEN, "acme", contact("ann@example.com", "Ann"))
    changed = contact("ann@example.com", "Wrong", 2, **{FIRST: 2, SECOND: 7})
    put(dynamodb, NOW, "acme", contact("ann@example.com", "Ann"), changed)
    assert restore(dynamodb, THEN, NOW, "acme", write=True)[DIFFERENT] == 1
    expected = contact("ann@example.com", "Ann", 3, **{FIRST: 2, SECOND: 7})
    assert read(dynamodb, "ann@example.com") == expected


def test_what_is_missing_comes_back_with_a_new_version(dynamodb: Any) -> None:
    put(dynamodb, THEN, "acme", contact("ann@example.com", "Ann"))
    assert restore(dynamodb, THEN, NOW, "acme", write=True)[MISSING] == 1
    assert read(dynamodb, "ann@example.com") == contact("ann@example.com", "Ann", 2)
    # Once more changes nothing.
    assert restore(dynamodb, THEN, NOW, "acme", write=True) == Counter({SAME: 1, NEWER: 0})
    assert read(dynamodb, "ann@example.com") == contact("ann@example.com", "Ann", 2)


def test_newer_contacts_and_other_projects_stay(dynamodb: Any) -> None:
    put(dynamodb, THEN, "other", contact("ann@example.com", "Ann"))
    put(dynamodb, NOW, "acme", contact("new@example.com", "New"))
    put(dynamodb, NOW, "other", contact("ann@example.com", "Changed"))
    assert restore(dynamodb, THEN, NOW, "acme", write=True) == Counter({NEWER: 1})
    assert read(dynamodb, "new@example.com") == contact("new@example.com", "New")
    assert read(dynamodb, "ann@example.com", "other") == contact("ann@example.com", "Changed")


def test_nothing_is_written_unless_it_is_asked_for(dynamodb: Any) -> None:
    put(dynamodb, THEN, "acme", contact("ann@example.com", "Ann"), contact("bob@example.com", "B"))
    put(dynamodb, NOW, "acme", contact("ann@example.com", "Wrong"))
    found = restore(dynamodb, THEN, NOW, "acme", write=False)
    assert (found[DIFFERENT], found[MISSING]) == (1, 1)
    assert read(dynamodb, "ann@example.com") == contact("ann@example.com", "Wrong")
    assert read(dynamodb, "bob@example.com") is None


class Meanwhile:
    """A client whose first `put_item` comes after another writer's."""

    def __init__(self, client: Any, write: Any) -> None:
        self._client, self._write = client, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **arguments: Any) -> Any:
        self._write()
        return self._client.put_item(**arguments)


@pytest.mark.parametrize("present", [True, False])
def test_what_somebody_else_writes_meanwhile_is_not_overwritten(
    dynamodb: Any, *, present: bool
) -> None:
    put(dynamodb, THEN, "acme", contact("ann@example.com", "Ann"))
    latest = contact("ann@example.com", "Latest", 1 + present, **{FIRST: 2, SECOND: 9})
    if present:
        put(dynamodb, NOW, "acme", contact("ann@example.com", "Wrong"))
    client = Meanwhile(dynamodb, lambda: put(dynamodb, NOW, "acme", latest))
    assert restore(client, THEN, NOW, "acme", write=True)[CHANGED] == 1
    assert read(dynamodb, "ann@example.com") == latest
