"""The document that the API serves: the seed's operations are the seed's, every route is in it, and nothing in
it is what generators of clients are known to stumble over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml

from contact_imports.api.paths import METHODS, UPLOADS_PATH, methods_of
from contact_imports.model import limits
from contact_imports.model.column_map import STANDARD_FIELDS
from contact_imports.model.errors import RequestErrorCode, RowErrorCode
from local.stack import ROOT
from tests.gateway import DOMAIN, STAGE, api_event, call
from tests.template import resources

SEED = yaml.safe_load((ROOT / "tests" / "contract" / "openapi.yaml").read_text())
OPERATIONS = [(path, method) for path, operations in SEED["paths"].items() for method in operations]

# What ours has that the seed has not.
MORE_PARAMETERS = {"Idempotency-Key"}
MORE_FIELDS = {"encoding", "onBlank", "dryRun"}
# What ours says in other words, since the seed's name another vendor's codes and objects.
OTHER_WORDS = {"code", "data"}


@pytest.fixture(scope="session")
def served(function_environment: None) -> Any:
    answer = call(api_event("GET", "/v1/openapi.json"))
    assert answer.status == 200
    return answer.json()


def operations_of(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def plain(document: Any, schema: Any) -> Any:
    """A schema without references and allOf; what may be null says so in its type."""
    if isinstance(schema, list):
        return [plain(document, one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return plain(document, {**referred(document, schema["$ref"]), **rest})
    schema = {name: plain(document, value) for name, value in schema.items()}
    if "allOf" in schema:
        merged: dict[str, Any] = {"properties": {}, "required": []}
        for part in schema["allOf"]:
            merged["properties"] |= part.get("properties", {})
            merged["required"] += part.get("required", [])
        return {"type": "object", **merged}
    if schema.pop("nullable", False) is True and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return schema


def referred(document: Any, reference: str) -> Any:
    found = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def assert_answer_is(ours: Any, seed: Any, where: str) -> None:
    """The seed's schema of an answer is ours, which may require and have more."""
    for name in (*seed, "format", "enum", "default"):
        if name == "properties":
            for key, schema in seed["properties"].items():
                if key == "error" and key not in ours["properties"]:
                    continue  # may be left out, and always is where nothing failed
                if key in OTHER_WORDS:
                    schema.pop("description", None)
                assert_answer_is(ours["properties"][key], schema, f"{where}.{key}")
        elif name == "required":
            assert set(seed["required"]) <= set(ours["required"]), where
        elif name == "additionalProperties":
            assert ours.get(name, True) == seed[name], where
        else:
            assert ours.get(name) == seed.get(name), f"{where}: {name}"


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_an_operation_is_the_seeds(served: Any, path: str, method: str) -> None:
    ours, seed = served["paths"][path][method], SEED["paths"][path][method]
    for name in ("operationId", "summary", "description", "tags"):
        assert ours[name] == seed[name]
    parameters = [one for one in ours.get("parameters", []) if one["name"] not in MORE_PARAMETERS]
    assert parameters == seed.get("parameters", [])
    for status, response in seed["responses"].items():
        response = plain(SEED, response)
        same = plain(served, ours["responses"][status])
        assert same["description"] == response["description"]
        assert set(same["content"]) == set(response["content"])
        for kind, content in response["content"].items():
            schema = same["content"][kind]["schema"]
            assert_answer_is(schema, content["schema"], f"{method} {path} {status}")


def test_the_form_is_the_seeds(served: Any) -> None:
    path = "/v1/contacts/imports"
    ours = served["paths"][path]["post"]["requestBody"]
    seed = SEED["paths"][path]["post"]["requestBody"]
    assert ours["required"] is seed["required"] is True
    assert set(ours["content"]) == set(seed["content"]) == {"multipart/form-data"}
    schema = plain(served, ours["content"]["multipart/form-data"]["schema"])
    wanted = plain(SEED, seed["content"]["multipart/form-data"]["schema"])
    fields = {name: one for name, one in schema["properties"].items() if name not in MORE_FIELDS}
    assert fields == wanted["properties"]
    assert sorted(schema["required"]) == sorted(wanted["required"])
    assert schema["type"] == wanted["type"]


def test_an_upload_form_is_asked_for_with_the_fields_of_the_form(served: Any) -> None:
    content = served["paths"]["/v1/contacts/imports"]["post"]["requestBody"]["content"]
    form = plain(served, content["multipart/form-data"]["schema"])
    body = served["paths"][UPLOADS_PATH]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json"}
    request = plain(served, body["application/json"]["schema"])
    assert set(request["properties"]) == set(form["properties"]) - {"file"}
    assert sorted(request["required"]) == ["columnMap", "projectId"]
    for name in ("projectId", "onConflict", "onBlank", "delimiter"):
        assert request["properties"][name] == form["properties"][name]
    column_map = request["properties"]["columnMap"]
    assert set(column_map["properties"]) == {"email", *STANDARD_FIELDS, "customFields"}
    assert column_map["required"] == ["email"]


def test_a_key_is_asked_for_as_the_seed_does(served: Any) -> None:
    ours = served["components"]["securitySchemes"]["apiKeyAuth"]
    seed = SEED["components"]["securitySchemes"]["apiKeyAuth"]
    assert (ours["type"], ours["in"], ours["name"]) == (seed["type"], seed["in"], seed["name"])
    assert served["security"] == SEED["security"]
    open_to_all = [path for path, _, one in operations_of(served) if one.get("security") == []]
    assert open_to_all == ["/v1/openapi.json"]


def test_every_route_is_in_the_document(served: Any) -> None:
    from functions.api import app

    routes = {
        (route.openapi_path, route.method)
        for route in app.app._static_routes + app.app._dynamic_routes
        if route.include_in_schema
    }
    described = {(path, method.upper()) for path, method, _ in operations_of(served)}
    known = {
        (path.replace("<id>", "{id}"), method)
        for path, methods in METHODS.items()
        for method in methods
    }
    assert routes == described == known
    hidden = {
        (route.openapi_path, route.method)
        for route in app.app._static_routes + app.app._dynamic_routes
        if not route.include_in_schema
    }
    # It answers 405.
    assert hidden == {(UPLOADS_PATH, "GET")}
    assert methods_of(UPLOADS_PATH) == ("POST",)


def test_every_operation_can_be_called_by_its_own_name(served: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations_of(served)]
    assert len(set(names)) == len(names)
    # Generators call the type of an operation's answers or errors so.
    assert not {f"{name}{end}" for name in names for end in ("Errors", "Response")} & set(names)


def test_every_operation_may_fail_in_ways_that_are_described(served: Any) -> None:
    for path, method, operation in operations_of(served):
        answers = operation["responses"]
        assert {"400", "429", "500", "default"} <= set(answers), (method, path)
        assert "422" not in answers
        if operation.get("security") != []:
            assert {"401", "403"} <= set(answers), (method, path)
        for status, response in answers.items():
            response = plain(served, response)
            assert response["headers"]["X-Request-Id"]["schema"] == {"type": "string"}
            if status == "429":
                assert response["headers"]["Retry-After"]["schema"] == {"type": "integer"}
            if status == "default" or int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert set(schema["required"]) >= {"success", "error", "code"}


def test_an_operation_takes_and_gives_one_kind_of_content(served: Any) -> None:
    for _, _, operation in operations_of(served):
        assert len(operation.get("requestBody", {}).get("content", {"none": None})) == 1
        kinds = {
            kind
            for status, response in operation["responses"].items()
            if status.startswith(("2", "3"))
            for kind in response.get("content", {})
        }
        assert len(kinds) == 1


def schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from schemas_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from schemas_in(one)


def test_a_format_and_null_stand_where_the_type_is(served: Any) -> None:
    formats = set()
    for schema in schemas_in([served["paths"], served["components"]]):
        assert "anyOf" not in schema
        assert not isinstance(schema.get("title"), str)
        assert "nullable" not in schema
        if isinstance(schema.get("format"), str):
            formats.add(schema["format"])
            assert "string" in schema["type"]
    assert formats == {"binary", "date-time", "uri"}
    for _, _, operation in operations_of(served):
        for parameter in operation.get("parameters", []):
            schema = plain(served, parameter["schema"])
            assert isinstance(schema["type"], str)
            assert "default" not in schema or schema["default"] is not None
            assert parameter["name"] != parameter["name"].lower() or parameter["in"] != "header"


def test_every_component_is_used(served: Any) -> None:
    used = set(re.findall(r'"\$ref": "#/components/(\w+/[\w-]+)"', json.dumps(served)))
    used |= {f"securitySchemes/{name}" for one in served["security"] for name in one}
    components = {
        f"{kind}/{name}" for kind, named in served["components"].items() for name in named
    }
    assert used == components


def test_the_codes_are_ours(served: Any) -> None:
    shown = set(served["components"]["schemas"]["ApiError"]["properties"]["code"]["examples"])
    (api,) = resources("AWS::Serverless::Api").values()
    templates = json.dumps([one["ResponseTemplates"] for one in api["GatewayResponses"].values()])
    gateway = set(re.findall(r'"code\\+":\\+"(\w+)', templates))
    assert {"THROTTLED", "BAD_REQUEST"} <= gateway
    assert shown == {*get_args(RequestErrorCode), *gateway}
    said = served["components"]["schemas"]["ApiError"]["properties"]["code"]["description"]
    assert set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", said)) <= shown
    assert "DOMAIN_CLAIMABLE" not in json.dumps(served)
    row = served["components"]["schemas"]["FailedRow"]["properties"]["code"]
    assert set(row["examples"]) == set(get_args(RowErrorCode))


def test_the_licence_is_the_projects(served: Any) -> None:
    assert served["info"]["license"] == {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_the_idempotency_key_is_described(served: Any) -> None:
    for path in ("/v1/contacts/imports", UPLOADS_PATH):
        (key,) = served["paths"][path]["post"]["parameters"]
        assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", False)
        assert key["schema"] == {"type": "string", "minLength": 1, "maxLength": 100}
    assert limits.MAX_IDEMPOTENCY_KEY_CHARS == 100


def test_the_server_is_the_one_that_was_called(served: Any) -> None:
    assert served["servers"] == [{"url": f"https://{DOMAIN}/{STAGE}"}]
    event = api_event("GET", "/v1/openapi.json", domain="api.acme.test", base_path="/crm/imports")
    assert call(event).json()["servers"] == [{"url": "https://api.acme.test/crm/imports"}]
