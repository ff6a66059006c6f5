"""The paths of the API, as Powertools writes them, and their methods."""

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
    """The methods of a path; none if the path does not exist."""
    for pattern, methods in _PATTERNS:
        if pattern.fullmatch(path):
            return methods
    return ()
