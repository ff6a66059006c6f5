"""The DynamoDB table of imports: the import itself. `import_records` lists the table's other records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import msgspec
from botocore.exceptions import ClientError

from contact_imports.aws.dynamodb_items import Value, from_item, to_item
from contact_imports.aws.errors import is_item_too_large
from contact_imports.aws.import_records import (
    DROPPED,
    DROPPED_PREFIX,
    IMPORT,
    PARTITION_PREFIX,
    expires_at,
    record_key,
)
from contact_imports.aws.progress_records import sum_counters, to_partition
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    LIMITS_NOT_RECORDED,
    PENDING_DEADLINE_SECONDS,
    REPORT_RETRY_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
    BatchLimits,
    Counts,
    Import,
    ImportOptions,
    Split,
    Status,
    Upload,
)
from contact_imports.model.notes import Note
from contact_imports.model.progress import MAX_PARTITIONS, Partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]

OPEN_INDEX = "open-imports"
"""Imports that have not ended, and ends that not everything has followed yet, by deadline: sparse, since only those
have the attribute `open`."""

PROJECT_INDEX = "project-imports"
"""Imports of a project by id, which begins with the time. Sparse: only imports have a `projectId`."""

REPORT_DUE = "due"
"""What an import's attribute `report` is from its end on, and again when everything that follows it is to be tried
again: each write of it starts import_ended."""

_REPORT_SHOWN = "shown"
_REPORT_DONE = "done"
_OPEN = "open"
_REPORTING = "reporting"
"""What `open` is from an import's end on until everything has followed it."""

_MAX_ERROR_CHARS = 4_000
"""The most of the reason for an import's failure: it names columns, whose names have no limit."""


class ImportPage(msgspec.Struct, frozen=True):
    """Some imports of a project, newest first; `next_id` is the last one that was read, None at the end."""

    imports: list[Import]
    next_id: str | None


class _StoredImport(NamedTuple):
    job: Import | None
    partitions: list[Partition]


class _Update(TypedDict, total=False):
    TableName: str
    Key: Item
    UpdateExpression: str
    ConditionExpression: str
    ExpressionAttributeNames: Mapping[str, str]
    ExpressionAttributeValues: Item
    ReturnValues: Literal["UPDATED_NEW"]


class ImportTable:
    """Imports by id."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name

    def create(self, job: Import, now: datetime) -> bool:
        """Records a new import, which may have failed already; False if there is one of this id.

        An open one is failed if no file is checked in UPLOAD_DEADLINE_SECONDS, or where it waits for its upload,
        PENDING_DEADLINE_SECONDS.
        """
        options = job.options
        pending = job.status is Status.PENDING
        seconds = PENDING_DEADLINE_SECONDS if pending else UPLOAD_DEADLINE_SECONDS
        item: dict[str, Value] = {
            "importId": job.id,
            "record": IMPORT,
            "projectId": job.project_id,
            "status": job.status.value,
            "onConflict": options.on_conflict.value,
            "onBlank": options.on_blank.value,
            "dryRun": options.dry_run,
            "tagNames": list(options.tags),
            "createdAt": job.created_at.isoformat(),
            "open": _OPEN,
            "deadline": int(now.timestamp()) + seconds,
            "expiresAt": expires_at(job.id),
        }
        if options.column_map is not None:
            item["columnMap"] = _column_map_json(options.column_map)
        if options.delimiter is not None:
            item["delimiter"] = options.delimiter
        if options.encoding is not None:
            item["encodingOption"] = options.encoding
        if job.dropped_key is not None:
            item["droppedKey"] = job.dropped_key
        if job.ended:
            item |= _end_values(job.status, job.counts, job.error, now)
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_item(item),
                ConditionExpression="attribute_not_exists(importId)",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def id_of_dropped(self, identity: str, new_id: str) -> str:
        """The id of the import of a dropped object, by its `object_identity`: `new_id` if it has none yet."""
        response = self._client.update_item(
            TableName=self._table,
            Key=record_key(DROPPED_PREFIX + identity, DROPPED),
            UpdateExpression="SET madeImport = if_not_exists(madeImport, :id), "
            "expiresAt = if_not_exists(expiresAt, :expires)",
            ExpressionAttributeValues=to_item({":id": new_id, ":expires": expires_at(new_id)}),
            ReturnValues="ALL_NEW",
        )
        return response["Attributes"]["madeImport"]["S"]

    def get(self, import_id: str) -> Import | None:
        """The import with its counts so far. The read is strongly consistent, so counts never go back."""
        return self._read(import_id).job

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
        # Imports that have ended are final. The others have their counts in their partitions, and the index may be late.
        current = [job if job.end_is_shown(now) else self.get(job.id) for job in found]
        next_id = found[-1].id if found and "LastEvaluatedKey" in response else None
        return ImportPage([job for job in current if job is not None], next_id)

    def claim(self, import_id: str, upload: Upload, now: datetime) -> Import | None:
        """Claims an import for a processor and the object that was uploaded.

        Returns the import; None if it does not exist, has ended, is being stopped, or was claimed for another
        object. A processor can claim the same object again.
        """
        try:
            response = self._client.update_item(
                TableName=self._table,
                Key=record_key(import_id, IMPORT),
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
        split: Split,
        encoding: str,
        delimiter: str,
        header_record: int,
        column_map: ColumnMap,
        notes: Sequence[Note],
        now: datetime,
    ) -> None:
        """Records how the file was read and split; once, so that a second processor changes nothing."""
        self._update_open(
            import_id,
            "#total = :total, partitionCount = :partitions, batchRows = :rows, batchBytes = :bytes, "
            "splitDigest = :digest, layerVersion = :layer, #encoding = :encoding, "
            "delimiter = :delimiter, headerRecord = :header, columnMap = :columns, notes = :notes, "
            "deadline = :deadline",
            {
                ":total": total,
                ":partitions": split.partition_count,
                ":rows": split.limits.rows,
                ":bytes": split.limits.json_bytes,
                ":digest": split.digest,
                ":layer": split.layer,
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

    def set_sent(self, import_id: str, batches: int) -> None:
        """Notes that so many of the file's row batches, from the first on, are in the row queue."""
        self._update_open(import_id, "sentBatches = :sent", {":sent": batches})

    def fail(self, import_id: str, error: str, now: datetime) -> bool:
        """Fails an import of which no row was sent; False if it has ended, or rows were sent."""
        return self._end(
            import_id,
            Status.FAILED,
            Counts(),
            error,
            now,
            condition="attribute_not_exists(partitionCount)",
        )

    def set_failure(self, import_id: str, reason: str) -> None:
        """Records the reason in case the import ends without all of its rows."""
        self._update_open(import_id, "failure = :reason", {":reason": reason})

    def end_if_done(self, import_id: str, now: datetime) -> Import | None:
        """Ends an import if all its partitions are done; returns the ended import, or None if it did not end now.

        Call it after a partition ended: the call after the last partition sees all of them done.
        """
        job, partitions = self._read(import_id)
        if job is None or job.ended or job.partition_count is None:
            return None
        if sum(partition.done for partition in partitions) < job.partition_count:
            return None
        counts, error = job.counts, None
        missing = counts.total - counts.settled
        if missing:
            counts = replace(counts, failed=counts.failed + missing)
            reason = job.failure or "Some rows were lost."
            error = f"{reason} {missing:,} of {counts.total:,} rows were not imported. Import the file again."
        status = Status.FAILED if missing else Status.COMPLETED
        if not self._end(import_id, status, counts, error, now):
            return None
        return replace(job, status=status, counts=counts, error=error, completed_at=now)

    def overdue(self, now: datetime) -> Iterator[str]:
        """The ids of the imports that have not ended and are past their deadline, the longest overdue first.

        Pages are read when the caller gets to them.
        """
        return self._past_deadline(_OPEN, now)

    def unfollowed(self, now: datetime) -> Iterator[str]:
        """The ids of the imports that have ended, and that not everything has followed in time: as `overdue`."""
        return self._past_deadline(_REPORTING, now)

    def all_open(self) -> Iterator[str]:
        """The ids of the imports that have not ended, in no particular order. Pages as with `overdue`."""
        return self._of_open_index("", {":open": _OPEN})

    def all_unfollowed(self) -> Iterator[str]:
        """The ids of the imports that have ended, and that not everything has followed yet: as `all_open`."""
        return self._of_open_index("", {":open": _REPORTING})

    def ended_at(self, import_id: str) -> datetime | None:
        """When an import ended; None if it has not, or is gone, or its record cannot be read. Eventually consistent."""
        item = self._client.get_item(
            TableName=self._table,
            Key=record_key(import_id, IMPORT),
            ProjectionExpression="completedAt",
        ).get("Item", {})
        try:
            return datetime.fromisoformat(item["completedAt"]["S"]).astimezone(UTC)
        except (KeyError, OverflowError, ValueError):
            return None

    def _past_deadline(self, state: str, now: datetime) -> Iterator[str]:
        return self._of_open_index(
            " AND deadline < :now", {":open": state, ":now": int(now.timestamp())}
        )

    def _of_open_index(self, condition: str, values: Mapping[str, Value]) -> Iterator[str]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=OPEN_INDEX,
            KeyConditionExpression="#open = :open" + condition,
            ExpressionAttributeNames={"#open": "open"},
            ExpressionAttributeValues=to_item(values),
        )
        for page in pages:
            for item in page["Items"]:
                if item["record"]["S"] == IMPORT:
                    yield item["importId"]["S"]

    def postpone(self, import_id: str, deadline: datetime) -> int:
        """Moves an import's deadline, and so puts it behind the other overdue ones; returns how often that was
        done by now, 0 if it has ended, or has this deadline since the answer to a first try was lost."""
        try:
            updated = self._update(
                import_id,
                "deadline = :deadline, sweeps = if_not_exists(sweeps, :zero) + :one",
                {":deadline": int(deadline.timestamp()), ":zero": 0, ":one": 1, ":open": _OPEN},
                {"#open": "open"},
                condition="#open = :open AND deadline <> :deadline",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return 0
        return int(updated["sweeps"]["N"])

    def give_up(self, import_id: str, error: str, now: datetime) -> bool:
        """Ends an import of which nobody can say what it did; False if it has ended."""
        return self._end(import_id, Status.FAILED, Counts(), error, now)

    def follow_again(self, import_id: str, now: datetime) -> int:
        """Has everything done again that follows an import's end, unless it was done; returns how often by now,
        0 where it was done, or told of already since the answer to a first try was lost."""
        try:
            updated = self._update(
                import_id,
                "report = :due, deadline = :deadline, reportTries = if_not_exists(reportTries, :zero) + :one",
                {
                    ":due": REPORT_DUE,
                    ":deadline": _follow_deadline(now),
                    ":zero": 0,
                    ":one": 1,
                    ":reporting": _REPORTING,
                },
                {"#open": "open"},
                condition="#open = :reporting AND deadline <> :deadline",
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return 0
        return int(updated["reportTries"]["N"])

    def set_reported(self, import_id: str, now: datetime) -> None:
        """Notes that the report and the results are there that follow an import's end, so that it is shown."""
        self._update(
            import_id,
            "report = :shown, reportedAt = :now",
            {":shown": _REPORT_SHOWN, ":now": now.isoformat()},
            {},
            condition="attribute_exists(importId)",
        )

    def set_followed(self, import_id: str) -> None:
        """Notes that everything has followed an import's end."""
        self._update(
            import_id,
            "report = :done",
            {":done": _REPORT_DONE},
            {"#open": "open"},
            remove=("#open", "deadline"),
            condition="attribute_exists(importId)",
        )

    def _read(self, import_id: str) -> _StoredImport:
        items = self._items(import_id)
        jobs = [item for item in items if item["record"]["S"] == IMPORT]
        partitions = [item for item in items if item["record"]["S"].startswith(PARTITION_PREFIX)]
        job = _to_import(jobs[0], partitions) if jobs else None
        return _StoredImport(job, [to_partition(item) for item in partitions])

    def _items(self, import_id: str) -> list[Item]:
        """An import's item and its partitions', which sort after it, strongly consistent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="importId = :id AND #record >= :import",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues=to_item({":id": import_id, ":import": IMPORT}),
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def _end(
        self,
        import_id: str,
        status: Status,
        counts: Counts,
        error: str | None,
        now: datetime,
        condition: str | None = None,
    ) -> bool:
        values = _end_values(status, counts, error, now)
        return self._update_open(
            import_id,
            ", ".join(f"#{name} = :end_{name}" for name in values),
            {f":end_{name}": value for name, value in values.items()},
            {f"#{name}": name for name in values},
            condition=condition,
        )

    def _update_open(
        self,
        import_id: str,
        assignments: str,
        values: Mapping[str, Value],
        names: Mapping[str, str] | None = None,
        *,
        remove: Sequence[str] = (),
        condition: str | None = None,
    ) -> bool:
        """Updates an import that has not ended; False if it has, or the condition does not hold."""
        try:
            self._update(
                import_id,
                assignments,
                {**values, ":open": _OPEN},
                {**(names or {}), "#open": "open"},
                remove=remove,
                condition="#open = :open" + (f" AND {condition}" if condition else ""),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _update(
        self,
        import_id: str,
        assignments: str,
        values: Mapping[str, Value],
        names: Mapping[str, str],
        *,
        remove: Sequence[str] = (),
        condition: str,
    ) -> Item:
        """Updates an import; returns what was assigned. Where its item has no room left, the column map goes.

        The map is the only attribute that can be large, and an import must always have room to end.
        """
        arguments: _Update = {
            "TableName": self._table,
            "Key": record_key(import_id, IMPORT),
            "UpdateExpression": _expression(assignments, remove),
            "ConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ReturnValues": "UPDATED_NEW",
        }
        if names:
            arguments["ExpressionAttributeNames"] = names
        try:
            return self._client.update_item(**arguments).get("Attributes", {})
        except ClientError as error:
            if not is_item_too_large(error) or "columnMap" in assignments:
                raise
            arguments["UpdateExpression"] = _expression(assignments, (*remove, "columnMap"))
            return self._client.update_item(**arguments).get("Attributes", {})


def _end_values(
    status: Status, counts: Counts, error: str | None, now: datetime
) -> dict[str, Value]:
    """The attributes of an import that ends now."""
    return {
        "status": status.value,
        "counts": counts.as_dict(),
        "error": _shortened(error),
        "completedAt": now.isoformat(),
        "report": REPORT_DUE,
        "open": _REPORTING,
        "deadline": _follow_deadline(now),
    }


def _follow_deadline(now: datetime) -> int:
    return int(now.timestamp()) + REPORT_RETRY_SECONDS


def _expression(assignments: str, remove: Sequence[str]) -> str:
    return f"SET {assignments}" + (f" REMOVE {', '.join(remove)}" if remove else "")


def _to_import(item: Item, partitions: Sequence[Item]) -> Import:
    values = from_item(item)
    if "counts" in values:
        counts = Counts(**values["counts"])
    else:
        counts = Counts.of(values.get("total", 0), sum_counters(partitions))
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
            encoding=values.get("encodingOption"),
            header_record=values.get("headerRecord"),
        ),
        created_at=datetime.fromisoformat(values["createdAt"]).astimezone(UTC),
        counts=counts,
        upload=_to_upload(values["upload"]) if "upload" in values else None,
        dropped_key=values.get("droppedKey"),
        encoding=values.get("encoding"),
        split=_to_split(values),
        sent_batches=values.get("sentBatches", 0),
        failure=values.get("failure"),
        error=values.get("error"),
        completed_at=(
            datetime.fromisoformat(values["completedAt"]) if values.get("completedAt") else None
        ),
        reported="reportedAt" in values or values.get("report") == _REPORT_DONE,
        followed=values.get("report") == _REPORT_DONE,
        report_tries=values.get("reportTries", 0),
        notes=tuple(Note(note["code"], note["message"]) for note in values.get("notes", ())),
    )


def _to_split(values: Mapping[str, Any]) -> Split | None:
    """How a file was split, None where it was not yet.

    Raises ValueError if the number of partitions is absurd, because ending an import loops over them.
    """
    stored = values.get("partitionCount")
    if stored is None:
        return None
    if not 1 <= stored <= MAX_PARTITIONS:
        raise ValueError(f"an import has 1 to {MAX_PARTITIONS} partitions, not {stored}")
    return Split(
        stored,
        BatchLimits(
            values.get("batchRows", LIMITS_NOT_RECORDED.rows),
            values.get("batchBytes", LIMITS_NOT_RECORDED.json_bytes),
        ),
        values.get("splitDigest", ""),
        values.get("layerVersion", ""),
    )


def _to_upload(values: Mapping[str, Any]) -> Upload:
    return Upload(values["key"], values["etag"], values["size"], values["versionId"])


def _identity(upload: Upload) -> str:
    """Distinguishes an object from the next one with the same key."""
    return upload.version_id or upload.etag


def _shortened(error: str | None) -> str | None:
    if error is None or len(error) <= _MAX_ERROR_CHARS:
        return error
    return error[: _MAX_ERROR_CHARS - 1] + "…"


def _column_map_json(column_map: ColumnMap) -> str:
    return msgspec.json.encode(column_map.as_dict()).decode()
