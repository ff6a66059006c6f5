"""Reports imports that have ended: the failed rows, the result of a dropped file, and an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import dynamodb_client, events_client, s3_client
from contact_imports.aws.environment import ImportEndedEnvironment
from contact_imports.aws.errors import error_code
from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.import_records import IMPORT
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import Metric, counts_waits, emit
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.retry import limits_retries
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.report_import import ReportStores, report_import
from contact_imports.messages.stream_event import changed_record
from contact_imports.model.import_job import Import, Status

REPORT_ENDS_BEFORE_TIMEOUT_MS = 270_000
"""When a report takes no more rows, so that the report for spreadsheets, which takes a third of that time, the copy and
the event have time too. A report that timed out would start again from its beginning, and the stream's later records
would wait for it."""

logger = Logger()
dynamodb = dynamodb_client()
events = events_client()
s3 = s3_client()


@cache
def environment() -> ImportEndedEnvironment:
    return ImportEndedEnvironment.read()


def stores() -> ReportStores:
    names = environment()
    return ReportStores(
        ImportTable(dynamodb, names.IMPORTS_TABLE),
        ProgressRecords(dynamodb, names.IMPORTS_TABLE),
        Uploads(s3, names.UPLOADS_BUCKET),
        ReportFiles(s3, names.UPLOADS_BUCKET),
        EventBus(events, names.EVENT_BUS_NAME, names.STACK_NAME),
        names.LAYER_VERSION,
    )


def handle_record(record: Any, has_time: Callable[[], bool]) -> None:
    changed = changed_record(record)
    if changed.record != IMPORT:
        return
    reported = report_import(changed.import_id, stores(), datetime.now(UTC), has_time)
    if reported is None:
        return
    job = reported.job
    if reported.report_error is not None:
        logger.error("report could not be made", import_id=job.id, error=reported.report_error)
    logger.info(
        "import ended", import_id=job.id, status=job.status.value, counts=job.counts.as_dict()
    )
    count_end(job)


def count_end(job: Import) -> None:
    """Counts an import's end and its rows: here, and not with the row batches, since those may be applied twice."""
    completed = job.status is Status.COMPLETED
    values: dict[Metric, float] = {
        Metric.IMPORTS_COMPLETED if completed else Metric.IMPORTS_FAILED: 1,
        Metric.ROWS_CREATED: job.counts.created,
        Metric.ROWS_UPDATED: job.counts.updated,
        Metric.ROWS_SKIPPED: job.counts.skipped,
        Metric.ROWS_FAILED: job.counts.failed,
    }
    if job.completed_at is not None:
        values[Metric.SECONDS_TO_END] = (job.completed_at - job.created_at).total_seconds()
    emit(values)


@logger.inject_lambda_context(clear_state=True)
@limits_retries()
@counts_waits
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handles one record per invocation (BatchSize). If there are several, a failure of one does not stop the others."""

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > REPORT_ENDS_BEFORE_TIMEOUT_MS

    failures: list[Exception] = []
    for record in event["Records"]:
        try:
            handle_record(record, has_time)
        except Exception as error:
            logger.exception("import's end could not be reported", error=error_code(error))
            failures.append(error)
    if failures:
        # The records that succeeded are delivered again too, which changes nothing.
        raise failures[0]
