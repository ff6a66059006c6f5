"""The reference import: the file read from top to bottom, one row at a time.

Whatever the deployed functions do, however the file is split, sent twice or late, its contacts, counts and
row errors must be these. Tests compare with it; nothing deployed calls it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contact_imports.files.records import Record, is_blank
from contact_imports.files.split import mapped_cells
from contact_imports.files.table_end import check_same_table, is_rule, rows_end
from contact_imports.model.column_map import ColumnMap, find_columns
from contact_imports.model.contact import Contact, OnBlank, OnConflict, Outcome, apply_row
from contact_imports.model.errors import RowError
from contact_imports.model.row_validation import RowReader


@dataclass(frozen=True, slots=True)
class ReferenceImport:
    """Contacts by email, rows by outcome, the rows' numbers, and the failed rows' reasons in file order."""

    contacts: dict[str, Contact]
    counts: dict[Outcome, int]
    rows: list[int]
    errors: list[RowError]

    @property
    def total(self) -> int:
        """Rows of the file."""
        return len(self.rows)


def reference_import(
    records: Iterable[Record],
    column_map: ColumnMap,
    *,
    on_conflict: OnConflict = OnConflict.UPSERT,
    on_blank: OnBlank = OnBlank.KEEP,
    tags: Sequence[str] = (),
    before: Mapping[str, Contact] | None = None,
) -> ReferenceImport:
    """What an import of these records (header first) makes of the contacts that were there before.

    The rule under the header and the footer are no rows. Raises FileError where another table begins.
    """
    (_, header), *table = records
    columns = find_columns(column_map, header)
    if table and is_rule(table[0][1]):
        del table[0]
    del table[rows_end([record for _, record in table], columns) :]
    is_after_break = False
    for number, record in table:
        is_break = is_blank(record) or len(record) != columns.width
        if is_break or is_after_break:
            check_same_table(number, record, header, columns)
        is_after_break = is_break
    contacts = dict(before or {})
    counts: Counter[Outcome] = Counter()
    rows: list[int] = []
    errors: list[RowError] = []
    reader = RowReader(columns.fields, tags, on_blank)
    for number, record in table:
        if is_blank(record):
            continue
        rows.append(number)
        cells = mapped_cells(number, record, columns)
        row = cells if isinstance(cells, RowError) else reader.read(number, cells)
        if isinstance(row, RowError):
            counts[Outcome.FAILED] += 1
            errors.append(row)
            continue
        email = row.contact.email
        applied = apply_row(contacts.get(email), row, on_conflict)
        counts[applied.outcome] += 1
        if applied.contact is not None:
            contacts[email] = applied.contact
        if applied.error is not None:
            errors.append(applied.error)
    outcomes = {outcome: counts[outcome] for outcome in Outcome}
    return ReferenceImport(contacts, outcomes, rows, errors)
