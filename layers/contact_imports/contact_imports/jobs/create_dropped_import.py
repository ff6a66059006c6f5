"""An object that was dropped into the bucket becomes an import."""

from __future__ import annotations

from datetime import datetime

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import (
    Import,
    ImportOptions,
    Status,
    Upload,
    dropped_import_id,
)
from contact_imports.model.options import parse_options

_METADATA = {
    "column-map": "columnMap",
    "on-conflict": "onConflict",
    "on-blank": "onBlank",
    "delimiter": "delimiter",
    "tags": "tags",
    "dry-run": "dryRun",
}
"""An object's metadata and the API's field of the same meaning; other metadata is nobody's business here."""


def record_dropped(
    upload: Upload, project_id: str, uploads: Uploads, imports: ImportTable, now: datetime
) -> str:
    """Records the import of a dropped object, unless that was done; returns its id.

    Where its metadata cannot be understood the import has failed, saying why. Raises UploadGoneError.
    """
    details = uploads.details(upload)
    import_id = dropped_import_id(details.made, uploads.bucket, upload)
    texts = {
        field: details.metadata[name]
        for name, field in _METADATA.items()
        if name in details.metadata
    }
    refusal = None
    try:
        options = parse_options(texts)
    except RequestError as error:
        refusal = error.message
        options = ImportOptions(None, delimiter=None)
    job = Import(import_id, project_id, Status.PROCESSING, options, now, dropped_key=upload.key)
    imports.create(job, now)
    if refusal:
        imports.fail(import_id, f"The object's metadata: {refusal}", now)
    return import_id
