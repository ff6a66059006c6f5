"""The paths of the API, in the form that Powertools takes, and the methods of each."""

from __future__ import annotations

import re

IMPORTS_PATH = "/v1/contacts/imports"
UPLOADS_PATH = f"{IMPORTS_PATH}/uploads"
IMPORT_PATH = f"{IMPORTS_PATH}/<id>"
ERRORS_PATH = f"{IMPORT_PATH}/errors"
FAILED_ROWS_PATH = f"{IMPORT_PATH}/failed-rows"
OPENAPI_PATH = "/v1/openapi.json"

METHODS = {
    IMPORTS_PATH: ("GET", "POST"),
    # Before IMPORT_PATH, which would take "uploads" for an import's id.
    UPLOADS_PATH: ("POST",),
    IMPORT_PATH: ("GET",),
    ERRORS_PATH: ("GET",),
    FAILED_ROWS_PATH: ("GET",),
    OPENAPI_PATH: ("GET",),
}

_PATTERNS = [
    (re.compile(path.replace(".", r"\.").replace("<id>", "[^/]+")), methods)
    for path, methods in METHODS.items()
]


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that a request's path takes; none where there is no such path."""
    for pattern, methods in _PATTERNS:
        if pattern.fullmatch(path):
            return methods
    return ()
