"""The DynamoDB table of imports. An import is one `import` item and one item a partition, and the reasons
of its failed rows in one item a row batch.

    importId   record            what
    project#p  writes            when contacts of a project were last written
    6a0f...    errors#03#000007  reasons of the failed rows of a row batch
    6a0f...    import            the job: options, status, total; at the end its counts
    6a0f...    partition#03      next_seq and counters, which move together

A partition's item has one writer at a time, and a row batch moves its `nextSeq` and its counters in one
conditional write: however often a batch comes, it is counted once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import ClientError

from contact_imports.aws.dynamodb_items import Value, from_item, to_item
from contact_imports.aws.retry import StillUnprocessedError, attempts
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnBlank, OnConflict, Outcome
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    PENDING_DEADLINE_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
    Counts,
    Import,
    ImportOptions,
    Status,
    Upload,
    import_time,
)
from contact_imports.model.notes import Note

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )

    Item = Mapping[str, AttributeValueTypeDef]

OPEN_INDEX = "open-imports"
"""Imports that have not ended, by deadline: sparse, since only those have the attribute `open`."""

PROJECT_INDEX = "project-imports"
"""Imports of a project, by id, which begins with the time: sparse, since only they have a `projectId`."""

QUIET_AFTER = timedelta(minutes=10)
"""After the last write to a project, how long reads of its contacts are taken for possibly stale. DynamoDB
shows a write everywhere "usually within one second or less"; a note of a write may be up to three minutes
older than the write: it is made anew every 30 seconds, and a batch goes on for two minutes at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html"""

_WRITES_NOTED_EVERY = timedelta(seconds=30)

REPORT_DUE = "due"
"""What an import's attribute `report` is from its end on, until everything is done that follows it."""

_REPORT_DONE = "done"
_ERROR_ITEMS_READ = 1
"""Of each of the up to 64 partitions at a time, which may have 1,000 rows each."""

_RECORDS_KEPT = timedelta(days=90)
_MOSTLY_NEW_SHARE = 0.95
"""An INSERT of a contact that exists costs a write unit and then a consistent read, together twelve times the
price of a cheap read: to do without reads pays while fewer than one contact in twelve exists."""

_TRANSIENT = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_OPEN = "open"


@dataclass(frozen=True, slots=True)
class Partition:
    """How far a partition is. `gaps` are batches that later ones overtook, on their way through the
    dead-letter queue; `ended` says that no further batch counts; `lost` are gaps that nobody fills any more.
    `mostly_new` says that nearly all contacts of the batch before did not exist."""

    next_seq: int = 0
    ended: bool = False
    gaps: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    mostly_new: bool = False

    def settled(self, seq: int) -> bool:
        """Whether a batch has been counted, or will never be."""
        return (seq < self.next_seq or self.ended) and seq not in self.gaps

    def counted(self, seq: int) -> bool:
        """Whether a batch has been counted."""
        return seq < self.next_seq and seq not in self.gaps and seq not in self.lost

    @property
    def done(self) -> bool:
        """Whether every batch that will ever count has been counted."""
        return self.ended and not self.gaps


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Which batch of which partition of which import."""

    import_id: str
    partition: int
    seq: int
    last: bool


@dataclass(frozen=True, slots=True)
class ImportPage:
    """Some imports of a project, newest first; `next_id` is the last one that was looked at, None at the end."""

    imports: list[Import]
    next_id: str | None


class ImportTable:
    """Imports by id."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name
        self._noted_writes: dict[str, datetime] = {}

    def create(self, job: Import, now: datetime) -> bool:
        """Records a new import; False if there is one of this id.

        It is failed if no file is checked in UPLOAD_DEADLINE_SECONDS, or where it waits for its upload,
        PENDING_DEADLINE_SECONDS.
        """
        options = job.options
        pending = job.status is Status.PENDING
        seconds = PENDING_DEADLINE_SECONDS if pending else UPLOAD_DEADLINE_SECONDS
        item = {
            "importId": job.id,
            "record": "import",
            "projectId": job.project_id,
            "status": job.status.value,
            "onConflict": options.on_conflict.value,
            "onBlank": options.on_blank.value,
            "dryRun": options.dry_run,
            "tagNames": list(options.tags),
            "createdAt": job.created_at.isoformat(),
            "open": _OPEN,
            "deadline": int(now.timestamp()) + seconds,
            "expiresAt": _expires_at(job.id),
        }
        if options.column_map is not None:
            item["columnMap"] = _column_map_json(options.column_map)
        if options.delimiter is not None:
            item["delimiter"] = options.delimiter
        if job.dropped_key is not None:
            item["droppedKey"] = job.dropped_key
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(item),
                ConditionExpression="attribute_not_exists(importId)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def get(self, import_id: str) -> Import | None:
        """The import with its counts so far, strongly consistent, so that counts never go back."""
        return self._read(import_id)[0]

    def of_project(
        self, project_id: str, *, limit: int, before: str | None = None, now: datetime
    ) -> ImportPage:
        """Up to `limit` imports of a project, newest first, with an id below `before`."""
        values = {":project": project_id, **({":before": before} if before else {})}
        response = self._client.query(
            TableName=self._table,
            IndexName=PROJECT_INDEX,
            KeyConditionExpression="projectId = :project"
            + (" AND importId < :before" if before else ""),
            ExpressionAttributeValues=to_item(values),
            ScanIndexForward=False,
            Limit=limit,
        )
        found = [_to_import(item, []) for item in response["Items"]]
        # What has ended is final; counts of the others are in their partitions, and the index may be late.
        current = [job if job.end_is_shown(now) else self.get(job.id) for job in found]
        next_id = found[-1].id if found and "LastEvaluatedKey" in response else None
        return ImportPage([job for job in current if job is not None], next_id)

    def partitions(self, import_id: str) -> dict[int, Partition]:
        """How far each partition is that has anything counted or ended, by its number."""
        items = self._items(import_id)
        return {
            int(item["record"]["S"].rsplit("#", 1)[1]): _to_partition(item)
            for item in items
            if item["record"]["S"].startswith("partition#")
        }

    def claim(self, import_id: str, upload: Upload, now: datetime) -> Import | None:
        """Binds an import to the object that was uploaded, and gives it to a processor.

        Returns the import; None if there is none to work on: it does not exist, it has ended or is being
        stopped, or it was claimed for another object. The same object can be claimed again, by a processor that is run again.
        """
        try:
            response = self._client.update_item(
                TableName=self._table,
                Key=_key(import_id, "import"),
                UpdateExpression="SET #status = :processing, objectVersion = :version, upload = :upload, "
                "claimedAt = :now",
                ConditionExpression="attribute_exists(importId) AND #open = :open "
                "AND (attribute_not_exists(objectVersion) OR objectVersion = :version) AND attribute_not_exists(failure)",
                ExpressionAttributeNames={"#status": "status", "#open": "open"},
                ExpressionAttributeValues=to_item(
                    {
                        ":processing": Status.PROCESSING.value,
                        ":open": _OPEN,
                        ":version": _identity(upload),
                        ":upload": {
                            "key": upload.key,
                            "etag": upload.etag,
                            "size": upload.size,
                            "versionId": upload.version_id,
                        },
                        ":now": now.isoformat(),
                    }
                ),
                ReturnValues="ALL_NEW",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return None
        return _to_import(response["Attributes"], [])

    def start(
        self,
        import_id: str,
        *,
        total: int,
        partitions: int,
        encoding: str,
        delimiter: str,
        header_record: int,
        column_map: ColumnMap,
        notes: Sequence[Note],
        now: datetime,
    ) -> None:
        """Records what checking the file gave; once, so that a second processor changes nothing."""
        self._update_open(
            import_id,
            "SET #total = :total, partitionCount = :partitions, #encoding = :encoding, "
            "delimiter = :delimiter, headerRecord = :header, columnMap = :columns, notes = :notes, "
            "deadline = :deadline",
            {
                ":total": total,
                ":partitions": partitions,
                ":encoding": encoding,
                ":delimiter": delimiter,
                ":header": header_record,
                ":columns": _column_map_json(column_map),
                ":notes": [note.as_api() for note in notes],
                ":deadline": int(now.timestamp()) + IMPORT_DEADLINE_SECONDS,
            },
            {"#total": "total", "#encoding": "encoding"},
            condition="attribute_not_exists(partitionCount)",
        )

    def fail(self, import_id: str, error: str, now: datetime) -> bool:
        """Ends an import of which no row was sent; False if it has ended, or rows were sent."""
        return self._end(
            import_id,
            Status.FAILED,
            Counts(),
            error,
            now,
            condition="attribute_not_exists(partitionCount)",
        )

    def set_failure(self, import_id: str, reason: str) -> None:
        """Notes why an import will end without all of its rows, if it does."""
        self._update_open(import_id, "SET failure = :reason", {":reason": reason}, {})

    def partition(self, import_id: str, partition: int) -> Partition:
        """How far a partition is, strongly consistent."""
        response = self._client.get_item(
            TableName=self._table,
            Key=_key(import_id, _partition_record(partition)),
            ConsistentRead=True,
        )
        return _to_partition(response.get("Item"))

    def commit(
        self,
        batch: BatchKey,
        known: Partition,
        outcomes: Mapping[Outcome, int],
        errors: Sequence[RowError],
    ) -> Partition:
        """Counts a row batch and moves its partition past it, in one write, unless that was done already.

        `known` is the partition as it was read before; returns it as it is now. A batch ahead of its turn
        leaves a gap, which the batches that are missing fill when they come as dead letters.
        """
        for _ in attempts():
            if known.settled(batch.seq):
                return known
            update, after = self._commit_update(batch, known, outcomes)
            try:
                if errors:
                    self._client.transact_write_items(
                        TransactItems=[{"Update": update}, self._errors_put(batch, errors)]
                    )
                else:
                    self._client.update_item(**update)
                return after
            except ClientError as error:
                known = self._partition_on_conflict(error, batch) or known
        raise StillUnprocessedError("a row batch could not be committed")

    def end_partition(
        self, import_id: str, partition: int, *, forget_gaps: bool = False
    ) -> Partition:
        """Lets a partition count no further batch, and no missing one either where `forget_gaps`.

        The gaps that are forgotten stay known as lost.
        """
        forgetting = forget_gaps and bool(self.partition(import_id, partition).gaps)
        response = self._client.update_item(
            TableName=self._table,
            Key=_key(import_id, _partition_record(partition)),
            UpdateExpression="SET ended = :true, expiresAt = :expires"
            + (", lost = gaps REMOVE gaps" if forgetting else ""),
            ExpressionAttributeValues=to_item({":true": True, ":expires": _expires_at(import_id)}),
            ReturnValues="ALL_NEW",
        )
        return _to_partition(response["Attributes"])

    def end_if_done(self, import_id: str, now: datetime) -> Import | None:
        """Ends an import whose partitions are all done; returns it as it ended, None if it did not now.

        Whoever closes a partition calls this after it; the last one to close sees all of them closed.
        """
        job, partitions = self._read(import_id)
        if job is None or job.ended or job.partitions is None:
            return None
        if sum(partition.done for partition in partitions) < job.partitions:
            return None
        counts, error = job.counts, None
        missing = counts.total - counts.settled
        if missing:
            counts = replace(counts, failed=counts.failed + missing)
            reason = job.failure or "Some rows were lost on their way."
            error = f"{reason} {missing:,} of {counts.total:,} rows were not imported. Import the file again."
        status = Status.FAILED if missing else Status.COMPLETED
        if not self._end(import_id, status, counts, error, now):
            return None
        return replace(job, status=status, counts=counts, error=error, completed_at=now)

    def overdue(self, now: datetime) -> list[str]:
        """The ids of the imports that have not ended and are past their deadline."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :open AND deadline < :now",
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues=to_item({":open": _OPEN, ":now": int(now.timestamp())}),
        )
        return [item["importId"]["S"] for page in pages for item in page["Items"]]

    def set_reported(self, import_id: str) -> None:
        """Notes that everything is there that follows an import's end."""
        self._client.update_item(
            TableName=self._table,
            Key=_key(import_id, "import"),
            UpdateExpression="SET report = :done",
            ConditionExpression="attribute_exists(importId)",
            ExpressionAttributeValues=to_item({":done": _REPORT_DONE}),
        )

    def note_writes(self, project_id: str, now: datetime) -> None:
        """Notes that contacts of a project are about to be written. Call it before that, for every batch."""
        noted = self._noted_writes.get(project_id)
        if noted is not None and now - noted < _WRITES_NOTED_EVERY:
            return
        self._client.update_item(
            TableName=self._table,
            Key=_key(f"project#{project_id}", "writes"),
            UpdateExpression="SET wroteAt = :now",
            ExpressionAttributeValues=to_item({":now": int(now.timestamp())}),
        )
        self._noted_writes[project_id] = now

    def is_quiet(self, project_id: str, now: datetime) -> bool:
        """Whether nobody has written contacts of a project for so long that any read shows them as they are."""
        response = self._client.get_item(
            TableName=self._table,
            Key=_key(f"project#{project_id}", "writes"),
            ConsistentRead=True,
        )
        wrote_at = response.get("Item", {}).get("wroteAt")
        return wrote_at is None or int(wrote_at["N"]) < (now - QUIET_AFTER).timestamp()

    def errors(self, import_id: str, partitions: int) -> Iterator[RowError]:
        """The reasons of the failed rows that were counted so far, in file order, a few at a time."""
        return heapq.merge(
            *(self._partition_errors(import_id, partition) for partition in range(partitions)),
            key=lambda error: error.row,
        )

    def _partition_errors(self, import_id: str, partition: int) -> Iterator[RowError]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="importId = :id AND begins_with(#record, :errors)",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=to_item(
                {":id": import_id, ":errors": f"errors#{partition:02}#"}
            ),
            ConsistentRead=True,
            PaginationConfig={"PageSize": _ERROR_ITEMS_READ},
        )
        for page in pages:
            rows = [row for item in page["Items"] for row in from_item(item)["rows"]]
            errors = [
                RowError(row["row"], row["code"], row["message"], row["field"]) for row in rows
            ]
            # The paginator keeps the page until the next one is asked for: much more than is left of it.
            page["Items"].clear()
            del rows
            errors.sort(key=lambda error: error.row)
            yield from errors

    def _read(self, import_id: str) -> tuple[Import | None, list[Partition]]:
        items = self._items(import_id)
        jobs = [item for item in items if item["record"] == {"S": "import"}]
        partitions = [item for item in items if item["record"] != {"S": "import"}]
        job = _to_import(jobs[0], partitions) if jobs else None
        return job, [_to_partition(item) for item in partitions]

    def _items(self, import_id: str) -> list[Item]:
        """An import's item and its partitions', strongly consistent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="importId = :id AND #record >= :import",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=to_item({":id": import_id, ":import": "import"}),
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def _commit_update(
        self, batch: BatchKey, known: Partition, outcomes: Mapping[Outcome, int]
    ) -> tuple[UpdateTypeDef, Partition]:
        values: dict[str, Any] = {":expires": _expires_at(batch.import_id)}
        adds = []
        for outcome, count in outcomes.items():
            if count:
                values[f":{outcome.value}"] = count
                adds.append(f"{outcome.value} :{outcome.value}")
        if batch.seq in known.gaps:
            after = replace(known, gaps=known.gaps - {batch.seq})
            values |= {":seq": batch.seq, ":filled": {batch.seq}}
            condition = "contains(gaps, :seq)"
            expression = "SET expiresAt = :expires DELETE gaps :filled"
        else:
            overtaken = frozenset(range(known.next_seq, batch.seq))
            mostly_new = _mostly_new(outcomes)
            after = replace(
                known,
                next_seq=batch.seq + 1,
                ended=batch.last,
                gaps=known.gaps | overtaken,
                mostly_new=mostly_new,
            )
            values |= {":next": after.next_seq, ":new": mostly_new}
            condition = "attribute_not_exists(ended) AND "
            if known.next_seq:
                values[":known"] = known.next_seq
                condition += "nextSeq = :known"
            else:
                condition += "attribute_not_exists(nextSeq)"
            expression = "SET nextSeq = :next, mostlyNew = :new, expiresAt = :expires"
            if batch.last:
                values[":true"] = True
                expression += ", ended = :true"
            if overtaken:
                values[":overtaken"] = set(overtaken)
                adds.append("gaps :overtaken")
        if adds:
            expression += " ADD " + ", ".join(adds)
        update: UpdateTypeDef = {
            "TableName": self._table,
            "Key": _key(batch.import_id, _partition_record(batch.partition)),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return update, after

    def _errors_put(self, batch: BatchKey, errors: Sequence[RowError]) -> TransactWriteItemTypeDef:
        rows = [
            {"row": error.row, "code": error.code, "message": error.message, "field": error.field}
            for error in errors
        ]
        item: dict[str, Value] = {
            "importId": batch.import_id,
            "record": f"errors#{batch.partition:02}#{batch.seq:06}",
            "rows": rows,
            "expiresAt": _expires_at(batch.import_id),
        }
        return {"Put": {"TableName": self._table, "Item": to_item(item)}}

    def _partition_on_conflict(self, error: ClientError, batch: BatchKey) -> Partition | None:
        """The partition as another writer left it; None to try the same again; raises what is neither."""
        code = error.response.get("Error", {}).get("Code")
        if code == "ConditionalCheckFailedException":
            return _to_partition(cast("Any", error.response).get("Item"))
        if code == "TransactionCanceledException":
            reasons = cast("Any", error.response).get("CancellationReasons", [])
            if any(reason["Code"] == "ConditionalCheckFailed" for reason in reasons):
                return self.partition(batch.import_id, batch.partition)
            if any(reason["Code"] in _TRANSIENT for reason in reasons):
                return None
        raise error

    def _end(
        self,
        import_id: str,
        status: Status,
        counts: Counts,
        error: str | None,
        now: datetime,
        condition: str | None = None,
    ) -> bool:
        return self._update_open(
            import_id,
            "SET #status = :status, counts = :counts, #error = :error, completedAt = :now, "
            "report = :due REMOVE #open, deadline",
            {
                ":status": status.value,
                ":counts": counts.as_dict(),
                ":error": error,
                ":now": now.isoformat(),
                ":due": REPORT_DUE,
            },
            {"#status": "status", "#error": "error"},
            condition=condition,
        )

    def _update_open(
        self,
        import_id: str,
        expression: str,
        values: dict[str, Any],
        names: dict[str, str],
        condition: str | None = None,
    ) -> bool:
        """Updates an import that has not ended; False if it has, or the condition does not hold."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(import_id, "import"),
                UpdateExpression=expression,
                ConditionExpression="#open = :open" + (f" AND {condition}" if condition else ""),
                ExpressionAttributeNames={**names, "#open": "open"},
                ExpressionAttributeValues=to_item({**values, ":open": _OPEN}),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(import_id: str, record: str) -> dict[str, AttributeValueTypeDef]:
    return {"importId": {"S": import_id}, "record": {"S": record}}


def _partition_record(partition: int) -> str:
    return f"partition#{partition:02}"


def _expires_at(import_id: str) -> int:
    return int((import_time(import_id) + _RECORDS_KEPT).timestamp())


def _to_partition(item: Item | None) -> Partition:
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


def _mostly_new(outcomes: Mapping[Outcome, int]) -> bool:
    """Whether nearly all rows of a batch that met a contact, or made one, made it."""
    created = outcomes.get(Outcome.CREATED, 0)
    existing = outcomes.get(Outcome.UPDATED, 0) + outcomes.get(Outcome.SKIPPED, 0)
    return created > 0 and created >= _MOSTLY_NEW_SHARE * (created + existing)


def _to_import(item: Item, partitions: Sequence[Item]) -> Import:
    values = from_item(item)
    if "counts" in values:
        counts = Counts(**values["counts"])
    else:
        counters = [from_item(partition) for partition in partitions]
        sums = {o: sum(counter.get(o.value, 0) for counter in counters) for o in Outcome}
        counts = Counts.of(values.get("total", 0), sums)
    return Import(
        id=values["importId"],
        project_id=values["projectId"],
        status=Status(values["status"]),
        options=ImportOptions(
            column_map=(
                msgspec.json.decode(values["columnMap"], type=ColumnMap)
                if "columnMap" in values
                else None
            ),
            on_conflict=OnConflict(values["onConflict"]),
            delimiter=values.get("delimiter"),
            tags=tuple(values["tagNames"]),
            on_blank=OnBlank(values["onBlank"]),
            dry_run=values["dryRun"],
            header_record=values.get("headerRecord"),
        ),
        created_at=datetime.fromisoformat(values["createdAt"]).astimezone(UTC),
        counts=counts,
        upload=_to_upload(values["upload"]) if "upload" in values else None,
        dropped_key=values.get("droppedKey"),
        encoding=values.get("encoding"),
        partitions=values.get("partitionCount"),
        failure=values.get("failure"),
        error=values.get("error"),
        completed_at=(
            datetime.fromisoformat(values["completedAt"]) if values.get("completedAt") else None
        ),
        reported=values.get("report") == _REPORT_DONE,
        notes=tuple(Note(note["code"], note["message"]) for note in values.get("notes", ())),
    )


def _to_upload(values: Mapping[str, Any]) -> Upload:
    return Upload(values["key"], values["etag"], values["size"], values["versionId"])


def _identity(upload: Upload) -> str:
    """What tells an object from the next one under its key."""
    return upload.version_id or upload.etag


def _column_map_json(column_map: ColumnMap) -> str:
    return msgspec.json.encode(column_map.as_dict()).decode()
