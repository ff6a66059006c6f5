"""Counts rows that could not be processed as failed, and fails overdue imports, so that every import ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import zip_longest
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from contact_imports.aws.clients import dynamodb_client, sqs_client
from contact_imports.aws.contacts_table import DRY_RUN_LIFETIME, ContactTable
from contact_imports.aws.environment import DeadLetterEnvironment
from contact_imports.aws.errors import error_code
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import Metric, counts_waits, emit
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.aws.received_messages import ReceivedMessages
from contact_imports.aws.retry import limits_retries
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.uploads_bucket import import_of_key
from contact_imports.jobs.apply_row_batch import RowBatchStores, handle_message
from contact_imports.jobs.end_import import (
    IMPORT_AGAIN,
    PROCESSOR_FAILED,
    SPLIT_CHANGED,
    SweptImport,
    end_overdue_imports,
    follow_ends_again,
    stop_import,
)
from contact_imports.jobs.measure_backlog import measure_backlog
from contact_imports.messages.row_messages import decode_message
from contact_imports.messages.s3_event import uploads_of
from contact_imports.messages.sqs_event import BatchFailures, SqsRecord, handle_each, records_of
from contact_imports.model.errors import SplitChangedError
from contact_imports.model.import_job import Upload

SWEEP_ENDS_BEFORE_TIMEOUT_MS = 8_000
"""When the sweep starts no other import: one that it has begun has up to 64 partitions to end, each with a read and
a write of some milliseconds."""

logger = Logger()
dynamodb = dynamodb_client()
sqs = sqs_client()


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
        # What a newer version sent raises NewerMessageError, and waits for that version.
        # Nothing can be counted; if it belongs to an import, that one ends at its deadline.
        emit({Metric.ROW_BATCHES_GIVEN_UP: 1})
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
    emit({Metric.ROW_BATCHES_GIVEN_UP: 1})


def give_up_upload(body: str) -> None:
    """Ends the imports of a processor invocation that failed on every retry.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    try:
        failure = msgspec.json.decode(body)
        given_up = uploads_of(failure["requestPayload"])
    except (KeyError, RecursionError, TypeError, ValueError):
        # As above; without a name of an object there is nothing to end.
        logger.exception("processor failure names no upload")
        return
    response = failure.get("responsePayload")
    error = response.get("errorType") if isinstance(response, dict) else None
    reason = SPLIT_CHANGED if error == SplitChangedError.__name__ else PROCESSOR_FAILED
    for upload in given_up:
        key = import_of_key(upload.key)
        if key is None:
            continue
        now = datetime.now(UTC)
        imports = stores().imports
        import_id = key.import_id or record_dropped_as_failed(upload, key.project_id, imports, now)
        queue = RowQueue(sqs, environment().ROW_QUEUE_URL)
        stopped = stop_import(import_id, reason, imports, queue, now)
        logger.error("processor given up", import_id=import_id, stopped=stopped)
        emit({Metric.UPLOADS_GIVEN_UP: 1})


def record_dropped_as_failed(
    upload: Upload, project_id: str, imports: ImportTable, now: datetime
) -> str:
    """The object is not asked for once more: that may be what the processor failed by."""
    # Here, since it imports pydantic, for the options of dropped objects.
    from contact_imports.jobs.create_dropped_import import record_failed

    reason = f"{PROCESSOR_FAILED} {IMPORT_AGAIN}"
    return record_failed(upload, project_id, environment().UPLOADS_BUCKET, reason, imports, now)


def handle_record(record: SqsRecord) -> None:
    if is_upload(record):
        give_up_upload(record.body)
    else:
        give_up_row_batch(record.body)


def is_upload(record: SqsRecord) -> bool:
    return record.event_source_arn == environment().PROCESSOR_FAILURES_QUEUE_ARN


def put_off(record: SqsRecord, error: Exception) -> None:
    names = environment()
    url = names.PROCESSOR_FAILURES_QUEUE_URL if is_upload(record) else names.DEAD_LETTER_QUEUE_URL
    seconds = ReceivedMessages(lambda: sqs, url).put_off(
        record.receipt_handle, record.receives, error
    )
    logger.error(
        "dead letter failed",
        exc_info=error,
        message_id=record.message_id,
        error=error_code(error),
        receives=record.receives,
        seconds=seconds,
    )


def sweep(has_time: Callable[[], bool]) -> None:
    now = datetime.now(UTC)
    overdue = end_overdue_imports(stores().imports, stores().progress, now, has_time)
    unfollowed = follow_ends_again(stores().imports, now, has_time)
    # In turns, so that neither waits for what is left of the time by the other.
    for ended, followed in zip_longest(overdue, unfollowed):
        if ended is not None:
            _log(ended, "overdue import ended", "overdue import could not be ended")
        if followed is not None:
            _log(followed, "end is followed again", "end could not be followed")


def _log(swept: SweptImport, done: str, failed: str) -> None:
    if swept.error is None:
        logger.info(done, import_id=swept.import_id)
    else:
        logger.error(failed, import_id=swept.import_id, error=swept.error)
        emit({Metric.SWEEP_FAILURES: 1})


def tell_backlog() -> None:
    backlog = measure_backlog(stores().imports, datetime.now(UTC))
    emit(
        {
            Metric.OPEN_IMPORTS: backlog.open_imports,
            Metric.OLDEST_OPEN_IMPORT_SECONDS: backlog.oldest_open_seconds,
            Metric.UNREPORTED_ENDS: backlog.unreported_ends,
            Metric.OLDEST_UNREPORTED_END_SECONDS: backlog.oldest_unreported_seconds,
        }
    )


@logger.inject_lambda_context(clear_state=True)
@limits_retries()
@counts_waits
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> BatchFailures | None:
    """Handles one record per invocation (BatchSize), or sweeps overdue imports when the schedule calls.

    If there are several records and one fails, the later ones of its group fail too.
    """
    if "Records" in event:
        return handle_each(records_of(event), handle_record, put_off)
    sweep(lambda: context.get_remaining_time_in_millis() > SWEEP_ENDS_BEFORE_TIMEOUT_MS)
    tell_backlog()
    return None
