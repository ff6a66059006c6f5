"""The DynamoDB table of contacts: read a hundred at a time, written conditionally, 25 at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from contact_imports.aws.retry import TRANSIENT_CODES, StillUnprocessedError, attempts
from contact_imports.model.column_map import STANDARD_FIELDS
from contact_imports.model.contact import Contact
from contact_imports.model.identity import contact_id, readable_email
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        BatchStatementRequestTypeDef,
        KeysAndAttributesTypeDef,
    )

_KEY_DIGITS = 2
"""Hex digits of a contact's id in its partition key. Two spread a project's contacts over 256 keys, because DynamoDB
writes at most 1,000 units a second to one key.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"""

DRY_RUN_LIFETIME = timedelta(days=3)
"""How long the contacts of a dry run are kept: longer than any import runs."""

_READ_LIMIT = 100  # keys a BatchGetItem
_WRITE_LIMIT = 25  # statements a BatchExecuteStatement
_THREADS = 8

_NO_TAGS = frozenset[str]()
_STATEMENTS_REMEMBERED = 1_000  # by the fields that a contact has

_CONFLICTS = {"DuplicateItem", "ConditionalCheckFailed"}

T = TypeVar("T")
R = TypeVar("R")


class ContactWriteError(Exception):
    """DynamoDB refused a contact for good, with this error code."""


class ContactTable:
    """Contacts by project and email. Here an email is its identity, except in the attribute `email`.

    Its client needs a connection pool for 8 threads.
    """

    def __init__(
        self, client: DynamoDBClient, table_name: str, lifetime: timedelta | None = None
    ) -> None:
        """With a `lifetime`, DynamoDB deletes contacts when it is over."""
        self._client = client
        self._table = table_name
        self._lifetime = lifetime
        self._threads = ThreadPoolExecutor(_THREADS)

    def read(
        self,
        project_id: str,
        emails: Iterable[str],
        *,
        consistent: bool = True,
    ) -> dict[str, StoredContact]:
        """The contacts that exist, by email.

        A read that is not `consistent` costs half, and may miss the latest writes. Raises StillUnprocessedError.
        """
        found: dict[str, StoredContact] = {}
        for contacts in self._each(
            lambda chunk: self._read_chunk(project_id, chunk, consistent=consistent),
            _chunks(emails, _READ_LIMIT),
        ):
            for stored in contacts:
                found[stored.contact.email] = stored
        return found

    def write(self, project_id: str, contacts: Iterable[StoredContact]) -> set[str]:
        """Writes contacts, each on the condition that it is absent (version 1) or still has the previous version.

        Returns the emails whose condition failed because another writer was faster: read those again. An email
        may have at most one contact. A condition also fails if an answer was lost after its write took effect: what
        is read again then shows the rows as applied. Raises ContactWriteError, StillUnprocessedError.
        """
        conflicts: set[str] = set()
        for found in self._each(
            lambda chunk: self._write_chunk(project_id, chunk),
            _chunks(contacts, _WRITE_LIMIT),
        ):
            conflicts |= found
        return conflicts

    def _each(self, call: Callable[[list[T]], R], chunks: Iterable[list[T]]) -> list[R]:
        """Makes calls in parallel, waits for all of them, and raises the first error."""
        calls = [self._threads.submit(call, chunk) for chunk in chunks]
        wait(calls)
        return [made.result() for made in calls]

    def _read_chunk(
        self, project_id: str, emails: Sequence[str], *, consistent: bool
    ) -> list[StoredContact]:
        by_id = {contact_id(project_id, email): email for email in emails}
        request: dict[str, KeysAndAttributesTypeDef] = {
            self._table: {
                "Keys": [_key(project_id, of_contact) for of_contact in by_id],
                "ConsistentRead": consistent,
            }
        }
        contacts: list[StoredContact] = []
        for _ in attempts():
            response = self._client.batch_get_item(RequestItems=request)
            items: list[Any] = response["Responses"].get(self._table, [])
            contacts += [_from_item(item, by_id[item["sk"]["S"]]) for item in items]
            if not response.get("UnprocessedKeys"):
                return contacts
            request = response["UnprocessedKeys"]  # type: ignore[assignment]
        raise StillUnprocessedError("contacts could not be read")

    def _write_chunk(self, project_id: str, contacts: Sequence[StoredContact]) -> set[str]:
        conflicts: set[str] = set()
        pending = list(contacts)
        for _ in attempts():
            response = self._client.batch_execute_statement(
                Statements=[self._statement(project_id, contact) for contact in pending]
            )
            unprocessed: list[StoredContact] = []
            for contact, answer in zip(pending, response["Responses"], strict=True):
                code = answer.get("Error", {}).get("Code")
                if code is None:
                    continue
                if code in _CONFLICTS:
                    conflicts.add(contact.contact.email)
                elif code in TRANSIENT_CODES:
                    unprocessed.append(contact)
                else:
                    raise ContactWriteError(code)
            if not unprocessed:
                return conflicts
            pending = unprocessed
        raise StillUnprocessedError("contacts could not be written")

    def _statement(self, project_id: str, stored: StoredContact) -> BatchStatementRequestTypeDef:
        email = stored.contact.email
        key = _key(project_id, contact_id(project_id, email))
        values = _to_item(stored)
        if self._lifetime is not None:
            expires_at = datetime.now(UTC) + self._lifetime
            values["expiresAt"] = {"N": str(int(expires_at.timestamp()))}
        if stored.version == 1:
            item = {**key, "email": {"S": readable_email(email)}, **values}
            return {
                "Statement": _insert(self._table, tuple(item)),
                "Parameters": list(item.values()),
            }
        return {
            "Statement": _update(self._table, tuple(values), stored.emptied),
            "Parameters": [*values.values(), *key.values(), {"N": str(stored.version - 1)}],
        }


class DryRunContacts:
    """The contacts of a dry run: read from the table of contacts, written to another table.

    Only contacts of `repeated` emails are written, because only they are read again.
    """

    def __init__(
        self, contacts: ContactTable, scratch: ContactTable, import_id: str, repeated: set[str]
    ) -> None:
        self._contacts = contacts
        self._scratch = scratch
        self._import_id = import_id
        self._repeated = repeated
        self._written: set[str] = set()

    def read(
        self,
        project_id: str,
        emails: Iterable[str],
        *,
        consistent: bool = True,  # noqa: ARG002
    ) -> dict[str, StoredContact]:
        """The contacts that exist or that the dry run made, by email; always strongly consistent."""
        emails = list(emails)
        written = self._scratch.read(self._import_id, self._repeated.intersection(emails))
        self._written |= written.keys()
        others = [email for email in emails if email not in written]
        return self._contacts.read(project_id, others) | written

    def write(self, _project_id: str, contacts: Iterable[StoredContact]) -> set[str]:
        """As ContactTable's."""
        repeated = (stored for stored in contacts if stored.contact.email in self._repeated)
        return self._scratch.write(
            self._import_id,
            [
                stored if stored.contact.email in self._written else replace(stored, version=1)
                for stored in repeated
            ],
        )


def partition_keys_of(project_id: str) -> Iterator[str]:
    """The partition keys that a project's contacts are under, in the order of their ids."""
    for digits in range(16**_KEY_DIGITS):
        yield f"{project_id}#{digits:0{_KEY_DIGITS}x}"


def _key(project_id: str, of_contact: str) -> dict[str, AttributeValueTypeDef]:
    """The key of a contact by its id. A dry run's contacts have the import's id instead of the project's."""
    return {"pk": {"S": f"{project_id}#{of_contact[:_KEY_DIGITS]}"}, "sk": {"S": of_contact}}


@lru_cache(_STATEMENTS_REMEMBERED)
def _insert(table: str, names: tuple[str, ...]) -> str:
    fields = ",".join(f"'{name}':?" for name in names)
    return f'INSERT INTO "{table}" VALUE {{{fields}}}'


@lru_cache(_STATEMENTS_REMEMBERED)
def _update(table: str, names: tuple[str, ...], emptied: frozenset[str]) -> str:
    changes = [f'SET "{name}"=?' for name in names]
    changes += [f'REMOVE "{name}"' for name in sorted(emptied)]
    return f'UPDATE "{table}" {" ".join(changes)} WHERE pk=? AND sk=? AND "version"=?'


def _to_item(stored: StoredContact) -> dict[str, AttributeValueTypeDef]:
    contact = stored.contact
    import_id, row = stored.created_by
    item: dict[str, AttributeValueTypeDef] = {
        "version": {"N": str(stored.version)},
        "createdBy": {"M": {"importId": {"S": import_id}, "row": {"N": str(row)}}},
    }
    if stored.version > 1 or not _is_only_created(stored):
        item["applied"] = {
            "M": {
                key: {"L": [_applied_to_item(rows) for rows in batches]}
                for key, batches in stored.applied.items()
            }
        }
    for name, value in contact.fields.items():
        item[name] = {"S": value}
    if contact.custom_fields:
        item["customFields"] = {"M": {k: {"S": v} for k, v in contact.custom_fields.items()}}
    if contact.tags:
        item["tags"] = {"SS": sorted(contact.tags)}
    return item


def _is_only_created(stored: StoredContact) -> bool:
    """Whether a contact's `applied` is what `_applied_by_creation` returns, so that it need not be stored."""
    batches = stored.applied.get(stored.created_by.import_id, ())
    return (
        len(stored.applied) == len(batches) == 1
        and batches[0].row == stored.created_by.row
        and not batches[0].failed
    )


def _applied_by_creation(created_by: CreatedBy) -> Mapping[str, tuple[AppliedRows, ...]]:
    """The `applied` of a contact that only its creation has changed; it is not stored."""
    return {created_by.import_id: (AppliedRows(created_by.row),)}


def _applied_to_item(rows: AppliedRows) -> AttributeValueTypeDef:
    value: dict[str, AttributeValueTypeDef] = {"row": {"N": str(rows.row)}}
    if rows.failed:
        value["failed"] = {"M": {str(number): {"S": why} for number, why in rows.failed.items()}}
    return {"M": value}


def _from_item(item: Any, email: str) -> StoredContact:
    custom_fields, tags = item.get("customFields"), item.get("tags")
    contact = Contact(
        email,
        {name: item[name]["S"] for name in STANDARD_FIELDS if name in item},
        {key: value["S"] for key, value in custom_fields["M"].items()} if custom_fields else {},
        frozenset(tags["SS"]) if tags else _NO_TAGS,
    )
    creation = item["createdBy"]["M"]
    created_by = CreatedBy(creation["importId"]["S"], int(creation["row"]["N"]))
    if "applied" in item:
        applied: Mapping[str, tuple[AppliedRows, ...]] = {
            import_id: tuple(map(_applied_from_item, batches["L"]))
            for import_id, batches in item["applied"]["M"].items()
        }
    else:
        applied = _applied_by_creation(created_by)
    return StoredContact(contact, int(item["version"]["N"]), created_by, applied)


def _applied_from_item(item: Any) -> AppliedRows:
    rows = item["M"]
    failed = {int(number): why["S"] for number, why in rows.get("failed", {"M": {}})["M"].items()}
    return AppliedRows(int(rows["row"]["N"]), failed)


def _chunks(values: Iterable[T], size: int) -> Iterable[list[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk
