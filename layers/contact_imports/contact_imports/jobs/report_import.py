"""Reports an import that has ended: writes the failed rows and the result of a dropped file, and sends an event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, takewhile

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from contact_imports.aws.errors import error_code
from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.report_files import ReportFiles, result_key
from contact_imports.aws.retry import StillUnprocessedError
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads
from contact_imports.files.contact_file import ContactFile, open_contact_file
from contact_imports.files.failed_rows import (
    PAGE_ROWS,
    FailedRow,
    LostRows,
    ReportWriter,
    failed_rows,
    spreadsheet_report,
)
from contact_imports.jobs.list_imports import import_entry
from contact_imports.model import limits
from contact_imports.model.import_job import Import, Status


@dataclass(frozen=True, slots=True)
class ReportStores:
    """The stores that reporting an import reads and writes."""

    imports: ImportTable
    progress: ProgressRecords
    uploads: Uploads
    reports: ReportFiles
    bus: EventBus


@dataclass(frozen=True, slots=True)
class ReportedImport:
    """An import that was reported. `report_error` is the code of the error that prevented the report of failed
    rows; None if there was no error."""

    job: Import
    report_error: str | None = None


def report_import(
    import_id: str, stores: ReportStores, now: datetime, has_time: Callable[[], bool]
) -> ReportedImport | None:
    """Reports an import that has ended; safe to repeat. None if the import has not ended or does not exist.

    The event is sent last, so its receiver finds the report and the result. The report has as many failed rows as
    can be written while `has_time`. Errors of AWS are raised, so that the stream delivers the record again. An import
    whose report fails for any other reason is shown without a report.
    """
    job = stores.imports.get(import_id)
    if job is None or not job.ended:
        return None
    has_report, report_error = False, None
    if _can_be_reported(job):
        try:
            _write_report(job, stores, has_time)
            has_report = True
        except UploadGoneError:
            # The file was deleted: its failed rows are counted, but cannot be shown.
            has_report = False
        except (BotoCoreError, ClientError, StillUnprocessedError):
            raise
        except Exception as error:
            # It would fail again on every retry, and the stream's later records would wait for it.
            report_error = error_code(error)
    job = replace(job, reported=True)
    if job.dropped_key is not None:
        errors_key = result_key(job, "errors.csv")
        if has_report:
            stores.reports.copy_report(job, errors_key)
        else:
            stores.reports.delete_result(errors_key)
        result = msgspec.json.encode(import_entry(job, now))
        stores.reports.put_result(result_key(job, "result.json"), result)
    stores.imports.set_reported(import_id)
    stores.bus.import_ended(job, now)
    return ReportedImport(job, report_error)


def _can_be_reported(job: Import) -> bool:
    """Whether rows failed, and the import knows how to read the file again."""
    return bool(
        job.counts.failed
        and job.upload
        and job.partition_count
        and job.options.column_map is not None
    )


def _write_report(job: Import, stores: ReportStores, has_time: Callable[[], bool]) -> None:
    file = _open(job, stores.uploads)
    partition_count = job.partition_count or 0
    lost = None
    if job.status is Status.FAILED:
        known = stores.progress.of_import(job.id)
        partitions = {number: known.get(number) for number in range(partition_count)}
        lost = LostRows(file.rows(), file.columns, partitions)
        file = _open(job, stores.uploads)
    failed = failed_rows(file.reader, stores.progress.errors(job.id, partition_count), lost)
    in_time = takewhile(lambda _: has_time(), islice(failed, limits.MAX_REPORTED_ROWS))
    stores.reports.put_report(job, _report(job, file, in_time, stores.reports))
    report = stores.reports.open_report(job)
    escaped = spreadsheet_report(report, file.delimiter)
    stores.reports.put_report(job, escaped, for_spreadsheet=True)


def _report(
    job: Import, file: ContactFile, rows: Iterator[FailedRow], reports: ReportFiles
) -> Iterator[bytes]:
    """Yields the report as CSV, and stores the same rows as pages of JSON."""
    written: list[bytes] = []
    writer = ReportWriter(written.append, file.delimiter, file.header, file.columns)
    page: list[FailedRow] = []
    pages = 0
    for row in rows:
        writer.write(row)
        page.append(row)
        if len(page) == PAGE_ROWS:
            reports.put_failed_rows_page(job, pages, _encode(page))
            pages += 1
            page = []
        yield from written
        written.clear()
    reports.put_failed_rows_page(job, pages, _encode(page))
    writer.flush()
    yield from written


def _open(job: Import, uploads: Uploads) -> ContactFile:
    """Opens the import's file again, from its beginning and with the same encoding."""
    if job.upload is None:
        raise UploadGoneError(job.id)
    stream = uploads.open(job.upload)
    return open_contact_file(stream, job.options, job.encoding)


def _encode(page: list[FailedRow]) -> bytes:
    return msgspec.json.encode([row.as_api() for row in page])
