"""A crash before and after every AWS call that an import makes, one import each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contact_imports.model.contact import OnConflict
from tests.simulation.aws_calls import CrashPoint, When
from tests.simulation.one_import import POISON, run_import
from tests.simulation.world import NewWorld, Poison

pytestmark = pytest.mark.usefixtures("small_batches")


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
    recorded = run_import(new_world, on_conflict, poison, processor_fails).calls.invocations
    assert {call.function for calls in recorded for call in calls} == functions
    whens: tuple[When, When] = ("before", "after")
    points = 0
    for invocation, calls in enumerate(list(recorded)):
        for call, made in enumerate(calls):
            for when in whens:
                crash = CrashPoint(call, when)
                points += 1
                try:
                    run_import(new_world, on_conflict, poison, processor_fails, invocation, crash)
                except AssertionError as error:
                    error.add_note(f"died {when} call {call}, {made}, of invocation {invocation}")
                    raise
    tried("crash before and after every AWS call of every function", points)
