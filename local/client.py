"""A client of the API, as a program of yours could have it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import requests

MOST_IN_ONE_REQUEST = 4_000_000
"""Bytes of a file that the API takes with the request; a larger one goes through an upload form."""

_UPLOAD_TIMEOUT_SECONDS = 600
_POLL_SECONDS = 0.2
_POLL_GROWTH = 1.25
_MAX_POLL_SECONDS = 1.0
"""Short imports are seen to end at once, and long ones are not asked for all the time."""
_TIMEOUT_SECONDS = 60


class ImportsClient:
    """Posts files and polls imports; raises requests.HTTPError for what the API refuses."""

    def __init__(self, api_url: str, api_key: str, ca_file: Path | None = None) -> None:
        self._url = f"{api_url}/v1/contacts/imports"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {api_key}"
        # Given with every request: requests prefers REQUESTS_CA_BUNDLE to a session's own setting.
        self._ca_file = str(ca_file) if ca_file else None
        self._verify = str(ca_file) if ca_file else True

    def post(
        self,
        file: Path | bytes,
        project_id: str,
        column_map: dict[str, Any],
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> requests.Response:
        """Creates an import; the answer as it came."""
        content = file if isinstance(file, bytes) else file.read_bytes()
        return self._session.post(
            self._url,
            files={"file": ("contacts.csv", content, "text/csv")},
            data={"projectId": project_id, "columnMap": json.dumps(column_map), **fields},
            headers=headers,
            timeout=_TIMEOUT_SECONDS,
            verify=self._verify,
        )

    def send(
        self, file: Path, project_id: str, column_map: dict[str, Any], **fields: Any
    ) -> requests.Response:
        """Creates an import of a file of any size, with an upload form where it is too large to post."""
        if file.stat().st_size <= MOST_IN_ONE_REQUEST:
            return self.post(file, project_id, column_map, **fields)
        response = self.post_json(project_id, column_map, **fields)
        if response.ok:
            with file.open("rb") as content:
                self.upload(response.json()["data"]["upload"], content)
        return response

    def post_json(
        self, project_id: str, column_map: dict[str, Any], **fields: Any
    ) -> requests.Response:
        """Creates an import that waits for its file; the answer, with an upload form, as it came."""
        return self._session.post(
            f"{self._url}/uploads",
            json={"projectId": project_id, "columnMap": column_map, **fields},
            timeout=_TIMEOUT_SECONDS,
            verify=self._verify,
        )

    def upload(self, form: dict[str, Any], content: BinaryIO) -> None:
        """Sends a file with an upload form, a piece at a time; raises httpx.HTTPStatusError."""
        verify = ssl.create_default_context(cafile=self._ca_file)
        with httpx.Client(verify=verify, timeout=_UPLOAD_TIMEOUT_SECONDS) as http:
            answer = http.post(form["url"], data=form["fields"], files={"file": content})
        answer.raise_for_status()

    def list(self, project_id: str, **parameters: Any) -> requests.Response:
        """A page of a project's imports, newest first; the answer as it came."""
        return self._session.get(
            self._url,
            params={"projectId": project_id, **parameters},
            timeout=_TIMEOUT_SECONDS,
            verify=self._verify,
        )

    def errors(self, import_id: str, **parameters: Any) -> requests.Response:
        """The failed rows of an import; the answer as it came, or where it was redirected to."""
        url = f"{self._url}/{import_id}/errors"
        return self._session.get(
            url, params=parameters, timeout=_TIMEOUT_SECONDS, verify=self._verify
        )

    def failed_rows(self, import_id: str, **parameters: Any) -> requests.Response:
        """A page of the failed rows of an import, with their reasons; the answer as it came."""
        url = f"{self._url}/{import_id}/failed-rows"
        return self._session.get(
            url, params=parameters, timeout=_TIMEOUT_SECONDS, verify=self._verify
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
        pause = _POLL_SECONDS
        while True:
            response = self.get(import_id)
            response.raise_for_status()
            data: dict[str, Any] = response.json()["data"]
            seen(data)
            if data["status"] in ("completed", "failed"):
                return data
            if time.monotonic() > deadline:
                raise TimeoutError(f"import {import_id} is {data['status']} after {seconds} s")
            time.sleep(pause)
            pause = min(pause * _POLL_GROWTH, _MAX_POLL_SECONDS)
