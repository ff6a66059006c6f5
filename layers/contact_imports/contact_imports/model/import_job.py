"""An import: its options, its progress and its end."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnBlank, OnConflict, Outcome
from contact_imports.model.notes import Note

UPLOAD_DEADLINE_SECONDS = 8 * 3600
"""How long an import may be without a checked file before it is failed. Above the time that the template
gives the processor: six hours in which Lambda may still start it, three tries, and the tries of recording its
failure."""

PRESIGNED_POST_SECONDS = 3600
"""How long a presigned POST is valid. S3 compares the time at which a request begins."""

SLOWEST_UPLOAD_SECONDS = 4 * 3600
"""How long the upload of the largest file may take: 5 GiB at 3 Mbit/s."""

PENDING_DEADLINE_SECONDS = PRESIGNED_POST_SECONDS + SLOWEST_UPLOAD_SECONDS + UPLOAD_DEADLINE_SECONDS
"""How long an import may be pending: until the presigned POST expires, while the file is uploaded, and until the
processor has had its time."""

REPORT_SECONDS = 15 * 60
"""How long an import that has ended waits for its failed-rows report before its end is shown without."""

REPORT_RETRY_SECONDS = 3600
"""How long after an import's end, or after the last try, the schedule has done again what follows the end. The
stream's own tries of one report are over by then."""

REPORT_TRIES = 3
"""How many times the schedule has an import's report tried again. The last of these goes without the report."""

FOLLOW_TRIES = 6
"""How many times it has everything tried again that follows an end. Then the end counts as followed."""

IMPORT_DEADLINE_SECONDS = 26 * 3600
"""How long an import may run after its file was checked before what is left of it is failed. Above the
row queue's retention, so that no row of it can still be under way."""

_ID_TIME_BYTES, _ID_RANDOM_BYTES = 4, 8


class Status(StrEnum):
    """The state of an import. The first two are open, the others are final."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the sender chose. If the column map, the delimiter, the encoding (the name of Python's codec) or
    `header_record` (the header's record number, from 1) is None, it is found in the file."""

    column_map: ColumnMap | None
    on_conflict: OnConflict = OnConflict.UPSERT
    delimiter: str | None = ","
    tags: tuple[str, ...] = ()
    on_blank: OnBlank = OnBlank.KEEP
    dry_run: bool = False
    encoding: str | None = None
    header_record: int | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """One object, identified by its ETag (without quotes), and by its version if the bucket has versions. `size` is in
    bytes."""

    key: str
    etag: str
    size: int
    version_id: str | None = None


class BatchLimits(NamedTuple):
    """The most rows of a row batch, and the most bytes of its rows as JSON."""

    rows: int
    json_bytes: int


LIMITS_NOT_RECORDED = BatchLimits(1_000, 250_000)
"""Of an import that was split before limits were recorded."""


@dataclass(frozen=True, slots=True)
class Split:
    """How an import's file was split, so that it can be split again in the same way after an upgrade.

    `digest` identifies the row batches that were made (`files.split.SplitDigest`); `layer` is the version of the
    code that made them. Both are empty if they were not recorded.
    """

    partition_count: int
    limits: BatchLimits = LIMITS_NOT_RECORDED
    digest: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows the file has, and how many have each result so far."""

    total: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def settled(self) -> int:
        """The number of rows that have a result."""
        return self.created + self.updated + self.skipped + self.failed

    @classmethod
    def of(cls, total: int, outcomes: Mapping[Outcome, int]) -> Counts:
        """Counts of rows by outcome."""
        return cls(total, **{outcome.value: outcomes.get(outcome, 0) for outcome in Outcome})

    def as_dict(self) -> dict[str, int]:
        """The `counts` of the contract."""
        return {
            "total": self.total,
            "created": self.created,
            "updated": self.updated,
            "skipped": self.skipped,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Import:
    """One import. `split` is None until its file was checked, `upload` until a processor claimed it.
    `sent_batches` says how many of the file's row batches are surely in the row queue, from the first on.

    `dropped_key` is the object that was dropped into the bucket, None for the API's imports. `reported`
    says that the report and the results are there that follow its end, `followed` that the event was sent as
    well, `report_tries` how often the schedule had all this done again; `notes` are what was skipped and chosen in the file.
    """

    id: str
    project_id: str
    status: Status
    options: ImportOptions
    created_at: datetime
    counts: Counts = Counts()
    upload: Upload | None = None
    dropped_key: str | None = None
    encoding: str | None = None
    split: Split | None = None
    sent_batches: int = 0
    failure: str | None = None
    error: str | None = None
    completed_at: datetime | None = None
    reported: bool = False
    followed: bool = False
    report_tries: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def partition_count(self) -> int | None:
        """Its number of partitions, None until its file was checked."""
        return self.split.partition_count if self.split else None

    @property
    def ended(self) -> bool:
        """Whether status and counts are final."""
        return self.status in (Status.COMPLETED, Status.FAILED)

    def end_is_shown(self, now: datetime) -> bool:
        """Whether it has ended, and the report of its failed rows is there or no longer expected."""
        if not self.ended or self.completed_at is None:
            return False
        waiting = bool(self.counts.failed) and not self.reported
        return not waiting or now - self.completed_at > timedelta(seconds=REPORT_SECONDS)

    def as_api(self, now: datetime) -> dict[str, Any]:
        """The `data` of the contract's ApiResponseContactImportStatus.

        While its report is being written, an import is still `processing`, so that the report is there when it has ended.
        """
        shown = self.end_is_shown(now)
        return {
            "object": "contact_import",
            "id": self.id,
            "status": (Status.PROCESSING if self.ended and not shown else self.status).value,
            "counts": self.counts.as_dict(),
            "error": self.error if shown else None,
            "created_at": iso(self.created_at),
            "completed_at": iso(self.completed_at) if self.completed_at and shown else None,
        }


def new_import_id(now: datetime) -> str:
    """24 hex digits, like an ObjectId: the time in seconds, then random bytes."""
    seconds = int(now.timestamp()).to_bytes(_ID_TIME_BYTES, "big")
    return (seconds + secrets.token_bytes(_ID_RANDOM_BYTES)).hex()


def object_identity(bucket: str, upload: Upload) -> str:
    """What an object is: the same however often it is told of; the next one under its key has another."""
    identity = "\0".join((bucket, upload.key, upload.version_id or upload.etag))
    return hashlib.sha256(identity.encode()).hexdigest()


def import_time(import_id: str) -> datetime:
    """When the import of this id was made."""
    return datetime.fromtimestamp(int(import_id[: _ID_TIME_BYTES * 2], 16), UTC)


def iso(moment: datetime) -> str:
    """A time as the API gives it: ISO 8601, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
