"""The progress of an import's partitions, and how counting a row batch changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from contact_imports.model.contact import Outcome

MAX_PARTITIONS = 64
"""Partitions of one import, which is how many of its row batches can be applied at the same time."""

MAX_BATCHES = 1_000_000
"""Row batches of one partition: above the 767,000 that the largest file can make (5 GiB of 7 bytes a row, all of
one email, 1,000 rows a batch). Their records sort by a number of six digits."""

_MOSTLY_NEW_SHARE = 0.95
"""Inserting a contact that exists costs a write unit and then a consistent read, together twelve times the
price of a cheap read: doing without reads pays while fewer than one contact in twelve exists."""


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Identifies a row batch; `last` is whether it is the partition's last one."""

    import_id: str
    partition: int
    seq: int
    last: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """The progress of one partition.

    `next_seq` is the number of the batch that is expected next. `gaps` are the numbers of batches that later ones
    overtook while they were in the dead-letter queue. `ended` is whether no further batch counts. `lost` are gaps that
    will not be filled. `mostly_new` is whether nearly all contacts of the last batch were new.
    """

    next_seq: int = 0
    ended: bool = False
    gaps: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    mostly_new: bool = False

    def is_closed_for(self, seq: int) -> bool:
        """Whether a batch was counted already, or must not be counted any more."""
        return (seq < self.next_seq or self.ended) and seq not in self.gaps

    def counted(self, seq: int) -> bool:
        """Whether a batch was counted."""
        return seq < self.next_seq and seq not in self.gaps and seq not in self.lost

    @property
    def done(self) -> bool:
        """Whether all batches that count were counted."""
        return self.ended and not self.gaps

    def after(self, batch: BatchKey, outcomes: Mapping[Outcome, int]) -> Partition:
        """The partition after a batch is counted. `outcomes` are the batch's rows by outcome.

        It must not be closed for the batch. A batch that comes early leaves a gap for each batch that it overtook. A
        batch that was overtaken fills its gap and changes nothing else.
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
    """Whether nearly all rows of a batch that created or found a contact created it."""
    created = outcomes.get(Outcome.CREATED, 0)
    existing = outcomes.get(Outcome.UPDATED, 0) + outcomes.get(Outcome.SKIPPED, 0)
    return created > 0 and created >= _MOSTLY_NEW_SHARE * (created + existing)
