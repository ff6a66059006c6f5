"""The expected result of an import, computed by the reference import."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Collection

from contact_imports.files.contact_file import check_contact_file
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.contact import Contact, OnConflict, Row, apply_row
from contact_imports.model.import_job import ImportOptions
from tests.reference import ReferenceImport, reference_import


def expected(
    content: bytes,
    options: ImportOptions,
    before: dict[str, Contact] | None = None,
    leave_out: Collection[int] = (),
) -> ReferenceImport:
    """The result of the reference import for a file, without the rows that are left out."""
    file = check_contact_file(
        lambda: PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)), options
    )
    return reference_import(
        [
            (file.header_record, file.header),
            *(record for record in file.reader if record[0] not in leave_out),
        ],
        file.column_map,
        on_conflict=options.on_conflict,
        on_blank=options.on_blank,
        tags=options.tags,
        before=before,
    )


def counts_of(result: ReferenceImport, left_out: int = 0) -> dict[str, int]:
    """The reference's counts as the API gives them, with the rows left out as failed."""
    outcomes = {outcome.value: count for outcome, count in result.counts.items()}
    outcomes["failed"] += left_out
    return {"total": result.total + left_out, **outcomes}


def possible_contacts(
    orders: list[list[Row]], conflicts: list[OnConflict], creator: int
) -> list[Contact | None]:
    """The possible states of a contact after its rows, in any order that keeps the order of each import.

    `orders` has each import's rows of the email; the first row of all is one of the `creator`-th import.
    """
    start = (0,) * len(orders)
    states: dict[tuple[int, ...], list[Contact | None]] = {start: [None]}
    last = tuple(len(order) for order in orders)
    for _ in range(sum(last)):
        after: dict[tuple[int, ...], list[Contact | None]] = defaultdict(list)
        for at, contacts in states.items():
            for index, order in enumerate(orders):
                if at[index] == len(order) or (at == start and index != creator):
                    continue
                following = (*at[:index], at[index] + 1, *at[index + 1 :])
                for contact in contacts:
                    applied = apply_row(contact, order[at[index]], conflicts[index]).contact
                    if applied not in after[following]:
                        after[following].append(applied)
        states = after
    return states[last]
