"""Converts attribute values of DynamoDB, for the types that records of imports have.

boto3's TypeDeserializer converts every type, but boto3 takes as long to import as our whole package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Value = str | int | bool | None | list[Any] | dict[str, Any] | set[int]


def to_item(values: Mapping[str, Value]) -> dict[str, AttributeValueTypeDef]:
    """An item's attributes in DynamoDB's form."""
    return {name: to_attribute_value(value) for name, value in values.items()}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's attributes as Python's values; numbers are whole."""
    return {name: from_attribute_value(value) for name, value in item.items()}


def to_attribute_value(value: Value) -> AttributeValueTypeDef:
    """A value in DynamoDB's form; a set must have numbers, and at least one."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case set():
            return {"NS": [str(number) for number in value]}
        case list():
            return {"L": [to_attribute_value(element) for element in value]}
        case dict():
            return {"M": to_item(value)}


def from_attribute_value(attribute: Mapping[str, Any]) -> Any:
    """The Python value of an attribute; raises ValueError for a type that no record of an import has."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "NULL":
            return None
        case "N":
            return int(value)
        case "NS":
            return {int(number) for number in value}
        case "L":
            return [from_attribute_value(element) for element in value]
        case "M":
            return from_item(value)
        case _:
            raise ValueError(f"no record of an import has a value of the type {kind}")
