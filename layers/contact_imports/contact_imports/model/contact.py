"""What a row says of a contact, and what it makes of the contact that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contact_imports.model.column_map import CUSTOM_FIELD_PREFIX
from contact_imports.model.errors import RowError
from contact_imports.model.limits import MAX_CONTACT_BYTES


class OnConflict(StrEnum):
    """What happens to a row whose email exists."""

    SKIP = "skip"
    UPSERT = "upsert"


class OnBlank(StrEnum):
    """What a blank cell of a mapped column does to the value that is there."""

    KEEP = "keep"
    CLEAR = "clear"


class Outcome(StrEnum):
    """What became of a row; the names are those of the API's counts."""

    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact of one project. `fields` holds the standard fields that have a value.

    `email` is its identity (see `identity.email_identity`), not what people are shown.
    """

    email: str
    fields: Mapping[str, str] = field(default_factory=dict)
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """A valid row: its number in the file, and its non-blank values as a contact.

    `cleared` are the fields whose value it takes away, as the column map names them.
    """

    number: int
    contact: Contact
    cleared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Applied:
    """A row's effect: the contact after it (None: still none) and what the row counts as."""

    contact: Contact | None
    outcome: Outcome
    error: RowError | None = None


def merge(existing: Contact, row: Row) -> Contact:
    """The contact after a row: its values replace, what it clears goes, the rest stays; custom fields go
    key by key, tags add up."""
    fields = {**existing.fields, **row.contact.fields}
    custom_fields = {**existing.custom_fields, **row.contact.custom_fields}
    for name in row.cleared:
        if name.startswith(CUSTOM_FIELD_PREFIX):
            custom_fields.pop(name.removeprefix(CUSTOM_FIELD_PREFIX), None)
        else:
            fields.pop(name, None)
    return Contact(existing.email, fields, custom_fields, existing.tags | row.contact.tags)


def apply_row(existing: Contact | None, row: Row, on_conflict: OnConflict) -> Applied:
    """What one row does to the contact of its email: the rule that the whole import follows."""
    if existing is None:
        return Applied(row.contact, Outcome.CREATED)
    if on_conflict is OnConflict.SKIP:
        return Applied(existing, Outcome.SKIPPED)
    merged = merge(existing, row)
    if merged == existing:
        return Applied(existing, Outcome.UPDATED)
    if contact_bytes(merged) > MAX_CONTACT_BYTES:
        message = f"The contact would grow over {MAX_CONTACT_BYTES:,} bytes with this row's values."
        return Applied(existing, Outcome.FAILED, RowError(row.number, "contact_too_large", message))
    return Applied(merged, Outcome.UPDATED)


def contact_bytes(contact: Contact) -> int:
    """Keys and values of a contact in UTF-8, which is what DynamoDB counts, less its own few bytes a value."""
    texts = (contact.email, *contact.fields, *contact.fields.values(), *contact.custom_fields)
    return sum(
        len(text.encode()) for text in (*texts, *contact.custom_fields.values(), *contact.tags)
    )
