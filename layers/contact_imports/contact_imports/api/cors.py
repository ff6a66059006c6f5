"""What a page of the console may do from a browser: call the API, with a key, and read the answers' headers."""

from __future__ import annotations

import os

from aws_lambda_powertools.event_handler import CORSConfig

CONSOLE_ORIGIN = "CONSOLE_ORIGIN"
"""The environment variable with the console's origin (https://console.example.com); empty if there is none."""

_SENT_HEADERS = ["Idempotency-Key"]
"""Headers of requests besides those that Powertools allows: Authorization, Content-Type and X-Api-Key."""
_READ_HEADERS = ["Content-Disposition", "Retry-After", "X-Request-Id"]
_PREFLIGHT_SECONDS = 600
"""How long a browser remembers the answer to a preflight; Chromium forgets it after two hours at most."""


def cors() -> CORSConfig | None:
    """CORS for the console's origin; None where no origin is allowed, and then no answer has a header of CORS."""
    origin = os.environ.get(CONSOLE_ORIGIN)
    if not origin:
        return None
    return CORSConfig(
        allow_origin=origin,
        allow_headers=_SENT_HEADERS,
        expose_headers=_READ_HEADERS,
        max_age=_PREFLIGHT_SECONDS,
    )
