"""The multipart form of CreateContactImport, as it is sent and as it is meant."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from multipart import MultipartError, MultipartParser, parse_options_header

from contact_imports.column_map import ColumnMap
from contact_imports.contact import OnConflict
from contact_imports.errors import RequestError, RequestErrorCode
from contact_imports.import_job import ImportOptions
from contact_imports.limits import MAX_FIELD_BYTES, MAX_TAG_CHARS, MAX_TAGS, MAX_UPLOAD_BYTES

_FIELDS = ("file", "projectId", "columnMap", "onConflict", "delimiter", "tags")
_REQUIRED = ("file", "projectId", "columnMap")
_MAX_PARTS = 32
# Part of an S3 key and of DynamoDB keys, so that no other character needs escaping there.
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TABS = {"tab", "\\t"}
# csv takes none of these; NUL is left out as well.
_NO_DELIMITERS = {'"', "\r", "\n", "\0"}


@dataclass(frozen=True, slots=True)
class ImportForm:
    """A form whose every field was understood; the file has not been looked at."""

    file: bytes
    project_id: str
    options: ImportOptions


def parse_form(content_type: str | None, body: bytes) -> ImportForm:
    """The form in a request's body; raises RequestError (400, 413), which names the field and what to do."""
    if len(body) > MAX_UPLOAD_BYTES:
        raise RequestError(
            413,
            "PAYLOAD_TOO_LARGE",
            f"The request has {len(body):,} bytes; {MAX_UPLOAD_BYTES:,} is the most. Split the file.",
            data={"limit": MAX_UPLOAD_BYTES},
        )
    fields = _parse_fields(content_type, body)
    for name in _REQUIRED:
        if name not in fields:
            raise _refusal("MISSING_FIELD", name, f"The form has no field {name!r}. Send it.")
    if not fields["file"]:
        raise _refusal(
            "EMPTY_FILE", "file", "The file is empty. Its first line must name the columns."
        )
    texts = {name: _text(name, value) for name, value in fields.items() if name != "file"}
    return ImportForm(
        file=fields["file"],
        project_id=_project_id(texts["projectId"]),
        options=ImportOptions(
            column_map=_column_map(texts["columnMap"]),
            on_conflict=_on_conflict(texts.get("onConflict", OnConflict.UPSERT.value)),
            delimiter=_delimiter(texts.get("delimiter", ",")),
            tags=_tags(texts.get("tags", "")),
        ),
    )


def _parse_fields(content_type: str | None, body: bytes) -> dict[str, bytes]:
    kind, parameters = parse_options_header(content_type or "")
    boundary = parameters.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        raise RequestError(
            400,
            "NOT_MULTIPART",
            "Send the file as multipart/form-data with a boundary, as curl -F does.",
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
                raise _refusal("UNKNOWN_FIELD", part.name or "", message)
            if part.name in fields:
                message = f"The form has the field {part.name!r} more than once. Send it once."
                raise _refusal("REPEATED_FIELD", part.name, message)
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
        raise _refusal("INVALID_FIELD", name, message)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _refusal(
            "INVALID_FIELD", name, f"{name} is not UTF-8 text. Send it as UTF-8."
        ) from None


def _project_id(text: str) -> str:
    if _PROJECT_ID.fullmatch(text) is None:
        message = (
            "projectId must be 1 to 64 letters, digits, '-' or '_'. Send the id of your project."
        )
        raise _refusal("INVALID_FIELD", "projectId", message)
    return text


def _column_map(text: str) -> ColumnMap:
    try:
        return ColumnMap.parse(text)
    except ValueError as error:
        raise _refusal("INVALID_COLUMN_MAP", "columnMap", f"columnMap: {error}.") from None


def _on_conflict(text: str) -> OnConflict:
    try:
        return OnConflict(text)
    except ValueError:
        message = "onConflict must be 'upsert' or 'skip'."
        raise _refusal("INVALID_FIELD", "onConflict", message) from None


def _delimiter(text: str) -> str:
    delimiter = "\t" if text.lower() in _TABS else text
    if len(delimiter) != 1 or delimiter in _NO_DELIMITERS:
        message = (
            "delimiter must be one character that is no quote and no line end, "
            "such as ',' or ';', or the word 'tab'."
        )
        raise _refusal("INVALID_FIELD", "delimiter", message)
    return delimiter


def _tags(text: str) -> tuple[str, ...]:
    """Tag names in the order sent, each once. A blank field means no tags."""
    text = text.strip()
    if not text:
        return ()
    names = _json_tags(text) if text.startswith("[") else text.split(",")
    tags = tuple(dict.fromkeys(name.strip() for name in names))
    if len(tags) > MAX_TAGS:
        raise _tags_refusal(f"there are {len(tags)}; {MAX_TAGS} is the most")
    for position, tag in enumerate(tags, 1):
        if not tag:
            raise _tags_refusal(f"tag {position} is empty; leave it out")
        if len(tag) > MAX_TAG_CHARS:
            raise _tags_refusal(f"tag {position} is longer than {MAX_TAG_CHARS} characters")
        if not _is_text(tag):
            raise _tags_refusal(f"tag {position} is not valid Unicode text")
    return tags


def _json_tags(text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _tags_refusal("send a JSON array of strings, or names separated by commas")
    return names


def _is_text(text: str) -> bool:
    """Whether a string can be stored: JSON can escape half a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tags_refusal(what: str) -> RequestError:
    return _refusal("INVALID_TAGS", "tags", f"tags: {what}.")


def _refusal(code: RequestErrorCode, field: str, message: str) -> RequestError:
    data: Mapping[str, str] = {"field": field} if field in _FIELDS else {}
    return RequestError(400, code, message, data=data or None)
