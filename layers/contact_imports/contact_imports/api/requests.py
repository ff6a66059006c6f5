"""The request of CreateContactImport, as it is sent and as it is meant: a form, JSON, or an object's metadata."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from multipart import MultipartError, MultipartParser, parse_options_header
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contact_imports.api.paths import IMPORTS_PATH, UPLOADS_PATH
from contact_imports.model.errors import RequestError, RequestErrorCode
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.limits import MAX_FIELD_BYTES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from contact_imports.model.options import field_refusal, parse_options

_FIELDS = ("file", "projectId", "columnMap", "onConflict", "onBlank", "delimiter", "tags", "dryRun")
_MAX_PARTS = 32
# Part of an S3 key and of DynamoDB keys, so that no other character needs escaping there.
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ImportFields(BaseModel):
    """The fields of a request, without its file: as JSON, or each as text in a form."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    projectId: Annotated[str, Field(description="Project ID")]
    columnMap: Annotated[
        str | dict[str, Any],
        Field(
            description="JSON string mapping subscriber fields to CSV header names, or the object"
        ),
    ]
    onConflict: Annotated[
        Literal["skip", "upsert"],
        Field(description="How to handle rows whose email already exists."),
    ] = "upsert"
    delimiter: Annotated[str, Field(description="CSV field delimiter.")] = ","
    tags: Annotated[
        str | list[str],
        Field(description="Tag names to apply to every imported contact, as an array or as text."),
    ] = ""
    onBlank: Annotated[
        Literal["keep", "clear"],
        Field(description="Whether a blank cell leaves or removes the value that is there."),
    ] = "keep"
    dryRun: Annotated[
        bool | Literal["true", "false"],
        Field(description="Whether to count and report only, without changing anything."),
    ] = False


@dataclass(frozen=True, slots=True)
class ImportForm:
    """A request whose every field was understood; the file has not been looked at.

    `file` is None where the sender asks for an upload form.
    """

    file: bytes | None
    project_id: str
    options: ImportOptions


def parse_form(content_type: str | None, body: bytes) -> ImportForm:
    """The form or JSON in a request's body; raises RequestError (400, 413), which names the field and what to do."""
    if len(body) > MAX_UPLOAD_BYTES:
        raise RequestError(
            413,
            "PAYLOAD_TOO_LARGE",
            f"The request has {len(body):,} bytes; {MAX_UPLOAD_BYTES:,} is the most. POST the same fields "
            f"without the file as application/json to {UPLOADS_PATH}: the answer has a form that takes a file "
            f"of up to {MAX_FILE_BYTES:,} bytes.",
            data={"limit": MAX_UPLOAD_BYTES},
        )
    kind, parameters = parse_options_header(content_type or "")
    file = None
    if kind == "application/json":
        texts = _json_texts(body)
    else:
        fields = _parse_fields(kind, parameters.get("boundary"), body)
        if "file" not in fields:
            raise _missing("file")
        file = fields.pop("file")
        if not file:
            message = "The file is empty. Its first line must name the columns."
            raise field_refusal("EMPTY_FILE", "file", message)
        texts = {name: _text(name, value) for name, value in fields.items()}
    for name in ("projectId", "columnMap"):
        if name not in texts:
            raise _missing(name)
    return ImportForm(
        file, _project_id(texts["projectId"]), parse_options({"delimiter": ",", **texts})
    )


def check_json(content_type: str | None) -> None:
    """Raises RequestError (400) where a body is not declared as JSON."""
    kind, _ = parse_options_header(content_type or "")
    if kind != "application/json":
        raise RequestError(
            400,
            "NOT_JSON",
            "The request's Content-Type is not application/json. Send the fields as a JSON object with the "
            f"header 'Content-Type: application/json', or POST the file itself to {IMPORTS_PATH}.",
        )


def _json_texts(body: bytes) -> dict[str, str]:
    """A JSON request's fields, each as the text that a form would have."""
    try:
        fields = ImportFields.model_validate_json(body)
    except ValidationError as error:
        raise _json_refusal(error) from None
    values = fields.model_dump(exclude_unset=True)
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }


def _json_refusal(error: ValidationError) -> RequestError:
    first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    match first["type"]:
        case "missing":
            return _missing(field)
        case "extra_forbidden":
            names = ", ".join(name for name in _FIELDS if name != "file")
            message = f"The request has a field that is not known here. Use {names}."
            known = {"field": field} if field in _FIELDS else None
            return RequestError(400, "UNKNOWN_FIELD", message, data=known)
        case _ if field in _FIELDS:
            code: RequestErrorCode = (
                "INVALID_COLUMN_MAP"
                if field == "columnMap"
                else "INVALID_TAGS"
                if field == "tags"
                else "INVALID_FIELD"
            )
            return field_refusal(code, field, f"{field}: {first['msg'].lower()}.")
        case _:
            message = "The body is no JSON object. Send the form's fields, without the file."
            return RequestError(400, "INVALID_JSON", message)


def _parse_fields(kind: str, boundary: str | None, body: bytes) -> dict[str, bytes]:
    if kind != "multipart/form-data" or not boundary:
        raise RequestError(
            400,
            "NOT_MULTIPART",
            "Send the file as multipart/form-data with a boundary, as curl -F does, or POST the other fields as "
            f"application/json to {UPLOADS_PATH} to get a form that uploads a large file.",
        )
    fields: dict[str, bytes] = {}
    try:
        # Everything is in memory already; the limits keep the parser from writing files.
        parser = MultipartParser(
            io.BytesIO(body),
            boundary,
            part_limit=_MAX_PARTS,
            spool_limit=MAX_UPLOAD_BYTES,
            memory_limit=MAX_UPLOAD_BYTES,
        )
        for part in parser:
            if part.name not in _FIELDS:
                message = f"The form has a field that is not known. Use {', '.join(_FIELDS)}."
                raise RequestError(400, "UNKNOWN_FIELD", message)
            if part.name in fields:
                message = f"The form has the field {part.name!r} more than once. Send it once."
                raise field_refusal("REPEATED_FIELD", part.name, message)
            fields[part.name] = part.raw
    # The parser encodes the boundary and decodes part headers, each of which can fail by itself.
    except (MultipartError, UnicodeError, ValueError):
        raise RequestError(
            400,
            "INVALID_MULTIPART",
            "The body is no multipart/form-data that can be read to its end.",
        ) from None
    return fields


def _text(name: str, value: bytes) -> str:
    if len(value) > MAX_FIELD_BYTES:
        message = f"{name} has {len(value):,} bytes; {MAX_FIELD_BYTES:,} is the most."
        raise field_refusal("INVALID_FIELD", name, message)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise field_refusal(
            "INVALID_FIELD", name, f"{name} is not UTF-8 text. Send it as UTF-8."
        ) from None


def _project_id(text: str) -> str:
    if _PROJECT_ID.fullmatch(text) is None:
        message = (
            "projectId must be 1 to 64 letters, digits, '-' or '_'. Send the id of your project."
        )
        raise field_refusal("INVALID_FIELD", "projectId", message)
    return text


def _missing(name: str) -> RequestError:
    return field_refusal("MISSING_FIELD", name, f"The request has no field {name!r}. Send it.")
