"""Query parameters that are invalid, missing or unknown."""

from __future__ import annotations

import pytest

from local.stack import LocalStack
from tests.caller import (
    FAILED_ROWS,
    LIST,
    NO_IMPORT,
    OPENAPI,
    REPORT,
    STATUS,
    Caller,
)
from tests.gateway import api_event, call


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
    embedded_aws: LocalStack, function_environment: None
) -> None:
    caller = Caller(embedded_aws, "p")
    key = {"Authorization": f"Bearer {caller.keys['both']}"}
    document = call(api_event("GET", OPENAPI)).json()
    for path, operations in document["paths"].items():
        for method in operations:
            url = path.replace("{id}", NO_IMPORT)
            event = api_event(method.upper(), url, query=[("colour", "red")], headers=key)
            answer = call(event)
            assert (answer.status, answer.json()["data"]) == (400, {"field": "colour"}), path
