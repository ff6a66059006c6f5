"""Applies row batches to contacts and counts them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import fast_dynamodb_client
from contact_imports.aws.contacts_table import DRY_RUN_LIFETIME, ContactTable
from contact_imports.aws.environment import RowBatchEnvironment
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.messages.row_messages import decode_message
from contact_imports.messages.sqs_event import BatchFailures, SqsRecord, failures_of, records_of

logger = Logger()
dynamodb = fast_dynamodb_client()


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


def handle_record(record: SqsRecord) -> None:
    result = handle_message(decode_message(record.body), stores(), datetime.now(UTC))
    logger.info(
        "row batch applied",
        import_id=result.import_id,
        partition=result.partition,
        seq=result.seq,
        outcomes=result.outcomes,
    )


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> BatchFailures:
    """Handles one record per invocation (BatchSize). If there are more and one fails, the later ones of its group
    fail too, so that SQS delivers them again in order."""
    failed: list[SqsRecord] = []
    for record in records_of(event):
        if any(record.group == other.group for other in failed):
            failed.append(record)
            continue
        try:
            handle_record(record)
        except Exception as error:
            logger.exception(
                "row batch failed", message_id=record.message_id, error=type(error).__name__
            )
            failed.append(record)
    return failures_of(failed)
