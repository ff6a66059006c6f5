"""The DynamoDB table of the tags of projects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class TagTable:
    """Tags by project and name."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name

    def create_missing(self, project_id: str, names: Iterable[str], now: datetime) -> None:
        """Creates the tags that do not exist, and leaves the others unchanged."""
        for name in names:
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        "projectId": {"S": project_id},
                        "name": {"S": name},
                        "createdAt": {"S": now.isoformat()},
                    },
                    ConditionExpression="attribute_not_exists(projectId)",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                continue
