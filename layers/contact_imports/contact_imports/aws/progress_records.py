"""The progress of an import's partitions, and the reasons of its failed rows, in the table of imports.

A partition's item has one writer at a time. A row batch moves its `nextSeq` and its counters in one conditional
write, so a batch that is delivered again is not counted again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from contact_imports.aws.dynamodb_items import Value, from_item, to_item
from contact_imports.aws.errors import error_code
from contact_imports.aws.import_records import (
    PARTITION_PREFIX,
    errors_prefix,
    errors_record,
    expires_at,
    partition_record,
    record_key,
)
from contact_imports.aws.packed_errors import pack, unpack
from contact_imports.aws.retry import TRANSIENT_CODES, StillUnprocessedError, attempts
from contact_imports.model.contact import Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.progress import BatchKey, Partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )

    Item = Mapping[str, AttributeValueTypeDef]

_ERROR_ITEMS_READ = 1
"""Items read at a time from each of the up to 64 partitions; an item may have 1,000 rows."""


class ProgressRecords:
    """How far imports are, by partition."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name

    def get(self, import_id: str, partition: int) -> Partition:
        """How far a partition is, strongly consistent."""
        response = self._client.get_item(
            TableName=self._table,
            Key=record_key(import_id, partition_record(partition)),
            ConsistentRead=True,
        )
        return to_partition(response.get("Item"))

    def of_import(self, import_id: str) -> dict[int, Partition]:
        """How far partitions are, by number; one without a counted batch that has not ended is left out."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="importId = :id AND begins_with(#record, :partition)",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=to_item({":id": import_id, ":partition": PARTITION_PREFIX}),
            ConsistentRead=True,
        )
        return {
            int(item["record"]["S"].removeprefix(PARTITION_PREFIX)): to_partition(item)
            for page in pages
            for item in page["Items"]
        }

    def commit(
        self,
        batch: BatchKey,
        known: Partition,
        outcomes: Mapping[Outcome, int],
        errors: Sequence[RowError],
    ) -> Partition:
        """Counts a row batch and moves its partition past it in one write, unless it is counted already.

        `known` is the partition as it was read before; returns it as it is now. A batch that overtakes others
        leaves gaps, which the others fill when they arrive as dead letters. A batch whose first try took effect, but
        whose answer was lost, is counted already at the second. Raises StillUnprocessedError.
        """
        for _ in attempts():
            if known.is_closed_for(batch.seq):
                return known
            after = known.after(batch, outcomes)
            update = self._commit_update(batch, known, after, outcomes)
            try:
                if errors:
                    self._client.transact_write_items(
                        TransactItems=[{"Update": update}, self._errors_put(batch, errors)]
                    )
                else:
                    self._client.update_item(**update)
                # While one caller fills a gap, another may count the next batch: the condition of neither looks at
                # what the other changes. Both read again, so that the later one sees that nothing is left to do.
                return self.get(batch.import_id, batch.partition) if known.gaps else after
            except ClientError as error:
                known = self._partition_on_conflict(error, batch) or known
        raise StillUnprocessedError("a row batch could not be committed")

    def end_partition(
        self, import_id: str, partition: int, *, forget_gaps: bool = False
    ) -> Partition:
        """Ends a partition: later batches do not count. Returns it as it is now.

        With `forget_gaps`, batches that fill its gaps do not count either: the gaps become lost.
        """
        forgetting = forget_gaps and bool(self.get(import_id, partition).gaps)
        response = self._client.update_item(
            TableName=self._table,
            Key=record_key(import_id, partition_record(partition)),
            # `lost` stays if the answer to a first try was lost.
            UpdateExpression="SET ended = :true, expiresAt = :expires"
            + (", lost = if_not_exists(gaps, lost) REMOVE gaps" if forgetting else ""),
            ExpressionAttributeValues=to_item({":true": True, ":expires": expires_at(import_id)}),
            ReturnValues="ALL_NEW",
        )
        return to_partition(response["Attributes"])

    def errors(self, import_id: str, partition_count: int) -> Iterator[RowError]:
        """The reasons of the failed rows that were counted so far, in file order, a few at a time."""
        return heapq.merge(
            *(self._partition_errors(import_id, partition) for partition in range(partition_count)),
            key=lambda error: error.row,
        )

    def _partition_errors(self, import_id: str, partition: int) -> Iterator[RowError]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="importId = :id AND begins_with(#record, :errors)",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=to_item(
                {":id": import_id, ":errors": errors_prefix(partition)}
            ),
            ConsistentRead=True,
            PaginationConfig={"PageSize": _ERROR_ITEMS_READ},
        )
        for page in pages:
            errors = [error for item in page["Items"] for error in _to_errors(from_item(item))]
            # The paginator keeps each page until it reads the next one, which takes more memory than the errors.
            page["Items"].clear()
            errors.sort(key=lambda error: error.row)
            yield from errors

    def _commit_update(
        self,
        batch: BatchKey,
        known: Partition,
        after: Partition,
        outcomes: Mapping[Outcome, int],
    ) -> UpdateTypeDef:
        values: dict[str, Any] = {":expires": expires_at(batch.import_id)}
        adds = []
        for outcome, count in outcomes.items():
            if count:
                values[f":{outcome.value}"] = count
                adds.append(f"{outcome.value} :{outcome.value}")
        if batch.seq in known.gaps:
            values |= {":seq": batch.seq, ":filled": {batch.seq}}
            condition = "contains(gaps, :seq)"
            expression = "SET expiresAt = :expires DELETE gaps :filled"
        else:
            values |= {":next": after.next_seq, ":new": after.mostly_new}
            condition = "attribute_not_exists(ended) AND "
            if known.next_seq:
                values[":known"] = known.next_seq
                condition += "nextSeq = :known"
            else:
                condition += "attribute_not_exists(nextSeq)"
            expression = "SET nextSeq = :next, mostlyNew = :new, expiresAt = :expires"
            if after.ended:
                values[":true"] = True
                expression += ", ended = :true"
            overtaken = after.gaps - known.gaps
            if overtaken:
                values[":overtaken"] = set(overtaken)
                adds.append("gaps :overtaken")
        if adds:
            expression += " ADD " + ", ".join(adds)
        return {
            "TableName": self._table,
            "Key": record_key(batch.import_id, partition_record(batch.partition)),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _errors_put(self, batch: BatchKey, errors: Sequence[RowError]) -> TransactWriteItemTypeDef:
        item: dict[str, Value] = {
            "importId": batch.import_id,
            "record": errors_record(batch.partition, batch.seq),
            "packed": pack(errors),
            "expiresAt": expires_at(batch.import_id),
        }
        return {"Put": {"TableName": self._table, "Item": to_item(item)}}

    def _partition_on_conflict(self, error: ClientError, batch: BatchKey) -> Partition | None:
        """The partition as another writer left it; None to retry the same write; raises any other error."""
        code = error_code(error)
        if code == "ConditionalCheckFailedException":
            return to_partition(cast("Any", error.response).get("Item"))
        if code == "TransactionCanceledException":
            reasons = cast("Any", error.response).get("CancellationReasons", [])
            if any(reason["Code"] == "ConditionalCheckFailed" for reason in reasons):
                return self.get(batch.import_id, batch.partition)
            if any(reason["Code"] in TRANSIENT_CODES for reason in reasons):
                return None
        raise error


def to_partition(item: Item | None) -> Partition:
    """The partition of an item; without an item, a partition before its first batch."""
    if item is None:
        return Partition()
    values = from_item(item)
    return Partition(
        values.get("nextSeq", 0),
        values.get("ended", False),
        frozenset(values.get("gaps", ())),
        frozenset(values.get("lost", ())),
        values.get("mostlyNew", False),
    )


def _to_errors(values: Mapping[str, Any]) -> list[RowError]:
    """The errors of an item; those that were written before errors were packed are a list of `rows`."""
    if "packed" in values:
        return unpack(values["packed"])
    return [
        RowError(row["row"], row["code"], row["message"], row["field"]) for row in values["rows"]
    ]


def sum_counters(items: Sequence[Item]) -> dict[Outcome, int]:
    """The rows by outcome, summed over the items of an import's partitions."""
    counters = [from_item(item) for item in items]
    return {
        outcome: sum(counter.get(outcome.value, 0) for counter in counters) for outcome in Outcome
    }
