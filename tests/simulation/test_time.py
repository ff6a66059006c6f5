"""A processor whose time is over while it sends: the next try sends the rest, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from contact_imports.model.import_job import ImportOptions, Status
from tests.events import Context
from tests.simulation.one_import import BEFORE, COLUMN_MAP, CONTENT, put_before
from tests.simulation.world import Fault, NewWorld, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")


@dataclass
class TimeToSend(Context):
    """A context that has time until so many messages are sent."""

    world: World | None = None
    messages: int = 0

    def __post_init__(self) -> None:
        assert self.world is not None
        self.messages += len(self.world.all_sent)

    def get_remaining_time_in_millis(self) -> int:
        assert self.world is not None
        return 0 if len(self.world.all_sent) >= self.messages else self.remaining_time_in_millis


def run_with_time(
    new_world: NewWorld, sent_in_tries: tuple[int, ...], *, dry_run: bool = False
) -> tuple[World, list[int]]:
    """One import whose processor has time for so many messages in its first tries; how many each try sent."""
    world = new_world(0)
    tries = iter(sent_in_tries)

    def fault_of(_number: int, function: str, _event: Any) -> Fault | None:
        messages = next(tries, None) if function == "processor" else None
        return (
            None
            if messages is None
            else Fault(context=TimeToSend("test", world=world, messages=messages))
        )

    world.fault_of = fault_of
    project = new_project()
    put_before(world.pipeline, project, BEFORE)
    job = world.accept(project, CONTENT, ImportOptions(COLUMN_MAP, dry_run=dry_run))
    try:
        world.finish()
        ended = world.check(job, CONTENT, BEFORE)
    finally:
        world.pipeline.delete_contacts()
    assert ended.status is Status.COMPLETED
    sends = [
        sum(call.operation == "SendMessage" for call in invocation)
        for invocation in world.calls.invocations
        if any(call.function == "processor" for call in invocation)
    ]
    return world, sends


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_next_try_sends_the_rest(
    new_world: NewWorld, tried: Callable[[str, int], None], dry_run: bool
) -> None:
    world, (every,) = run_with_time(new_world, (), dry_run=dry_run)
    names = _names(world)
    for sent in range(1, every - 1):
        again, sends = run_with_time(new_world, (sent, 1), dry_run=dry_run)
        assert sends == [sent, 1, every - sent - 1]
        assert _names(again) == names
    tried("time that is over while the processor sends", every - 2)


def _names(world: World) -> set[str]:
    """Partition and number of each row batch that was sent."""
    return {name.partition(":")[2] for name in world.all_sent}


def test_a_processor_that_never_gets_done_is_given_up(new_world: NewWorld) -> None:
    world = new_world(0)
    world.fault_of = lambda _number, function, _event: (
        Fault(context=TimeToSend("test", world=world, messages=1))
        if function == "processor"
        else None
    )
    job = world.accept(new_project(), CONTENT, ImportOptions(COLUMN_MAP))
    try:
        world.finish()
        ended = world.check(job, CONTENT)
    finally:
        world.pipeline.delete_contacts()
    assert ended.status is Status.FAILED
    assert "could not be processed, although it was tried several times" in (ended.error or "")
    assert len(world.all_sent) >= 3
