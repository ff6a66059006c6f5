"""What a request to the API asks for, once it is parsed."""

from __future__ import annotations

import io
from datetime import datetime

from contact_imports.api_keys import ApiKey, ApiKeyTable, Scope
from contact_imports.column_map import find_columns
from contact_imports.csv_rows import read_header, read_in_encoding, read_records
from contact_imports.errors import FileError, RequestError
from contact_imports.import_form import ImportForm, parse_form
from contact_imports.import_job import Import, Status, new_import_id
from contact_imports.import_table import ImportTable
from contact_imports.uploads import Uploads

_CHALLENGE = 'Bearer realm="contact-imports"'


def authenticate(authorization: str | None, scope: Scope, keys: ApiKeyTable) -> ApiKey:
    """The key of a request; raises RequestError 401 without a valid one, 403 where it lacks the scope."""
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise RequestError(
            401,
            "UNAUTHENTICATED",
            "Send an API key in the header 'Authorization: Bearer YOUR_API_KEY'.",
            headers={"WWW-Authenticate": _CHALLENGE},
        )
    key = keys.find(credentials.strip())
    if key is None:
        raise RequestError(
            401,
            "UNAUTHENTICATED",
            "The API key is unknown or revoked. Use another one.",
            headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'},
        )
    if scope not in key.scopes:
        raise RequestError(
            403,
            "MISSING_SCOPE",
            f"The API key lacks the scope {scope.value}. Use one that has it.",
            data={"scope": scope.value},
        )
    return key


def create_import(
    key: ApiKey,
    content_type: str | None,
    body: bytes,
    imports: ImportTable,
    uploads: Uploads,
    now: datetime,
) -> Import:
    """Accepts an upload: records its import, then stores the file, whose event starts the processor.

    Raises RequestError (400, 403, 413); then nothing was recorded.
    """
    form = parse_form(content_type, body)
    if form.project_id not in key.projects:
        raise RequestError(
            403,
            "PROJECT_FORBIDDEN",
            "The API key may not use this project. Use a key of the project.",
            data={"projectId": form.project_id},
        )
    try:
        _check_header(form)
    except FileError as error:
        data = {"field": "file", **(error.data or {})}
        raise RequestError(400, error.code, error.message, data=data) from None
    job = Import(new_import_id(now), form.project_id, Status.PROCESSING, form.options, now)
    imports.create(job, now)
    uploads.put(job.project_id, job.id, form.file)
    return job


def get_import(key: ApiKey, import_id: str, imports: ImportTable) -> Import:
    """The import of this id; raises RequestError 404 where there is none that the key may see."""
    job = imports.get(import_id)
    if job is None or job.project_id not in key.projects:
        raise import_not_found()
    return job


def import_not_found() -> RequestError:
    """What is said of an import that does not exist, or is another project's, or has a malformed id."""
    message = "There is no such import among this key's projects. Check the id."
    return RequestError(404, "IMPORT_NOT_FOUND", message)


def _check_header(form: ImportForm) -> None:
    def check(encoding: str) -> None:
        records = read_records(io.BytesIO(form.file), encoding, form.options.delimiter)
        find_columns(form.options.column_map, read_header(records))

    read_in_encoding(form.file, check)
