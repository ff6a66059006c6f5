"""Creates an import from a request: records it and stores its file, or returns a presigned POST for the file."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.model.errors import FileError, RequestError
from contact_imports.model.import_job import Import, ImportOptions, Status, iso, new_import_id


def create_import(
    project_id: str,
    options: ImportOptions,
    file: bytes | None,
    imports: ImportTable,
    uploads: Uploads,
    now: datetime,
) -> dict[str, Any]:
    """Records an import, then stores its file; S3's event about the file starts the processor. Without a file,
    the answer has a presigned POST to upload it with.

    Returns the `data` of the answer. Raises RequestError if the file's header does not fit the options;
    then nothing was recorded.
    """
    if file is not None:
        try:
            _check_header(file, options)
        except FileError as error:
            data = {"field": "file", **(error.data or {})}
            raise RequestError(error.code, error.message, data=data) from None
    status = Status.PENDING if file is None else Status.PROCESSING
    job = Import(new_import_id(now), project_id, status, options, now)
    imports.create(job, now)
    answer: dict[str, Any] = {
        "object": "contact_import",
        "id": job.id,
        "status": job.status.value,
    }
    if file is not None:
        uploads.put(job.project_id, job.id, file)
        return answer
    upload = uploads.presigned_post(job.project_id, job.id, now)
    return answer | {
        "upload": {
            "url": upload.url,
            "fields": dict(upload.fields),
            "max_bytes": upload.max_bytes,
            "expires_at": iso(upload.expires_at),
        }
    }


def _check_header(content: bytes, options: ImportOptions) -> None:
    # Here, since most requests ask for an import's status, and have no file.
    from contact_imports.files.contact_file import check_contact_file
    from contact_imports.files.plain_file import PlainFile

    check_contact_file(
        lambda: PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)), options
    )
