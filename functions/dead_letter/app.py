"""What could not be processed is counted as failed, so that every import ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes import S3Event
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import fast_session
from contact_imports.aws.contacts_table import DRY_RUN_LIFETIME, ContactTable
from contact_imports.aws.environment import DeadLetterEnvironment
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads, import_of_key
from contact_imports.jobs.apply_row_batch import take_message
from contact_imports.jobs.create_dropped_import import record_dropped
from contact_imports.jobs.end_import import PROCESSOR_FAILED, end_overdue_imports, stop_import
from contact_imports.messages.row_messages import decode_message
from contact_imports.messages.s3_event import uploads_of

logger = Logger()
aws = boto3.Session(botocore_session=fast_session())
dynamodb = aws.client("dynamodb")
s3 = aws.client("s3")
sqs = aws.client("sqs")
processor = SqsFifoPartialProcessor()
processor.raise_on_entire_batch_failure = False


@cache
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment.read()


def imports() -> ImportTable:
    return ImportTable(dynamodb, environment().IMPORTS_TABLE)


def uploads() -> Uploads:
    return Uploads(s3, environment().UPLOADS_BUCKET)


@cache
def contacts() -> tuple[ContactTable, ContactTable]:
    names = environment()
    return (
        ContactTable(dynamodb, names.CONTACTS_TABLE),
        ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE, DRY_RUN_LIFETIME),
    )


def give_up_row_batch(body: str) -> None:
    try:
        message = decode_message(body)
    except msgspec.DecodeError:
        # Nothing can be counted; the import it belonged to, if any, is ended at its deadline.
        logger.exception("dead letter is no row batch")
        return
    taken = take_message(message, imports(), *contacts(), datetime.now(UTC), give_up=True)
    logger.error(
        "row batch given up",
        import_id=taken.import_id,
        partition=taken.partition,
        seq=taken.seq,
        rows=taken.outcomes,
    )


def give_up_upload(body: str) -> None:
    """Ends the imports of a processor invocation whose retries are spent.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    for upload in uploads_of(S3Event(json.loads(body)["requestPayload"])):
        key = import_of_key(upload.key)
        if key is None:
            continue
        now = datetime.now(UTC)
        try:
            import_id = key.import_id or record_dropped(
                upload, key.project_id, uploads(), imports(), now
            )
        except UploadGoneError:
            continue
        queue = RowQueue(sqs, environment().ROW_QUEUE_URL)
        stopped = stop_import(import_id, PROCESSOR_FAILED, imports(), queue, now)
        logger.error("processor given up", import_id=import_id, stopped=stopped)


def take_record(record: SQSRecord) -> None:
    if record.event_source_arn == environment().PROCESSOR_FAILURES_QUEUE_ARN:
        give_up_upload(record.body)
    else:
        give_up_row_batch(record.body)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    if "Records" in event:
        return process_partial_response(event, take_record, processor, context)
    ended = end_overdue_imports(imports(), datetime.now(UTC))
    logger.info("overdue imports ended", import_ids=ended)
    return None
