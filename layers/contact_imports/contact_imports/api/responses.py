"""The API's error responses: the only place that knows their HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from aws_lambda_powertools.event_handler import Response, content_types

from contact_imports.api.access import UnauthenticatedError
from contact_imports.model.errors import FileErrorCode, RequestError, RequestErrorCode

STATUSES: Mapping[RequestErrorCode, int] = {
    **dict.fromkeys(get_args(FileErrorCode), 400),
    "NOT_MULTIPART": 400,
    "NOT_JSON": 400,
    "INVALID_MULTIPART": 400,
    "INVALID_JSON": 400,
    "MISSING_FIELD": 400,
    "UNKNOWN_FIELD": 400,
    "REPEATED_FIELD": 400,
    "INVALID_FIELD": 400,
    "INVALID_COLUMN_MAP": 400,
    "INVALID_TAGS": 400,
    "INVALID_PARAMETER": 400,
    "INVALID_IDEMPOTENCY_KEY": 400,
    "UNAUTHENTICATED": 401,
    "MISSING_SCOPE": 403,
    "PROJECT_FORBIDDEN": 403,
    "IMPORT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "REPORT_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "IDEMPOTENCY_CONFLICT": 409,
    "IDEMPOTENCY_IN_PROGRESS": 409,
    "REPORT_NOT_READY": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "INTERNAL_ERROR": 500,
}
"""The status of each code."""

_RETRY_AFTER_SECONDS: Mapping[RequestErrorCode, int] = {
    "IDEMPOTENCY_IN_PROGRESS": 1,
    "REPORT_NOT_READY": 1,
}
REQUEST_ID_HEADER = "X-Request-Id"
_CHALLENGE = 'Bearer realm="contact-imports"'


def refusal(
    error: RequestError, headers: Mapping[str, str] | None = None
) -> Response[dict[str, Any]]:
    """The response to a refused request, in the contract's ApiError shape, with the headers of its code and those given."""
    answer: dict[str, Any] = {"success": False, "error": error.message, "code": error.code}
    if error.data:
        answer["data"] = dict(error.data)
    return Response(
        STATUSES[error.code],
        content_types.APPLICATION_JSON,
        answer,
        headers={**_headers(error), **(headers or {})},
    )


def _headers(error: RequestError) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        # RFC 6750, 3.1: without a key, no error is named.
        invalid = ', error="invalid_token"' if error.key_sent else ""
        return {"WWW-Authenticate": _CHALLENGE + invalid}
    seconds = _RETRY_AFTER_SECONDS.get(error.code)
    return {} if seconds is None else {"Retry-After": str(seconds)}
