"""What the template gives each function in its environment."""

from __future__ import annotations

import os
from typing import Self

from pydantic import BaseModel, ConfigDict


class _Environment(BaseModel):
    model_config = ConfigDict(frozen=True)

    @classmethod
    def read(cls) -> Self:
        """Reads the process's environment; raises ValidationError naming what is missing."""
        return cls.model_validate(dict(os.environ))


class ApiEnvironment(_Environment):
    """Of the api function."""

    API_KEYS_TABLE: str
    IDEMPOTENCY_TABLE: str
    IMPORTS_TABLE: str
    UPLOADS_BUCKET: str


class ProcessorEnvironment(_Environment):
    """Of the processor function."""

    IMPORTS_TABLE: str
    ROW_QUEUE_URL: str
    TAGS_TABLE: str
    UPLOADS_BUCKET: str


class RowBatchEnvironment(_Environment):
    """Of the row_batch function."""

    CONTACTS_TABLE: str
    DRY_RUN_CONTACTS_TABLE: str
    IMPORTS_TABLE: str


class DeadLetterEnvironment(_Environment):
    """Of the dead_letter function."""

    CONTACTS_TABLE: str
    DRY_RUN_CONTACTS_TABLE: str
    IMPORTS_TABLE: str
    PROCESSOR_FAILURES_QUEUE_ARN: str
    ROW_QUEUE_URL: str
    UPLOADS_BUCKET: str


class ImportEndedEnvironment(_Environment):
    """Of the import_ended function."""

    EVENT_BUS_NAME: str
    IMPORTS_TABLE: str
    UPLOADS_BUCKET: str
