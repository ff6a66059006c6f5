"""An import: what was asked for, how far it is, how it ended."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from contact_imports.column_map import ColumnMap
from contact_imports.contact import OnConflict, Outcome

UPLOAD_DEADLINE_SECONDS = 2 * 3600
"""How long an import may be without a checked file before it is failed: the upload never came, or no
processor ever got to it. Above what the template gives the processor to try."""

IMPORT_DEADLINE_SECONDS = 26 * 3600
"""How long an import may run after its file was checked before what is left of it is failed. Above the
row queue's retention, so that no row of it can still be under way."""

_ID_TIME_BYTES, _ID_RANDOM_BYTES = 4, 8


class Status(StrEnum):
    """Where an import is; the first two are open, the others its end."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the sender chose."""

    column_map: ColumnMap
    on_conflict: OnConflict = OnConflict.UPSERT
    delimiter: str = ","
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of the file, and what became of them so far."""

    total: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def settled(self) -> int:
        """Rows that have an outcome."""
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
    """One import job. `partitions` is None until its file has been checked; `etag` until it was claimed."""

    id: str
    project_id: str
    status: Status
    options: ImportOptions
    created_at: datetime
    counts: Counts = Counts()
    etag: str | None = None
    encoding: str | None = None
    partitions: int | None = None
    failure: str | None = None
    error: str | None = None
    completed_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether status and counts are final."""
        return self.status in (Status.COMPLETED, Status.FAILED)

    def as_api(self) -> dict[str, Any]:
        """The `data` of the contract's ApiResponseContactImportStatus."""
        return {
            "object": "contact_import",
            "id": self.id,
            "status": self.status.value,
            "counts": self.counts.as_dict(),
            "error": self.error,
            "created_at": _iso(self.created_at),
            "completed_at": _iso(self.completed_at) if self.completed_at else None,
        }


def new_import_id(now: datetime) -> str:
    """24 hex digits, like an ObjectId: the time in seconds, then random bytes."""
    seconds = int(now.timestamp()).to_bytes(_ID_TIME_BYTES, "big")
    return (seconds + secrets.token_bytes(_ID_RANDOM_BYTES)).hex()


def import_time(import_id: str) -> datetime:
    """When the import of this id was made."""
    return datetime.fromtimestamp(int(import_id[: _ID_TIME_BYTES * 2], 16), UTC)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
