"""Parses the request of CreateContactImport: a form with the file, or JSON without it."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from multipart import MultipartError, MultipartParser, parse_options_header
from pydantic import BaseModel, Field, PlainValidator

from contact_imports.api.paths import IMPORTS_PATH, UPLOADS_PATH
from contact_imports.messages.option_fields import (
    ColumnMapField,
    DelimiterField,
    OptionFields,
    field_names,
    parse_fields,
)
from contact_imports.model.errors import RequestError, field_error
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.json_text import is_unicode, read_json
from contact_imports.model.limits import MAX_FIELD_BYTES, MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from contact_imports.model.spelling import nearest, shown

_MAX_PARTS = 32
_MAX_PART_HEADERS = 32
_MAX_PART_HEADER_BYTES = 65_536
"""A file's name has at most 255 bytes on usual file systems. The limit is low enough that the parser joins a header of
as many lines quickly."""
# Part of an S3 key and of DynamoDB keys, so that no other character needs escaping there.
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""The first bytes of a compressed body (RFC 1952, RFC 8878)."""

_REPLACED = "\ufffd"
"""API Gateway replaces bytes that are not UTF-8 by this character, in bodies that are not forms."""


def _project_id(sent: object) -> str:
    if sent == "":
        raise ValueError("projectId is empty. Send the id of your project.")
    if not isinstance(sent, str) or _PROJECT_ID.fullmatch(sent) is None:
        raise ValueError(
            "projectId must be 1 to 64 letters, digits, '-' or '_'. Send the id of your project."
        )
    return sent


class _ProjectField(BaseModel):
    project_id: Annotated[
        str,
        PlainValidator(_project_id, json_schema_input_type=str),
        Field(description="Project ID"),
    ]


# The project comes first, as in the contract: pydantic takes the fields of the last base first.
class ImportFields(OptionFields, _ProjectField):
    """The fields of a request, without its file: as JSON, or each as text in a form."""

    column_map: ColumnMapField
    delimiter: DelimiterField = ImportOptions(None).delimiter


_FIELDS = field_names(ImportFields)
_FORM_FIELDS = ["file", *_FIELDS]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A valid request; the file has not been read yet.

    `file` is None if the sender asks for a presigned POST.
    """

    file: bytes | None
    project_id: str
    options: ImportOptions

    @property
    def identity(self) -> str:
        """A hash of the request's meaning: the same for a form and JSON with the same values."""
        file = None if self.file is None else hashlib.sha256(self.file).hexdigest()
        values = msgspec.json.encode([self.project_id, self.options, file], order="deterministic")
        return hashlib.sha256(values).hexdigest()


def parse_request(
    content_type: str | None, body: bytes, content_encoding: str | None = None
) -> ImportRequest:
    """Parses a body, which is a form or JSON by its Content-Type.

    Raises RequestError, which names the invalid field, or the fault of the body, and says what to do.
    """
    if len(body) > MAX_UPLOAD_BYTES:
        raise RequestError(
            "PAYLOAD_TOO_LARGE",
            f"The request has {len(body):,} bytes; {MAX_UPLOAD_BYTES:,} is the most. POST the same fields "
            f"without the file as application/json to {UPLOADS_PATH}: the answer has a presigned POST for a file "
            f"of up to {MAX_FILE_BYTES:,} bytes.",
            data={"limit": MAX_UPLOAD_BYTES},
        )
    kind, parameters = parse_options_header(content_type or "")
    compression = _compression(body, content_encoding)
    file = None
    values: Mapping[str, object]
    if kind == "application/json":
        values = _read_json_body(body, compression)
    else:
        parts = _read_form(kind, parameters.get("boundary"), body, compression)
        if "file" not in parts:
            message = (
                "The request has no field 'file'. Send the CSV: with curl, -F 'file=@contacts.csv'."
            )
            raise field_error("MISSING_FIELD", "file", message)
        file = parts.pop("file")
        if not file:
            message = "The file is empty. Its first line must name the columns."
            raise field_error("EMPTY_FILE", "file", message)
        values = {name: _text(name, value) for name, value in parts.items()}
    fields = parse_fields(ImportFields, values)
    return ImportRequest(file, fields.project_id, fields.options)


def check_json(content_type: str | None) -> None:
    """Raises RequestError if a body's Content-Type is not JSON."""
    kind, _ = parse_options_header(content_type or "")
    if kind != "application/json":
        raise RequestError(
            "NOT_JSON",
            "The request's Content-Type is not application/json. Send the fields as a JSON object with the "
            f"header 'Content-Type: application/json', or POST the file itself to {IMPORTS_PATH}.",
        )


def _read_json_body(body: bytes, compression: str | None) -> Mapping[str, object]:
    if compression:
        raise RequestError("INVALID_JSON", _compressed(compression))
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = (
            f"The body is not UTF-8: byte {error.start + 1} is not valid. Send the JSON in UTF-8."
        )
        raise RequestError("INVALID_JSON", message) from None
    if _REPLACED in text:
        message = "The body has the character U+FFFD, which replaces bytes that are not UTF-8. Send the JSON in UTF-8."
        raise RequestError("INVALID_JSON", message)
    try:
        values = read_json(text)
    except ValueError as error:
        message = f"The body is not valid JSON: {error}. Send the form's fields, without the file, as a JSON object."
        raise RequestError("INVALID_JSON", message) from None
    if not isinstance(values, dict):
        message = "The body is not a JSON object. Send the form's fields, without the file, as one."
        raise RequestError("INVALID_JSON", message)
    if not is_unicode(values):
        message = (
            "The body has half of a surrogate pair, which is not valid Unicode text. Send it whole."
        )
        raise RequestError("INVALID_JSON", message)
    for name in values:
        if name == "file":
            message = "JSON has no field 'file'. Leave it out: the answer has a presigned POST for the file."
            raise field_error("UNKNOWN_FIELD", "file", message)
        if name not in _FIELDS:
            raise _unknown_field(name, _FIELDS)
    return values


def _read_form(
    kind: str, boundary: str | None, body: bytes, compression: str | None
) -> dict[str, bytes]:
    if kind != "multipart/form-data" or not boundary:
        raise RequestError("NOT_MULTIPART", _not_multipart(kind, body))
    if compression:
        raise RequestError("INVALID_MULTIPART", _compressed(compression))
    parts: dict[str, bytes] = {}
    try:
        # The body is in memory already; the limits keep the parser from writing files. Every byte is valid Latin-1,
        # and a header may be long, so the name of the file, which we do not use, is never a reason to refuse.
        parser = MultipartParser(
            io.BytesIO(body),
            boundary,
            charset="latin-1",
            header_limit=_MAX_PART_HEADERS,
            headersize_limit=_MAX_PART_HEADER_BYTES,
            part_limit=_MAX_PARTS,
            spool_limit=MAX_UPLOAD_BYTES,
            memory_limit=MAX_UPLOAD_BYTES,
        )
        for part in parser:
            if not part.name:
                message = 'A part of the form has no name. Give each part one: Content-Disposition: form-data; name="projectId".'
                raise RequestError("INVALID_MULTIPART", message)
            if part.name not in _FORM_FIELDS:
                raise _unknown_field(_as_utf8(part.name), _FORM_FIELDS)
            if part.name in parts:
                message = f"The form has the field '{part.name}' more than once. Send it once."
                raise field_error("REPEATED_FIELD", part.name, message)
            parts[part.name] = part.raw
    # The parser encodes the boundary and decodes part headers; both can raise other errors than its own.
    except (MultipartError, UnicodeError, ValueError):
        raise RequestError("INVALID_MULTIPART", _multipart_fault(boundary, body)) from None
    return parts


def _not_multipart(kind: str, body: bytes) -> str:
    if kind == "multipart/form-data" or body.startswith(b"--"):
        return (
            "The Content-Type of the form has no boundary. Do not set Content-Type yourself: curl -F, fetch with "
            "FormData and other clients set it with their boundary."
        )
    return (
        "The Content-Type is neither multipart/form-data nor application/json. Send the file as multipart/form-data, "
        f"as curl -F does, or the other fields as application/json to {UPLOADS_PATH} to upload a large file."
    )


def _multipart_fault(boundary: str, body: bytes) -> str:
    """The likely fault of a malformed form, and what to do."""
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    if not body:
        return "The body is empty. Send the form's fields in it, as curl -F does."
    if delimiter not in body:
        return (
            "The body does not contain the boundary of the Content-Type. Do not set Content-Type yourself: the client "
            "that writes the form sets it."
        )
    if delimiter + b"\n" in body:
        return (
            "The lines of the form end with LF instead of CRLF. Let an HTTP client write the form, or "
            "end its lines with CRLF."
        )
    if delimiter + b"--" not in body:
        return (
            "The form is truncated: its final boundary is missing. Send the whole form, or correct its "
            "Content-Length."
        )
    return (
        "The form is malformed: a part of it has no valid headers, or there are too many parts. Let an HTTP client "
        "write it, as curl -F does."
    )


def _compression(body: bytes, content_encoding: str | None) -> str | None:
    """How a body is compressed; None if it is not."""
    named = (content_encoding or "").strip().lower()
    if named and named != "identity":
        return named if named in ("gzip", "deflate", "br", "zstd", "compress") else "encoded"
    return next((name for magic, name in _COMPRESSED.items() if body.startswith(magic)), None)


def _compressed(compression: str) -> str:
    how = "" if compression == "encoded" else f" ({compression})"
    return f"The body is compressed{how}. Send it uncompressed, without Content-Encoding; only the file in a form may be gzip."


def _unknown_field(name: str, known: list[str]) -> RequestError:
    """The refusal of an unknown field: it names the field, and the one that was probably meant."""
    meant = nearest(name, known)
    advice = f"Did you mean '{meant}'?" if meant else f"Use {', '.join(known)}."
    message = f"The request has an unknown field {shown(name)}. {advice}"
    data = {"nearest": meant} if meant else None
    return RequestError("UNKNOWN_FIELD", message, data=data)


def _as_utf8(name: str) -> str:
    return name.encode("latin-1").decode("utf-8", "replace")


def _text(name: str, value: bytes) -> str:
    if len(value) > MAX_FIELD_BYTES:
        message = f"{name} has {len(value):,} bytes; {MAX_FIELD_BYTES:,} is the most."
        raise field_error("INVALID_FIELD", name, message)
    try:
        return value.decode()
    except UnicodeDecodeError:
        message = f"{name} is not UTF-8 text. Send it as UTF-8."
        raise field_error("INVALID_FIELD", name, message) from None
