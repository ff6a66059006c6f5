"""The API's lists: a project's imports, and the failed rows of one import."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.report_files import ReportFiles
from contact_imports.files.encoding import encoding_name
from contact_imports.model.column_map import REPORT_COLUMNS, SPREADSHEET_COLUMNS
from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import Import, Status

MAX_INLINE_REPORT_BYTES = 1_000_000
"""We answer with a redirect to S3 if a report is larger: a Lambda function returns at most 6 MB of JSON, in
which a character may take six bytes."""

MAX_LIST_BYTES = 4_000_000
"""The most that the entries of one page take in the function's answer, which has at most 6 MB (6,291,556 bytes).
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_MAX_PAGES_READ = 10
_STATUS_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Report:
    """A report of failed rows: its text, or its URL."""

    text: str | None
    url: str | None = None


def list_imports(
    imports: ImportTable,
    project_id: str,
    status: Status | None,
    limit: int,
    cursor: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Up to `limit` imports of a project, newest first, as the API's `data`.

    There may be fewer before the end if column maps are large (see MAX_LIST_BYTES), and even none with a
    `status`: at the end, `next_cursor` is None.
    """
    entries: list[dict[str, Any]] = []
    bytes_sent = 0
    size = limit if status is None else _STATUS_PAGE_SIZE
    for _ in range(_MAX_PAGES_READ):
        page = imports.of_project(project_id, limit=size, before=cursor, now=now)
        cursor = page.next_id
        for job in page.imports:
            if status is not None and job.as_api(now)["status"] != status.value:
                continue
            entry = import_entry(job, now)
            bytes_sent += _bytes_sent(entry)
            if entries and bytes_sent > MAX_LIST_BYTES:
                return _list(entries, entries[-1]["id"])
            entries.append(entry)
            if len(entries) == limit:
                more = page.next_id is not None or job.id != page.imports[-1].id
                return _list(entries, job.id if more else None)
        if cursor is None:
            break
    return _list(entries, cursor)


def failed_rows_csv(
    job: Import, reports: ReportFiles, now: datetime, *, for_spreadsheet: bool = False
) -> Report:
    """The report of an import's failed rows; raises RequestError if there is none."""
    if not _has_report(job, now):
        columns = SPREADSHEET_COLUMNS if for_spreadsheet else REPORT_COLUMNS
        return Report("\ufeff" + ",".join(columns) + "\r\n")
    size = reports.report_size(job, for_spreadsheet=for_spreadsheet)
    if size is None:
        raise _no_report()
    if size > MAX_INLINE_REPORT_BYTES:
        url = reports.report_url(job, report_name(job), for_spreadsheet=for_spreadsheet)
        return Report(None, url)
    return Report(reports.report(job, for_spreadsheet=for_spreadsheet).decode())


def failed_rows_page(
    job: Import, reports: ReportFiles, limit: int, cursor: int, now: datetime
) -> dict[str, Any]:
    """Up to `limit` failed rows in file order, from the `cursor`-th on, as the API's `data`.

    Raises RequestError if there is no report.
    """
    # Here, since it imports what reads files, which no other list needs.
    from contact_imports.files.failed_rows import PAGE_ROWS

    if not _has_report(job, now):
        return _list([], None)
    content = reports.failed_rows_page(job, cursor // PAGE_ROWS)
    if content is None:
        if cursor < PAGE_ROWS:
            raise _no_report()
        return _list([], None)
    start = cursor % PAGE_ROWS
    rows = msgspec.json.decode(content)
    shown = rows[start : start + limit]
    after = cursor + len(shown)
    more = bool(shown) and (start + limit < len(rows) or len(rows) == PAGE_ROWS)
    return _list(shown, str(after) if more and after < job.counts.failed else None)


def report_name(job: Import) -> str:
    """The name under which a browser saves the report."""
    return f"{job.id}-errors.csv"


def _has_report(job: Import, now: datetime) -> bool:
    if not job.end_is_shown(now):
        raise RequestError(
            "REPORT_NOT_READY",
            "The import has not ended. Ask again when its status is completed or failed.",
        )
    return job.counts.failed > 0


def _no_report() -> RequestError:
    return RequestError(
        "REPORT_NOT_FOUND",
        "There is no report of the failed rows: it has expired, or the file was deleted before the report was "
        "made, or an upgrade during the import changed how the file is read. Import the file again.",
    )


def _list(entries: list[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    return {"object": "list", "data": entries, "next_cursor": next_cursor}


def _bytes_sent(entry: dict[str, Any]) -> int:
    """The bytes of an entry in the function's answer: JSON in a string of JSON, a character up to 14 bytes.

    With `json`, as Powertools and Lambda's runtime encode it."""
    return len(json.dumps(json.dumps(entry)))


def import_entry(job: Import, now: datetime) -> dict[str, Any]:
    """An import in a list or in the result of a dropped file: what GET returns, and how its file was read."""
    options = job.options
    column_map = options.column_map
    return job.as_api(now) | {
        "dropped_key": job.dropped_key,
        "encoding": encoding_name(job.encoding),
        "options": {
            "columnMap": column_map.as_dict() if column_map else None,
            "onConflict": options.on_conflict.value,
            "onBlank": options.on_blank.value,
            "delimiter": options.delimiter,
            "tags": list(options.tags),
            "dryRun": options.dry_run,
            "encoding": options.encoding,
        },
        "notes": [note.as_api() for note in job.notes],
    }
