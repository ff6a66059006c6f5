"""Every mutation of the exactness core: the meant ones, and the generated ones of the rules in code."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
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

_TESTS = {
    "aws/contacts_table.py": (
        "unit/test_answers",
        "integration/test_contact_records",
        "integration/test_import_records",
        "integration/test_tables",
    ),
    "aws/imports_table.py": (
        "integration/test_import_records",
        "integration/test_conditions",
        "integration/test_lost_answers",
        "integration/test_processor_tries",
        "simulation/test_consistent_reads",
        "simulation/test_time",
        "simulation/test_upgrades",
    ),
    "aws/packed_errors.py": ("unit/test_packed_errors",),
    "aws/progress_records.py": (
        "integration/test_import_records",
        "integration/test_conditions",
        "integration/test_lost_answers",
        "integration/test_tables",
        "simulation/test_consistent_reads",
    ),
    "aws/project_writes.py": (
        "unit/test_import_job",
        "integration/test_import_records",
        "integration/test_tables",
        "simulation/test_consistent_reads",
    ),
    "aws/received_messages.py": (
        "integration/test_received_messages",
        "integration/test_isolation",
        "simulation/test_throttling",
    ),
    "aws/retry.py": ("unit/test_retry", "unit/test_answers", "simulation/test_throttling"),
    "aws/row_queue.py": (
        "unit/test_row_queue",
        "integration/test_sending",
        "integration/test_pipeline",
    ),
    "files/bit_set.py": ("unit/test_bit_set", "unit/test_split"),
    "files/split.py": ("unit/test_split", "unit/test_row_messages", "unit/test_reference"),
    "functions/dead_letter/app.py": (
        "unit/test_handlers",
        "integration/test_isolation",
        "integration/test_ends",
        "simulation/test_upgrades",
        "simulation/test_throttling",
    ),
    "functions/row_batch/app.py": (
        "unit/test_handlers",
        "integration/test_lost_answers",
        "integration/test_isolation",
        "integration/test_pipeline",
        "simulation/test_throttling",
    ),
    "jobs/apply_row_batch.py": (
        "unit/test_apply_row_batch",
        "unit/test_answers",
        "integration/test_conditions",
        "integration/test_lost_answers",
        "integration/test_pipeline",
    ),
    "jobs/create_dropped_import.py": ("integration/test_drop_bucket",),
    "jobs/end_import.py": ("unit/test_end_import", "integration/test_ends", "simulation/test_ends"),
    "jobs/report_import.py": (
        "integration/test_report_split",
        "integration/test_report_tries",
        "integration/test_report",
        "integration/test_events",
        "simulation/test_upgrades",
        "integration/test_upgrades",
    ),
    "jobs/split_upload.py": (
        "integration/test_processor_tries",
        "integration/test_processor_refuses",
        "integration/test_processor_ends",
        "integration/test_report_tries",
        "integration/test_processor_time",
        "integration/test_pipeline",
        "simulation/test_time",
        "simulation/test_object_lives",
        "simulation/test_upgrades",
        "integration/test_upgrades",
    ),
    "messages/row_messages.py": ("unit/test_row_messages", "unit/test_fuzz"),
    "messages/s3_event.py": ("unit/test_aws_events", "integration/test_drop_bucket"),
    "messages/sqs_event.py": ("unit/test_aws_events", "integration/test_isolation"),
    "model/contact.py": ("unit/test_contact", "unit/test_stored_contact"),
    "model/identity.py": ("unit/test_identity", "unit/test_split", "unit/test_row_validation"),
    "model/import_job.py": ("unit/test_import_job", "unit/test_template"),
    "model/progress.py": ("unit/test_progress",),
    "model/row_validation.py": ("unit/test_row_validation", "unit/test_identity"),
    "model/stored_contact.py": ("unit/test_stored_contact",),
}
"""The tests that know most of a file of the core: they are run first."""

_FOR_ALL = (
    "integration/test_conditions",
    "integration/test_tables",
    "integration/test_pipeline",
    "integration/test_sending",
    "integration/test_ends",
    "integration/test_isolation",
    "integration/test_report",
    "integration/test_drop_bucket",
    "simulation/test_gaps",
    "simulation/test_object_lives",
    "simulation/test_ends",
    "simulation/test_consistent_reads",
    "simulation/test_schedules",
    "simulation/test_interleavings",
    "simulation/test_two_imports",
    "simulation/test_crash_points",
)
"""What is run after them until a test fails, fastest first."""


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
    def digest(self) -> str:
        """It changes with the mutated source."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @property
    def short_path(self) -> str:
        """The file as people call it."""
        return self.path.removeprefix(f"{CORE}/")

    @property
    def tests(self) -> list[str]:
        """The files of tests to run until one fails, fastest first."""
        return _paths((*_TESTS[self.short_path], *_FOR_ALL))

    @property
    def fast_tests(self) -> list[str]:
        """Those of them that know most of the file, without the simulation."""
        return _paths(one for one in _TESTS[self.short_path] if not one.startswith("simulation/"))


def _paths(names: Iterable[str]) -> list[str]:
    paths = (f"tests/{name}.py" for name in dict.fromkeys(names))
    return [path for path in paths if (ROOT / path).exists()]


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
