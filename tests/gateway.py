"""Requests as API Gateway sends them to the API's function, and its answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.stack import ROOT
from tests.events import Context, handler

_SAMPLE = json.loads((ROOT / "events" / "api_get.json").read_text())
STAGE = _SAMPLE["requestContext"]["stage"]
DOMAIN = _SAMPLE["requestContext"]["domainName"]
REQUEST_ID = _SAMPLE["requestContext"]["requestId"]


@dataclass(frozen=True)
class Answer:
    """An answer of the function."""

    status: int
    headers: dict[str, list[str]]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


def api_event(
    method: str,
    path: str,
    *,
    query: Sequence[tuple[str, str]] = (),
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    domain: str = DOMAIN,
    base_path: str | None = None,
) -> dict[str, Any]:
    """The event of a request, as through the stage's own domain, or through a custom one with a base path.

    https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html; that `path` keeps the base path is
    known from https://github.com/CodeGenieApp/serverless-express/issues/86.
    """
    sent = {"Host": domain, "User-Agent": "test", "X-Forwarded-Proto": "https", **(headers or {})}
    many: dict[str, list[str]] = {}
    for name, value in query:
        many.setdefault(name, []).append(value)
    outside = f"/{STAGE}" if base_path is None else base_path
    context = {
        **_SAMPLE["requestContext"],
        "httpMethod": method,
        "domainName": domain,
        "path": outside + path,
    }
    return {
        **_SAMPLE,
        "httpMethod": method,
        "path": (base_path or "") + path,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in many.items()} or None,
        "multiValueQueryStringParameters": many or None,
        "requestContext": context,
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def call(event: dict[str, Any]) -> Answer:
    """The answer of the API's function to an event."""
    answer = handler("api").lambda_handler(event, Context())
    return Answer(answer["statusCode"], answer["multiValueHeaders"], answer["body"])
