"""Applies a row batch to contacts and counts it, or gives it up and counts it; once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from contact_imports.aws.contacts_table import ContactTable, DryRunContacts
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.aws.retry import time_limit
from contact_imports.messages.row_messages import PartitionEnd, RowBatch, RowMessage, SentRow
from contact_imports.model.contact import Outcome, Row
from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.import_job import Import
from contact_imports.model.limits import MAX_EMAIL_CHARS
from contact_imports.model.progress import BatchKey, Partition
from contact_imports.model.row_validation import RowReader
from contact_imports.model.stored_contact import (
    BatchRows,
    StoredContact,
    count_without_applying,
    merge_rows,
)

PATIENCE_SECONDS = 10.0
"""How long a batch retries what DynamoDB throttles of its contacts. Then it gives its slot of the function to another
one and is delivered again in some seconds (see `received_messages`); what it has written stays. A new table takes 4,000
writes a second, so five batches at a time take 1.25 seconds each.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"""

GIVEN_BACK_AFTER_SECONDS = 30.0
"""When nothing of a batch is retried any more. What its contacts leave is for its count, because a batch that was
applied and not counted is read once more."""

_SLICE_EMAILS = 100
"""Emails in a slice: as many contacts as one read returns. Slices wait for DynamoDB in parallel."""
_SLICES_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class RowBatchStores:
    """The stores that handling a message reads and writes."""

    imports: ImportTable
    progress: ProgressRecords
    writes: ProjectWrites
    contacts: ContactTable
    dry_run_contacts: ContactTable


@dataclass(frozen=True, slots=True)
class RowResults:
    """Rows by outcome, and the failed ones' reasons."""

    outcomes: Counter[Outcome]
    errors: list[RowError]


@dataclass(frozen=True, slots=True)
class MessageResult:
    """The result of a message, for the log: ids and counts. `ended` is the import if this message ended it."""

    import_id: str
    partition: int
    seq: int | None
    outcomes: dict[Outcome, int]
    ended: Import | None


def handle_message(
    message: RowMessage,
    stores: RowBatchStores,
    now: datetime,
    receives: int = 1,
    *,
    give_up: bool = False,
) -> MessageResult:
    """Handles a message, and ends the import if nothing else is left to do.

    A message that is delivered again (the `receives`-th time, from 1) changes nothing. With `give_up`, rows that are not
    applied yet are counted as failed instead. Errors of AWS are raised, so that the message is delivered again.
    """
    outcomes: dict[Outcome, int] = {}
    if isinstance(message, PartitionEnd):
        partition = stores.progress.end_partition(message.import_id, message.partition)
        seq = None
    else:
        seq = message.seq
        partition = stores.progress.get(message.import_id, message.partition)
        if not partition.is_closed_for(seq):
            contacts = _contacts_of(message, stores)
            # A batch that was overtaken must not be applied after its successors.
            if give_up or seq in partition.gaps:
                results = _count_without_applying(message, contacts)
            else:
                results = _BatchApplication(
                    message, stores, contacts, now, partition, again=receives > 1
                ).apply()
            key = BatchKey(message.import_id, message.partition, seq, message.last)
            partition = stores.progress.commit(key, partition, results.outcomes, results.errors)
            outcomes = dict(results.outcomes)
    ended = stores.imports.end_if_done(message.import_id, now) if partition.done else None
    return MessageResult(message.import_id, message.partition, seq, outcomes, ended)


def _contacts_of(batch: RowBatch, stores: RowBatchStores) -> ContactTable | DryRunContacts:
    """The contacts that a batch is applied to: those of the project, or those of its dry run."""
    if not batch.dry_run:
        return stores.contacts
    repeated = {email_identity(row.cells[0]) for row in batch.rows if row.number in batch.repeated}
    return DryRunContacts(stores.contacts, stores.dry_run_contacts, batch.import_id, repeated)


def _count_without_applying(batch: RowBatch, contacts: ContactTable | DryRunContacts) -> RowResults:
    """Counts a batch's rows as failed, except those that contacts show as applied."""
    results = _rejected(batch)
    if not batch.rows:
        return results
    emails = {row.number: email_identity(row.cells[0]) for row in batch.rows}
    stored = contacts.read(
        batch.project_id, {email for email in emails.values() if _can_be_key(email)}
    )
    batch_rows = BatchRows(first=batch.rows[0].number, last=batch.rows[-1].number)
    for number, email in emails.items():
        counted = count_without_applying(
            stored.get(email), number, batch_rows, batch.import_id, batch.on_conflict
        )
        results.outcomes[counted.outcome] += 1
        if counted.error:
            results.errors.append(counted.error)
    return results


class _BatchApplication:
    """Applies one row batch to its contacts."""

    def __init__(
        self,
        batch: RowBatch,
        stores: RowBatchStores,
        contacts: ContactTable | DryRunContacts,
        now: datetime,
        partition: Partition,
        *,
        again: bool,
    ) -> None:
        self._batch = batch
        self._writes = stores.writes
        self._contacts = contacts
        self._now = now
        self._reader = RowReader(batch.fields, batch.tags, batch.on_blank)
        self._overtaking = partition.next_seq < batch.seq or bool(partition.gaps)
        # An earlier delivery may have inserted most of them; inserting one again costs a write.
        self._expects_new = partition.mostly_new and not batch.dry_run and not again
        self._quiet = batch.dry_run or stores.writes.is_quiet(batch.project_id, now)

    def apply(self) -> RowResults:
        """Applies the batch's rows in slices, and counts them."""
        by_email: dict[str, list[SentRow]] = {}
        for row in self._batch.rows:
            by_email.setdefault(email_identity(row.cells[0]), []).append(row)
        results = _rejected(self._batch)
        # Leaving the block waits for every slice, even if one raises: no write may continue after we answer.
        with time_limit(PATIENCE_SECONDS), ThreadPoolExecutor(_SLICES_AT_A_TIME) as threads:
            slices = [threads.submit(self._apply_slice, rows) for rows in _slices(by_email)]
        for applied in slices:
            results.outcomes.update(applied.result().outcomes)
            results.errors.extend(applied.result().errors)
        return results

    def _apply_slice(self, sent: Mapping[str, list[SentRow]]) -> RowResults:
        """Applies rows, given by the identity of their email, and counts them.

        The first read is eventually consistent, or left out if nearly all contacts of the batch before were new.
        Each write is conditional on the version that was read, so DynamoDB refuses a write after a stale read. A
        row that changes nothing is not written, so no condition protects it: its contact is read again with
        strong consistency, unless the project's contacts were not written lately.
        """
        batch, results = self._batch, RowResults(Counter(), [])
        pending = self._read_rows(sent, results)
        expects_new, consistent = self._expects_new, batch.dry_run
        while pending:
            stored: dict[str, StoredContact] = {}
            if not expects_new:
                stored = self._contacts.read(batch.project_id, pending, consistent=consistent)
            merged = {
                email: merge_rows(
                    stored.get(email),
                    rows,
                    batch.import_id,
                    batch.on_conflict,
                    overtaking=self._overtaking,
                )
                for email, rows in pending.items()
            }
            writes = [merge.after for merge in merged.values() if merge.after is not None]
            to_repeat = set[str]()
            if not consistent and not self._quiet:
                to_repeat = {email for email, merge in merged.items() if merge.after is None}
            if writes:
                if not batch.dry_run:
                    self._writes.note(batch.project_id, self._now)
                to_repeat |= self._contacts.write(batch.project_id, writes)
            for email, merge in merged.items():
                if email not in to_repeat:
                    results.outcomes.update(merge.outcomes.values())
                    results.errors.extend(merge.errors)
            pending = {email: rows for email, rows in pending.items() if email in to_repeat}
            expects_new, consistent = False, True
        return results

    def _read_rows(
        self, sent: Mapping[str, list[SentRow]], results: RowResults
    ) -> dict[str, list[Row]]:
        """The valid rows by email; the others are counted as failed."""
        pending: dict[str, list[Row]] = {}
        for email, rows in sent.items():
            for number, cells in rows:
                row = self._reader.read(number, cells, email)
                if isinstance(row, RowError):
                    results.outcomes[Outcome.FAILED] += 1
                    results.errors.append(row)
                else:
                    pending.setdefault(email, []).append(row)
        return pending


def _slices(rows: Mapping[str, list[SentRow]]) -> Iterator[dict[str, list[SentRow]]]:
    items = iter(rows.items())
    while next_rows := dict(islice(items, _SLICE_EMAILS)):
        yield next_rows


def _rejected(batch: RowBatch) -> RowResults:
    """The rows that the processor has rejected, counted as failed."""
    errors = [RowError(row.number, row.code, row.message) for row in batch.rejected]
    return RowResults(Counter({Outcome.FAILED: len(errors)} if errors else {}), errors)


def _can_be_key(email: str) -> bool:
    """Whether a contact can have this email. DynamoDB refuses a key that is empty or over 1,024 bytes."""
    return 0 < len(email) <= MAX_EMAIL_CHARS
