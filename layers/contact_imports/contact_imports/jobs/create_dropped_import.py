"""Creates the import of an object that was dropped into the bucket, or writes a result that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.report_files import ReportFiles, misplaced_result_key
from contact_imports.aws.uploads_bucket import Uploads, decoded_metadata
from contact_imports.messages.option_fields import OptionFields, field_names, parse_fields
from contact_imports.model.errors import RequestError, field_error
from contact_imports.model.import_job import (
    Counts,
    Import,
    ImportOptions,
    Status,
    Upload,
    dropped_import_id,
    iso,
)
from contact_imports.model.spelling import nearest, shown

_FIELDS = {name.lower(): name for name in field_names(OptionFields)}
"""The API's name of each option, by its name in metadata without '-' and '_'. S3 stores metadata in lower case:
`onConflict` arrives as `onconflict`, and `on-conflict` means the same."""

_PROJECT = "projectid"


def record_dropped(
    upload: Upload, project_id: str, uploads: Uploads, imports: ImportTable, now: datetime
) -> str:
    """Records the import of a dropped object, unless it is recorded already; returns its id.

    If its metadata is invalid, the import is failed with the reason. Raises UploadGoneError.
    """
    details = uploads.details(upload)
    import_id = dropped_import_id(details.made, uploads.bucket, upload)
    refusal = None
    try:
        options = read_metadata(details.metadata, project_id)
    except RequestError as error:
        refusal = error.message
        options = ImportOptions(None, delimiter=None)
    job = Import(import_id, project_id, Status.PROCESSING, options, now, dropped_key=upload.key)
    imports.create(job, now)
    if refusal:
        imports.fail(import_id, f"The object's metadata: {refusal}", now)
    return import_id


def read_metadata(metadata: Mapping[str, str], project_id: str) -> ImportOptions:
    """The options in an object's metadata, as S3 returns it. Other metadata is ignored.

    Raises RequestError if a value is invalid, a name looks like an option but is not one, or an option has two
    different values, so that no option is ever ignored.
    """
    values: dict[str, str] = {}
    for name, stored in metadata.items():
        joined = name.lower().replace("-", "").replace("_", "")
        field = _FIELDS.get(joined)
        if field is None:
            _check_unknown(name, joined, stored, project_id)
            continue
        try:
            value = decoded_metadata(stored)
        except ValueError as error:
            message = f"{field} cannot be read: {error}. Send it as plain text."
            raise field_error("INVALID_FIELD", field, message) from None
        if values.setdefault(field, value) != value:
            message = f"{field} has two spellings with different values. Send one of them."
            raise field_error("REPEATED_FIELD", field, message)
    return parse_fields(OptionFields, values).options


def refuse_misplaced(upload: Upload, reports: ReportFiles, now: datetime) -> bool:
    """Writes a result for an object that was dropped outside of every project: it says why it is not imported.

    False if the object is a folder's marker or not a dropped file. Safe to repeat.
    """
    key = misplaced_result_key(upload.key)
    if key is None:
        return False
    result = {
        "object": "contact_import",
        "id": None,
        "status": Status.FAILED.value,
        "counts": Counts().as_dict(),
        "error": "The file was not imported: its key names no project. Put it under drop/PROJECT_ID/, where "
        "PROJECT_ID is 1 to 64 letters, digits, '-' or '_'.",
        "created_at": iso(now),
        "completed_at": iso(now),
    }
    reports.put_result(key, msgspec.json.encode(result))
    return True


def _check_unknown(name: str, joined: str, stored: str, project_id: str) -> None:
    if joined == _PROJECT:
        if stored != project_id:
            message = (
                "projectId is not the project in the object's key. Put the object under drop/PROJECT_ID/ of the "
                "right project, or leave projectId out."
            )
            raise field_error("INVALID_FIELD", "projectId", message)
        return
    meant = nearest(joined, _FIELDS)
    if meant is not None:
        message = (
            f"{shown(name)} looks like an option, but is not one. Did you mean '{_FIELDS[meant]}'?"
        )
        raise RequestError("UNKNOWN_FIELD", message)
