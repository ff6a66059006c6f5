"""Counts rows that could not be processed as failed, and fails overdue imports, so that every import ends."""

from __future__ import annotations

from collections.abc import Callable
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
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.uploads_bucket import UploadGoneError, Uploads, import_of_key
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.jobs.create_dropped_import import record_dropped
from contact_imports.jobs.end_import import PROCESSOR_FAILED, end_overdue_imports, stop_import
from contact_imports.messages.row_messages import decode_message
from contact_imports.messages.s3_event import uploads_of

SWEEP_ENDS_BEFORE_TIMEOUT_MS = 8_000
"""When the sweep starts no other import: one that it has begun has up to 64 partitions to end, each with a read and
a write of some milliseconds."""

logger = Logger()
aws = boto3.Session(botocore_session=fast_session())
dynamodb = aws.client("dynamodb")
s3 = aws.client("s3")
sqs = aws.client("sqs")


@cache
def environment() -> DeadLetterEnvironment:
    return DeadLetterEnvironment.read()


@cache
def stores() -> RowBatchStores:
    names = environment()
    return RowBatchStores(
        ImportTable(dynamodb, names.IMPORTS_TABLE),
        ProgressRecords(dynamodb, names.IMPORTS_TABLE),
        ProjectWrites(dynamodb, names.IMPORTS_TABLE),
        ContactTable(dynamodb, names.CONTACTS_TABLE),
        ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE, DRY_RUN_LIFETIME),
    )


def give_up_row_batch(body: str) -> None:
    try:
        message = decode_message(body)
    except msgspec.DecodeError:
        # Nothing can be counted; if it belongs to an import, that one ends at its deadline.
        logger.exception("dead letter is not a row batch")
        return
    result = handle_message(message, stores(), datetime.now(UTC), give_up=True)
    logger.error(
        "row batch given up",
        import_id=result.import_id,
        partition=result.partition,
        seq=result.seq,
        outcomes=result.outcomes,
    )


def give_up_upload(body: str) -> None:
    """Ends the imports of a processor invocation that failed on every retry.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    try:
        failure = msgspec.json.decode(body)
        given_up = list(uploads_of(S3Event(failure["requestPayload"])))
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        # As above: without the key of an object there is nothing to end.
        logger.exception("processor failure names no upload")
        return
    for upload in given_up:
        key = import_of_key(upload.key)
        if key is None:
            continue
        now = datetime.now(UTC)
        imports = stores().imports
        uploads = Uploads(s3, environment().UPLOADS_BUCKET)
        try:
            import_id = key.import_id or record_dropped(
                upload, key.project_id, uploads, imports, now
            )
        except UploadGoneError:
            continue
        queue = RowQueue(sqs, environment().ROW_QUEUE_URL)
        stopped = stop_import(import_id, PROCESSOR_FAILED, imports, queue, now)
        logger.error("processor given up", import_id=import_id, stopped=stopped)


def handle_record(record: SQSRecord) -> None:
    if record.event_source_arn == environment().PROCESSOR_FAILURES_QUEUE_ARN:
        give_up_upload(record.body)
    else:
        give_up_row_batch(record.body)


def sweep(has_time: Callable[[], bool]) -> None:
    for swept in end_overdue_imports(
        stores().imports, stores().progress, datetime.now(UTC), has_time
    ):
        if swept.error is None:
            logger.info("overdue import ended", import_id=swept.import_id)
        else:
            logger.error(
                "overdue import could not be ended", import_id=swept.import_id, error=swept.error
            )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Handles one record per invocation (BatchSize), or sweeps overdue imports when the schedule calls.

    If there are several records and one fails, the later ones of its group fail too.
    """
    if "Records" in event:
        processor = SqsFifoPartialProcessor(skip_group_on_error=True)
        processor.raise_on_entire_batch_failure = False
        return process_partial_response(event, handle_record, processor, context)
    sweep(lambda: context.get_remaining_time_in_millis() > SWEEP_ENDS_BEFORE_TIMEOUT_MS)
    return None
