"""Reads the URL and the id of a request from an event of API Gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


def without_base_path(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event, with the path that the routes have.

    Behind a custom domain, API Gateway leaves the base path of the domain's mapping in `path`
    ("/crm/v1/contacts/imports"). The part that matched the template's {proxy+} is the path without it.
    """
    proxy = (event.get("pathParameters") or {}).get("proxy")
    if proxy is None or not event["path"].endswith(f"/{proxy}"):
        return dict(event)
    return {**event, "path": f"/{proxy}"}


def server_url(event: Mapping[str, Any], path: str) -> str:
    """The absolute URL that precedes the API's paths, as the caller used it; `path` is the path that was called.

    https://{domain}/{stage}, or https://{domain}/{base path} behind a custom domain.
    """
    context = event["requestContext"]
    domain = context.get("domainName")
    if domain:
        return f"https://{domain}{context['path'].removesuffix(path)}"
    # The embedded AWS sends no domain. The stage is in the path, and the API's id in the host or in the path.
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "http:")).scheme
    host, api, stage = headers.get("host", "localhost"), context.get("apiId"), context.get("stage")
    if host.startswith(f"{api}.execute-api."):
        return f"{scheme}://{host}/{stage}"
    return f"{scheme}://{host}/restapis/{api}/{stage}/_user_request_"


def request_id(event: Mapping[str, Any]) -> str:
    """The id of the request; API Gateway's own refusals have it too."""
    return str(event["requestContext"].get("requestId", ""))
