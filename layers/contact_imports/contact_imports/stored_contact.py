"""A contact as it is stored, and how rows are applied to it exactly once.

A row batch can be delivered again after some of its contacts were written, while other imports change the
same contacts. So a stored contact remembers which row created it, and for every import that changed it the
last row that did: a row that is known to be applied is counted as it was and not applied again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from contact_imports.contact import Applied, Contact, OnConflict, Outcome, Row, apply_row
from contact_imports.errors import RowError
from contact_imports.import_job import IMPORT_DEADLINE_SECONDS, import_time

_REMEMBERED = timedelta(seconds=2 * IMPORT_DEADLINE_SECONDS)
"""How long a contact remembers an import; after it, no row of that import can come again."""


@dataclass(frozen=True, slots=True)
class AppliedRows:
    """What an import did to a contact: everything up to `row`, but for the rows in `failed`."""

    row: int
    failed: Mapping[int, str] = field(default_factory=dict)
    """Row number to the reason's message."""


@dataclass(frozen=True, slots=True)
class StoredContact:
    """`version` counts the writes from 1; `created_by` is (import id, row number)."""

    contact: Contact
    version: int
    created_by: tuple[str, int]
    applied: Mapping[str, AppliedRows] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folded:
    """Rows of one email applied to what is stored. `after` is what to write, or None for nothing."""

    after: StoredContact | None
    outcomes: dict[int, Outcome]
    errors: list[RowError]


def fold_rows(
    stored: StoredContact | None, rows: Sequence[Row], import_id: str, on_conflict: OnConflict
) -> Folded:
    """Applies an import's rows of one email, in file order, to the contact as it was read.

    Folding rows again onto what they made changes nothing and gives the same outcomes.
    """
    contact = stored.contact if stored else None
    created_by = stored.created_by if stored else None
    outcomes: dict[int, Outcome] = {}
    failed: dict[int, str] = {}
    for row in rows:
        applied = _applied_before(stored, row.number, import_id, on_conflict)
        if applied is None:
            applied = apply_row(contact, row, on_conflict)
            contact = applied.contact
            if applied.outcome is Outcome.CREATED:
                created_by = (import_id, row.number)
        outcomes[row.number] = applied.outcome
        if applied.error:
            failed[row.number] = applied.error.message
    errors = [RowError(number, "contact_too_large", message) for number, message in failed.items()]
    if contact is None or created_by is None or (stored and contact == stored.contact):
        return Folded(None, outcomes, errors)
    remembered = dict(stored.applied) if stored else {}
    oldest = import_time(import_id) - _REMEMBERED
    applied_rows = {
        other: rows for other, rows in remembered.items() if import_time(other) >= oldest
    }
    applied_rows[import_id] = AppliedRows(rows[-1].number, failed)
    version = stored.version + 1 if stored else 1
    return Folded(StoredContact(contact, version, created_by, applied_rows), outcomes, errors)


def settle_row(
    stored: StoredContact | None,
    number: int,
    batch_rows: tuple[int, int],
    import_id: str,
    on_conflict: OnConflict,
) -> Applied:
    """What a row of a batch that is given up counts as: failed, unless the contact shows that it was applied.

    `batch_rows` is the batch's first and last row number: what a later batch of the import did to the
    contact says nothing about this one.
    """
    first, last = batch_rows
    done = stored.applied.get(import_id) if stored else None
    created = stored is not None and stored.created_by == (import_id, number)
    if created or (done and first <= done.row <= last):
        applied = _applied_before(stored, number, import_id, on_conflict)
        if applied is not None:
            return applied
    message = "The row could not be processed. Import it again."
    return Applied(None, Outcome.FAILED, RowError(number, "not_processed", message))


def _applied_before(
    stored: StoredContact | None, number: int, import_id: str, on_conflict: OnConflict
) -> Applied | None:
    """What a row counted as when this import applied it to the stored contact; None if it did not yet."""
    done = stored.applied.get(import_id) if stored else None
    if stored is None or done is None or number > done.row:
        return None
    if number in done.failed:
        error = RowError(number, "contact_too_large", done.failed[number])
        return Applied(stored.contact, Outcome.FAILED, error)
    if stored.created_by == (import_id, number):
        return Applied(stored.contact, Outcome.CREATED)
    outcome = Outcome.SKIPPED if on_conflict is OnConflict.SKIP else Outcome.UPDATED
    return Applied(stored.contact, outcome)


def forget(stored: StoredContact) -> StoredContact:
    """The contact without what it remembers of imports, for comparisons."""
    return replace(stored, applied={})
