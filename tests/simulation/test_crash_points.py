"""A crash before and after every AWS call that an import makes, one import each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact, OnConflict
from contact_imports.model.import_job import ImportOptions
from tests.simulation.aws_calls import CrashPoint, When
from tests.simulation.conftest import NewWorld, new_project
from tests.simulation.test_schedules import put_before
from tests.simulation.world import Poison, World

COLUMN_MAP = ColumnMap(email="Email", firstName="First", customFields={"plan": "Plan"})
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
pytestmark = pytest.mark.usefixtures("small_batches")
POISON: dict[tuple[int, int], Poison] = {
    (0, 0): "before it is applied",
    (1, 1): "after it was applied",
}


PROCESSOR_DIES_AT = CrashPoint(9, "after")
"""After some row batches of each partition."""


def run(
    new_world: NewWorld,
    on_conflict: OnConflict,
    poison: dict[tuple[int, int], Poison],
    processor_fails: bool,
    crash_in: int | None = None,
    crash: CrashPoint | None = None,
) -> World:
    """One import, whose `crash_in`-th invocation, counted over all functions, dies at `crash`."""
    world = new_world(0)
    world.poison = dict(poison)
    invoke = world.invoke

    def invoke_or_die(function: str, event: Any, _crash: CrashPoint | None = None) -> Any:
        if len(world.calls.invocations) == crash_in:
            return invoke(function, event, crash)
        fails = processor_fails and function == "processor"
        return invoke(function, event, PROCESSOR_DIES_AT if fails else None)

    world.invoke = invoke_or_die  # type: ignore[assignment]
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


@pytest.mark.parametrize(
    ("on_conflict", "poison", "processor_fails", "functions"),
    [
        (OnConflict.UPSERT, {}, False, {"processor", "row_batch", "import_ended"}),
        (OnConflict.SKIP, {}, False, {"processor", "row_batch", "import_ended"}),
        (
            OnConflict.UPSERT,
            POISON,
            False,
            {"processor", "row_batch", "dead_letter", "import_ended"},
        ),
        (OnConflict.UPSERT, {}, True, {"processor", "row_batch", "dead_letter", "import_ended"}),
    ],
    ids=["upsert", "skip", "with dead letters", "with a processor that fails for good"],
)
def test_every_crash_point(
    new_world: NewWorld,
    on_conflict: OnConflict,
    poison: dict[tuple[int, int], Poison],
    processor_fails: bool,
    functions: set[str],
    tried: Callable[[str, int], None],
) -> None:
    # The points are those of a run without crashes: a call that is new is covered the day it is added.
    recorded = run(new_world, on_conflict, poison, processor_fails).calls.invocations
    assert {call.function for calls in recorded for call in calls} == functions
    whens: tuple[When, When] = ("before", "after")
    points = 0
    for invocation, calls in enumerate(list(recorded)):
        for call, made in enumerate(calls):
            for when in whens:
                crash = CrashPoint(call, when)
                points += 1
                try:
                    run(new_world, on_conflict, poison, processor_fails, invocation, crash)
                except AssertionError as error:
                    error.add_note(f"died {when} call {call}, {made}, of invocation {invocation}")
                    raise
    tried("crash before and after every AWS call of every function", points)
