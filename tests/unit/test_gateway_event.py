"""What an event of API Gateway says about the URL that was called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.api.gateway_event import request_id, server_url, without_base_path
from contact_imports.api.paths import METHODS, OPENAPI_PATH, methods_of
from tests.gateway import DOMAIN, REQUEST_ID, STAGE, api_event

SEGMENT = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
BASE_PATH = st.lists(SEGMENT, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
PATH = st.one_of(
    st.sampled_from([path.replace("<id>", "0" * 24) for path in METHODS]),
    st.lists(SEGMENT, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts)),
)


@given(path=PATH)
def test_the_stages_own_domain_has_no_base_path(path: str) -> None:
    event = api_event("GET", path)
    assert without_base_path(event)["path"] == path
    assert server_url(event, path) == f"https://{DOMAIN}/{STAGE}"


@given(base_path=BASE_PATH, path=PATH)
def test_a_custom_domains_base_path_is_no_part_of_the_routes(base_path: str, path: str) -> None:
    event = api_event("GET", path, domain="api.acme.test", base_path=base_path)
    seen = without_base_path(event)
    assert seen["path"] == path
    assert {**seen, "path": event["path"]} == event
    assert server_url(event, path) == f"https://api.acme.test{base_path}"


@given(path=PATH)
def test_another_path_in_front_is_not_taken_for_a_base_path(path: str) -> None:
    event = api_event("GET", f"/v0{path}")
    assert methods_of(without_base_path(event)["path"]) == ()


@pytest.mark.parametrize(
    ("host", "endpoint", "url"),
    [
        ("127.0.0.1:4566", None, "http://127.0.0.1:4566/restapis/abc/prod/_user_request_"),
        ("127.0.0.1:4566", "https://x", "https://127.0.0.1:4566/restapis/abc/prod/_user_request_"),
        (
            "abc.execute-api.localhost:4566",
            "http://x",
            "http://abc.execute-api.localhost:4566/prod",
        ),
    ],
)
def test_the_embedded_aws_names_no_domain(
    monkeypatch: pytest.MonkeyPatch, host: str, endpoint: str | None, url: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    context = {"apiId": "abc", "stage": "prod", "path": f"/prod{OPENAPI_PATH}"}
    event: dict[str, Any] = {"headers": {"host": host}, "requestContext": context}
    assert server_url(event, OPENAPI_PATH) == url


def test_the_request_id_is_the_gateways() -> None:
    assert request_id(api_event("GET", "/")) == REQUEST_ID
