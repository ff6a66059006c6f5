"""Reports an import that has ended: writes the failed rows and the result of a dropped file, and sends an event."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from contact_imports.aws.errors import error_code
from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.report_files import ReportFiles, result_key
from contact_imports.aws.retry import StillUnprocessedError
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads
from contact_imports.files.plain_file import OutOfTimeError
from contact_imports.model import limits
from contact_imports.model.errors import SplitChangedError
from contact_imports.model.import_job import REPORT_TRIES, Import, Split, Status

if TYPE_CHECKING:
    # Most imports have no failed rows, and were not dropped: what reads files is imported where it is needed.
    from contact_imports.files.contact_file import ContactFile
    from contact_imports.files.failed_rows import FailedRow

_PAGES_AT_A_TIME = 8
"""Of a report's pages of JSON: one takes S3 some tens of milliseconds, and 10 million rows have 10,000."""

NOT_REPORTED = "NotReported"
"""Why an import has no report although nothing was refused: it was tried REPORT_TRIES times."""


@dataclass(frozen=True, slots=True)
class ReportStores:
    """The stores that reporting an import reads and writes."""

    imports: ImportTable
    progress: ProgressRecords
    uploads: Uploads
    reports: ReportFiles
    bus: EventBus
    layer: str = ""
    """The version of the code."""


@dataclass(frozen=True, slots=True)
class ReportedImport:
    """An import that was reported. `report_error` is the code of the error that prevented the report of failed
    rows; None if there was no error."""

    job: Import
    report_error: str | None = None


def report_import(
    import_id: str, stores: ReportStores, now: datetime, has_time: Callable[[], bool]
) -> ReportedImport | None:
    """Does what follows an import's end; safe to do again. None where the import has not ended, or is gone, or
    everything was done.

    The event comes last: whoever gets it finds everything else. The report has the failed rows that can be
    written while `has_time`. Errors of AWS are raised, so that the stream delivers the record again, and later the
    schedule. An import whose report fails for any other reason, or was tried REPORT_TRIES times, is shown without a
    report; then the event is sent whatever becomes of the results.
    """
    job = stores.imports.get(import_id)
    if job is None or not job.ended or job.followed:
        return None
    report_error = None
    if not job.reported:
        report_error = _leave_report_and_results(job, stores, now, has_time)
        job = replace(job, reported=True)
        stores.imports.set_reported(import_id, now)
    stores.bus.import_ended(job, now)
    stores.imports.set_followed(import_id)
    return ReportedImport(job, report_error)


def _leave_report_and_results(
    job: Import, stores: ReportStores, now: datetime, has_time: Callable[[], bool]
) -> str | None:
    """Returns the code of what kept the report, or the results, from being made."""
    is_last_try = job.report_tries >= REPORT_TRIES
    has_report, error_of_report = False, None
    if _can_be_reported(job) and is_last_try:
        error_of_report = NOT_REPORTED
    elif _can_be_reported(job):
        try:
            _write_report(job, stores, has_time)
            has_report = True
        except UploadGoneError:
            pass  # The file was deleted: its failed rows are counted, but cannot be shown.
        except (BotoCoreError, ClientError, StillUnprocessedError):
            raise
        except Exception as error:
            # It would fail the same way each time, while the ends of other imports wait behind it.
            error_of_report = error_code(error)
    if job.dropped_key is None:
        return error_of_report
    try:
        _leave_results(replace(job, reported=True), stores.reports, now, has_report=has_report)
    except Exception as error:
        if not is_last_try:
            raise
        error_of_report = error_code(error)
    return error_of_report


def _leave_results(job: Import, reports: ReportFiles, now: datetime, *, has_report: bool) -> None:
    from contact_imports.jobs.list_imports import import_entry

    errors_key = result_key(job, "errors.csv")
    if has_report:
        reports.copy_report(job, errors_key)
    else:
        reports.delete_result(errors_key)
    result = msgspec.json.encode(import_entry(job, now))
    reports.put_result(result_key(job, "result.json"), result)


def _can_be_reported(job: Import) -> bool:
    """Whether rows failed, and the import knows how to read the file again."""
    return bool(
        job.counts.failed
        and job.upload
        and job.partition_count
        and job.options.column_map is not None
    )


def _write_report(job: Import, stores: ReportStores, has_time: Callable[[], bool]) -> None:
    from contact_imports.files.failed_rows import LostRows, failed_rows, spreadsheet_report

    file = _open(job, stores.uploads, has_time)
    split = job.split or Split(0)
    partition_count = split.partition_count
    lost = None
    # The code that split the file reads it as it did; another version may number its rows otherwise.
    if job.status is Status.FAILED or split.layer != stores.layer:
        known = stores.progress.of_import(job.id)
        of_all = {number: known.get(number) for number in range(partition_count)}
        lost = LostRows(file.rows(), file.columns, of_all, split.limits)
        if (split.digest or lost.digest) != lost.digest or lost.total != job.counts.total:
            raise SplitChangedError
        if job.status is not Status.FAILED:
            lost = None
        file = _open(job, stores.uploads, has_time)
    failed = failed_rows(file.reader, stores.progress.errors(job.id, partition_count), lost)
    in_time = takewhile(
        lambda _: has_time(), islice(_until_out_of_time(failed), limits.MAX_REPORTED_ROWS)
    )
    stores.reports.put_report(job, _report(job, file, in_time, stores.reports))
    report = stores.reports.open_report(job)
    escaped = spreadsheet_report(report, file.delimiter)
    stores.reports.put_report(job, escaped, for_spreadsheet=True)


def _report(
    job: Import, file: ContactFile, rows: Iterator[FailedRow], reports: ReportFiles
) -> Iterator[bytes]:
    """Yields the report as CSV, and stores the same rows as pages of JSON."""
    from contact_imports.files.failed_rows import PAGE_ROWS, ReportWriter

    written: list[bytes] = []
    writer = ReportWriter(written.append, file.delimiter, file.header, file.columns)
    page: list[FailedRow] = []
    pages = 0
    under_way: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_PAGES_AT_A_TIME) as pool:
        for row in rows:
            writer.write(row)
            page.append(row)
            if len(page) == PAGE_ROWS:
                if len(under_way) == _PAGES_AT_A_TIME:
                    under_way.popleft().result()
                under_way.append(
                    pool.submit(reports.put_failed_rows_page, job, pages, _encode(page))
                )
                pages += 1
                page = []
            yield from written
            written.clear()
        for put in under_way:
            put.result()
    reports.put_failed_rows_page(job, pages, _encode(page))
    writer.flush()
    yield from written


def _until_out_of_time(rows: Iterator[FailedRow]) -> Iterator[FailedRow]:
    with suppress(OutOfTimeError):
        yield from rows


def _open(job: Import, uploads: Uploads, has_time: Callable[[], bool]) -> ContactFile:
    """The file once more from its beginning, read as it was."""
    from contact_imports.files.contact_file import open_contact_file

    if job.upload is None:
        raise UploadGoneError(job.id)
    stream = uploads.open(job.upload, has_time)
    return open_contact_file(stream, job.options, job.encoding)


def _encode(page: list[FailedRow]) -> bytes:
    return msgspec.json.encode([row.as_api() for row in page])
