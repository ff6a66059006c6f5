"""The API in a browser: what a page of the console's origin may call and read."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from contact_imports.api.cors import CONSOLE_ORIGIN
from contact_imports.api.paths import IMPORTS_PATH, OPENAPI_PATH
from tests.events import handler
from tests.gateway import Answer, api_event, call

ORIGIN = "https://console.example.com"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,idempotency-key",
}


@pytest.fixture
def console(function_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The API's function, started with the console's origin."""
    monkeypatch.setenv(CONSOLE_ORIGIN, ORIGIN)
    importlib.reload(handler("api"))
    yield
    monkeypatch.delenv(CONSOLE_ORIGIN)
    importlib.reload(handler("api"))


def cors_headers(answer: Answer) -> dict[str, str]:
    return {
        name: value
        for name, (value,) in answer.headers.items()
        if name.startswith("Access-Control-")
    }


def test_a_preflight_from_the_console_is_allowed(console: None) -> None:
    answer = call(api_event("OPTIONS", IMPORTS_PATH, headers={"Origin": ORIGIN, **PREFLIGHT}))
    headers = cors_headers(answer)
    assert (answer.status, answer.body) == (204, "")
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert {"GET", "POST"} <= set(headers["Access-Control-Allow-Methods"].split(","))
    allowed = headers["Access-Control-Allow-Headers"].lower().split(",")
    assert {"authorization", "x-api-key", "content-type", "idempotency-key"} <= set(allowed)
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", OPENAPI_PATH, 200),
        ("POST", IMPORTS_PATH, 401),
        ("GET", "/v1/nothing", 404),
        ("DELETE", IMPORTS_PATH, 405),
    ],
)
def test_the_console_may_read_every_answer(
    console: None, method: str, path: str, status: int
) -> None:
    answer = call(api_event(method, path, headers={"Origin": ORIGIN}))
    headers = cors_headers(answer)
    assert answer.status == status
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-Id" in headers["Access-Control-Expose-Headers"].split(",")


@pytest.mark.parametrize("origin", ["https://other.example.com", "null", None])
def test_another_origin_is_not_allowed(console: None, origin: str | None) -> None:
    sent = {} if origin is None else {"Origin": origin}
    for method in ("OPTIONS", "GET"):
        answer = call(api_event(method, OPENAPI_PATH, headers={**sent, **PREFLIGHT}))
        assert "Access-Control-Allow-Origin" not in cors_headers(answer)


def test_without_an_origin_there_is_nothing_of_cors(function_environment: None) -> None:
    for method, status in (("OPTIONS", 405), ("GET", 200)):
        answer = call(api_event(method, OPENAPI_PATH, headers={"Origin": ORIGIN, **PREFLIGHT}))
        assert answer.status == status
        assert cors_headers(answer) == {}
