"""Dropped files and ends: a crash at every AWS call, once or at every try of the stream and of the processor."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from contact_imports.model.import_job import Import, Status
from tests.integration.test_drop_bucket import text_of
from tests.pipeline import imports_of
from tests.simulation.aws_calls import Call, CrashPoint, When
from tests.simulation.one_import import STALE_SHARE
from tests.simulation.world import Fault, NewWorld, World, new_project

CONTENT = b"Email,First\na@example.com,A\nno email,B\n"
WHENS: tuple[When, When] = ("before", "after")


def run(new_world: NewWorld, deaths: dict[str, tuple[CrashPoint, int]]) -> World:
    """One dropped file until everything has followed its import's end; then it is as it must be.

    The first invocations of a function die, as many as `deaths` says, where it says.
    """
    world = new_world(0)
    left = {function: times for function, (_, times) in deaths.items()}

    def fault_of(_number: int, function: str, _event: object) -> Fault:
        if left.get(function, 0) == 0:
            return Fault()
        left[function] -= 1
        return Fault(deaths[function][0])

    world.fault_of = fault_of
    world.stale_share = STALE_SHARE
    project = new_project()
    world.events.append((world.pipeline.drop(f"drop/{project}/c.csv", CONTENT), 0))
    try:
        world.finish()
        (job,) = imports_of(world.pipeline, project)
        check(world, job)
    finally:
        world.pipeline.delete_contacts()
    return world


def check(world: World, job: Import) -> None:
    assert job.followed
    calls = [call for invocation in world.calls.invocations for call in invocation]
    assert "PutEvents" in {call.operation for call in calls}
    result = json.loads(text_of(world.pipeline, f"results/{job.project_id}/c.csv.result.json"))
    assert result["counts"] == job.counts.as_dict()
    if job.status is Status.COMPLETED:
        assert (job.counts.created, job.counts.failed) == (1, 1)
        assert [row["row"] for row in world.pipeline.report(job)] == [3]
    else:
        assert world.given_up_events
    assert set(world.pipeline.contacts_of(job.project_id)) <= {"a@example.com"}


def calls_of(world: World, function: str) -> list[Call]:
    """The calls of a function's longest invocation."""
    of_function = [
        calls for calls in world.calls.invocations if calls[:1] and calls[0].function == function
    ]
    return max(of_function, key=len)


@pytest.mark.parametrize("function", ["processor", "import_ended"])
@pytest.mark.parametrize("times", [1, 3], ids=["once", "at every try"])
def test_a_dropped_file_is_imported_and_told_of_wherever_a_function_dies(
    new_world: NewWorld, tried: Callable[[str, int], None], function: str, times: int
) -> None:
    points = 0
    for call, made in enumerate(list(calls_of(run(new_world, {}), function))):
        for when in WHENS:
            points += 1
            try:
                run(new_world, {function: (CrashPoint(call, when), times)})
            except AssertionError as error:
                error.add_note(f"died {when} call {call}, {made}, {times} times")
                raise
    tried("a dropped file, and a crash at every AWS call once or at every try", points)


@pytest.mark.parametrize("given_up", ["processor", "import_ended"])
def test_what_comes_after_a_function_that_was_given_up_may_die_as_well(
    new_world: NewWorld, tried: Callable[[str, int], None], given_up: str
) -> None:
    always = {given_up: (CrashPoint(0, "before"), 3)}
    points = 0
    for call, made in enumerate(list(calls_of(run(new_world, always), "dead_letter"))):
        for when in WHENS:
            points += 1
            try:
                run(new_world, always | {"dead_letter": (CrashPoint(call, when), 1)})
            except AssertionError as error:
                error.add_note(f"dead_letter died {when} call {call}, {made}")
                raise
    tried("a dropped file, and a crash of dead_letter at every AWS call", points)
