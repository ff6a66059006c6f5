"""Every mutation of the exactness core: the meant ones, and the generated ones of the rules in code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from local.stack import ROOT
from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.generated import changes
from tests.mutants.meant import CORE, MEANT

GENERATED = (
    f"{CORE}/files/bit_set.py",
    f"{CORE}/files/split.py",
    f"{CORE}/jobs/apply_row_batch.py",
    f"{CORE}/model/contact.py",
    f"{CORE}/model/identity.py",
    f"{CORE}/model/progress.py",
    f"{CORE}/model/stored_contact.py",
)
"""The files whose every expression and statement is changed: they call no AWS, or are all logic."""

_UNIT_TESTS = {
    "files/bit_set.py": ("bit_set", "split"),
    "files/split.py": ("split", "row_messages", "reference", "conformance"),
    "jobs/create_dropped_import.py": ("requests",),
    "messages/row_messages.py": ("row_messages", "fuzz"),
    "messages/s3_event.py": ("fuzz",),
    "messages/sqs_event.py": ("fuzz",),
    "model/contact.py": ("contact", "stored_contact"),
    "model/identity.py": ("identity", "split", "row_validation", "conformance"),
    "model/progress.py": ("progress",),
    "model/row_validation.py": ("row_validation", "identity"),
    "model/stored_contact.py": ("stored_contact",),
}
"""The unit tests of a file of the core, fastest first, by the part of their names after `test_`."""

_FOR_ALL = (
    "tests/unit/test_exactness_times.py",
    "tests/integration/test_conditions.py",
    "tests/integration/test_tables.py",
    "tests/integration/test_sending.py",
    "tests/integration/test_pipeline.py",
    "tests/integration/test_ends.py",
    "tests/integration/test_isolation.py",
    "tests/integration/test_drop_bucket.py",
    "tests/integration/test_report.py",
    "tests/integration/test_events.py",
    "tests/simulation/test_gaps.py",
    "tests/simulation/test_object_lives.py",
    "tests/simulation/test_ends.py",
    "tests/simulation/test_schedules.py",
    "tests/simulation/test_interleavings.py",
    "tests/simulation/test_two_imports.py",
    "tests/simulation/test_crash_points.py",
)
"""What else is run for every mutation until a test fails, fastest first."""


@dataclass(frozen=True)
class Mutation:
    """One changed place of one file: the file from the root, what is changed, and the file's source with it.

    `survives` explains why no test can tell the difference; it is empty if one must.
    """

    path: str
    name: str
    source: str
    is_meant: bool
    survives: str = ""

    @property
    def id(self) -> str:
        """It stays the same while the place does not change, wherever it moves to in its file."""
        return f"{self.short_path}: {self.name}"

    @property
    def short_path(self) -> str:
        """The file as people call it."""
        return self.path.removeprefix(f"{CORE}/")

    @property
    def tests(self) -> list[str]:
        """The files of tests to run until one fails, fastest first."""
        named = [f"tests/unit/test_{name}.py" for name in _UNIT_TESTS.get(self.short_path, ())]
        found = [path for path in dict.fromkeys([*named, *_FOR_ALL]) if (ROOT / path).exists()]
        return found


def all_mutations() -> list[Mutation]:
    """Every mutation of the sources as they are; raises ValueError where a meant one's snippet is not there once."""
    found = [
        Mutation(path, one.breaks, mutated(source_of(path), one.old, one.new), True, one.survives)
        for path, mutations in MEANT.items()
        for one in mutations
    ]
    for path in GENERATED:
        found += _generated(path)
    return found


def source_of(path: str) -> str:
    """A file's text, by its path from the root."""
    return (ROOT / path).read_text()


def mutated(source: str, old: str, new: str) -> str:
    """A source with a snippet replaced; raises ValueError if it is not there exactly once."""
    pattern = r"\s+".join(map(re.escape, old.split()))
    places = list(re.finditer(pattern, source))
    if len(places) != 1:
        raise ValueError(f"this snippet occurs {len(places)} times, not once: {old}")
    start, end = places[0].span()
    line = source[source.rfind("\n", 0, start) + 1 : start]
    indentation = line[: len(line) - len(line.lstrip())]
    return source[:start] + new.replace("\n", f"\n{indentation}") + source[end:]


def _generated(path: str) -> Iterator[Mutation]:
    source = source_of(path).encode()
    names: Counter[str] = Counter()
    for change in changes(source.decode()):
        before, after = source[: change.start], source[change.end :]
        old = " ".join(source[change.start : change.end].decode().split())
        name = f"{change.where}: `{old}` → `{' '.join(change.new.split())}`"
        names[name] += 1
        if names[name] > 1:
            name += f" ({names[name]})"
        text = (before + change.new.encode() + after).decode()
        one = Mutation(path, name, text, is_meant=False)
        yield Mutation(path, name, text, False, EQUIVALENT.get(one.id, ""))
