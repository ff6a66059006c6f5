"""What follows an import's end: its report, what is left beside a dropped file, an event."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import fast_session
from contact_imports.aws.environment import ImportEndedEnvironment
from contact_imports.aws.event_bus import EventBus
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.jobs.report_import import report_import

logger = Logger()
aws = boto3.Session(botocore_session=fast_session())
dynamodb = aws.client("dynamodb")
events = aws.client("events")
s3 = aws.client("s3")


@cache
def environment() -> ImportEndedEnvironment:
    return ImportEndedEnvironment.read()


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=DynamoDBStreamEvent)
def lambda_handler(event: DynamoDBStreamEvent, context: LambdaContext) -> None:
    names = environment()
    for record in event.records:
        keys = record.dynamodb.keys if record.dynamodb else None
        if not keys or keys["record"] != "import":
            continue
        job = report_import(
            keys["importId"],
            ImportTable(dynamodb, names.IMPORTS_TABLE),
            Uploads(s3, names.UPLOADS_BUCKET),
            EventBus(events, names.EVENT_BUS_NAME),
            datetime.now(UTC),
        )
        if job is not None:
            logger.info(
                "import ended",
                import_id=job.id,
                status=job.status.value,
                counts=job.counts.as_dict(),
            )
