"""What the API tells of a project's imports, and of the rows of one import that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.files.failed_rows import PAGE_ROWS
from contact_imports.model.column_map import REPORT_COLUMNS, SPREADSHEET_COLUMNS
from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import Import, Status

MAX_INLINE_REPORT_BYTES = 1_000_000
"""A report that is larger is answered with a redirect to S3: Lambda answers with 6 MB of JSON at most, in
which a character may take six bytes."""

_PAGES_LOOKED_AT = 10
_STATUS_PAGE = 100


@dataclass(frozen=True, slots=True)
class Report:
    """A report of failed rows: its text, or where it is."""

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

    With a `status` there may be fewer, even none, before the end: `next_cursor` says whether it is reached.
    """
    found: list[Import] = []
    size = limit if status is None else _STATUS_PAGE
    for _ in range(_PAGES_LOOKED_AT):
        page = imports.of_project(project_id, limit=size, before=cursor, now=now)
        cursor = page.next_id
        for job in page.imports:
            if status is None or job.as_api(now)["status"] == status.value:
                found.append(job)
                if len(found) == limit:
                    more = page.next_id is not None or job.id != page.imports[-1].id
                    return _list([_entry(job, now) for job in found], job.id if more else None)
        if cursor is None:
            break
    return _list([_entry(job, now) for job in found], cursor)


def failed_rows_csv(
    job: Import, uploads: Uploads, now: datetime, *, for_spreadsheet: bool = False
) -> Report:
    """The report of an import's failed rows; raises RequestError (404, 409) where there is none."""
    if not _has_report(job, now):
        columns = SPREADSHEET_COLUMNS if for_spreadsheet else REPORT_COLUMNS
        return Report("\ufeff" + ",".join(columns) + "\r\n")
    size = uploads.report_size(job, for_spreadsheet=for_spreadsheet)
    if size is None:
        raise _no_report()
    if size > MAX_INLINE_REPORT_BYTES:
        url = uploads.report_url(job, report_name(job), for_spreadsheet=for_spreadsheet)
        return Report(None, url)
    return Report(uploads.report(job, for_spreadsheet=for_spreadsheet).decode())


def failed_rows_page(
    job: Import, uploads: Uploads, limit: int, cursor: int, now: datetime
) -> dict[str, Any]:
    """Up to `limit` failed rows in file order, from the `cursor`-th on, as the API's `data`.

    Raises RequestError (404, 409) where there is no report.
    """
    if not _has_report(job, now):
        return _list([], None)
    content = uploads.error_page(job, cursor // PAGE_ROWS)
    if content is None:
        if cursor < PAGE_ROWS:
            raise _no_report()
        return _list([], None)
    start = cursor % PAGE_ROWS
    rows = orjson.loads(content)
    shown = rows[start : start + limit]
    after = cursor + len(shown)
    more = bool(shown) and (start + limit < len(rows) or len(rows) == PAGE_ROWS)
    return _list(shown, str(after) if more and after < job.counts.failed else None)


def report_name(job: Import) -> str:
    """The name that the report is saved under."""
    return f"{job.id}-errors.csv"


def _has_report(job: Import, now: datetime) -> bool:
    if not job.end_is_shown(now):
        raise RequestError(
            409,
            "REPORT_NOT_READY",
            "The import has not ended. Ask again when its status is completed or failed.",
            headers={"Retry-After": "1"},
        )
    return job.counts.failed > 0


def _no_report() -> RequestError:
    return RequestError(
        404,
        "REPORT_NOT_FOUND",
        "There is no report of the failed rows: it was deleted with age, or the file was deleted before it "
        "could be made. Import the file again.",
    )


def _list(entries: list[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    return {"object": "list", "data": entries, "next_cursor": next_cursor}


def _entry(job: Import, now: datetime) -> dict[str, Any]:
    options = job.options
    column_map = options.column_map
    return job.as_api(now) | {
        "dropped_key": job.dropped_key,
        "encoding": job.encoding,
        "options": {
            "columnMap": column_map.as_dict() if column_map else None,
            "onConflict": options.on_conflict.value,
            "onBlank": options.on_blank.value,
            "delimiter": options.delimiter,
            "tags": list(options.tags),
            "dryRun": options.dry_run,
        },
    }
