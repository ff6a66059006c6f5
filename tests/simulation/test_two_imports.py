"""A second import of the same contacts, whole, at every AWS call of the first: while it waits, or after it died."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from contact_imports.model.contact import Contact, OnConflict, Row
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.oracle import possible_contacts
from tests.simulation.aws_calls import CrashPoint
from tests.simulation.one_import import COLUMN_MAP, STALE_SHARE
from tests.simulation.world import Fault, NewWorld, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")

EMAILS = [f"c{n}@example.com" for n in range(4)]


def rows(name: str) -> list[tuple[str, str, str]]:
    """Each email twice, in batches of their own; each row sets another field, and the first name always."""
    return [(email, f"{name} first", f"{name} plan") for email in EMAILS] + [
        (email, f"{name} second", "") for email in EMAILS
    ]


def csv_file(name: str) -> bytes:
    return "\n".join(("Email,First,Plan", *map(",".join, rows(name)), "")).encode()


def as_rows(name: str, email: str) -> list[Row]:
    return [
        Row(number, Contact(email, {"firstName": first}, {"plan": plan} if plan else {}))
        for number, (of, first, plan) in enumerate(rows(name), 2)
        if of == email
    ]


def run(
    new_world: NewWorld,
    other_skips: OnConflict,
    invocation: int | None = None,
    call: int = 0,
    *,
    dies: bool = False,
) -> World:
    """Import A; at the `call`-th call of its `invocation`-th invocation, import B runs from begin to end."""
    world = new_world(0)
    world.stale_share = STALE_SHARE
    project = new_project()
    other: list[Import] = []
    conflicts = [OnConflict.UPSERT, other_skips]

    def run_b() -> None:
        events, groups = world.events, world.groups
        world.events, world.groups = [], defaultdict(list)
        options = ImportOptions(COLUMN_MAP, other_skips)
        other.append(world.accept(project, csv_file("B"), options))
        world.finish()
        world.events, world.groups = events, groups

    def fault_of(number: int, _function: str, _event: Any) -> Fault | None:
        if number != invocation or other:
            return None
        if dies:
            return Fault(CrashPoint(call, "after"), after_crash=run_b)
        return Fault(meanwhile=(call, run_b))

    world.fault_of = fault_of
    job = world.accept(project, csv_file("A"), ImportOptions(COLUMN_MAP, OnConflict.UPSERT))
    try:
        world.finish()
        ended = [world.pipeline.get(one) for one in (job, *other)]
        contacts = world.pipeline.contacts_of(project)
        for one in ended:
            assert one.status is Status.COMPLETED
            assert one.counts.total == one.counts.settled == 2 * len(EMAILS)
            assert one.counts.failed == 0
        assert sum(one.counts.created for one in ended) == len(EMAILS)
        names = ("A", "B")[: len(ended)]
        for email in EMAILS:
            orders = [as_rows(name, email) for name in names]
            creator = world.pipeline.creator(project, email, ended)
            assert contacts[email] in possible_contacts(orders, conflicts, creator)
    finally:
        world.pipeline.delete_contacts()
    return world


@pytest.mark.parametrize("other", OnConflict)
@pytest.mark.parametrize("dies", [False, True], ids=["while it waits", "after it died"])
def test_the_result_is_that_of_some_order(
    new_world: NewWorld, other: OnConflict, dies: bool, tried: Callable[[str, int], None]
) -> None:
    recorded = list(run(new_world, other).calls.invocations)
    points = 0
    for invocation, calls in enumerate(recorded):
        for call, made in enumerate(calls):
            points += 1
            try:
                run(new_world, other, invocation, call, dies=dies)
            except AssertionError as error:
                error.add_note(f"at call {call}, {made}, of invocation {invocation}")
                raise
    tried("another import of the same contacts, at every AWS call of the first", points)
