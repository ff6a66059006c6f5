"""The options of an import as people write them: in a form, in JSON, or in the metadata of a dropped file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel

from contact_imports.files.encoding import canonical_encoding
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.errors import RequestErrorCode, field_error
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.json_text import is_unicode, read_json
from contact_imports.model.limits import MAX_TAG_CHARS, MAX_TAGS

_TABS = {"tab", "\\t"}
# Python's csv module refuses the first three; NUL occurs in no CSV.
_NOT_DELIMITERS = {'"', "\r", "\n", "\0"}
_TRUTH = {"true": True, "false": False}
_CODES: Mapping[str, RequestErrorCode] = {
    "columnMap": "INVALID_COLUMN_MAP",
    "tags": "INVALID_TAGS",
}
"""The error code of an invalid value, for fields that have one of their own; the others have INVALID_FIELD."""

_DEFAULTS = ImportOptions(None, delimiter=None)
"""The options of an import if none is sent: column map, delimiter and encoding are found in the file."""


def _column_map(sent: object) -> ColumnMap:
    try:
        return parse_column_map(sent)
    except ValueError as error:
        sentence = f"columnMap: {error}"
        raise ValueError(sentence if sentence.endswith("?") else sentence + ".") from None


def _choice(field: str, choices: type[StrEnum], first: StrEnum) -> Callable[[object], StrEnum]:
    names = [first.value, *(choice.value for choice in choices if choice is not first)]

    def parse(sent: object) -> StrEnum:
        if not isinstance(sent, str) or sent not in names:
            raise ValueError(f"{field} must be {' or '.join(map(repr, names))}.")
        return choices(sent)

    return parse


def _dry_run(sent: object) -> bool:
    if isinstance(sent, bool):
        return sent
    if not isinstance(sent, str) or sent not in _TRUTH:
        raise ValueError("dryRun must be 'true' or 'false'.")
    return _TRUTH[sent]


def _delimiter(sent: object) -> str:
    if sent == "":
        raise ValueError(
            "delimiter is empty. With curl, send a semicolon by --form-string 'delimiter=;'."
        )
    delimiter = "\t" if isinstance(sent, str) and sent.lower() in _TABS else sent
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in _NOT_DELIMITERS:
        raise ValueError(
            "delimiter must be one character that is not a quote or a line end, such as ',' or ';', or the "
            "word 'tab'."
        )
    return delimiter


def _encoding(sent: object) -> str:
    if not isinstance(sent, str):
        raise ValueError("encoding must be text, such as 'utf-8'.")
    try:
        return canonical_encoding(sent)
    except ValueError as error:
        raise ValueError(f"encoding {error}.") from None


def _tags(sent: object) -> tuple[str, ...]:
    """Tag names in the order sent, each once. Blank text means no tags."""
    names = _tag_names(sent)
    tags = []
    for position, name in enumerate(names, 1):
        if not isinstance(name, str):
            raise ValueError(f"tags: tag {position} is not text; {_TAGS_FORM}.")
        tag = name.strip()
        if not tag:
            raise ValueError(f"tags: tag {position} is empty; leave it out.")
        if len(tag) > MAX_TAG_CHARS:
            raise ValueError(f"tags: tag {position} is longer than {MAX_TAG_CHARS} characters.")
        if not is_unicode(tag):
            raise ValueError(f"tags: tag {position} is not valid Unicode text.")
        tags.append(tag)
    once = tuple(dict.fromkeys(tags))
    if len(once) > MAX_TAGS:
        raise ValueError(f"tags: there are {len(once)}; {MAX_TAGS} is the most.")
    return once


_TAGS_FORM = 'send a JSON array of strings, such as ["newsletter"], or names separated by commas'


def _tag_names(sent: object) -> list[Any]:
    if isinstance(sent, list):
        return sent
    if not isinstance(sent, str):
        raise ValueError(f"tags is neither a list nor text; {_TAGS_FORM}.")
    text = sent.strip()
    if not text:
        return []
    # Text that begins like a JSON string or object is not a list of names.
    if text[0] not in '["{':
        return text.split(",")
    try:
        names = read_json(text)
    except ValueError as error:
        if text[0] == "[":
            raise ValueError(f"tags: {_TAGS_FORM}; {error}.") from None
        names = None
    if not isinstance(names, list):
        raise ValueError(f"tags is text that begins with {text[0]}; {_TAGS_FORM}, without quotes.")
    return names


def _without_default(schema: dict[str, Any]) -> None:
    """Removes the default from a schema: None means that the field is not sent, and cannot be sent."""
    schema.pop("default", None)


ColumnMapField = Annotated[
    ColumnMap | None,
    PlainValidator(_column_map, json_schema_input_type=str | dict[str, Any]),
    Field(description="JSON string mapping subscriber fields to CSV header names, or the object"),
]
DelimiterField = Annotated[
    str | None,
    PlainValidator(_delimiter, json_schema_input_type=str),
    Field(description="CSV field delimiter."),
]


class OptionFields(BaseModel):
    """The fields of an import's options, each as text (in a form or metadata) or as a JSON value.

    On the wire, their names are camelCase. A `columnMap`, `delimiter` or `encoding` that is not sent is found in
    the file.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", hide_input_in_errors=True)

    column_map: ColumnMapField = _DEFAULTS.column_map
    on_conflict: Annotated[
        OnConflict,
        PlainValidator(
            _choice("onConflict", OnConflict, OnConflict.UPSERT),
            json_schema_input_type=Literal["skip", "upsert"],
        ),
        Field(description="How to handle rows whose email already exists."),
    ] = _DEFAULTS.on_conflict
    delimiter: DelimiterField = _DEFAULTS.delimiter
    tags: Annotated[
        tuple[str, ...],
        PlainValidator(_tags, json_schema_input_type=str | list[str]),
        Field(description="Tag names to apply to every imported contact, as an array or as text."),
    ] = _DEFAULTS.tags
    on_blank: Annotated[
        OnBlank,
        PlainValidator(
            _choice("onBlank", OnBlank, OnBlank.KEEP),
            json_schema_input_type=Literal["keep", "clear"],
        ),
        Field(description="Whether a blank cell leaves or removes the value that is there."),
    ] = _DEFAULTS.on_blank
    dry_run: Annotated[
        bool,
        PlainValidator(_dry_run, json_schema_input_type=bool | Literal["true", "false"]),
        Field(description="Whether to count and report only, without changing anything."),
    ] = _DEFAULTS.dry_run
    encoding: Annotated[
        str | None,
        PlainValidator(_encoding, json_schema_input_type=str),
        Field(
            description="The file's encoding by its usual name, such as windows-1252. Without it, it is found "
            "in the file.",
            json_schema_extra=_without_default,
        ),
    ] = _DEFAULTS.encoding

    @property
    def options(self) -> ImportOptions:
        """The fields as options."""
        return ImportOptions(**{name: getattr(self, name) for name in OptionFields.model_fields})


Fields = TypeVar("Fields", bound=OptionFields)


def parse_fields(model: type[Fields], values: Mapping[str, object]) -> Fields:
    """Parses the fields of a request or of metadata, by their names on the wire, as text or as JSON values.

    Raises RequestError, which names the first missing or invalid field and repeats no value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
    field = str(first["loc"][0])
    if first["type"] == "missing":
        message = f"The request has no field '{field}'. Send it."
        raise field_error("MISSING_FIELD", field, message)
    # The validators above raise sentences for the sender.
    raise field_error(_CODES.get(field, "INVALID_FIELD"), field, str(first["ctx"]["error"]))


def field_names(model: type[OptionFields]) -> list[str]:
    """The names on the wire of a model's fields."""
    return [field.alias or name for name, field in model.model_fields.items()]
