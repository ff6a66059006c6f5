"""Ends imports that their own rows do not end: stops one, or fails those that are overdue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from contact_imports.aws.errors import error_code
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.retry import time_limit
from contact_imports.aws.row_queue import RowQueue
from contact_imports.model.import_job import FOLLOW_TRIES

GONE = "The uploaded file was replaced or deleted before it was read to its end."
PROCESSOR_FAILED = "The file could not be processed, although it was tried several times."
SPLIT_CHANGED = "The service was upgraded while the file was imported, and the new version splits the file otherwise."
NO_UPLOAD = "The uploaded file never arrived, or could not be read in time. Import the file again."
OVERDUE = "The import did not end in time."

SWEPT_AGAIN_AFTER = timedelta(hours=1)
"""When we try again to end an overdue import that could not be ended. Its new deadline puts it behind the other
overdue imports, so it costs them one attempt an hour instead of one in each sweep."""

SWEPT_IN_SECONDS = 5.0
"""How long AWS's failures are retried for one import of a sweep, which has 20 seconds for all of them."""

SWEEPS = 24
"""How often an import that is overdue is tried to be ended with its counts. Then it is ended without."""

UNREADABLE = (
    "The import's record could not be read, so nobody can say which of its rows were imported."
)

IMPORT_AGAIN = "Import the file again."

NOT_FOLLOWED = "NotFollowed"
"""Why an import's end counts as followed although it was not: it was tried FOLLOW_TRIES times."""

NOT_DONE = "PartitionsNotDone"
"""The error of an overdue import that did not end because a row batch was counted in the meantime."""


@dataclass(frozen=True, slots=True)
class SweptImport:
    """The result for one overdue import: `error` is the code of the error that prevented its end, None if it ended."""

    import_id: str
    error: str | None = None


def stop_import(
    import_id: str, reason: str, imports: ImportTable, queue: RowQueue, now: datetime
) -> bool:
    """Ends an import whose processor sends no more rows; False if there is nothing to end.

    Rows in the queue will still be counted. So a message behind the rows of each partition ends that partition,
    and the last of these messages ends the import.
    """
    job = imports.get(import_id)
    if job is None or job.ended:
        return False
    if job.partition_count is None:
        if imports.fail(import_id, f"{reason} {IMPORT_AGAIN}", now):
            return True
        # It has been started, or has ended, since we read it.
        job = imports.get(import_id)
        if job is None or job.ended or job.partition_count is None:
            return False
    imports.set_failure(import_id, reason)
    for partition in range(job.partition_count):
        queue.send_partition_end(import_id, job.project_id, partition)
    return True


def end_overdue_imports(
    imports: ImportTable, progress: ProgressRecords, now: datetime, has_time: Callable[[], bool]
) -> Iterator[SweptImport]:
    """Fails the imports that are past their deadline, the longest overdue first, while `has_time`.

    An import that cannot be ended does not stop the sweep: it is yielded with its error, and its deadline moves
    behind the others'. Raises only errors of reading the list of overdue imports.
    """
    for import_id in imports.overdue(now):
        if not has_time():
            return
        try:
            with time_limit(SWEPT_IN_SECONDS):
                result = _end_overdue(import_id, imports, progress, now)
        except Exception as error:
            result = SweptImport(import_id, error_code(error))
        if result is None or result.error is not None:
            # If this fails too, the import keeps its place in the next sweep.
            with suppress(Exception), time_limit(SWEPT_IN_SECONDS):
                swept = imports.postpone(import_id, now + SWEPT_AGAIN_AFTER)
                if swept >= SWEEPS and result is not None and result.error != NOT_DONE:
                    imports.give_up(import_id, UNREADABLE, now)
        if result is not None:
            yield result


def follow_ends_again(
    imports: ImportTable, now: datetime, has_time: Callable[[], bool]
) -> Iterator[SweptImport]:
    """Has everything done again that follows the ends of which not everything was done in time, while `has_time`.

    After FOLLOW_TRIES an end counts as followed, and is yielded with an error. Raises only what reading the list
    raises.
    """
    for import_id in imports.unfollowed(now):
        if not has_time():
            return
        try:
            with time_limit(SWEPT_IN_SECONDS):
                result = _follow_again(import_id, imports, now)
        except Exception as error:
            result = SweptImport(import_id, error_code(error))
        if result is not None:
            yield result


def _follow_again(import_id: str, imports: ImportTable, now: datetime) -> SweptImport | None:
    """Has an end followed once more, or never again; None if everything has followed it."""
    tries = imports.follow_again(import_id, now)
    if tries > FOLLOW_TRIES:
        imports.set_followed(import_id)
        return SweptImport(import_id, NOT_FOLLOWED)
    return SweptImport(import_id) if tries else None


def _end_overdue(
    import_id: str, imports: ImportTable, progress: ProgressRecords, now: datetime
) -> SweptImport | None:
    """Fails an overdue import; None if it has ended since it was listed."""
    # Nearly all overdue imports never had their file checked: one write ends them.
    if imports.fail(import_id, NO_UPLOAD, now):
        return SweptImport(import_id)
    job = imports.get(import_id)
    if job is None or job.ended:
        return None
    imports.set_failure(import_id, OVERDUE)
    known = progress.of_import(import_id)
    for partition in range(job.partition_count or 0):
        if partition not in known or not known[partition].done:
            progress.end_partition(import_id, partition, forget_gaps=True)
    ended = imports.end_if_done(import_id, now)
    return SweptImport(import_id, None if ended else NOT_DONE)
