"""Every answer that an operation gives is in the document, and every one in the document is given."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable
from contact_imports.jobs import list_imports
from contact_imports.model.limits import MAX_UPLOAD_BYTES
from local.stack import LocalStack
from tests.caller import (
    FAILED_ROWS,
    JSON,
    LIST,
    NO_IMPORT,
    OF_ONE_IMPORT,
    OPENAPI,
    REPORT,
    UPLOADS,
    Caller,
)
from tests.gateway import REQUEST_ID, Answer, api_event, call
from tests.multipart import CONTENT_TYPE
from tests.pipeline import Pipeline


@pytest.fixture(scope="module")
def document(function_environment: None) -> Any:
    return call(api_event("GET", OPENAPI)).json()


@pytest.fixture(scope="module")
def answers(embedded_aws: LocalStack, function_environment: None) -> list[tuple[str, str, Answer]]:
    """Every answer that a caller can provoke, each operation with every refusal of its own."""
    pipeline = Pipeline(embedded_aws, "uploads")
    caller = Caller(embedded_aws, "answers")
    again = {"Idempotency-Key": "k"}

    posted = caller.post_file(**again)
    caller.post_file(file="Email,First Name\n", **again)
    caller.post_file(key="reader")
    caller.post_file(key="unknown")
    caller.post_file(key="stranger")
    caller.post(b"x" * (MAX_UPLOAD_BYTES + 1))
    caller.post(b"no form")
    caller.post_file(**{"Idempotency-Key": ""})
    caller.ask(LIST)  # the former path of presigned POSTs

    asked = caller.ask(UPLOADS, **again | {"Idempotency-Key": "u"})
    caller.ask(UPLOADS, tags="other", **again | {"Idempotency-Key": "u"})
    caller.ask(UPLOADS, key="reader")
    caller.ask(UPLOADS, key="unknown")
    caller.ask(UPLOADS, key="stranger")
    caller.ask(UPLOADS, **{"Content-Type": CONTENT_TYPE})
    caller.ask(UPLOADS, tags="x" * MAX_UPLOAD_BYTES)

    ended, pending = posted.json()["data"]["id"], asked.json()["data"]["id"]
    pipeline.process(pipeline.object_event(f"imports/{caller.project}/{ended}.csv"))
    pipeline.drain()
    job = pipeline.imports.get(ended)
    assert job is not None
    pipeline.finish(job)

    for query in ({}, {"status": "completed", "limit": "1"}, {"cursor": "f" * 24}):
        caller.get(LIST, projectId=caller.project, **query)
    for query in ({"limit": "0"}, {"status": "x"}, {"project": "x"}, {"projectId": ""}):
        caller.get(LIST, **{"projectId": caller.project} | query)
    caller.get(LIST)
    for key in ("writer", "unknown", "stranger"):
        caller.get(LIST, key=key, projectId=caller.project)

    for path in OF_ONE_IMPORT:
        for import_id in (ended, pending, NO_IMPORT, "zz"):
            caller.get(path, import_id)
        for key in ("writer", "unknown", "stranger"):
            caller.get(path, ended, key)
        caller.get(path, ended, x="1")
    caller.get(FAILED_ROWS, ended, limit="1", cursor="0")
    caller.get(FAILED_ROWS, ended, cursor="9" * 9)
    caller.get(REPORT, ended, cursor="9" * 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_imports, "MAX_INLINE_REPORT_BYTES", 0)
        caller.get(REPORT, ended)

    caller.get(OPENAPI)
    caller.get(OPENAPI, key="unknown", x="1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ApiKeyTable, "find", _break)
        patch.setattr("functions.api.app.server_url", _break)
        caller.post_file()
        caller.ask(UPLOADS)
        caller.get(LIST, projectId=caller.project)
        for path in (*OF_ONE_IMPORT, OPENAPI):
            caller.get(path, ended)
    return caller.answers


def _break(*_: object) -> None:
    raise RuntimeError("broken")


def resolve(document: Any, response: Any) -> Any:
    name = response.get("$ref", "").removeprefix("#/components/responses/")
    return document["components"]["responses"][name] if name else response


def test_every_answer_is_in_the_document(
    document: Any, answers: list[tuple[str, str, Answer]]
) -> None:
    for method, path, answer in answers:
        described = document["paths"][path][method]["responses"]
        response = resolve(document, described[str(answer.status)])
        where = f"{method} {path} {answer.status} {answer.body[:300]}"
        assert answer.headers["X-Request-Id"] == [REQUEST_ID], where
        if "content" not in response:
            assert answer.body == "", where
            assert answer.headers["Location"][0].startswith("http"), where
            continue
        (kind,) = answer.headers["Content-Type"]
        content = response["content"][kind.partition(";")[0]]
        if kind == JSON:
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validate(schema, answer.json())


def test_every_answer_of_the_document_is_given(
    document: Any, answers: list[tuple[str, str, Answer]]
) -> None:
    given = {(method, path, str(answer.status)) for method, path, answer in answers}
    described = {
        (method, path, status)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    # API Gateway gives 429 (tests/unit/test_template.py); `default` is for what only API Gateway knows.
    ours = {one for one in described if one[2] not in ("429", "default")}
    assert ours == given


def test_where_there_is_no_import_of_that_name(function_environment: None) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = call(api_event(method, UPLOADS))
        assert (answer.status, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["Allow"] == ["POST"]


def test_a_custom_domains_base_path_leads_to_the_same_routes(
    embedded_aws: LocalStack, function_environment: None
) -> None:
    caller = Caller(embedded_aws, "custom-domain")
    headers = {"Authorization": f"Bearer {caller.keys['both']}"}
    outside = {"domain": "api.acme.test", "base_path": "/crm"}
    query = [("projectId", caller.project)]
    event = api_event("GET", LIST, query=query, headers=headers, **outside)  # type: ignore[arg-type]
    answer = call(event)
    assert (answer.status, answer.json()["data"]["data"]) == (200, [])
