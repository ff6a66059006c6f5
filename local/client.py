"""A client of the API, as a program of yours could have it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

_POLL_SECONDS = 0.2
_TIMEOUT_SECONDS = 60


class ImportsClient:
    """Posts files and polls imports; raises requests.HTTPError for what the API refuses."""

    def __init__(self, api_url: str, api_key: str, ca_file: Path | None = None) -> None:
        self._url = f"{api_url}/v1/contacts/imports"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {api_key}"
        # Given with every request: requests prefers REQUESTS_CA_BUNDLE to a session's own setting.
        self._verify = str(ca_file) if ca_file else True

    def post(
        self, file: Path | bytes, project_id: str, column_map: dict[str, Any], **fields: str
    ) -> requests.Response:
        """Creates an import; the answer as it came."""
        content = file if isinstance(file, bytes) else file.read_bytes()
        return self._session.post(
            self._url,
            files={"file": ("contacts.csv", content, "text/csv")},
            data={"projectId": project_id, "columnMap": json.dumps(column_map), **fields},
            timeout=_TIMEOUT_SECONDS,
            verify=self._verify,
        )

    def get(self, import_id: str) -> requests.Response:
        """An import's status and counts; the answer as it came."""
        url = f"{self._url}/{import_id}"
        return self._session.get(url, timeout=_TIMEOUT_SECONDS, verify=self._verify)

    def wait(
        self,
        import_id: str,
        seconds: float,
        seen: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Polls until the import has ended, showing `seen` every answer; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while True:
            response = self.get(import_id)
            response.raise_for_status()
            data: dict[str, Any] = response.json()["data"]
            seen(data)
            if data["status"] in ("completed", "failed"):
                return data
            if time.monotonic() > deadline:
                raise TimeoutError(f"import {import_id} is {data['status']} after {seconds} s")
            time.sleep(_POLL_SECONDS)
