"""Splits uploaded files into row batches."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import FAST, dynamodb_client, s3_client, sqs_client
from contact_imports.aws.environment import ProcessorEnvironment
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import counts_waits
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.retry import limits_retries
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.tags_table import TagTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.split_upload import ProcessorTime, process_upload
from contact_imports.messages.s3_event import uploads_of

READING_ENDS_BEFORE_TIMEOUT_MS = 300_000
"""When a file that is still being read is refused. By then it would be killed while it is sent: the row batches of the
largest file take up to four minutes (docs/cost-and-speed.md)."""

SENDING_ENDS_BEFORE_TIMEOUT_MS = 30_000
"""When no other row batch is sent, so that those under way have time, and how far it got is noted for the next try."""

logger = Logger()
dynamodb = dynamodb_client()
s3 = s3_client()
sqs = sqs_client(FAST)


@cache
def environment() -> ProcessorEnvironment:
    return ProcessorEnvironment.read()


@logger.inject_lambda_context(clear_state=True)
@limits_retries()
@counts_waits
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    names = environment()
    remaining = context.get_remaining_time_in_millis
    time = ProcessorTime(
        to_read=lambda: remaining() > READING_ENDS_BEFORE_TIMEOUT_MS,
        to_send=lambda: remaining() > SENDING_ENDS_BEFORE_TIMEOUT_MS,
    )
    for upload in uploads_of(event):
        processed = process_upload(
            upload,
            Uploads(s3, names.UPLOADS_BUCKET),
            ReportFiles(s3, names.UPLOADS_BUCKET),
            ImportTable(dynamodb, names.IMPORTS_TABLE),
            TagTable(dynamodb, names.TAGS_TABLE),
            RowQueue(sqs, names.ROW_QUEUE_URL),
            datetime.now(UTC),
            time,
            names.LAYER_VERSION,
        )
        logger.info("upload processed", **asdict(processed))
