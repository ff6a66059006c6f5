"""Applies row batches to contacts and counts them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import fast_dynamodb_client, sqs_client
from contact_imports.aws.contacts_table import DRY_RUN_LIFETIME, ContactTable
from contact_imports.aws.environment import RowBatchEnvironment
from contact_imports.aws.errors import error_code
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import Metric, counts_waits, emit
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.aws.received_messages import ReceivedMessages
from contact_imports.aws.retry import is_transient, limits_retries
from contact_imports.jobs.apply_row_batch import (
    GIVEN_BACK_AFTER_SECONDS,
    RowBatchStores,
    handle_message,
)
from contact_imports.messages.row_messages import decode_message
from contact_imports.messages.sqs_event import BatchFailures, SqsRecord, handle_each, records_of

logger = Logger()
dynamodb = fast_dynamodb_client()
sqs = cache(sqs_client)


@cache
def stores() -> RowBatchStores:
    names = RowBatchEnvironment.read()
    return RowBatchStores(
        ImportTable(dynamodb, names.IMPORTS_TABLE),
        ProgressRecords(dynamodb, names.IMPORTS_TABLE),
        ProjectWrites(dynamodb, names.IMPORTS_TABLE),
        ContactTable(dynamodb, names.CONTACTS_TABLE),
        ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE, DRY_RUN_LIFETIME),
    )


@cache
def received() -> ReceivedMessages:
    return ReceivedMessages(sqs, RowBatchEnvironment.read().ROW_QUEUE_URL)


def handle_record(record: SqsRecord) -> None:
    message = decode_message(record.body)
    result = handle_message(message, stores(), datetime.now(UTC), record.receives)
    logger.info(
        "row batch applied",
        import_id=result.import_id,
        partition=result.partition,
        seq=result.seq,
        outcomes=result.outcomes,
    )


@logger.inject_lambda_context(clear_state=True)
@limits_retries(GIVEN_BACK_AFTER_SECONDS)
@counts_waits
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> BatchFailures:
    """Handles one record per invocation (BatchSize). If there are more and one fails, the later ones of its group
    fail too, so that SQS delivers them again in order."""
    return handle_each(records_of(event), handle_record, put_off)


def put_off(record: SqsRecord, error: Exception) -> None:
    """Has a batch that failed delivered again, and logs why it failed."""
    seconds = received().put_off(record.receipt_handle, record.receives, error)
    about: dict[str, Any] = {
        "import_id": record.group.partition(":")[0],
        "message_id": record.message_id,
        "error": error_code(error),
        "receives": record.receives,
        "seconds": seconds,
    }
    if is_transient(error):
        logger.warning("row batch put off", **about)
        emit({Metric.ROW_BATCHES_PUT_OFF: 1})
    else:
        logger.error("row batch failed", exc_info=error, **about)
        emit({Metric.ROW_BATCHES_FAILED: 1})
