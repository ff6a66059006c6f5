"""The environment variables of each function, which the template sets."""

from __future__ import annotations

import os
from typing import Self

import msgspec


class _Environment(msgspec.Struct, frozen=True):
    @classmethod
    def read(cls) -> Self:
        """Reads the process's environment; raises msgspec.ValidationError, which names a missing variable."""
        return msgspec.convert(dict(os.environ), cls)


class ApiEnvironment(_Environment, frozen=True):
    """The variables of the api function."""

    API_KEYS_TABLE: str
    IDEMPOTENCY_TABLE: str
    IMPORTS_TABLE: str
    UPLOADS_BUCKET: str


class ProcessorEnvironment(_Environment, frozen=True):
    """The variables of the processor function."""

    IMPORTS_TABLE: str
    ROW_QUEUE_URL: str
    TAGS_TABLE: str
    UPLOADS_BUCKET: str
    LAYER_VERSION: str = ""


class RowBatchEnvironment(_Environment, frozen=True):
    """The variables of the row_batch function."""

    CONTACTS_TABLE: str
    DRY_RUN_CONTACTS_TABLE: str
    IMPORTS_TABLE: str
    ROW_QUEUE_URL: str


class DeadLetterEnvironment(_Environment, frozen=True):
    """The variables of the dead_letter function."""

    CONTACTS_TABLE: str
    DEAD_LETTER_QUEUE_URL: str
    DRY_RUN_CONTACTS_TABLE: str
    IMPORTS_TABLE: str
    PROCESSOR_FAILURES_QUEUE_ARN: str
    PROCESSOR_FAILURES_QUEUE_URL: str
    ROW_QUEUE_URL: str
    UPLOADS_BUCKET: str


class ImportEndedEnvironment(_Environment, frozen=True):
    """The variables of the import_ended function."""

    EVENT_BUS_NAME: str
    IMPORTS_TABLE: str
    STACK_NAME: str
    UPLOADS_BUCKET: str
    LAYER_VERSION: str = ""
