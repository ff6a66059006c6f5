"""How much is read to find what has waited longest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from contact_imports.aws.imports_table import ImportTable
from contact_imports.jobs.measure_backlog import Backlog, measure_backlog
from contact_imports.model.import_job import new_import_id

NOW = datetime(2030, 1, 2, tzinfo=UTC)


class Imports:
    """The ids of open imports, and the ends of those that wait for a report; notes which of these are read."""

    def __init__(self, opened: list[str], ends: dict[str, datetime | None]) -> None:
        self.opened, self.ends = opened, ends
        self.read: list[str] = []

    def all_open(self) -> list[str]:
        return self.opened

    def all_unfollowed(self) -> list[str]:
        return sorted(self.ends, reverse=True)

    def ended_at(self, import_id: str) -> datetime | None:
        self.read.append(import_id)
        return self.ends[import_id]


def ago(**duration: float) -> datetime:
    return NOW - timedelta(**duration)


def measured(imports: Imports) -> Backlog:
    return measure_backlog(cast("ImportTable", imports), NOW)


def test_nothing_is_open() -> None:
    assert measured(Imports([], {})) == Backlog(0, 0, 0, 0)


def test_the_oldest_import_is_that_of_the_oldest_id() -> None:
    ids = [new_import_id(ago(minutes=minutes)) for minutes in (5, 90, 20)]
    assert measured(Imports(ids, {})) == Backlog(3, 90 * 60, 0, 0)


def test_a_clock_that_is_ahead_makes_no_negative_age() -> None:
    assert measured(Imports([new_import_id(ago(seconds=-3))], {})).oldest_open_seconds == 0


def test_imports_that_began_after_an_end_are_not_read() -> None:
    first, second, third = (new_import_id(ago(hours=hours)) for hours in (9, 5, 2))
    imports = Imports([], {first: ago(hours=1), second: ago(hours=3), third: ago(hours=1)})
    assert measured(imports).oldest_unreported_seconds == 3 * 3600
    assert imports.read == [first, second]


def test_an_import_that_is_gone_or_has_not_ended_is_passed_over() -> None:
    first, second = (new_import_id(ago(hours=hours)) for hours in (9, 5))
    imports = Imports([], {first: None, second: ago(hours=4)})
    assert measured(imports) == Backlog(0, 0, 2, 4 * 3600)


def test_a_flood_of_ends_costs_25_reads() -> None:
    imports = Imports([], {new_import_id(ago(hours=9)): ago(hours=1) for _ in range(1_000)})
    assert measured(imports) == Backlog(0, 0, 1_000, 3600)
    assert len(imports.read) == 25
