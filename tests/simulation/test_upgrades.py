"""A processor dies half-way, and an upgrade comes before it runs again: the new code splits files otherwise."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import pytest

from contact_imports.jobs.end_import import SPLIT_CHANGED
from contact_imports.model.contact import OnConflict
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.simulation.one_import import (
    BEFORE,
    COLUMN_MAP,
    CONTENT,
    PROCESSOR_DIES_AT,
    put_before,
)
from tests.simulation.world import Fault, NewWorld, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")


class Upgrade:
    """Comes after the first try of the processor, which dies half-way; is taken back before the try `back_at`."""

    def __init__(self, rules: dict[str, Any], back_at: int | None = None) -> None:
        self._rules = rules
        self._back_at = back_at
        self._patch = pytest.MonkeyPatch()
        self._tries = 0

    def fault_of(self, _number: int, function: str, _event: Any) -> Fault | None:
        if function != "processor":
            return None
        self._tries += 1
        if self._tries == 1:
            return Fault(PROCESSOR_DIES_AT)
        if self._tries == 2:
            for name, rule in self._rules.items():
                self._patch.setattr(name, rule)
        if self._tries == self._back_at:
            self.take_back()
        return None

    def take_back(self) -> None:
        self._patch.undo()


def run(new_world: NewWorld, upgrade: Upgrade, options: ImportOptions) -> tuple[World, Import]:
    world = new_world(0)
    world.fault_of = upgrade.fault_of
    project = new_project()
    put_before(world.pipeline, project, BEFORE)
    job = world.accept(project, CONTENT, options)
    try:
        world.finish()
    finally:
        upgrade.take_back()
    return world, job


@pytest.fixture(params=[False, True], ids=["import", "dry run"])
def options(request: pytest.FixtureRequest) -> ImportOptions:
    return ImportOptions(COLUMN_MAP, OnConflict.UPSERT, tags=("t",), dry_run=request.param)


OTHER_LIMITS = {
    "contact_imports.files.split.MAX_BATCH_ROWS": 5,
    "contact_imports.files.split.MAX_BATCH_BYTES": 60,
    "contact_imports.jobs.split_upload.choose_partition_count": lambda _: 2,
}
OTHER_PARTITIONS = {"contact_imports.files.split.crc32": lambda email: crc32(email) + 1}


def test_other_limits_are_for_new_imports(new_world: NewWorld, options: ImportOptions) -> None:
    world, job = run(new_world, Upgrade(OTHER_LIMITS), options)
    assert world.check(job, CONTENT, BEFORE).status is Status.COMPLETED
    world.pipeline.delete_contacts()


def test_other_rules_never_mix_with_those_an_import_began_with(
    new_world: NewWorld, options: ImportOptions
) -> None:
    world, job = run(new_world, Upgrade(OTHER_PARTITIONS), options)
    ended = world.pipeline.get(job)
    unsent = set(expected(CONTENT, options).rows) - sent_rows(world)
    assert unsent
    reference = expected(CONTENT, options, BEFORE, leave_out=unsent)
    assert ended.counts.as_dict() == counts_of(reference, len(unsent))
    after = BEFORE if options.dry_run else reference.contacts
    assert world.pipeline.contacts_of(job.project_id) == after
    assert ended.status is Status.FAILED
    assert ended.followed
    assert (ended.error or "").startswith(SPLIT_CHANGED)
    assert f"{len(unsent)} of {ended.counts.total} rows were not imported" in (ended.error or "")
    world.pipeline.delete_contacts()


def test_an_import_goes_on_when_the_upgrade_is_taken_back(
    new_world: NewWorld, options: ImportOptions
) -> None:
    world, job = run(new_world, Upgrade(OTHER_PARTITIONS, back_at=3), options)
    assert world.check(job, CONTENT, BEFORE).status is Status.COMPLETED
    world.pipeline.delete_contacts()


def test_a_file_that_the_new_code_refuses_ends_its_import(
    new_world: NewWorld, options: ImportOptions
) -> None:
    def refuse(*_: Any) -> None:
        raise FileError("UNREADABLE_FILE", "There is another table.")

    stricter = {"contact_imports.files.split.check_same_table": refuse}
    world, job = run(new_world, Upgrade(stricter), options)
    ended = world.pipeline.get(job)
    unsent = set(expected(CONTENT, options).rows) - sent_rows(world)
    reference = expected(CONTENT, options, BEFORE, leave_out=unsent)
    assert ended.counts.as_dict() == counts_of(reference, len(unsent))
    assert (ended.error or "").startswith(SPLIT_CHANGED)
    world.pipeline.delete_contacts()


def sent_rows(world: World) -> set[int]:
    messages = [json.loads(message.body) for message in world.all_sent.values()]
    return {
        row[0]
        for message in messages
        for row in (*message.get("rows", ()), *message.get("rejected", ()))
    }
