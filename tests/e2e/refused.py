"""How every refusal of the API looks."""

from __future__ import annotations

from typing import Any

import httpx


def assert_refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    answer: dict[str, Any] = response.json()
    assert answer["success"] is False
    assert answer["code"] == code
    assert len(answer["error"]) > 20
    assert set(answer) <= {"success", "error", "code", "data"}
    return answer
