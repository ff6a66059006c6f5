"""The keys of the DynamoDB table of imports. One item kind, one store:

importId   record            store            content
6a0f...    import            ImportTable      the job: options, status, total, and counts once it has ended
6a0f...    partition#03      ProgressRecords  next_seq and counters, which move together
6a0f...    errors#03#000007  ProgressRecords  reasons of the failed rows of a row batch
project#p  writes            ProjectWrites    when contacts of a project were last written
drop#...   dropped           ImportTable      which import a dropped object has, by a hash of the object
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from contact_imports.model.import_job import import_time

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

IMPORT = "import"
WRITES = "writes"
DROPPED = "dropped"
DROPPED_PREFIX = "drop#"
PARTITION_PREFIX = "partition#"

_RECORDS_KEPT = timedelta(days=90)


def record_key(import_id: str, record: str) -> dict[str, AttributeValueTypeDef]:
    """The key of one record of an import."""
    return {"importId": {"S": import_id}, "record": {"S": record}}


def partition_record(partition: int) -> str:
    """The record of a partition's progress. Partitions sort after the import, so one query reads both."""
    return f"{PARTITION_PREFIX}{partition:02}"


def errors_prefix(partition: int) -> str:
    """The prefix of the records of a partition's failed rows, which sort by row batch."""
    return f"errors#{partition:02}#"


def errors_record(partition: int, seq: int) -> str:
    """The record of the failed rows of one row batch."""
    return f"{errors_prefix(partition)}{seq:06}"


def expires_at(import_id: str) -> int:
    """When the records of an import are deleted, in seconds since 1970; its id says when it was made."""
    return int((import_time(import_id) + _RECORDS_KEPT).timestamp())
