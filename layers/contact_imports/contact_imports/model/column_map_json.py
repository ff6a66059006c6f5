"""The API's `columnMap` as people send it: JSON text, checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contact_imports.model.column_map import STANDARD_FIELDS, ColumnMap
from contact_imports.model.limits import MAX_CUSTOM_FIELD_KEY_CHARS, MAX_CUSTOM_FIELDS

_Header = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_CustomFieldKey = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CUSTOM_FIELD_KEY_CHARS),
]


class _ColumnMapFields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    email: _Header
    firstName: _Header | None = None
    lastName: _Header | None = None
    name: _Header | None = None
    phone: _Header | None = None
    country: _Header | None = None
    language: _Header | None = None
    customFields: Annotated[
        dict[_CustomFieldKey, _Header], Field(max_length=MAX_CUSTOM_FIELDS)
    ] = {}


def parse_column_map(text: str) -> ColumnMap:
    """The column map that JSON text describes; raises ValueError with a message for the sender."""
    try:
        fields = _ColumnMapFields.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(_explain(error)) from None
    unset = [name for name in fields.model_fields_set if getattr(fields, name) is None]
    if unset:
        raise ValueError(f"{unset[0]} must be a CSV header's name, not null; leave it out instead")
    return ColumnMap(**fields.model_dump())


def _explain(error: ValidationError) -> str:
    """The first thing that is wrong, as one sentence without the value that was sent."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    match first["type"]:
        case "json_invalid":
            return 'it must be JSON, such as {"email":"Email","firstName":"First Name"}'
        case "missing":
            return f"{where} is missing; it is the one field that must be mapped"
        case "extra_forbidden":
            return (
                f"{where} is no field of a contact; use email, {', '.join(STANDARD_FIELDS)} "
                "or customFields"
            )
        case "model_type" | "model_attributes_type":
            return 'it must be a JSON object, such as {"email":"Email"}'
        case _:
            return f"{where or 'it'}: {first['msg'].lower()}"
