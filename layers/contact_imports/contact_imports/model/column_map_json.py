"""The API's `columnMap` as people send it: JSON, as text or as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from contact_imports.model.column_map import (
    CUSTOM_FIELD_PREFIX,
    STANDARD_FIELDS,
    ColumnMap,
    stored_bytes,
)
from contact_imports.model.json_text import is_unicode, read_json
from contact_imports.model.limits import (
    MAX_COLUMN_MAP_BYTES,
    MAX_CUSTOM_FIELD_KEY_CHARS,
    MAX_CUSTOM_FIELDS,
)
from contact_imports.model.spelling import nearest, shown

_FIELDS = ("email", *STANDARD_FIELDS, "customFields")
_EXAMPLE = '{"email":"Email","firstName":"First Name"}'

_Header = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_CustomFieldKey = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CUSTOM_FIELD_KEY_CHARS),
]


class _ColumnMapFields(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, hide_input_in_errors=True
    )

    email: _Header
    first_name: _Header | None = None
    last_name: _Header | None = None
    name: _Header | None = None
    phone: _Header | None = None
    country: _Header | None = None
    language: _Header | None = None
    custom_fields: Annotated[
        dict[_CustomFieldKey, _Header], Field(max_length=MAX_CUSTOM_FIELDS)
    ] = {}


def parse_column_map(sent: object) -> ColumnMap:
    """The column map that JSON text, or the value of one, describes.

    Raises ValueError with a message for the sender, which repeats no value.
    """
    value = sent
    if isinstance(sent, str):
        try:
            value = read_json(sent)
        except ValueError as error:
            raise ValueError(f"it must be JSON, such as {_EXAMPLE}; {error}") from None
    if not isinstance(value, Mapping):
        raise ValueError('it must be a JSON object, such as {"email":"Email"}')
    if not is_unicode(value):
        raise ValueError("it has half of a surrogate pair, which is not valid Unicode; remove it")
    if _is_reversed(value):
        raise ValueError(
            "it is the wrong way round; send each field of a contact with its CSV header, such as "
            f"{_EXAMPLE}"
        )
    try:
        fields = _ColumnMapFields.model_validate(value)
    except ValidationError as error:
        raise ValueError(_explain(error)) from None
    unset = [name for name in fields.model_fields_set if getattr(fields, name) is None]
    if unset:
        raise ValueError(
            f"{to_camel(unset[0])} must be a CSV header's name, not null; leave it out instead"
        )
    column_map = ColumnMap(**fields.model_dump())
    size = stored_bytes(column_map)
    if size > MAX_COLUMN_MAP_BYTES:
        raise ValueError(
            f"it has {size:,} bytes; {MAX_COLUMN_MAP_BYTES:,} is the most. Map fewer columns, or give them "
            "shorter names"
        )
    return column_map


def _is_reversed(value: Mapping[str, Any]) -> bool:
    """Whether headers are mapped to fields: {"E-mail": "email"} instead of {"email": "E-mail"}."""
    unknown = [name for name in value if name not in _FIELDS]
    return "email" not in value and any(
        isinstance(value[name], str) and value[name] in ("email", *STANDARD_FIELDS)
        for name in unknown
    )


def _explain(error: ValidationError) -> str:
    """The first error, as one sentence without the value that was sent.

    An unknown field comes before a missing one, since it may be a wrong name for it.
    """
    errors = error.errors(include_input=False, include_url=False)
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path = [str(part) for part in first["loc"] if part != "[key]"]
    where = ".".join(path) if len(path) < 2 else f"{path[0]}.{_inner(path[1])}"
    match first["type"]:
        case "missing":
            return f"{where} is missing; it is the one field that must be mapped"
        case "extra_forbidden":
            return _unknown(path[0])
        case "dict_type":
            return f'{where}: input should be an object, such as {{"plan":"Plan"}}'
        case _:
            return f"{where or 'it'}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _unknown(name: str) -> str:
    if name.startswith(CUSTOM_FIELD_PREFIX):
        return 'it has custom fields outside of customFields; send them as "customFields":{"plan":"Plan"}'
    label = name if shown(name) == f"'{name}'" else f"a name {shown(name)}"
    meant = nearest(name, _FIELDS)
    return f"{label} is not a field of a contact; " + (
        f"did you mean {meant!r}?"
        if meant
        else f"use email, {', '.join(STANDARD_FIELDS)}, or put it into customFields"
    )


def _inner(key: str) -> str:
    return key if shown(key) == f"'{key}'" else f"(a name {shown(key)})"
