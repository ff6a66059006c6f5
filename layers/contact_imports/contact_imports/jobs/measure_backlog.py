"""Measures what is open: imports that have not ended, and ends that not everything has followed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contact_imports.aws.imports_table import ImportTable
from contact_imports.model.import_job import import_time

_ENDS_READ = 25
"""How many imports are read at most to find the oldest end. One end in a few was late to be followed, not hundreds."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many imports are open, and how many ends were not followed yet; and the seconds since the oldest of these
    imports was accepted, and since the oldest of these ends. 0 if there are none."""

    open_imports: int
    oldest_open_seconds: float
    unreported_ends: int
    oldest_unreported_seconds: float


def measure_backlog(imports: ImportTable, now: datetime) -> Backlog:
    """Reads two keys of an index, which is half a read unit each for up to 30 imports or so, and `_ENDS_READ` imports
    at most. Raises errors of AWS."""
    opened = [import_time(import_id) for import_id in imports.all_open()]
    # Ids begin with the time at which the import was recorded.
    unreported = sorted(imports.all_unfollowed())
    return Backlog(
        len(opened),
        _age(min(opened, default=now), now),
        len(unreported),
        _age(_oldest_end(unreported, imports, now), now),
    )


def _oldest_end(import_ids: list[str], imports: ImportTable, now: datetime) -> datetime:
    """When the first of these imports ended that has ended; now if there is none.

    The index does not say it: its deadline moves with each try. An import ends after it is recorded, so those that were
    recorded after an end need not be read.
    """
    oldest = now
    for import_id in import_ids[:_ENDS_READ]:
        if import_time(import_id) > oldest:
            break
        ended_at = imports.ended_at(import_id)
        if ended_at is not None:
            oldest = min(oldest, ended_at)
    return oldest


def _age(moment: datetime, now: datetime) -> float:
    """Seconds, at least 0: the clocks of functions differ."""
    return max(0.0, (now - moment).total_seconds())
