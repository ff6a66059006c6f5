"""One import of a small file that has every kind of row, whole, with the faults that a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact, OnConflict
from contact_imports.model.import_job import ImportOptions, new_import_id
from contact_imports.model.stored_contact import CreatedBy, StoredContact
from tests.pipeline import Pipeline
from tests.simulation.aws_calls import Call, CrashPoint
from tests.simulation.world import Fault, NewWorld, Poison, World, new_project

COLUMN_MAP = ColumnMap(email="Email", first_name="First", custom_fields={"plan": "Plan"})
# New, existing, repeated, blank and bad rows, over several partitions with several batches each.
CONTENT = "\n".join(
    (
        "Email,First,Plan",
        *(f"c{n}@example.com,Name {n},{n % 3}" for n in range(10)),
        "",
        "no email,x,y",
        *(f"c{n}@example.com,Again,{n}" for n in range(0, 10, 3)),
        "c1@example.com,a,b,shifted",
        "c2@example.com,,last",
        "",
    )
).encode()
BEFORE = {
    email: Contact(email, {"firstName": "Before", "lastName": "Kept"})
    for email in ("c1@example.com", "c3@example.com", "c9@example.com")
}
POISON: dict[tuple[int, int], Poison] = {
    (0, 0): "before it is applied",
    (1, 1): "after it was applied",
}


PROCESSOR_DIES_AT = CrashPoint(9, "after")
"""After some row batches of each partition."""

STALE_SHARE = 0.3
"""Of the items that a read sees that is not consistent."""


def run_import(
    new_world: NewWorld,
    on_conflict: OnConflict,
    poison: dict[tuple[int, int], Poison],
    processor_fails: bool,
    crash_in: int | None = None,
    crash: CrashPoint | None = None,
) -> World:
    """One import, whose `crash_in`-th invocation, counted over all functions, dies at `crash`."""

    def fault_of(number: int, function: str, _event: Any) -> Fault:
        if number == crash_in:
            return Fault(crash)
        return Fault(PROCESSOR_DIES_AT if processor_fails and function == "processor" else None)

    world = new_world(0)
    world.poison = dict(poison)
    world.fault_of = fault_of
    # Remembering what every item was like takes a quarter of an import's time again, so not in every kind of run.
    world.stale_share = STALE_SHARE if poison else 0
    project = new_project()
    put_before(world.pipeline, project, BEFORE)
    options = ImportOptions(COLUMN_MAP, on_conflict, tags=("t",))
    job = world.accept(project, CONTENT, options)
    try:
        world.finish()
        world.check(job, CONTENT, BEFORE)
    finally:
        world.pipeline.delete_contacts()
    return world


def put_before(pipeline: Pipeline, project: str, contacts: dict[str, Contact]) -> None:
    """Puts contacts there that another import has made."""
    other = new_import_id(datetime.now(UTC))
    stored = [StoredContact(contact, 1, CreatedBy(other, 2)) for contact in contacts.values()]
    assert pipeline.contacts.write(project, stored) == set()


def at_each(calls: Sequence[Call], run: Callable[[int], object], what: str) -> None:
    """Runs something at each call of a recorded run; an assertion that fails then says at which (`what`)."""
    for at, made in enumerate(calls):
        try:
            run(at)
        except AssertionError as error:
            error.add_note(f"{what} {at}, {made}")
            raise
