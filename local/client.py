"""A client of the API. Copy it into your own program."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx

MOST_IN_ONE_REQUEST = 4_000_000
"""Bytes of a file that the API takes with the request; a larger one is uploaded with a presigned POST."""

_UPLOAD_TIMEOUT_SECONDS = 600
_POLL_SECONDS = 0.2
_POLL_GROWTH = 1.25
_MAX_POLL_SECONDS = 1.0
"""We poll often at first, so that short imports are seen to end at once, and then less often."""
_TIMEOUT_SECONDS = 60
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class ImportsClient:
    """Posts files and polls imports.

    It keeps connections open: use it in a `with` statement, or close it.

    Methods that return a response return error responses too: check `is_success`. But `send` raises
    httpx.HTTPStatusError if S3 refuses the file; so do `upload` and `wait` if they get an error response. All raise
    httpx.TransportError if the API cannot be reached.
    """

    def __init__(self, api_url: str, api_key: str, ca_file: Path | None = None) -> None:
        self._url = f"{api_url}/v1/contacts/imports"
        self._key = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=True,
            # No proxy knows this machine's own addresses.
            trust_env=urlsplit(api_url).hostname not in _THIS_MACHINE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def post(
        self,
        file: Path | bytes,
        project_id: str,
        column_map: dict[str, Any],
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> httpx.Response:
        """Creates an import; the response as it came."""
        content = file if isinstance(file, bytes) else file.read_bytes()
        return self._http.post(
            self._url,
            files={"file": ("contacts.csv", content, "text/csv")},
            data={"projectId": project_id, "columnMap": json.dumps(column_map), **fields},
            headers={**self._key, **(headers or {})},
        )

    def send(
        self, file: Path, project_id: str, column_map: dict[str, Any], **fields: Any
    ) -> httpx.Response:
        """Creates an import of a file of any size, with a presigned POST if it is too large to send with the request."""
        if file.stat().st_size <= MOST_IN_ONE_REQUEST:
            return self.post(file, project_id, column_map, **fields)
        response = self.post_json(project_id, column_map, **fields)
        if response.is_success:
            with file.open("rb") as content:
                self.upload(response.json()["data"]["upload"], content)
        return response

    def post_json(
        self, project_id: str, column_map: dict[str, Any], **fields: Any
    ) -> httpx.Response:
        """Creates an import that waits for its file; the response as it came, with a presigned POST."""
        return self._http.post(
            f"{self._url}/uploads",
            json={"projectId": project_id, "columnMap": column_map, **fields},
            headers=self._key,
        )

    def upload(self, presigned_post: dict[str, Any], content: BinaryIO) -> None:
        """Streams a file to S3 with a presigned POST; raises httpx.HTTPStatusError."""
        self._http.post(
            presigned_post["url"],
            data=presigned_post["fields"],
            files={"file": content},
            timeout=_UPLOAD_TIMEOUT_SECONDS,
        ).raise_for_status()

    def list(self, project_id: str, **parameters: Any) -> httpx.Response:
        """A page of a project's imports, newest first; the response as it came."""
        return self._http.get(
            self._url, params={"projectId": project_id, **parameters}, headers=self._key
        )

    def errors(self, import_id: str, **parameters: Any) -> httpx.Response:
        """The failed rows of an import; the response as it came, or the redirect's target."""
        url = f"{self._url}/{import_id}/errors"
        return self._http.get(url, params=parameters, headers=self._key)

    def failed_rows(self, import_id: str, **parameters: Any) -> httpx.Response:
        """A page of the failed rows of an import, with their reasons; the response as it came."""
        url = f"{self._url}/{import_id}/failed-rows"
        return self._http.get(url, params=parameters, headers=self._key)

    def get(self, import_id: str) -> httpx.Response:
        """An import's status and counts; the response as it came."""
        return self._http.get(f"{self._url}/{import_id}", headers=self._key)

    def wait(
        self,
        import_id: str,
        seconds: float,
        seen: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Polls until the import has ended, and calls `seen` with every answer; raises TimeoutError."""
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
