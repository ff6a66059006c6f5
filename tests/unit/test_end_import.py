"""Stopping an import, and ending overdue ones: what is written, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from contact_imports.jobs.end_import import (
    GONE,
    NOT_DONE,
    NOT_FOLLOWED,
    OVERDUE,
    SWEEPS,
    SWEPT_AGAIN_AFTER,
    UNREADABLE,
    SweptImport,
    end_overdue_imports,
    follow_ends_again,
    stop_import,
)
from contact_imports.model.import_job import (
    FOLLOW_TRIES,
    Import,
    ImportOptions,
    Split,
    Status,
    new_import_id,
)
from contact_imports.model.progress import Partition

NOW = datetime(2030, 1, 2, tzinfo=UTC)
ACCEPTED = Import(new_import_id(NOW), "p", Status.PROCESSING, ImportOptions(None), NOW)
STARTED = replace(ACCEPTED, split=Split(3))


class Stores:
    """All stores in one, which note what is written. `reads` are the import's states, the last one again and again."""

    def __init__(self, *reads: Import | None, partitions: dict[int, Partition] | None = None):
        self.written: list[Any] = []
        self._reads = list(reads)
        self._partitions = partitions or {}
        self.follow_tries = self.sweeps = 1
        self.ended: Import | Exception | None = replace(STARTED, status=Status.FAILED)

    def get(self, import_id: str) -> Import | None:
        return self._reads.pop(0) if len(self._reads) > 1 else self._reads[0]

    def fail(self, import_id: str, error: str, now: datetime) -> bool:
        job = self._reads[0]
        return job is not None and job.partition_count is None and not job.ended

    def set_failure(self, import_id: str, reason: str) -> None:
        self.written.append(reason)

    def send_partition_end(self, import_id: str, project_id: str, partition: int) -> None:
        self.written.append(partition)

    def overdue(self, now: datetime) -> list[str]:
        return [ACCEPTED.id]

    def of_import(self, import_id: str) -> dict[int, Partition]:
        return self._partitions

    def end_partition(self, import_id: str, partition: int, *, forget_gaps: bool = False) -> None:
        self.written.append((partition, forget_gaps))

    def end_if_done(self, import_id: str, now: datetime) -> Import | None:
        self.written.append("end")
        if isinstance(self.ended, Exception):
            raise self.ended
        return self.ended

    def postpone(self, import_id: str, deadline: datetime) -> int:
        self.written.append(("postponed", deadline))
        return self.sweeps

    def give_up(self, import_id: str, error: str, now: datetime) -> None:
        self.written.append(error)

    def unfollowed(self, now: datetime) -> list[str]:
        return [ACCEPTED.id]

    def follow_again(self, import_id: str, now: datetime) -> int:
        return self.follow_tries

    def set_followed(self, import_id: str) -> None:
        self.written.append("followed")


def stop(stores: Stores) -> bool:
    fake = cast("Any", stores)
    return stop_import(ACCEPTED.id, GONE, fake, fake, NOW)


def test_the_reason_is_there_before_any_partition_ends() -> None:
    """Whoever dies between them leaves an import that no processor claims again."""
    stores = Stores(STARTED)
    assert stop(stores)
    assert stores.written == [GONE, 0, 1, 2]


def test_an_import_that_was_started_since_it_was_read_is_stopped() -> None:
    stores = Stores(ACCEPTED, STARTED)
    assert stop(stores)
    assert stores.written == [GONE, 0, 1, 2]


@pytest.mark.parametrize(
    "reads",
    [
        (None,),
        (replace(ACCEPTED, status=Status.FAILED),),
        (replace(STARTED, status=Status.COMPLETED),),
        (ACCEPTED, replace(ACCEPTED, status=Status.FAILED)),
        (ACCEPTED, replace(STARTED, status=Status.COMPLETED)),
        (ACCEPTED, None),
    ],
)
def test_an_import_that_has_ended_is_not_stopped(reads: tuple[Import | None, ...]) -> None:
    stores = Stores(*reads)
    assert not stop(stores)
    assert stores.written == []


def test_an_overdue_import_ends_each_partition_that_is_not_done() -> None:
    done, gap = Partition(2, ended=True), Partition(2, ended=True, gaps=frozenset({0}))
    stores = Stores(STARTED, partitions={0: done, 1: gap})
    fake = cast("Any", stores)
    swept = list(end_overdue_imports(fake, fake, NOW, lambda: True))
    assert swept == [SweptImport(ACCEPTED.id)]
    assert stores.written == [OVERDUE, (1, True), (2, True), "end"]


@pytest.mark.parametrize(
    ("ended", "sweeps", "error", "is_given_up"),
    [
        (ValueError(), SWEEPS - 1, "ValueError", False),
        (ValueError(), SWEEPS, "ValueError", True),
        # Its rows are still being counted, so its counts are worth waiting for.
        (None, SWEEPS, NOT_DONE, False),
    ],
)
def test_an_import_that_cannot_be_ended_makes_room_for_the_others(
    ended: Exception | None, sweeps: int, error: str, is_given_up: bool
) -> None:
    stores = Stores(STARTED)
    stores.ended, stores.sweeps = ended, sweeps
    fake = cast("Any", stores)
    assert list(end_overdue_imports(fake, fake, NOW, lambda: True)) == [
        SweptImport(ACCEPTED.id, error)
    ]
    after = stores.written[stores.written.index("end") + 1 :]
    assert after == [("postponed", NOW + SWEPT_AGAIN_AFTER), *([UNREADABLE] if is_given_up else [])]


def test_nothing_is_begun_without_time() -> None:
    stores = Stores(STARTED)
    fake = cast("Any", stores)
    assert list(end_overdue_imports(fake, fake, NOW, lambda: False)) == []
    assert list(follow_ends_again(fake, NOW, lambda: False)) == []
    assert stores.written == []


@pytest.mark.parametrize(
    ("tries", "swept"),
    [
        (0, []),
        (1, [SweptImport(ACCEPTED.id)]),
        (FOLLOW_TRIES, [SweptImport(ACCEPTED.id)]),
        (FOLLOW_TRIES + 1, [SweptImport(ACCEPTED.id, NOT_FOLLOWED)]),
    ],
)
def test_an_end_is_followed_again_some_times(tries: int, swept: list[SweptImport]) -> None:
    stores = Stores(STARTED)
    stores.follow_tries = tries
    assert list(follow_ends_again(cast("Any", stores), NOW, lambda: True)) == swept
    assert stores.written == (["followed"] if tries > FOLLOW_TRIES else [])
