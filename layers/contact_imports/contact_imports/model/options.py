"""The options of an import, each as the text of a form's field or of an object's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.errors import RequestError, RequestErrorCode
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.limits import MAX_TAG_CHARS, MAX_TAGS

_TABS = {"tab", "\\t"}
# csv takes none of these; NUL is left out as well.
_NO_DELIMITERS = {'"', "\r", "\n", "\0"}
_TRUTH = {"true": True, "false": False}


def parse_options(texts: Mapping[str, str]) -> ImportOptions:
    """The options that a request's fields mean, each as text; raises RequestError 400.

    Without `columnMap` or `delimiter` they are to be found in the file.
    """
    return ImportOptions(
        column_map=_column_map(texts["columnMap"]) if "columnMap" in texts else None,
        on_conflict=_on_conflict(texts.get("onConflict", OnConflict.UPSERT.value)),
        delimiter=_delimiter(texts["delimiter"]) if "delimiter" in texts else None,
        tags=_tags(texts.get("tags", "")),
        on_blank=_on_blank(texts.get("onBlank", OnBlank.KEEP.value)),
        dry_run=_dry_run(texts.get("dryRun", "false")),
    )


def field_refusal(code: RequestErrorCode, field: str, message: str) -> RequestError:
    """A refusal of one field of the request, by its name."""
    return RequestError(400, code, message, data={"field": field})


def _column_map(text: str) -> ColumnMap:
    try:
        return parse_column_map(text)
    except ValueError as error:
        raise field_refusal("INVALID_COLUMN_MAP", "columnMap", f"columnMap: {error}.") from None


def _on_conflict(text: str) -> OnConflict:
    try:
        return OnConflict(text)
    except ValueError:
        message = "onConflict must be 'upsert' or 'skip'."
        raise field_refusal("INVALID_FIELD", "onConflict", message) from None


def _on_blank(text: str) -> OnBlank:
    try:
        return OnBlank(text)
    except ValueError:
        message = "onBlank must be 'keep' or 'clear'."
        raise field_refusal("INVALID_FIELD", "onBlank", message) from None


def _dry_run(text: str) -> bool:
    if text not in _TRUTH:
        raise field_refusal("INVALID_FIELD", "dryRun", "dryRun must be 'true' or 'false'.")
    return _TRUTH[text]


def _delimiter(text: str) -> str:
    if not text:
        message = "delimiter is empty. With curl, send a semicolon by --form-string 'delimiter=;'."
        raise field_refusal("INVALID_FIELD", "delimiter", message)
    delimiter = "\t" if text.lower() in _TABS else text
    if len(delimiter) != 1 or delimiter in _NO_DELIMITERS:
        message = (
            "delimiter must be one character that is no quote and no line end, "
            "such as ',' or ';', or the word 'tab'."
        )
        raise field_refusal("INVALID_FIELD", "delimiter", message)
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
    return field_refusal("INVALID_TAGS", "tags", f"tags: {what}.")
