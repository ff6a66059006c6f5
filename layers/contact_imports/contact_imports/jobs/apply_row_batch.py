"""What becomes of a row batch: applied to contacts and counted, or given up and counted; once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from contact_imports.aws.contacts_table import ContactTable, DryRunContacts
from contact_imports.aws.imports_table import BatchKey, ImportTable, Partition
from contact_imports.messages.row_messages import PartitionEnd, RowBatch, RowMessage, SentRow
from contact_imports.model.contact import Outcome, Row
from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.import_job import Import
from contact_imports.model.limits import MAX_EMAIL_CHARS
from contact_imports.model.row_validation import RowReader
from contact_imports.model.stored_contact import (
    BatchRows,
    StoredContact,
    count_without_applying,
    merge_rows,
)

PATIENCE_SECONDS = 90
"""How long a batch waits for DynamoDB to take what it throttles: most of the function's time. A new table takes
4,000 writes a second of all who write; a batch that gives up comes again minutes later."""

_SLICE_EMAILS = 100
"""Contacts that are read, merged and written while others wait for DynamoDB: as many as one read takes."""
_SLICES_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class RowResults:
    """Rows by outcome, and the failed ones' reasons."""

    outcomes: Counter[Outcome]
    errors: list[RowError]


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a message, for the log: ids and counts. `ended` is the import, if this ended it."""

    import_id: str
    partition: int
    seq: int | None
    outcomes: dict[Outcome, int]
    ended: Import | None


def take_message(
    message: RowMessage,
    imports: ImportTable,
    contacts: ContactTable,
    dry_run_contacts: ContactTable,
    now: datetime,
    *,
    give_up: bool = False,
) -> Taken:
    """Does what a message asks for, and ends the import if that was the last thing to do.

    However often a message comes, what it says is done once. With `give_up`, rows that are not applied
    yet are counted as failed instead. Raises what AWS refuses: the message comes again.
    """
    outcomes: dict[Outcome, int] = {}
    if isinstance(message, PartitionEnd):
        partition = imports.end_partition(message.importId, message.partition)
        seq = None
    else:
        seq = message.seq
        partition = imports.partition(message.importId, message.partition)
        if not partition.settled(seq):
            of_batch = _contacts(message, contacts, dry_run_contacts)
            # A batch that was overtaken must not be applied after the batches that were to follow it.
            if give_up or seq in partition.gaps:
                results = _settle(message, of_batch)
            else:
                results = _Work(message, imports, of_batch, now, partition).apply()
            key = BatchKey(message.importId, message.partition, seq, message.last)
            partition = imports.commit(key, partition, results.outcomes, results.errors)
            outcomes = dict(results.outcomes)
    ended = imports.end_if_done(message.importId, now) if partition.done else None
    return Taken(message.importId, message.partition, seq, outcomes, ended)


def _contacts(
    batch: RowBatch, contacts: ContactTable, dry_run_contacts: ContactTable
) -> ContactTable | DryRunContacts:
    """The contacts that a batch is applied to: those of the project, or what a dry run makes of them."""
    if not batch.dryRun:
        return contacts
    repeated = {email_identity(cells[0]) for row, cells in batch.rows if row in batch.repeated}
    return DryRunContacts(contacts, dry_run_contacts, batch.importId, repeated)


def _settle(batch: RowBatch, contacts: ContactTable | DryRunContacts) -> RowResults:
    """Counts a batch's rows without applying them: as failed, but for those that contacts show as applied."""
    results = _rejected(batch)
    if not batch.rows:
        return results
    emails = {number: email_identity(cells[0]) for number, cells in batch.rows}
    # No contact has an email that is empty or too long: there is nothing to read.
    stored = contacts.read(
        batch.projectId, {email for email in emails.values() if _possible(email)}
    )
    batch_rows = BatchRows(first=batch.rows[0][0], last=batch.rows[-1][0])
    for number, email in emails.items():
        counted = count_without_applying(
            stored.get(email), number, batch_rows, batch.importId, batch.onConflict
        )
        results.outcomes[counted.outcome] += 1
        if counted.error:
            results.errors.append(counted.error)
    return results


class _Work:
    """Applying a row batch to its contacts."""

    def __init__(
        self,
        batch: RowBatch,
        imports: ImportTable,
        contacts: ContactTable | DryRunContacts,
        now: datetime,
        partition: Partition,
    ) -> None:
        self._batch = batch
        self._imports = imports
        self._contacts = contacts
        self._now = now
        self._reader = RowReader(batch.fields, batch.tags, batch.onBlank)
        self._overtaking = partition.next_seq < batch.seq or bool(partition.gaps)
        self._expects_new = partition.mostly_new and not batch.dryRun
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._quiet = batch.dryRun or imports.is_quiet(batch.projectId, now)

    def apply(self) -> RowResults:
        """Applies the batch's rows, some contacts at a time, and counts them."""
        by_email: dict[str, list[SentRow]] = {}
        for row in self._batch.rows:
            by_email.setdefault(email_identity(row[1][0]), []).append(row)
        results = _rejected(self._batch)
        # Leaving it waits for all of them, whatever one raises: nothing goes on behind an answer.
        with ThreadPoolExecutor(_SLICES_AT_A_TIME) as threads:
            slices = [threads.submit(self._apply_some, some) for some in _slices(by_email)]
        for done in slices:
            results.outcomes.update(done.result().outcomes)
            results.errors.extend(done.result().errors)
        return results

    def _apply_some(self, sent: Mapping[str, list[SentRow]]) -> RowResults:
        """Applies rows, by their emails' identity, and counts them.

        Contacts are read cheaply first, or taken for new where those of the batch before were. A write says
        what it was made from, so that one from a stale read, or from none, is refused; a row that changes
        nothing is not written, so it is looked at again, unless nobody has written to the project lately.
        """
        batch, results = self._batch, RowResults(Counter(), [])
        pending = self._read_rows(sent, results)
        expects_new, consistent = self._expects_new, batch.dryRun
        while pending:
            stored: dict[str, StoredContact] = {}
            if not expects_new:
                stored = self._contacts.read(
                    batch.projectId, pending, consistent=consistent, until=self._until
                )
            merged = {
                email: merge_rows(
                    stored.get(email),
                    rows,
                    batch.importId,
                    batch.onConflict,
                    overtaking=self._overtaking,
                )
                for email, rows in pending.items()
            }
            writes = [merge.after for merge in merged.values() if merge.after is not None]
            again = set[str]()
            if not consistent and not self._quiet:
                again = {email for email, merge in merged.items() if merge.after is None}
            if writes:
                if not batch.dryRun:
                    self._imports.note_writes(batch.projectId, self._now)
                again |= self._contacts.write(batch.projectId, writes, self._until)
            for email, merge in merged.items():
                if email not in again:
                    results.outcomes.update(merge.outcomes.values())
                    results.errors.extend(merge.errors)
            pending = {email: pending[email] for email in pending if email in again}
            expects_new, consistent = False, True
        return results

    def _read_rows(
        self, sent: Mapping[str, list[SentRow]], results: RowResults
    ) -> dict[str, list[Row]]:
        """The rows as contacts, by email; those that are none are counted as failed."""
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
    while some := dict(islice(items, _SLICE_EMAILS)):
        yield some


def _rejected(batch: RowBatch) -> RowResults:
    """The rows that the processor has found to be failed."""
    errors = [RowError(number, code, message) for number, code, message in batch.rejected]
    return RowResults(Counter({Outcome.FAILED: len(errors)} if errors else {}), errors)


def _possible(email: str) -> bool:
    return 0 < len(email) <= MAX_EMAIL_CHARS
