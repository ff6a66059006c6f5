"""Every answer that an operation gives is in the document, and every one in the document is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.jobs import list_imports
from contact_imports.model.limits import MAX_UPLOAD_BYTES
from local.stack import LocalStack
from tests.gateway import REQUEST_ID, Answer, api_event, call
from tests.multipart import CONTENT_TYPE, FIELDS, body
from tests.pipeline import Pipeline

LIST = "/v1/contacts/imports"
UPLOADS = "/v1/contacts/imports/uploads"
STATUS = "/v1/contacts/imports/{id}"
REPORT = "/v1/contacts/imports/{id}/errors"
FAILED_ROWS = "/v1/contacts/imports/{id}/failed-rows"
OPENAPI = "/v1/openapi.json"
OF_ONE_IMPORT = (STATUS, REPORT, FAILED_ROWS)
NO_IMPORT = "0" * 24
FILE = "Email,First Name\nno email,x\n"
JSON = "application/json"


class Caller:
    """A project with keys of all sorts; what it was answered, by operation."""

    def __init__(self, stack: LocalStack, project: str) -> None:
        table = ApiKeyTable(stack.client("dynamodb"), stack.outputs["ApiKeysTable"])
        now = datetime.now(UTC)
        self.project = project
        self.keys = {
            "both": table.create(tuple(Scope), (project,), now),
            "reader": table.create((Scope.READ,), (project,), now),
            "writer": table.create((Scope.WRITE,), (project,), now),
            "stranger": table.create(tuple(Scope), ("another",), now),
            "unknown": "ci_unknown",
        }
        self.answers: list[tuple[str, str, Answer]] = []

    def get(self, path: str, import_id: str = NO_IMPORT, key: str = "both", **query: str) -> Answer:
        return self._send("GET", path, key, import_id=import_id, query=query)

    def post(self, content: bytes = b"", key: str = "both", **headers: str) -> Answer:
        return self._send("POST", LIST, key, {"Content-Type": CONTENT_TYPE} | headers, content)

    def post_file(self, key: str = "both", file: str = FILE, **headers: str) -> Answer:
        return self.post(body({**FIELDS, "projectId": self.project, "file": file}), key, **headers)

    def ask(self, path: str, key: str = "both", tags: str = "", **headers: str) -> Answer:
        fields = {"projectId": self.project, "columnMap": {"email": "Email"}, "tags": [tags or "t"]}
        headers = {"Content-Type": JSON} | headers
        return self._send("POST", path, key, headers, json.dumps(fields).encode())

    def _send(
        self,
        method: str,
        path: str,
        key: str,
        headers: dict[str, str] | None = None,
        content: bytes = b"",
        import_id: str = "",
        query: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.keys[key]}", **(headers or {})}
        parameters = list((query or {}).items())
        url = path.replace("{id}", import_id)
        event = api_event(method, url, query=parameters, headers=sent, body=content)
        answer = call(event)
        self.answers.append((method.lower(), path, answer))
        return answer


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
    caller.ask(LIST)  # what an upload form was asked for by, before it had a path of its own

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


# ------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("path", "query", "field", "said"),
    [
        (LIST, [], "projectId", "is missing. Send the id of a project"),
        (LIST, [("projectId", "")], "projectId", "is empty. Send the id of a project"),
        (LIST, [("project_id", "p")], "project_id", "is not known. Did you mean 'projectId'?"),
        (LIST, [("projectid", "p")], "projectid", "Did you mean 'projectId'?"),
        (LIST, [("projectId", "p"), ("page", "2")], "page", "takes projectId, status, limit, cursor"),
        (LIST, [("projectId", "p"), ("projectId", "q")], "projectId", "more than once. Send it once"),
        (LIST, [("projectId", "p"), ("limit", "x")], "limit", "not a whole number. Send a number of imports, from 1 to 100"),
        (LIST, [("projectId", "p"), ("limit", "0")], "limit", "is too small. Send a number of imports, from 1 to 100"),
        (LIST, [("projectId", "p"), ("limit", "101")], "limit", "is too large. Send a number of imports, from 1 to 100"),
        (LIST, [("projectId", "p"), ("status", "done")], "status", "Send one of pending, processing, completed, failed"),
        (LIST, [("projectId", "p"), ("status", "")], "status", "Send one of pending"),
        (LIST, [("projectId", "p"), ("cursor", "")], "cursor", "Send the `next_cursor`"),
        (STATUS, [("verbose", "1")], "verbose", "Leave it out: this path takes no query parameters"),
        (STATUS, [("x" * 1_000, "1")], "x" * 64, "is not known"),
        (FAILED_ROWS, [("limit", "1001")], "limit", "Send a number of rows, from 1 to 1000"),
        (FAILED_ROWS, [("cursor", "9" * 5_000)], "cursor", "Send the `next_cursor`"),
        (REPORT, [("format", "xml")], "format", "Send `csv`"),
        (REPORT, [("fromat", "csv")], "fromat", "is not known"),
    ],
)  # fmt: skip
def test_a_query_parameter_that_is_wrong(
    embedded_aws: LocalStack,
    function_environment: None,
    path: str,
    query: list[tuple[str, str]],
    field: str,
    said: str,
) -> None:
    caller = Caller(embedded_aws, "p")
    url = path.replace("{id}", NO_IMPORT)
    key = {"Authorization": f"Bearer {caller.keys['both']}"}
    answer = call(api_event("GET", url, query=query, headers=key))
    refusal = answer.json()
    assert (answer.status, refusal["code"]) == (400, "INVALID_PARAMETER")
    assert refusal["data"] == {"field": field}
    assert refusal["error"].startswith(f"The query parameter '{field}' ")
    assert said in refusal["error"]
    # Without a key nobody learns what would have been wrong.
    assert call(api_event("GET", url, query=query)).status == 401


def test_every_route_refuses_a_parameter_that_it_does_not_know(
    embedded_aws: LocalStack, function_environment: None, document: Any
) -> None:
    caller = Caller(embedded_aws, "p")
    key = {"Authorization": f"Bearer {caller.keys['both']}"}
    for path, operations in document["paths"].items():
        for method in operations:
            url = path.replace("{id}", NO_IMPORT)
            event = api_event(method.upper(), url, query=[("colour", "red")], headers=key)
            answer = call(event)
            assert (answer.status, answer.json()["data"]) == (400, {"field": "colour"}), path
