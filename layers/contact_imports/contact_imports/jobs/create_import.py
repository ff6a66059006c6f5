"""What a request to the API asks for, once it is parsed."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from contact_imports.api.requests import ImportForm
from contact_imports.aws.api_keys_table import ApiKey, ApiKeyTable, Scope
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.files.contact_file import check_contact_file
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.errors import FileError, RequestError
from contact_imports.model.import_job import Import, ImportOptions, Status, iso, new_import_id

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
    form: ImportForm, imports: ImportTable, uploads: Uploads, now: datetime
) -> dict[str, Any]:
    """Accepts a request: records its import, then stores the file, whose event starts the processor; or
    gives out a form for it, with which the sender does that.

    Returns the `data` of the answer. Raises RequestError 400; then nothing was recorded.
    """
    if form.file is not None:
        try:
            _check_header(form.file, form.options)
        except FileError as error:
            data = {"field": "file", **(error.data or {})}
            raise RequestError(400, error.code, error.message, data=data) from None
    status = Status.PENDING if form.file is None else Status.PROCESSING
    job = Import(new_import_id(now), form.project_id, status, form.options, now)
    imports.create(job, now)
    answer: dict[str, Any] = {
        "object": "contact_import",
        "id": job.id,
        "status": job.status.value,
    }
    if form.file is not None:
        uploads.put(job.project_id, job.id, form.file)
        return answer
    upload = uploads.form(job.project_id, job.id, now)
    return answer | {
        "upload": {
            "url": upload.url,
            "fields": dict(upload.fields),
            "max_bytes": upload.max_bytes,
            "expires_at": iso(upload.expires_at),
        }
    }


def request_identity(form: ImportForm) -> str:
    """A hash of what a request asks for, however its body was written."""
    file = None if form.file is None else hashlib.sha256(form.file).hexdigest()
    text = json.dumps([form.project_id, asdict(form.options), file], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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


def check_project(key: ApiKey, project_id: str) -> None:
    """Raises RequestError 403 where the key may not use a project."""
    if project_id not in key.projects:
        raise RequestError(
            403,
            "PROJECT_FORBIDDEN",
            "The API key may not use this project. Use a key of the project.",
            data={"projectId": project_id},
        )


def _check_header(content: bytes, options: ImportOptions) -> None:
    check_contact_file(
        lambda: PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)), options
    )
