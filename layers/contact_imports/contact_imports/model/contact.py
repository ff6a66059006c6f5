"""Contacts and rows, and what a row does to the contact with its email."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from contact_imports.model.column_map import CUSTOM_FIELD_PREFIX
from contact_imports.model.errors import RowError
from contact_imports.model.limits import MAX_CONTACT_BYTES


class OnConflict(StrEnum):
    """What happens to a row whose contact exists."""

    SKIP = "skip"
    UPSERT = "upsert"


class OnBlank(StrEnum):
    """What a blank cell of a mapped column does to the contact's value."""

    KEEP = "keep"
    CLEAR = "clear"


class Outcome(StrEnum):
    """The result of a row; the names are those of the API's counts."""

    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"
    FAILED = "failed"


class Contact(msgspec.Struct, frozen=True):
    """A contact of one project. `fields` holds the standard fields that have a value.

    `email` is its identity (see `identity.email_identity`), not what people are shown.
    """

    email: str
    fields: Mapping[str, str] = {}
    custom_fields: Mapping[str, str] = {}
    tags: frozenset[str] = frozenset()


class Row(msgspec.Struct, frozen=True):
    """A valid row: its number in the file, and its non-blank values as a contact.

    `cleared` are the fields that it removes, with their names in the column map.
    """

    number: int
    contact: Contact
    cleared: frozenset[str] = frozenset()


class Applied(msgspec.Struct, frozen=True):
    """The effect of a row: the contact after it, or None if there still is none, and what the row counts as."""

    contact: Contact | None
    outcome: Outcome
    error: RowError | None = None


def merge(existing: Contact, row: Row) -> Contact:
    """The contact after a row: the row's values replace the old ones, cleared fields are removed, other fields and all
    tags are kept. Custom fields are merged key by key."""
    fields = {**existing.fields, **row.contact.fields}
    custom_fields = {**existing.custom_fields, **row.contact.custom_fields}
    for name in row.cleared:
        if name.startswith(CUSTOM_FIELD_PREFIX):
            custom_fields.pop(name.removeprefix(CUSTOM_FIELD_PREFIX), None)
        else:
            fields.pop(name, None)
    return Contact(existing.email, fields, custom_fields, existing.tags | row.contact.tags)


def apply_row(existing: Contact | None, row: Row, on_conflict: OnConflict) -> Applied:
    """Applies one row to the contact with its email. This is the rule that the whole import follows."""
    if existing is None:
        return Applied(row.contact, Outcome.CREATED)
    if on_conflict is OnConflict.SKIP:
        return Applied(existing, Outcome.SKIPPED)
    merged = merge(existing, row)
    if merged == existing:
        return Applied(existing, Outcome.UPDATED)
    if contact_bytes(merged) > MAX_CONTACT_BYTES:
        message = f"The contact would have over {MAX_CONTACT_BYTES:,} bytes with this row's values. Make them shorter."
        return Applied(existing, Outcome.FAILED, RowError(row.number, "contact_too_large", message))
    return Applied(merged, Outcome.UPDATED)


def contact_bytes(contact: Contact) -> int:
    """The bytes of a contact's keys and values in UTF-8. DynamoDB counts these and a few more for each value."""
    texts = (contact.email, *contact.fields, *contact.fields.values(), *contact.custom_fields)
    return sum(
        len(text.encode()) for text in (*texts, *contact.custom_fields.values(), *contact.tags)
    )
