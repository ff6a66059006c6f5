from __future__ import annotations

from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.aws.dynamodb_items import from_attribute_value, to_attribute_value

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text()
    | st.sets(st.integers(0, 99), min_size=1),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def without_order(attribute: Any) -> Any:
    """An attribute whose sets can be compared."""
    if isinstance(attribute, dict):
        return {
            k: sorted(v) if k == "NS" and isinstance(v, list) else without_order(v)
            for k, v in attribute.items()
        }
    return [without_order(one) for one in attribute] if isinstance(attribute, list) else attribute


@given(values)
def test_values_are_those_of_boto3(value: Any) -> None:
    attribute = to_attribute_value(value)
    assert without_order(attribute) == without_order(TypeSerializer().serialize(value))
    assert from_attribute_value(attribute) == value == TypeDeserializer().deserialize(attribute)


def test_another_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="type B"):
        from_attribute_value({"B": b""})
