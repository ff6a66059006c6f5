"""Errors that a person can get: of a request, of a file, of a row. `docs/api.md` documents every code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

FileErrorCode = Literal[
    "EMPTY_FILE",
    "UNREADABLE_FILE",
    "ENCODING_UNCERTAIN",
    "COLUMN_NOT_FOUND",
    "AMBIGUOUS_COLUMN",
    "HEADER_NOT_FOUND",
    "INVALID_HEADER",
]

RequestErrorCode = Literal[
    FileErrorCode,
    "UNAUTHENTICATED",
    "MISSING_SCOPE",
    "PROJECT_FORBIDDEN",
    "IMPORT_NOT_FOUND",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "PAYLOAD_TOO_LARGE",
    "NOT_MULTIPART",
    "NOT_JSON",
    "INVALID_MULTIPART",
    "MISSING_FIELD",
    "UNKNOWN_FIELD",
    "REPEATED_FIELD",
    "INVALID_FIELD",
    "INVALID_COLUMN_MAP",
    "INVALID_TAGS",
    "INVALID_JSON",
    "INVALID_PARAMETER",
    "INVALID_IDEMPOTENCY_KEY",
    "IDEMPOTENCY_CONFLICT",
    "IDEMPOTENCY_IN_PROGRESS",
    "REPORT_NOT_READY",
    "REPORT_NOT_FOUND",
    "INTERNAL_ERROR",
]

RowErrorCode = Literal[
    "invalid_email",
    "value_too_long",
    "damaged_value",
    "row_too_large",
    "too_many_cells",
    "malformed_quoting",
    "contact_too_large",
    "not_processed",
]


class RequestError(Exception):
    """A request, or the metadata of a dropped file, that is refused.

    `message` says what is wrong, where, and what to do, and carries nobody's data. `data` has the same for
    programs: `field` names the field to blame, where there is one. The API's status follows from the code.
    """

    def __init__(
        self, code: RequestErrorCode, message: str, *, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def field_error(code: RequestErrorCode, field_name: str, message: str) -> RequestError:
    """The refusal of one field of a request, by its name."""
    return RequestError(code, message, data={"field": field_name})


class FileError(Exception):
    """A file that cannot be imported, however it was sent. Nothing is imported from it."""

    def __init__(self, code: FileErrorCode, message: str, *, data: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class RowError(msgspec.Struct, frozen=True):
    """Why a row is `failed`. `field` is the column map's key, if one cell is the cause."""

    row: int
    code: RowErrorCode
    message: str
    field: str | None = None


def not_processed(row: int) -> RowError:
    """The error of a row that is valid but could not be processed."""
    return RowError(row, "not_processed", "The row could not be processed. Import it again.")


class SplitChangedError(Exception):
    """An import's file does not give the row batches any more that its import began with: the code has changed, and no
    batch may be mixed with those of before."""
