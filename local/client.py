"""A client of the API, and a command that imports one file. Copy it into your own program.

python -m local.client FILE     import a file and wait for its end, with API_URL, API_KEY and PROJECT_ID of `.local/env`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import sys
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
_END_SECONDS = 26 * 3600
"""How long the command waits for an import: it has ended after 26 hours."""
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_MOST_SHOWN_CHARS = 100
"""Of an answer that is not the API's."""

_MOST_ADDRESS_CHARS = 200

_API_IS_GONE = (
    "The API is not, or no longer, at this address. If it is on this machine, start it with `make up` and use its new "
    "address and key (`source .local/env`). Otherwise check API_URL."
)
_POST_AGAIN = "Create the import again: its presigned POST is for one file of up to 5 GiB, and valid for an hour."
_CHECK_TLS = (
    "Check that the address begins with http or https as the API's does, that this machine's clock is right, and that it "
    "trusts the certificate (`ca_file`)."
)
_TRY_AGAIN = "Try again in a while."
_GATEWAY_STATUSES = (429, 502, 503, 504)
"""What a gateway or a proxy answers when it cannot pass a request on just now."""
_RETRYABLE_CODES = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout")
"""S3's codes for a request that may succeed later.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


class NoApiAnswerError(Exception):
    """The answer did not come from the API, or none came. The message is one line: what happened, where, what to do."""


class UploadRefusedError(NoApiAnswerError):
    """S3 refused the file. The message is one line, as above."""


class ImportsClient:
    """Posts files and polls imports.

    It keeps connections open: use it in a `with` statement, or close it.

    Methods that return a response return the API's error responses too: check `is_success`. All raise NoApiAnswerError
    if the API cannot be reached, or something else answers in its place. `send` and `upload` raise UploadRefusedError if
    S3 refuses the file. `wait` raises httpx.HTTPStatusError if it gets one of the API's error responses.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        ca_file: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = f"{api_url}/v1/contacts/imports"
        self._key = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=True,
            # No proxy knows this machine's own addresses.
            trust_env=_host(api_url) not in _THIS_MACHINE,
            transport=transport,
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
        return self._call(
            "POST",
            self._url,
            files={"file": ("contacts.csv", content, "text/csv")},
            data={"projectId": project_id, "columnMap": json.dumps(column_map), **fields},
            headers=headers,
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
        return self._call(
            "POST",
            f"{self._url}/uploads",
            json={"projectId": project_id, "columnMap": column_map, **fields},
        )

    def upload(self, presigned_post: dict[str, Any], content: BinaryIO) -> None:
        """Streams a file to S3 with a presigned POST; raises UploadRefusedError and NoApiAnswerError."""
        url = presigned_post["url"]
        response = self._answer(
            "POST",
            url,
            data=presigned_post["fields"],
            files={"file": content},
            timeout=_UPLOAD_TIMEOUT_SECONDS,
        )
        if not response.is_success:
            raise UploadRefusedError(_why_refused(response, "The upload to", _POST_AGAIN))

    def list(self, project_id: str, **parameters: Any) -> httpx.Response:
        """A page of a project's imports, newest first; the response as it came."""
        return self._call("GET", self._url, params={"projectId": project_id, **parameters})

    def errors(self, import_id: str, **parameters: Any) -> httpx.Response:
        """The failed rows of an import; the response as it came, or the redirect's target."""
        return self._call("GET", f"{self._url}/{import_id}/errors", params=parameters)

    def failed_rows(self, import_id: str, **parameters: Any) -> httpx.Response:
        """A page of the failed rows of an import, with their reasons; the response as it came."""
        return self._call("GET", f"{self._url}/{import_id}/failed-rows", params=parameters)

    def get(self, import_id: str) -> httpx.Response:
        """An import's status and counts; the response as it came."""
        return self._call("GET", f"{self._url}/{import_id}")

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

    def _call(
        self, method: str, url: str, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """The API's answer, be it an error; raises NoApiAnswerError if it is somebody else's."""
        response = self._answer(method, url, headers={**self._key, **(headers or {})}, **options)
        # A large report is answered with a redirect, to S3.
        if response.history and not response.is_success:
            raise NoApiAnswerError(_why_refused(response, "The download from", "Ask for it again."))
        is_report = url.endswith("/errors") and response.is_success
        if is_report and response.headers.get("Content-Type", "").startswith("text/csv"):
            return response
        if not _is_api_answer(response):
            raise NoApiAnswerError(_why_not_the_api(response))
        return response

    def _answer(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Whatever answers; raises NoApiAnswerError if nothing does."""
        try:
            return self._http.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise NoApiAnswerError(_why_no_answer(error, method, url)) from error


def _is_api_answer(response: httpx.Response) -> bool:
    """Whether a response has the shape of the contract: `success` with `data`, or with `error` and `code`."""
    try:
        answer = response.json()
    except ValueError:
        return False
    if not isinstance(answer, dict) or answer.get("success") is not response.is_success:
        return False
    if response.is_success:
        return isinstance(answer.get("data"), dict)
    return isinstance(answer.get("error"), str) and isinstance(answer.get("code"), str)


def _why_not_the_api(response: httpx.Response) -> str:
    request = response.request
    body = _one_line(response.text)
    said = f"{response.status_code} {response.reason_phrase}".strip()
    advice = _TRY_AGAIN if response.status_code in _GATEWAY_STATUSES else _API_IS_GONE
    return (
        f"{request.method} {_place(request.url)} was answered by something else than the API: {said} "
        f"({body or 'and nothing else'}). {advice}"
    )


def _why_no_answer(error: Exception, method: str, url: str) -> str:
    place = _place(error.request.url if isinstance(error, httpx.RequestError) else url)
    reason = _one_line(str(error)) or type(error).__name__
    match error:
        case httpx.LocalProtocolError() | UnicodeError():
            # Its text may have the key in it.
            what, reason, advice = "cannot be sent", "a header is malformed", "Check API_KEY."
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            what = "cannot be sent"
            advice = "Check API_URL: it begins with http:// or https://."
        case httpx.ConnectError() if "SSL" in reason or "certificate" in reason:
            what, advice = "found no secure connection", _CHECK_TLS
        case httpx.ConnectError() | httpx.ConnectTimeout():
            what, advice = "reached nobody", _API_IS_GONE
        case httpx.TimeoutException():
            what, advice = "was not answered in time", _TRY_AGAIN
        case httpx.TransportError():
            what, advice = "was broken off", _TRY_AGAIN
        case _:
            what, advice = "has an answer that cannot be read", _API_IS_GONE
    return f"{method} {place} {what} ({reason}). {advice}"


def _why_refused(response: httpx.Response, what: str, advice: str) -> str:
    """Why S3 refused a request, by the XML of its answer."""
    code = re.search("<Code>([^<]*)</Code>", response.text)
    message = re.search("<Message>([^<]*)</Message>", response.text)
    said = f"{response.status_code} {response.reason_phrase}".strip()
    if code is None:
        reason, advice = _one_line(response.text) or "and nothing else", _TRY_AGAIN
    else:
        reason = _one_line(f"{code[1]}: {message[1]}" if message else code[1])
        advice = _TRY_AGAIN if code[1] in _RETRYABLE_CODES else advice
    return f"{what} {_place(response.request.url)} was refused with {said} ({reason}). {advice}"


def _place(url: httpx.URL | str) -> str:
    """An address without its query, which may have a signature in it."""
    return _one_line(str(url).partition("?")[0], _MOST_ADDRESS_CHARS)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _one_line(text: str, most: int = _MOST_SHOWN_CHARS) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def main() -> None:
    """Imports one file, and prints the import as it ended. Ends with 1 and one line of text if that fails."""
    parser = argparse.ArgumentParser(description="Import a file and wait for its end.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--column-map", type=json.loads, default={"email": "Email"}, metavar="JSON")
    parser.add_argument("--on-conflict", choices=("upsert", "skip"), default="upsert")
    arguments = parser.parse_args()
    names = ("API_URL", "API_KEY", "PROJECT_ID")
    if missing := [name for name in names if not os.environ.get(name)]:
        sys.exit(f"{', '.join(missing)} is not set. After `make up`: `source .local/env`.")
    api_url, api_key, project_id = (os.environ[name] for name in names)
    try:
        with ImportsClient(api_url, api_key) as client:
            response = client.send(
                arguments.file, project_id, arguments.column_map, onConflict=arguments.on_conflict
            )
            if not response.is_success:
                sys.exit(_refusal(response))
            ended = client.wait(response.json()["data"]["id"], _END_SECONDS)
    except httpx.HTTPStatusError as error:
        sys.exit(_refusal(error.response))
    except OSError as error:
        sys.exit(f"{error.filename or arguments.file}: {error.strerror or error}.")
    except NoApiAnswerError as error:
        sys.exit(str(error))
    print(json.dumps(ended, indent=2))
    if ended["status"] != "completed":
        sys.exit(f"The import failed: {ended['error']}")


def _refusal(response: httpx.Response) -> str:
    """The API's own reason for refusing a request, which says what to do."""
    return f"The API refused it with {response.status_code} ({response.json()['code']}): {response.json()['error']}"


if __name__ == "__main__":
    main()
