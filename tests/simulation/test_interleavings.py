"""Every delivery a second time, while the first one waits at one of its AWS calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import ImportOptions
from tests.simulation.one_import import BEFORE, COLUMN_MAP, CONTENT, POISON, STALE_SHARE, put_before
from tests.simulation.world import Fault, NewWorld, Poison, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")


def run(
    new_world: NewWorld,
    poison: dict[tuple[int, int], Poison],
    twice: int | None = None,
    at: int = 0,
    *,
    sent_again: bool = False,
) -> World:
    """One import, whose `twice`-th invocation runs once more, whole, while it waits at its `at`-th call.

    `sent_again`: five minutes have passed by then, so that SQS takes the same messages again.
    """
    world = new_world(0)
    world.poison = dict(poison)
    world.stale_share = STALE_SHARE

    def fault_of(number: int, function: str, event: Any) -> Fault | None:
        if number != twice:
            return None

        def invoke_again() -> None:
            if sent_again:
                world.recent.clear()
            world.invoke(function, event)

        return Fault(meanwhile=(at, invoke_again))

    world.fault_of = fault_of
    project = new_project()
    put_before(world.pipeline, project, BEFORE)
    job = world.accept(project, CONTENT, ImportOptions(COLUMN_MAP, OnConflict.UPSERT, tags=("t",)))
    try:
        world.finish()
        world.check(job, CONTENT, BEFORE)
        # And once more after the end: nothing changes.
        ended, contacts = world.pipeline.get(job), world.pipeline.contacts_of(project)
        for event in world.all_events:
            world.events.append((event, 0))
        for message in world.all_sent.values():
            message.receives = 0
            world.groups[message.group].append(message)
        world.poison = {}
        world.finish()
        assert world.pipeline.get(job) == ended
        assert world.pipeline.contacts_of(project) == contacts
    finally:
        world.pipeline.delete_contacts()
    return world


@pytest.mark.parametrize("poison", [{}, POISON], ids=["", "with dead letters"])
def test_everything_twice_at_the_same_time(
    new_world: NewWorld,
    poison: dict[tuple[int, int], Poison],
    tried: Callable[[str, int], None],
) -> None:
    recorded = _until_the_end(run(new_world, poison))
    points = 0
    for invocation, calls in enumerate(recorded):
        for call in range(len(calls)):
            # Only the processor sends, so only for it does it matter whether SQS accepts a message again.
            for sent_again in (False, True) if calls[0].function == "processor" else (False,):
                points += 1
                try:
                    run(new_world, poison, invocation, call, sent_again=sent_again)
                except AssertionError as error:
                    error.add_note(
                        f"twice at {calls[call]}, call {call} of invocation {invocation}"
                    )
                    raise
    tried("every delivery twice, the first waiting at an AWS call; again after the end", points)


def _until_the_end(world: World) -> list[list[Any]]:
    """The invocations of the import itself, without those after its end."""
    recorded = list(world.calls.invocations)
    for index, calls in enumerate(recorded):
        if index and calls and calls[0].function == "processor":
            return recorded[:index]
    return recorded
