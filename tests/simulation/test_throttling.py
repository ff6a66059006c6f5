"""AWS throttles each call of an import in turn, or its answer is lost after it took effect, one import each.

First below botocore's retries: then the invocation makes the call again itself. Then above them, as if they had gone
on until the deadline: then the invocation fails, and what it handled comes again soon.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contact_imports.aws.received_messages import FIRST_THROTTLED_SECONDS
from contact_imports.model.contact import OnConflict
from tests.http_faults import FAULTS, HttpFault, http_faults
from tests.simulation.one_import import POISON, run_import
from tests.simulation.world import NewWorld, Poison, World

pytestmark = pytest.mark.usefixtures("small_batches")

NO_POISON: dict[tuple[int, int], Poison] = {}
WITH_DEAD_LETTERS = (
    (NO_POISON, {"processor", "row_batch", "import_ended"}),
    (POISON, {"dead_letter"}),
)
"""Poison, and the functions whose calls are tried with it."""

EVERY_FAULT = "EVERY_FAULT" in os.environ
"""Whether each place has each fault (`make chaos`). Otherwise the faults take turns, which takes half the time."""

Place = tuple[int, int]
"""The number of an invocation, and of a request or call in it."""


def faults_at(place: int) -> Sequence[HttpFault]:
    """The faults that the place of this number is tried with."""
    return FAULTS if EVERY_FAULT else (FAULTS[place % len(FAULTS)],)


def run(new_world: NewWorld, poison: dict[tuple[int, int], Poison]) -> World:
    return run_import(new_world, OnConflict.UPSERT, poison, processor_fails=False)


def representatives(world: World, functions: set[str]) -> list[int]:
    """The numbers of the invocations whose calls are tried: of those that made the same calls, one."""
    first: dict[tuple[Any, ...], int] = {}
    for number, calls in enumerate(world.calls.invocations):
        if calls[0].function in functions:
            first.setdefault(tuple(calls), number)
    return list(first.values())


class RequestsInTurn:
    """Numbers the requests of each invocation, and has one of them fail."""

    def __init__(self, new_world: NewWorld) -> None:
        self._new_world = new_world
        self._world: World | None = None
        self.requests: list[Place] = []
        self.fails: tuple[Place, HttpFault] | None = None

    def new_world(self, seed: int) -> World:
        self._world = self._new_world(seed)
        self.requests = []
        return self._world

    def fault_of(self) -> HttpFault | None:
        assert self._world is not None
        invocation = len(self._world.calls.invocations) - 1
        number = sum(of == invocation for of, _ in self.requests)
        self.requests.append((invocation, number))
        if self.fails is not None and self.fails[0] == self.requests[-1]:
            return self.fails[1]
        return None

    def lost(self, request: Any) -> None:
        """The table's stream tells of what took effect, whoever got the answer."""
        operation = request.headers.get("X-Amz-Target", b"").decode().partition(".")[2]
        if operation in {"UpdateItem", "PutItem"}:
            assert self._world is not None
            self._world.watch(operation, json.loads(request.body), {})


@pytest.mark.parametrize(("poison", "functions"), WITH_DEAD_LETTERS)
def test_an_invocation_makes_every_request_again(
    new_world: NewWorld,
    poison: dict[tuple[int, int], Poison],
    functions: set[str],
    tried: Callable[[str, int], None],
) -> None:
    turns = RequestsInTurn(new_world)
    points = 0
    with http_faults(turns.fault_of, turns.lost):
        recorded = run(turns.new_world, poison)
        invocations = [calls[0].function for calls in recorded.calls.invocations]
        put_off = len(recorded.hidden_seconds)
        chosen = representatives(recorded, functions)
        places = [place for place in turns.requests if place[0] in chosen]
        assert {invocations[place[0]] for place in places} == functions
        for number, place in enumerate(places):
            for fault in faults_at(number):
                turns.fails = place, fault
                points += 1
                try:
                    world = run(turns.new_world, poison)
                    # Nothing was delivered again because of it.
                    assert len(world.hidden_seconds) == put_off
                    assert [c[0].function for c in world.calls.invocations] == invocations
                except AssertionError as error:
                    error.add_note(f"{fault}: request {place[1]} of invocation {place[0]}")
                    raise
    tried("a request throttled, or its answer lost, and made again", points)


class CallsInTurn:
    """Has one call of one invocation fail, before it is made or after it took effect."""

    def __init__(self, new_world: NewWorld, place: Place, fault: HttpFault) -> None:
        self._new_world = new_world
        self._place = place
        self._fault = fault

    def new_world(self, seed: int) -> World:
        world = self._new_world(seed)
        before, watch = world.before, world.watch

        def fail(operation: str, fault: HttpFault) -> None:
            invocations = world.calls.invocations
            if fault == self._fault and self._place == (
                len(invocations) - 1,
                len(invocations[-1]) - 1,
            ):
                code = "ThrottlingException" if fault == "throttled" else "RequestTimeout"
                raise ClientError({"Error": {"Code": code, "Message": ""}}, operation)

        def throttle(operation: str, arguments: dict[str, Any]) -> None:
            before(operation, arguments)
            fail(operation, "throttled")

        def lose(operation: str, arguments: dict[str, Any], answer: Any) -> Any:
            answer = watch(operation, arguments, answer)
            fail(operation, "answer lost")
            return answer

        world.before, world.watch = throttle, lose  # type: ignore[method-assign]
        return world


@pytest.mark.parametrize(("poison", "functions"), WITH_DEAD_LETTERS)
def test_an_invocation_that_fails_at_a_call_is_made_again_soon(
    new_world: NewWorld,
    poison: dict[tuple[int, int], Poison],
    functions: set[str],
    tried: Callable[[str, int], None],
) -> None:
    recorded = run(new_world, poison)
    put_off = len(recorded.hidden_seconds)
    points = 0
    made = list(recorded.calls.invocations)
    for invocation in representatives(recorded, functions):
        for number, call in enumerate(made[invocation]):
            if call.operation == "ChangeMessageVisibility":
                continue
            for fault in faults_at(number):
                points += 1
                turns = CallsInTurn(new_world, (invocation, number), fault)
                try:
                    world = run(turns.new_world, poison)
                    if call.function in {"row_batch", "dead_letter"}:
                        soon = [s for s in world.hidden_seconds if s <= FIRST_THROTTLED_SECONDS * 8]
                        # The batch, and those of its group that were received with it.
                        assert len(soon) == len(world.hidden_seconds) - put_off >= 1
                except AssertionError as error:
                    error.add_note(f"{fault}: call {number}, {call}, of invocation {invocation}")
                    raise
    tried("a call throttled until the deadline, or its answer lost", points)
