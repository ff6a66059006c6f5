"""The document that the API serves says of the seed's operations what the seed says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from contact_imports.model import limits
from local.stack import ROOT
from tests.events import Context

SEED = yaml.safe_load((ROOT / "tests" / "contract" / "openapi.yaml").read_text())
OPERATIONS = [
    (path, method)
    for path, operations in SEED["paths"].items()
    for method in operations
]  # fmt: skip
# What a description in a schema may leave open, and what only one of the two writers says.
IGNORED = {"title", "additionalProperties", "nullable"}


@pytest.fixture(scope="session")
def served(function_environment: None) -> Any:
    from functions.api import app

    event = {"httpMethod": "GET", "path": "/v1/openapi.json", "headers": {}, "requestContext": {}}
    answer = app.lambda_handler(event, Context())  # type: ignore[arg-type]
    assert answer["statusCode"] == 200
    return json.loads(answer["body"])


def resolved(document: Any, schema: Any) -> Any:
    """A schema without references, allOf and the several ways to say nullable."""
    if isinstance(schema, list):
        return [resolved(document, one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return resolved(document, {**found, **{k: v for k, v in schema.items() if k != "$ref"}})
    schema = {name: resolved(document, value) for name, value in schema.items()}
    if "allOf" in schema:
        merged: dict[str, Any] = {"properties": {}, "required": []}
        for part in schema["allOf"]:
            merged["properties"] |= part.get("properties", {})
            merged["required"] += part.get("required", [])
        return {"type": "object", **merged}
    if "anyOf" in schema:
        others = [one for one in schema["anyOf"] if one != {"type": "null"}]
        if len(others) == 1:
            rest = {name: value for name, value in schema.items() if name != "anyOf"}
            return {**others[0], **rest}
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    return schema


def assert_says(ours: Any, seed: Any, where: str) -> None:
    """Everything that the seed's schema says is said by ours, which may say more."""
    for name, value in seed.items():
        if name in IGNORED:
            continue
        if name == "properties":
            for key, schema in value.items():
                if key == "data" and schema.get("nullable"):
                    continue  # any data, or none: ApiResponse's, which every answer makes more of
                if key == "error" and key not in ours["properties"]:
                    continue  # may be left out, and always is where nothing failed
                assert_says(ours["properties"][key], schema, f"{where}.{key}")
        elif name == "required" and isinstance(value, list):
            assert set(value) <= {*ours.get("required", []), *ours.get("properties", {})}, where
        elif name == "enum":
            assert sorted(ours["enum"]) == sorted(value), where
        else:
            assert ours.get(name) == value, f"{where}: {name}"


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_is_the_seeds(served: Any, path: str, method: str) -> None:
    ours, seed = served["paths"][path][method], SEED["paths"][path][method]
    for name in ("operationId", "summary", "description", "tags"):
        assert ours[name] == seed[name]
    for parameter in seed.get("parameters", []):
        (same,) = [one for one in ours["parameters"] if one["name"] == parameter["name"]]
        assert_says(same, {k: v for k, v in parameter.items() if k != "schema"}, path)
        assert_says(same["schema"], parameter["schema"], path)
    for status, response in seed["responses"].items():
        response = resolved(SEED, response)
        same = ours["responses"][status]
        assert same["description"] == response["description"]
        for kind, content in response["content"].items():
            schema = resolved(served, same["content"][kind]["schema"])
            assert_says(schema, content["schema"], f"{method} {path} {status}")


def test_the_form_is_the_seeds(served: Any) -> None:
    path = "/v1/contacts/imports"
    ours = served["paths"][path]["post"]["requestBody"]
    seed = SEED["paths"][path]["post"]["requestBody"]
    assert ours["required"] is seed["required"] is True
    schema = resolved(served, ours["content"]["multipart/form-data"]["schema"])
    wanted = resolved(SEED, seed["content"]["multipart/form-data"]["schema"])
    assert_says(schema, wanted, "form")
    assert set(schema["required"]) == set(wanted["required"])
    as_json = resolved(served, ours["content"]["application/json"]["schema"])
    assert set(as_json["properties"]) == set(schema["properties"]) - {"file"}


def test_a_key_is_asked_for_as_the_seed_does(served: Any) -> None:
    ours = served["components"]["securitySchemes"]["apiKeyAuth"]
    seed = SEED["components"]["securitySchemes"]["apiKeyAuth"]
    assert (ours["type"], ours["in"], ours["name"]) == (seed["type"], seed["in"], seed["name"])
    assert served["security"] == SEED["security"]


def test_every_operation_of_the_api_is_described(served: Any) -> None:
    operations = {
        operation["operationId"]: operation
        for path in served["paths"].values()
        for operation in path.values()
    }
    assert set(operations) == {
        "CreateContactImport",
        "GetContactImport",
        "GetContactImportErrors",
        "ListContactImports",
    }
    (key,) = operations["CreateContactImport"]["parameters"]
    assert key["name"].lower() == "idempotency-key"
    assert limits.MAX_IDEMPOTENCY_KEY_CHARS == 100
    assert "100" in json.dumps(key["schema"])
    for operation in operations.values():
        assert "422" not in operation["responses"]
