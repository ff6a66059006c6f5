"""What handling a message does with its stores, in which order, and what it reads again. The stores are in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from contact_imports.jobs import apply_row_batch
from contact_imports.jobs.apply_row_batch import (
    PATIENCE_SECONDS,
    MessageResult,
    RowBatchStores,
    handle_message,
)
from contact_imports.messages.row_messages import PartitionEnd, RejectedRow, RowBatch, SentRow
from contact_imports.model.contact import Contact, OnConflict, Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import new_import_id
from contact_imports.model.progress import BatchKey, Partition
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact

NOW = datetime(2030, 1, 2, tzinfo=UTC)
IMPORT, OTHER = new_import_id(NOW), new_import_id(NOW)
A, B = "a@example.com", "b@example.com"


def contact(email: str, name: str, applied: Mapping[str, Sequence[int]] | None = None) -> Any:
    """A contact that another import has created."""
    of_batches = applied or {OTHER: (1,)}
    return StoredContact(
        Contact(email, {"name": name}),
        1,
        CreatedBy(OTHER, 1),
        {of: tuple(map(AppliedRows, rows)) for of, rows in of_batches.items()},
    )


@dataclass
class World:
    """All stores in one. `stale` is what reads get that are not consistent."""

    partition: Partition = field(default_factory=Partition)
    stored: dict[str, StoredContact] = field(default_factory=dict)
    stale: dict[str, StoredContact] = field(default_factory=dict)
    quiet: bool = False
    calls: list[Any] = field(default_factory=list)
    reads: list[tuple[frozenset[str], bool]] = field(default_factory=list)
    ends: int = 0
    commits: list[tuple[BatchKey, dict[Outcome, int], list[RowError]]] = field(default_factory=list)

    # The partition's progress, and the import.

    def get(self, _import_id: str, _partition: int) -> Partition:
        return self.partition

    def commit(
        self, key: BatchKey, known: Partition, outcomes: dict[Outcome, int], errors: list[RowError]
    ) -> Partition:
        self.commits.append((key, {k: n for k, n in outcomes.items() if n}, errors))
        return known.after(key, outcomes)

    def end_partition(self, _import_id: str, _partition: int) -> Partition:
        return Partition(1, ended=True)

    def end_if_done(self, _import_id: str, _now: datetime) -> None:
        self.ends += 1

    # The project's writes.

    def note(self, _project_id: str, _now: datetime) -> None:
        self.calls.append("note")

    def is_quiet(self, _project_id: str, _now: datetime) -> bool:
        return self.quiet

    # Its contacts.

    def read(
        self, _project_id: str, emails: Iterable[str], *, consistent: bool = True
    ) -> dict[str, StoredContact]:
        asked = frozenset(emails)
        self.reads.append((asked, consistent))
        found = self.stored if consistent else self.stored | self.stale
        return {email: found[email] for email in asked if email in found}

    def write(self, _project_id: str, contacts: Iterable[StoredContact]) -> set[str]:
        self.calls.append("write")
        conflicts = set()
        for after in contacts:
            email = after.contact.email
            before = self.stored.get(email)
            if after.version != (before.version + 1 if before else 1):
                conflicts.add(email)
            else:
                self.stored[email] = after
        return conflicts

    def handle(
        self, message: RowBatch | PartitionEnd, receives: int = 1, *, give_up: bool = False
    ) -> MessageResult:
        every = cast("Any", self)
        stores = RowBatchStores(every, every, every, every, every)
        return handle_message(message, stores, NOW, receives, give_up=give_up)

    def outcomes(self) -> dict[Outcome, int]:
        """Those of the only batch that was counted."""
        ((_, outcomes, _),) = self.commits
        return outcomes


def batch(*rows: tuple[int, str, str], seq: int = 0, **fields: Any) -> RowBatch:
    """Rows with their numbers, emails and names."""
    known: dict[str, Any] = {
        "import_id": IMPORT,
        "project_id": "p",
        "partition": 0,
        "last": False,
        "fields": ("email", "name"),
        "on_conflict": OnConflict.UPSERT,
        "tags": (),
        "rejected": [],
    }
    sent = [SentRow(number, [email, name]) for number, email, name in rows]
    return RowBatch(seq=seq, rows=sent, **(known | fields))


@pytest.mark.parametrize(
    ("partition", "seq", "kept"),
    [
        (Partition(1), 1, [9]),
        (Partition(1), 2, [2, 9]),
        (Partition(3, gaps=frozenset({1})), 3, [2, 9]),
    ],
    ids=["next", "overtaking", "behind a gap"],
)
def test_what_earlier_batches_did_is_remembered_while_one_is_missing(
    partition: Partition, seq: int, kept: list[int]
) -> None:
    world = World(partition, {A: contact(A, "before", {IMPORT: (2,)})})
    world.handle(batch((9, A, "after"), seq=seq))
    assert [rows.row for rows in world.stored[A].applied[IMPORT]] == kept


@pytest.mark.parametrize("quiet", [False, True])
def test_a_row_that_changes_nothing_is_read_again_unless_the_project_is_quiet(quiet: bool) -> None:
    world = World(
        stored={A: contact(A, "new")},
        stale={A: contact(A, "old")} if not quiet else {},
        quiet=quiet,
    )
    world.handle(batch((1, A, "old" if not quiet else "new")))
    assert [consistent for _, consistent in world.reads] == [False] + [True] * (not quiet)
    assert world.stored[A].contact.fields["name"] == ("new" if quiet else "old")
    assert world.outcomes() == {Outcome.UPDATED: 1}


def test_what_conflicts_and_what_changed_nothing_are_both_tried_again() -> None:
    # The one is written, and was changed by somebody else; the other seems to be as the row has it.
    newer = replace(contact(A, "theirs"), version=2)
    world = World(
        stored={A: newer, B: contact(B, "theirs")},
        stale={A: contact(A, "before"), B: contact(B, "same")},
    )
    world.handle(batch((1, A, "ours"), (2, B, "same")))
    assert world.reads == [(frozenset({A, B}), False), (frozenset({A, B}), True)]
    assert {each.contact.fields["name"] for each in world.stored.values()} == {"ours", "same"}
    assert world.outcomes() == {Outcome.UPDATED: 2}


def test_a_write_is_noted_before_it_is_made() -> None:
    world = World()
    world.handle(batch((1, A, "new")))
    assert world.calls == ["note", "write"]


@pytest.mark.parametrize("give_up", [False, True])
def test_rows_that_the_processor_rejected_are_counted(give_up: bool) -> None:
    world = World()
    rejected = [RejectedRow(3, "too_many_cells", "why")]
    world.handle(batch((4, A, "x"), rejected=rejected), give_up=give_up)
    ((_, outcomes, errors),) = world.commits
    assert sum(outcomes.values()) == 2
    assert RowError(3, "too_many_cells", "why") in errors


@pytest.mark.parametrize(
    ("receives", "dry_run", "reads"),
    [(1, False, []), (2, False, [False]), (1, True, [True, True])],
    ids=["usual", "again", "dry run"],
)
def test_contacts_are_taken_for_new_only_if_no_try_of_the_batch_can_have_made_them(
    receives: int, dry_run: bool, reads: list[bool]
) -> None:
    world = World(Partition(1, mostly_new=True))
    world.handle(batch((1, A, "x"), seq=1, dry_run=dry_run), receives)
    assert [consistent for _, consistent in world.reads] == reads


def test_a_batch_that_was_counted_is_not_applied() -> None:
    world = World(Partition(3))
    world.handle(batch((1, A, "x"), seq=2))
    assert (world.reads, world.calls, world.commits) == ([], [], [])


@pytest.mark.parametrize("give_up", [False, True])
def test_a_batch_that_is_given_up_or_was_overtaken_is_counted_and_not_applied(
    give_up: bool,
) -> None:
    gaps = frozenset() if give_up else frozenset({1})
    world = World(Partition(1 if give_up else 3, gaps=gaps))
    world.handle(batch((7, A, "x"), seq=1), give_up=give_up)
    assert world.calls == []
    ((key, outcomes, (error,)),) = world.commits
    assert (key.seq, outcomes, error.row) == (1, {Outcome.FAILED: 1}, 7)


def test_what_a_batch_did_is_seen_when_it_is_given_up() -> None:
    stored = {A: contact(A, "x", {IMPORT: (4, 6)}), B: contact(B, "x", {IMPORT: (2,)})}
    world = World(Partition(1), stored)
    # Of rows 5 to 7, one was applied up to row 6. What row 2 did is of another batch, and row 4 as well.
    world.handle(batch((5, A, "x"), (6, A, "x"), (7, B, "x"), seq=1), give_up=True)
    assert world.outcomes() == {Outcome.UPDATED: 2, Outcome.FAILED: 1}


def test_an_email_that_cannot_be_a_key_is_not_read_when_its_batch_is_given_up() -> None:
    world = World()
    world.handle(batch((1, A, "x"), (2, "x" * 2_000 + A, "x"), (3, "", "x")), give_up=True)
    assert world.reads == [(frozenset({A}), True)]
    assert world.outcomes() == {Outcome.FAILED: 3}


@pytest.mark.parametrize("seq", [0, 1])
def test_an_import_ends_with_its_last_batch_however_often_that_comes(seq: int) -> None:
    # At the second time it is counted already, and the first may have died before the import's end.
    world = World(Partition(2, ended=True) if seq == 0 else Partition(1))
    world.handle(batch((1, A, "x"), seq=1, last=True))
    assert world.ends == 1
    world.handle(PartitionEnd(import_id=IMPORT, project_id="p", partition=0))
    assert world.ends == 2


def test_an_import_does_not_end_before_its_last_batch() -> None:
    world = World()
    world.handle(batch((1, A, "x")))
    assert world.ends == 0


def test_contacts_are_retried_for_some_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    @contextmanager
    def time_limit(seconds: float) -> Iterator[None]:
        limits.append(seconds)
        yield
        limits.pop()

    monkeypatch.setattr(apply_row_batch, "time_limit", time_limit)
    world = World()
    seen: list[tuple[float, ...]] = []
    monkeypatch.setattr(world, "note", lambda *_: seen.append(tuple(limits)))
    world.handle(batch((1, A, "x")))
    assert seen == [(PATIENCE_SECONDS,)]
    assert limits == []
