"""Notes of when contacts of a project were last written, in the table of imports.

With them we know whether an eventually consistent read of a contact can be stale.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contact_imports.aws.dynamodb_items import to_item
from contact_imports.aws.import_records import WRITES, record_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

QUIET_AFTER = timedelta(minutes=10)
"""How long after the last write to a project reads of its contacts may be stale. DynamoDB
shows a write everywhere "usually within one second or less". A note may be up to two minutes older than the
last write: it is renewed every 30 seconds, and a batch runs for a minute at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html"""

_NOTED_EVERY = timedelta(seconds=30)


class ProjectWrites:
    """When contacts were last written, by project."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name
        self._noted: dict[str, datetime] = {}

    def note(self, project_id: str, now: datetime) -> None:
        """Notes that contacts of a project are about to be written. Call it before each batch writes."""
        noted = self._noted.get(project_id)
        if noted is not None and now - noted < _NOTED_EVERY:
            return
        self._client.update_item(
            TableName=self._table,
            Key=_key(project_id),
            UpdateExpression="SET wroteAt = :now",
            ExpressionAttributeValues=to_item({":now": int(now.timestamp())}),
        )
        self._noted[project_id] = now

    def is_quiet(self, project_id: str, now: datetime) -> bool:
        """Whether the last write to a project's contacts was so long ago that no read is stale."""
        response = self._client.get_item(
            TableName=self._table, Key=_key(project_id), ConsistentRead=True
        )
        wrote_at = response.get("Item", {}).get("wroteAt")
        return wrote_at is None or int(wrote_at["N"]) < (now - QUIET_AFTER).timestamp()


def _key(project_id: str) -> dict[str, AttributeValueTypeDef]:
    return record_key(f"project#{project_id}", WRITES)
