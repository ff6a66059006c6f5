"""Reports imports that have ended: the failed rows, the result of a dropped file, and an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import fast_session
from contact_imports.aws.environment import ImportEndedEnvironment
from contact_imports.aws.errors import error_code
from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.import_records import IMPORT
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.report_import import ReportStores, report_import

REPORT_ENDS_BEFORE_TIMEOUT_MS = 180_000
"""When a report takes no more rows, so that its last part, its copy and the event have time. A report that timed out
would start again from its beginning, and the stream's later records would wait for it."""

logger = Logger()
aws = boto3.Session(botocore_session=fast_session())
dynamodb = aws.client("dynamodb")
events = aws.client("events")
s3 = aws.client("s3")


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
    )


def handle_record(record: DynamoDBRecord, has_time: Callable[[], bool]) -> None:
    keys = record.dynamodb.keys if record.dynamodb else None
    if not keys or keys["record"] != IMPORT:
        return
    reported = report_import(keys["importId"], stores(), datetime.now(UTC), has_time)
    if reported is None:
        return
    job = reported.job
    if reported.report_error is not None:
        logger.error("report could not be made", import_id=job.id, error=reported.report_error)
    logger.info(
        "import ended", import_id=job.id, status=job.status.value, counts=job.counts.as_dict()
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handles one record per invocation (BatchSize). If there are several, a failure of one does not stop the others."""

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > REPORT_ENDS_BEFORE_TIMEOUT_MS

    failures: list[Exception] = []
    for record in DynamoDBStreamEvent(event).records:
        try:
            handle_record(record, has_time)
        except Exception as error:
            logger.exception("import's end could not be reported", error=error_code(error))
            failures.append(error)
    if failures:
        # The records that succeeded are delivered again too, which changes nothing.
        raise failures[0]
