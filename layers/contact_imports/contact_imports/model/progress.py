"""How far the partitions of an import are, and how counting a row batch moves one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from contact_imports.model.contact import Outcome

MAX_PARTITIONS = 64
"""Partitions of one import: as many row batches of it can be applied at the same time."""

MAX_BATCHES = 1_000_000
"""Row batches of one partition: above the 767,000 that the largest file can make (5 GiB of 7 bytes a row, all of
one email, 1,000 rows a batch). Their records sort by a number of six digits."""

_MOSTLY_NEW_SHARE = 0.95
"""Inserting a contact that exists costs a write unit and then a consistent read, together twelve times the
price of a cheap read: doing without reads pays while fewer than one contact in twelve exists."""


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Which row batch of which partition of which import; `last` marks the partition's last one."""

    import_id: str
    partition: int
    seq: int
    last: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """How far a partition is.

    `next_seq` is the batch that is expected next. `gaps` are batches that later ones overtook, on their way
    through the dead-letter queue; `ended` says that no further batch counts; `lost` are gaps that nobody
    fills any more. `mostly_new` says that nearly all contacts of the batch before did not exist.
    """

    next_seq: int = 0
    ended: bool = False
    gaps: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    mostly_new: bool = False

    def is_closed_for(self, seq: int) -> bool:
        """Whether a batch has been counted, or will never be."""
        return (seq < self.next_seq or self.ended) and seq not in self.gaps

    def counted(self, seq: int) -> bool:
        """Whether a batch has been counted."""
        return seq < self.next_seq and seq not in self.gaps and seq not in self.lost

    @property
    def done(self) -> bool:
        """Whether every batch that will ever count has been counted."""
        return self.ended and not self.gaps

    def after(self, batch: BatchKey, outcomes: Mapping[Outcome, int]) -> Partition:
        """The partition once a batch is counted that it is not closed for, with its rows by outcome.

        A batch ahead of its turn leaves a gap for each batch that it overtook; one that was overtaken fills
        its own gap and moves nothing else.
        """
        if batch.seq in self.gaps:
            return replace(self, gaps=self.gaps - {batch.seq})
        return replace(
            self,
            next_seq=batch.seq + 1,
            ended=batch.last,
            gaps=self.gaps | frozenset(range(self.next_seq, batch.seq)),
            mostly_new=_mostly_new(outcomes),
        )


def _mostly_new(outcomes: Mapping[Outcome, int]) -> bool:
    """Whether nearly all rows of a batch that met or made a contact made it."""
    created = outcomes.get(Outcome.CREATED, 0)
    existing = outcomes.get(Outcome.UPDATED, 0) + outcomes.get(Outcome.SKIPPED, 0)
    return created > 0 and created >= _MOSTLY_NEW_SHARE * (created + existing)
