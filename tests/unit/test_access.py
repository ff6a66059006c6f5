from __future__ import annotations

import hashlib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.api.access import UnauthenticatedError, authenticate, check_project
from contact_imports.api.responses import STATUSES, refusal
from contact_imports.aws.api_keys_table import ApiKey, ApiKeyTable, Scope
from contact_imports.model.errors import RequestError, RequestErrorCode

SECRET = "s" * 43
KEY = f"ci_0123456789ab_{SECRET}"


class OneKey:
    """A DynamoDB client whose table has one key."""

    def get_item(self, **request: Any) -> Any:
        if request["Key"] != {"keyId": {"S": "0123456789ab"}}:
            return {}
        return {
            "Item": {
                "secretHash": {"S": hashlib.sha256(SECRET.encode()).hexdigest()},
                "scopes": {"SS": [Scope.WRITE]},
                "projects": {"SS": ["demo"]},
            }
        }


def ask(authorization: str | None, x_api_key: str | None = None) -> ApiKey:
    client: Any = OneKey()
    return authenticate(authorization, x_api_key, Scope.WRITE, ApiKeyTable(client, "keys"))


@pytest.mark.parametrize(
    ("authorization", "x_api_key"),
    [
        (f"Bearer {KEY}", None),
        (f"bearer   {KEY} ", None),
        (f"ApiKey {KEY}", None),
        (f"APIKEY {KEY}", None),
        (None, KEY),
        ("", f" {KEY} "),
        ("Basic YTpi", KEY),
        ("Bearer", KEY),
        (f"Bearer {KEY}", "another"),
    ],
)
def test_a_key_is_taken_from_either_header(
    authorization: str | None, x_api_key: str | None
) -> None:
    assert ask(authorization, x_api_key).id == "0123456789ab"


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "said", "key_sent"),
    [
        (None, None, "no API key", False),
        ("", "", "no API key", False),
        ("Bearer", None, "no key after 'Bearer'", False),
        ("ApiKey ", None, "no key after 'ApiKey'", False),
        (KEY, None, "a key without 'Bearer'", False),
        (f'"{KEY}"', None, "a key without 'Bearer'", False),
        ("Basic YTpi", None, "is not Bearer", False),
        (f'Bearer "{KEY}"', None, "in quotes", True),
        (f"Bearer '{KEY}'", None, "in quotes", True),
        (f"Bearer \u201c{KEY}\u201d", None, "in quotes", True),
        (None, f'"{KEY}"', "in quotes", True),
        ("Bearer $API_KEY", None, "name of a variable", True),
        ("Bearer nonsense", None, "unknown or revoked", True),
        (f"Bearer {KEY}x", None, "unknown or revoked", True),
        (f"Bearer {KEY[:-1]}t", None, "unknown or revoked", True),
        ("Bearer another", KEY, "unknown or revoked", True),
    ],
)
def test_what_is_wrong_with_a_key_is_said(
    authorization: str | None, x_api_key: str | None, said: str, key_sent: bool
) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        ask(authorization, x_api_key)
    assert said in refused.value.message
    answer = refusal(refused.value)
    assert answer.status_code == 401
    # RFC 6750, 3.1
    challenge = answer.headers["WWW-Authenticate"]
    assert str(challenge).startswith("Bearer ")
    assert ("invalid_token" in challenge) is key_sent


@given(st.text(), st.text())
def test_whatever_headers_are_sent_are_refused_and_not_repeated(
    authorization: str, x_api_key: str
) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        ask(f"Bearer {SECRET}{authorization}", x_api_key)
    assert SECRET not in refused.value.message
    with pytest.raises(UnauthenticatedError) as refused:
        ask(SECRET + authorization, x_api_key)
    assert SECRET not in refused.value.message


def test_scopes_and_projects() -> None:
    client: Any = OneKey()
    keys = ApiKeyTable(client, "keys")
    with pytest.raises(RequestError) as refused:
        authenticate(f"Bearer {KEY}", None, Scope.READ, keys)
    assert refused.value.code == "MISSING_SCOPE"
    check_project(ask(f"Bearer {KEY}"), "demo")
    with pytest.raises(RequestError) as refused:
        check_project(ask(f"Bearer {KEY}"), "other")
    assert refused.value.code == "PROJECT_FORBIDDEN"


def test_every_code_has_one_status() -> None:
    assert set(STATUSES) == set(get_args(RequestErrorCode))


@pytest.mark.parametrize("code", ["IDEMPOTENCY_IN_PROGRESS", "REPORT_NOT_READY"])
def test_what_will_be_answered_later_says_when_to_ask_again(code: RequestErrorCode) -> None:
    answer = refusal(RequestError(code, "Not yet."))
    assert answer.status_code == 409
    assert answer.headers["Retry-After"] == "1"


def test_an_answer_has_the_contracts_shape() -> None:
    answer = refusal(RequestError("METHOD_NOT_ALLOWED", "No.", data={"a": 1}), {"Allow": "GET"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert answer.body == {
        "success": False,
        "error": "No.",
        "code": "METHOD_NOT_ALLOWED",
        "data": {"a": 1},
    }
