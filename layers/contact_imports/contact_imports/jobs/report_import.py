"""What follows an import's end: the report of its failed rows, what is left beside a dropped file, an event."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import islice

import orjson

from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads, result_key
from contact_imports.files.contact_file import ContactFile, open_contact_file
from contact_imports.files.failed_rows import (
    PAGE_ROWS,
    FailedRow,
    LostRows,
    ReportWriter,
    failed_rows,
)
from contact_imports.model import limits
from contact_imports.model.import_job import Import, Status


def report_import(
    import_id: str, imports: ImportTable, uploads: Uploads, bus: EventBus, now: datetime
) -> Import | None:
    """Does what follows an import's end; safe to do again. None where the import has not ended, or is gone.

    The event comes last: who gets it finds everything else.
    """
    job = imports.get(import_id)
    if job is None or not job.ended:
        return None
    has_report = False
    if job.counts.failed and job.upload is not None and job.partitions is not None:
        try:
            _write_report(job, imports, uploads)
            has_report = True
        except UploadGoneError:
            # The file was deleted since: what failed is counted, but cannot be shown.
            has_report = False
    job = replace(job, reported=True)
    if job.dropped_key is not None:
        errors_key = result_key(job, "errors.csv")
        if has_report:
            uploads.copy_report(job, errors_key)
        else:
            uploads.delete_result(errors_key)
        uploads.put_result(result_key(job, "result.json"), orjson.dumps(job.as_api(now)).decode())
    imports.set_reported(import_id)
    bus.import_ended(job, now)
    return job


def _write_report(job: Import, imports: ImportTable, uploads: Uploads) -> None:
    file = _open(job, uploads)
    lost = None
    if job.status is Status.FAILED:
        known = imports.partitions(job.id)
        of_all = {number: known.get(number) for number in range(job.partitions or 0)}
        lost = LostRows(file.reader.blocks(), file.columns, of_all)
        file = _open(job, uploads)
    reports = []
    for for_spreadsheet in (False, True):
        target = uploads.report_writer(job, for_spreadsheet=for_spreadsheet)
        writer = ReportWriter(
            target.write,
            file.delimiter,
            file.header,
            file.columns,
            for_spreadsheet=for_spreadsheet,
        )
        reports.append((target, writer))
    page: list[FailedRow] = []
    pages = 0
    failed = failed_rows(file.reader, imports.errors(job.id, job.partitions or 0), lost)
    for row in islice(failed, limits.MAX_REPORTED_ROWS):
        for _, writer in reports:
            writer.write(row)
        page.append(row)
        if len(page) == PAGE_ROWS:
            uploads.put_error_page(job, pages, _encode(page))
            pages += 1
            page = []
    uploads.put_error_page(job, pages, _encode(page))
    for target, writer in reports:
        writer.flush()
        target.finish()


def _open(job: Import, uploads: Uploads) -> ContactFile:
    """The file once more from its beginning, read as it was."""
    if job.upload is None:
        raise UploadGoneError(job.id)
    stream = uploads.open(job.upload)
    return open_contact_file(stream, b"", job.encoding or "utf-8-sig", job.options)


def _encode(page: list[FailedRow]) -> bytes:
    return orjson.dumps([row.as_api() for row in page])
