"""Stored contacts, and how rows are applied to them exactly once.

A row batch can be delivered again after some of its contacts were written, and other imports can change the same
contacts meanwhile. So a stored contact remembers the row that created it and, for each import, the last row that
changed it. A row that was applied before is counted as it was then, and not applied again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import msgspec

from contact_imports.model.contact import Applied, Contact, OnConflict, Outcome, Row, apply_row
from contact_imports.model.errors import RowError, not_processed
from contact_imports.model.import_job import IMPORT_DEADLINE_SECONDS, import_time

_REMEMBERED = timedelta(seconds=2 * IMPORT_DEADLINE_SECONDS)
"""How long a contact remembers an import. After that, no row of the import can be delivered again."""


class AppliedRows(msgspec.Struct, frozen=True):
    """What a row batch did to a contact: it applied the rows up to `row`, except those in `failed`."""

    row: int
    failed: Mapping[int, str] = {}
    """Row number to the reason's message."""


class CreatedBy(NamedTuple):
    """The row that created a contact."""

    import_id: str
    row: int


class BatchRows(NamedTuple):
    """A batch's first and last row number."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class StoredContact:
    """A contact with what is needed to apply rows once. `version` counts the writes from 1.

    `applied` has the last row batch of each import that changed the contact. While a batch of an import is missing (see
    `Partition.gaps`), its earlier batches are kept as well, since the missing one may have changed the contact.
    `emptied` has the fields that the contact no longer has, and `customFields` if it has no more of them; the store
    removes these attributes.
    """

    contact: Contact
    version: int
    created_by: CreatedBy
    applied: Mapping[str, tuple[AppliedRows, ...]] = field(default_factory=dict)
    emptied: frozenset[str] = frozenset()


class MergeResult(msgspec.Struct, frozen=True):
    """The result of merging rows into a stored contact. `after` is what to write, or None if nothing changed."""

    after: StoredContact | None
    outcomes: dict[int, Outcome]
    errors: list[RowError]


def merge_rows(
    stored: StoredContact | None,
    rows: Sequence[Row],
    import_id: str,
    on_conflict: OnConflict,
    *,
    overtaking: bool = False,
) -> MergeResult:
    """Merges a row batch's rows of one contact, in file order, into the contact as it was read.

    Merging the same rows again changes nothing and gives the same outcomes. `overtaking` is whether an earlier batch
    is missing.
    """
    contact = stored.contact if stored else None
    created_by = stored.created_by if stored else None
    outcomes: dict[int, Outcome] = {}
    failed: dict[int, str] = {}
    done = stored.applied.get(import_id, ()) if stored else ()
    for row in rows:
        applied = None
        if done:
            applied = _applied_before(stored, done, row.number, import_id, on_conflict)
        if applied is None:
            applied = apply_row(contact, row, on_conflict)
            contact = applied.contact
            if applied.outcome is Outcome.CREATED:
                created_by = CreatedBy(import_id, row.number)
        outcomes[row.number] = applied.outcome
        if applied.error:
            failed[row.number] = applied.error.message
    errors = [RowError(number, "contact_too_large", message) for number, message in failed.items()]
    if contact is None or created_by is None or (stored and contact == stored.contact):
        return MergeResult(None, outcomes, errors)
    batches = (AppliedRows(rows[-1].number, failed),)
    if stored is None:
        after = StoredContact(contact, 1, created_by, {import_id: batches})
        return MergeResult(after, outcomes, errors)
    oldest = import_time(import_id) - _REMEMBERED
    applied_rows = {
        other: rows for other, rows in stored.applied.items() if import_time(other) >= oldest
    }
    before = stored.applied.get(import_id, ()) if overtaking else ()
    applied_rows[import_id] = before + batches
    emptied = _emptied(stored.contact, contact)
    after = StoredContact(contact, stored.version + 1, created_by, applied_rows, emptied)
    return MergeResult(after, outcomes, errors)


def _emptied(before: Contact, after: Contact) -> frozenset[str]:
    gone = frozenset(before.fields.keys() - after.fields.keys())
    return gone | {"customFields"} if before.custom_fields and not after.custom_fields else gone


def count_without_applying(
    stored: StoredContact | None,
    number: int,
    batch_rows: BatchRows,
    import_id: str,
    on_conflict: OnConflict,
) -> Applied:
    """What a row counts as if its batch is given up: failed, unless the contact shows that the row was applied.

    `batch_rows` are the rows of its batch. What later batches of the import did to the contact shows nothing about this
    one.
    """
    done = stored.applied.get(import_id, ()) if stored else ()
    of_this_batch = [rows for rows in done if batch_rows.first <= rows.row <= batch_rows.last]
    applied = _applied_before(stored, of_this_batch, number, import_id, on_conflict)
    if applied is not None:
        return applied
    return Applied(None, Outcome.FAILED, not_processed(number))


def _applied_before(
    stored: StoredContact | None,
    done: Sequence[AppliedRows],
    number: int,
    import_id: str,
    on_conflict: OnConflict,
) -> Applied | None:
    """What a row counted as when one of these batches applied it, or None."""
    rows = next((rows for rows in done if number <= rows.row), None)
    if stored is None or rows is None:
        return None
    if number in rows.failed:
        error = RowError(number, "contact_too_large", rows.failed[number])
        return Applied(stored.contact, Outcome.FAILED, error)
    if stored.created_by == (import_id, number):
        return Applied(stored.contact, Outcome.CREATED)
    outcome = Outcome.SKIPPED if on_conflict is OnConflict.SKIP else Outcome.UPDATED
    return Applied(stored.contact, outcome)
