"""Row batches become contacts and counts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.apply_row_batch import parse_message, take_message
from contact_imports.config import RowBatchEnvironment
from contact_imports.contact_table import DRY_RUN_LIFETIME, ContactTable
from contact_imports.fast_clients import fast_dynamodb_client
from contact_imports.import_table import ImportTable

logger = Logger()
dynamodb = fast_dynamodb_client()
# A group whose batch failed waits for it to come again; the other groups go on.
processor = SqsFifoPartialProcessor(skip_group_on_error=True)
processor.raise_on_entire_batch_failure = False


@cache
def tables() -> tuple[ImportTable, ContactTable, ContactTable]:
    names = RowBatchEnvironment.read()
    return (
        ImportTable(dynamodb, names.IMPORTS_TABLE),
        ContactTable(dynamodb, names.CONTACTS_TABLE),
        ContactTable(dynamodb, names.DRY_RUN_CONTACTS_TABLE, DRY_RUN_LIFETIME),
    )


def take_record(record: SQSRecord) -> None:
    try:
        taken = take_message(parse_message(record.body), *tables(), datetime.now(UTC))
    except Exception as error:
        logger.exception(
            "row batch failed", message_id=record.message_id, error=type(error).__name__
        )
        raise
    logger.info(
        "row batch applied",
        import_id=taken.import_id,
        partition=taken.partition,
        seq=taken.seq,
        rows=taken.outcomes,
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    return process_partial_response(event, take_record, processor, context)
