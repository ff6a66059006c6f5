"""docs/api.md says what there is: fields, options with their defaults, codes with their statuses, limits."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from contact_imports.api.requests import ImportFields
from contact_imports.api.responses import STATUSES
from contact_imports.files.encoding import canonical_encoding
from contact_imports.jobs.create_dropped_import import read_metadata
from contact_imports.messages.option_fields import OptionFields, field_names
from contact_imports.model import limits
from contact_imports.model.errors import RequestErrorCode
from local.stack import ROOT

API = (ROOT / "docs" / "api.md").read_text()


def rows(title: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = API.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_fields_and_their_defaults_are_those_of_the_request() -> None:
    documented = {row[0].strip("`"): row for row in rows("Create an import")}
    assert set(documented) == {"file", *field_names(ImportFields)}
    schema = ImportFields.model_json_schema()
    for name, field in schema["properties"].items():
        row = documented[name]
        assert (row[1] == "yes") == (name in schema["required"])
        default = field.get("default")
        if default not in (None, []):
            shown = str(default).lower() if isinstance(default, bool) else default
            assert row[2] == f"`{shown}`"
        for value in field.get("enum", []):
            assert f"`{value}`" in row[3]


def test_metadata_is_documented_in_the_spellings_that_work() -> None:
    documented = {
        row[1].strip("`"): re.findall("`([^`]+)`", row[0])
        for row in rows("Options of a dropped file")
    }
    assert set(documented) == set(field_names(OptionFields))
    values = {"columnMap": '{"email":"E"}', "onConflict": "skip", "onBlank": "clear", "delimiter": ";",
              "tags": "a", "dryRun": "true", "encoding": "utf-16"}  # fmt: skip
    nothing = read_metadata({}, "demo")
    for field, spellings in documented.items():
        meant = [read_metadata({name.lower(): values[field]}, "demo") for name in spellings]
        assert meant[0] != nothing
        assert meant == meant[:1] * len(spellings)


def test_the_encodings_that_are_named_are_known() -> None:
    (row,) = (row for row in rows("Create an import") if row[0] == "`encoding`")
    names = re.findall("`([^`]+)`", row[3])
    assert len(names) > 4
    assert all(canonical_encoding(name) for name in names)


@pytest.mark.parametrize("code", get_args(RequestErrorCode))
def test_every_code_is_documented_with_its_status(code: RequestErrorCode) -> None:
    (row,) = (row for row in rows("Errors") if row[1] == f"`{code}`")
    assert row[0] == str(STATUSES[code])


@pytest.mark.parametrize(
    "limit",
    [
        limits.MAX_UPLOAD_BYTES,
        limits.MAX_FIELD_BYTES,
        limits.MAX_COLUMN_MAP_BYTES,
        limits.MAX_CUSTOM_FIELDS,
        limits.MAX_CUSTOM_FIELD_KEY_CHARS,
        limits.MAX_TAGS,
        limits.MAX_TAG_CHARS,
    ],
)
def test_every_limit_of_a_request_is_documented(limit: int) -> None:
    table = " ".join(cell for row in rows("Limits of a request") for cell in row)
    assert f"{limit:,}" in re.findall(r"\d[\d,]*(?<!,)", table)
