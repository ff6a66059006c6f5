"""Creates the import of an object that was dropped into the bucket, or writes a result that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.metrics import Metric, emit
from contact_imports.aws.report_files import ReportFiles, misplaced_result_key
from contact_imports.aws.uploads_bucket import UploadRefusedError, Uploads, decoded_metadata
from contact_imports.messages.option_fields import OptionFields, field_names, parse_fields
from contact_imports.model.errors import RequestError, field_error
from contact_imports.model.import_job import (
    Counts,
    Import,
    ImportOptions,
    Status,
    Upload,
    iso,
    new_import_id,
    object_identity,
)
from contact_imports.model.spelling import nearest, shown

_FIELDS = {name.lower(): name for name in field_names(OptionFields)}
"""The API's name of each option, by its name in metadata without '-' and '_'. S3 stores metadata in lower case:
`onConflict` arrives as `onconflict`, and `on-conflict` means the same."""

_PROJECT = "projectid"

_OTHER_NAMES = {
    name: option
    for option, names in {
        "columnmap": ("mapping", "columnmapping", "fieldmap", "fieldmapping", "fieldsmap"),
        "delimiter": ("separator", "sep", "delim", "fieldseparator", "columnseparator", "csvseparator"),
        "dryrun": ("dry", "simulate", "testrun", "validateonly"),
        "encoding": ("charset", "characterset", "codepage"),
        "onblank": ("blanks", "emptycells", "onempty"),
        "onconflict": (
            *("onduplicate", "onduplicates", "duplicates", "onexisting", "ifexists", "overwrite", "upsert"),
            *("skipexisting", "updateexisting"),
        ),
    }.items()
    for name in names
}  # fmt: skip
"""What other programs call an option, and which one it is."""

_HTTP_NAMES = {"contentencoding", "transferencoding"}
"""Metadata that has an option's name in it and is none: headers that some programs store as metadata."""

_S3_PREFIX = "xamzmeta"
"""Written twice by who gives S3's header to a client that adds it."""


def record_dropped(
    upload: Upload, project_id: str, uploads: Uploads, imports: ImportTable, now: datetime
) -> str:
    """Records the import of a dropped object, unless it is recorded already; returns its id.

    Where the object cannot be read, or its metadata cannot be understood, the import has failed, saying why. Raises
    UploadGoneError.
    """
    try:
        options = read_metadata(uploads.metadata(upload), project_id)
    except RequestError as error:
        reason = f"The object's metadata: {error.message}"
        return record_failed(upload, project_id, uploads.bucket, reason, imports, now)
    except UploadRefusedError as error:
        return record_failed(upload, project_id, uploads.bucket, str(error), imports, now)
    import_id = id_of_dropped(upload, uploads.bucket, imports, now)
    job = Import(import_id, project_id, Status.PROCESSING, options, now, dropped_key=upload.key)
    _record(job, imports, now)
    return import_id


def record_failed(
    upload: Upload, project_id: str, bucket: str, reason: str, imports: ImportTable, now: datetime
) -> str:
    """Records the import of a dropped object as failed, unless it was recorded; returns its id. Asks S3 for nothing.

    In one write: an open import without the object's options must never be seen, for it could be started.
    """
    import_id = id_of_dropped(upload, bucket, imports, now)
    job = Import(
        import_id,
        project_id,
        Status.FAILED,
        ImportOptions(None, delimiter=None),
        now,
        dropped_key=upload.key,
        error=reason,
    )
    _record(job, imports, now)
    return import_id


def _record(job: Import, imports: ImportTable, now: datetime) -> None:
    """Records an import unless it is recorded already. It is counted here, since the processor may fail later."""
    if imports.create(job, now):
        emit({Metric.IMPORTS_ACCEPTED: 1})


def id_of_dropped(upload: Upload, bucket: str, imports: ImportTable, now: datetime) -> str:
    """The id of a dropped object's import, the same each time, whether or not the import is recorded."""
    return imports.id_of_dropped(object_identity(bucket, upload), new_import_id(now))


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


def _option_in(joined: str) -> str | None:
    """The option that is part of a name, such as `x-amz-meta-dryRun` or `import_on_conflict`."""
    if joined in _HTTP_NAMES:
        return None
    if joined.startswith(_S3_PREFIX):
        return nearest(joined.removeprefix(_S3_PREFIX), _FIELDS)
    long = (one for one in _FIELDS if one != "tags" and one in joined)
    return next(long, None)


def _check_unknown(name: str, joined: str, stored: str, project_id: str) -> None:
    if joined == _PROJECT:
        if stored != project_id:
            message = (
                "projectId is not the project in the object's key. Put the object under drop/PROJECT_ID/ of the "
                "right project, or leave projectId out."
            )
            raise field_error("INVALID_FIELD", "projectId", message)
        return
    meant = _OTHER_NAMES.get(joined) or nearest(joined, _FIELDS) or _option_in(joined)
    if meant is not None:
        message = (
            f"{shown(name)} looks like an option, but is not one. Did you mean '{_FIELDS[meant]}'?"
        )
        raise RequestError("UNKNOWN_FIELD", message)
