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
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.tags_table import TagTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.split_upload import process_upload
from contact_imports.messages.s3_event import uploads_of

logger = Logger()
dynamodb = dynamodb_client()
s3 = s3_client()
sqs = sqs_client(FAST)


@cache
def environment() -> ProcessorEnvironment:
    return ProcessorEnvironment.read()


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> None:
    names = environment()
    for upload in uploads_of(event):
        processed = process_upload(
            upload,
            Uploads(s3, names.UPLOADS_BUCKET),
            ReportFiles(s3, names.UPLOADS_BUCKET),
            ImportTable(dynamodb, names.IMPORTS_TABLE),
            TagTable(dynamodb, names.TAGS_TABLE),
            RowQueue(sqs, names.ROW_QUEUE_URL),
            datetime.now(UTC),
        )
        logger.info("upload processed", **asdict(processed))
