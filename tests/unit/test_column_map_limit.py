"""The largest column map, however it is sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.api.requests import ImportRequest, parse_request
from contact_imports.model.column_map import ColumnMap, stored_bytes
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.errors import RequestError
from contact_imports.model.limits import MAX_COLUMN_MAP_BYTES
from tests.multipart import CONTENT_TYPE, FIELDS, body


def parse(**changed: str | bytes | None) -> ImportRequest:
    fields = {k: v for k, v in {**FIELDS, **changed}.items() if v is not None}
    return parse_request(CONTENT_TYPE, body(fields))


def parse_json(fields: object) -> ImportRequest:
    return parse_request("application/json; charset=utf-8", json.dumps(fields).encode())


JSON_FIELDS = {"projectId": "demo", "columnMap": FIELDS["columnMap"]}


def column_map_of(size: int, character: str = "x") -> dict[str, Any]:
    """A column map that takes just `size` bytes as it is stored."""
    column_map = {"email": "Email", "customFields": {"k": ""}}
    left = size - stored_bytes(ColumnMap(email="Email", custom_fields={"k": ""}))
    header = character * (left // len(character.encode()))
    column_map["customFields"] = {"k": header + "x" * (left - len(header.encode()))}
    return column_map


@pytest.mark.parametrize("character", ["x", "я", "漢", "😀"])
def test_a_column_map_may_have_just_so_many_bytes_as_it_is_stored(character: str) -> None:
    most = column_map_of(MAX_COLUMN_MAP_BYTES, character)
    assert parse_json({**JSON_FIELDS, "columnMap": most}).options.column_map is not None
    text = json.dumps(most, ensure_ascii=False, separators=(",", ":"))
    assert parse(columnMap=text).options.column_map is not None
    with pytest.raises(RequestError) as refused:
        parse_json({**JSON_FIELDS, "columnMap": column_map_of(MAX_COLUMN_MAP_BYTES + 1, character)})
    assert refused.value.code == "INVALID_COLUMN_MAP"
    assert "65,536 is the most" in refused.value.message


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=400), max_size=60
    ),
    st.integers(1, 400),
)
def test_no_column_map_that_is_taken_is_larger(fields: dict[str, str], times: int) -> None:
    fields = {key: header * times for key, header in fields.items()}
    for sent in ({"email": "E", "customFields": fields}, {"email": "E" * times * 400}):
        try:
            column_map = parse_column_map(sent)
        except ValueError:
            continue
        assert len(msgspec.json.encode(column_map.as_dict())) <= MAX_COLUMN_MAP_BYTES
        assert stored_bytes(column_map) == len(msgspec.json.encode(column_map.as_dict()))
