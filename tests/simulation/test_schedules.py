"""Random files, random schedules: the end is always the reference import's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import Contact, OnBlank, OnConflict
from contact_imports.model.import_job import ImportOptions
from tests.simulation.one_import import put_before
from tests.simulation.world import NewWorld, Poison, World, describe, new_project

SCHEDULES = int(os.environ.get("SCHEDULES", "200"))

COLUMN_MAP = ColumnMap(email="Email", first_name="First", custom_fields={"plan": "Plan"})
EMAILS = [*(f"{letter}@example.com" for letter in "abcde"), "é@xn--mnchen-3ya.de"]
OTHER_FORMS = [
    "Ann <a@example.com>",
    "\u200bB@example.com;",
    "é@münchen.de",
    "e\u0301@mu\u0308nchen.de",
]
"""Of some of the emails: rows of them are rows of the same contacts."""


@dataclass(frozen=True)
class Scenario:
    """A file, how it is split, the contacts before it, and the seed of its faults."""

    lines: tuple[str, ...]
    seed: int
    on_conflict: OnConflict = OnConflict.UPSERT
    partitions: int = 2
    batch_rows: int = 2
    before: tuple[str, ...] = ()
    crash_share: float = 0.3
    trouble_share: float = 0.0
    poison: dict[tuple[int, int], Poison] = field(default_factory=dict)
    on_blank: OnBlank = OnBlank.KEEP
    dry_run: bool = False
    stale_share: float = 0.0

    @property
    def content(self) -> bytes:
        return "\n".join(("Email,First,Plan", *self.lines, "")).encode()

    @property
    def contacts_before(self) -> dict[str, Contact]:
        return {email: Contact(email, {"firstName": "Before"}) for email in self.before}


values = st.sampled_from(["", "x", "y"])
good = st.builds("{},{},{}".format, st.sampled_from([*EMAILS, *OTHER_FORMS]), values, values)
lines = st.one_of(
    good,
    good,
    good,
    good,
    st.sampled_from(
        ["", ",,", "no email,x,y", "a@example.com,x,y,shifted", "B@EXAMPLE.COM,z", ",x,y"]
    ),
)
poisons: st.SearchStrategy[dict[tuple[int, int], Poison]] = st.one_of(
    st.just({}),
    st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 2)),
        st.sampled_from(["before it is applied", "after it was applied"]),
        max_size=2,
    ),
)
scenarios = st.builds(
    Scenario,
    lines=st.lists(lines, max_size=12).map(tuple),
    seed=st.integers(0, 2**32),
    on_conflict=st.sampled_from(OnConflict),
    partitions=st.integers(1, 3),
    batch_rows=st.integers(1, 4),
    before=st.lists(st.sampled_from(EMAILS), unique=True, max_size=3).map(tuple),
    crash_share=st.sampled_from([0.0, 0.2, 0.5]),
    trouble_share=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
    poison=poisons,
    on_blank=st.sampled_from(OnBlank),
    dry_run=st.sampled_from([False, False, False, True]),
    stale_share=st.sampled_from([0.0, 0.3, 0.7]),
)


def run(scenario: Scenario, new_world: NewWorld) -> None:
    world: World = new_world(scenario.seed)
    world.poison = dict(scenario.poison)
    world.trouble_share = scenario.trouble_share
    world.stale_share = scenario.stale_share
    project = new_project()
    put_before(world.pipeline, project, scenario.contacts_before)
    options = ImportOptions(
        COLUMN_MAP,
        scenario.on_conflict,
        tags=("t",),
        on_blank=scenario.on_blank,
        dry_run=scenario.dry_run,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", scenario.batch_rows)
        patch.setattr(
            "contact_imports.jobs.split_upload.choose_partition_count",
            lambda _: scenario.partitions,
        )
        job = world.accept(project, scenario.content, options)
        world.run_schedule(scenario.crash_share)
    try:
        world.check(job, scenario.content, scenario.contacts_before)
    except AssertionError as error:
        error.add_note(f"{scenario!r}\n{describe(world)}")
        raise
    finally:
        world.pipeline.delete_contacts()


# Schedules that failed once, and must never again.
@example(Scenario(lines=(), seed=148, partitions=1, batch_rows=1, crash_share=0, trouble_share=0.3))
@settings(
    max_examples=SCHEDULES,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(scenarios)
def test_any_file_under_any_schedule(
    new_world: NewWorld, tried: Callable[[str, int], None], scenario: Scenario
) -> None:
    run(scenario, new_world)
    tried("random file, random crashes, repeats, partial answers, poison", 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_row_that_seems_to_change_nothing_is_looked_at_again(
    new_world: NewWorld, seed: int
) -> None:
    # There and back again: a stale read of the first value would make the last row look like no change.
    there_and_back = tuple(f"a@example.com,{value}," for value in "xyxyx")
    run(
        Scenario(there_and_back, seed, partitions=1, batch_rows=1, crash_share=0, stale_share=0.9),
        new_world,
    )
