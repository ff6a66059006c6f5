"""The client where the API does not answer: one line that says what happened, where, and what to do."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.client import ImportsClient, NoApiAnswerError, UploadRefusedError
from local.emulator import ROOT

KEY = "ci_0123456789ab_secret"
API = "http://127.0.0.1:4566/restapis/abc123/prod/_user_request_"
IMPORTS = f"{API}/v1/contacts/imports"
IMPORT = "6b037e4474b9b60a27094167"
POST = {"url": "https://uploads.example.com/", "fields": {"key": "k", "policy": "a secret policy"}}

CALLS: dict[str, Callable[[ImportsClient], Any]] = {
    "post": lambda client: client.post(b"Email\n", "demo", {"email": "Email"}),
    "post_json": lambda client: client.post_json("demo", {"email": "Email"}),
    "list": lambda client: client.list("demo"),
    "get": lambda client: client.get(IMPORT),
    "errors": lambda client: client.errors(IMPORT),
    "failed_rows": lambda client: client.failed_rows(IMPORT),
    "wait": lambda client: client.wait(IMPORT, 0),
}

PROXY_PAGE = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>" + "x" * 5000

STRANGERS = {
    "the emulator without this API": (404, '{"message": "Not Found"}', "make up"),
    "a gateway's refusal": (403, '{"message":"Missing Authentication Token"}', "make up"),
    "a gateway that is busy": (429, '{"message":"Too Many Requests"}', "Try again"),
    "a proxy's page": (502, PROXY_PAGE, "Try again"),
    "a page of another server": (200, "<html>It works!</html>", "make up"),
    "nothing": (200, "", "make up"),
    "nothing and an error": (500, "", "make up"),
    "other JSON": (200, '{"status": "ok"}', "make up"),
    "a list": (200, "[]", "make up"),
    "null": (404, "null", "make up"),
    "a number": (200, "1e999", "make up"),
    "success without data": (200, '{"success": true}', "make up"),
    "an error of another API": (400, '{"success": false, "error": {"code": 1}}', "make up"),
    "an error that says it is none": (500, '{"success": true, "data": {}}', "make up"),
    "JSON that is cut off": (200, '{"success": true, "data": {"id', "make up"),
    "no text": (200, "\x00\x1b[31m\r\n", "make up"),
}


def client_of(handle: Callable[[httpx.Request], httpx.Response]) -> ImportsClient:
    return ImportsClient(API, KEY, transport=httpx.MockTransport(handle))


def check_line(line: str, *parts: str) -> None:
    assert line.isprintable()
    assert len(line) < 600
    for part in parts:
        assert part in line
    assert KEY not in line
    assert "secret" not in line


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("stranger", STRANGERS)
def test_an_answer_of_somebody_else_is_told_in_one_line(call: str, stranger: str) -> None:
    status, body, advice = STRANGERS[stranger]
    with (
        client_of(lambda _: httpx.Response(status, text=body)) as client,
        pytest.raises(NoApiAnswerError) as raised,
    ):
        CALLS[call](client)
    check_line(str(raised.value), IMPORTS, str(status), "something else than the API", advice)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "reached nobody", "make up"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "reached nobody", "make up"),
        (httpx.ConnectTimeout(""), "reached nobody", "make up"),
        (httpx.ReadTimeout("timed out"), "not answered in time", "Try again"),
        (httpx.WriteTimeout(""), "not answered in time", "Try again"),
        (httpx.ReadError("[Errno 104] Connection reset by peer"), "broken off", "Try again"),
        (httpx.RemoteProtocolError("Server disconnected"), "broken off", "Try again"),
        (httpx.ProxyError("403 Forbidden"), "broken off", "Try again"),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
            "no secure connection",
            "certificate",
        ),
        (httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER]"), "no secure connection", "https"),
        (httpx.TooManyRedirects("Exceeded maximum"), "cannot be read", "make up"),
        (httpx.DecodingError("not gzip"), "cannot be read", "make up"),
        (httpx.LocalProtocolError(f"Illegal header b'Bearer {KEY}'"), "cannot be sent", "API_KEY"),
    ],
)
def test_no_answer_is_told_in_one_line(call: str, error: Exception, what: str, advice: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with client_of(fail) as client, pytest.raises(NoApiAnswerError) as raised:
        CALLS[call](client)
    check_line(str(raised.value), IMPORTS, what, advice)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:4566", "ftp://example.com", "http://[::1", "http://a:b"]
)
def test_an_address_that_is_none_is_told_in_one_line(url: str) -> None:
    with pytest.raises(NoApiAnswerError) as raised, ImportsClient(url, KEY) as client:
        client.get(IMPORT)
    check_line(str(raised.value), "cannot be sent", "API_URL")


def test_a_key_that_is_none_is_told_without_it() -> None:
    with pytest.raises(NoApiAnswerError) as raised, ImportsClient(API, "schlüssel") as client:
        client.get(IMPORT)
    check_line(str(raised.value), "cannot be sent", "API_KEY")
    assert "schl" not in str(raised.value)


@pytest.mark.parametrize("call", CALLS)
def test_the_apis_own_errors_are_returned(call: str) -> None:
    refusal = {"success": False, "error": "There is no such import.", "code": "IMPORT_NOT_FOUND"}
    with client_of(lambda _: httpx.Response(404, json=refusal)) as client:
        if call == "wait":
            with pytest.raises(httpx.HTTPStatusError):
                CALLS[call](client)
        else:
            assert CALLS[call](client).json() == refusal


def test_a_report_is_returned_as_it_came() -> None:
    report = httpx.Response(200, content=b"\xff", headers={"Content-Type": "text/csv"})
    with client_of(lambda _: report) as client:
        assert client.errors(IMPORT).content == b"\xff"
        with pytest.raises(NoApiAnswerError):
            client.get(IMPORT)


EXPIRED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    "<Message>Invalid according to Policy: Policy expired.</Message><HostId>x</HostId></Error>"
)
TOO_LARGE = (
    "<Error><Code>EntityTooLarge</Code><Message>Your proposed upload is too large</Message></Error>"
)


def test_a_report_that_s3_refuses_is_told_in_one_line() -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        if request.url.host == "127.0.0.1":
            target = "https://uploads.example.com/report.csv?X-Amz-Signature=secret"
            return httpx.Response(302, headers={"Location": target})
        return httpx.Response(403, text=EXPIRED)

    with client_of(redirect) as client, pytest.raises(NoApiAnswerError) as raised:
        client.errors(IMPORT)
    check_line(str(raised.value), "https://uploads.example.com/report.csv", "403", "Policy expired")


@pytest.mark.parametrize(
    ("status", "body", "parts"),
    [
        (403, EXPIRED, ("AccessDenied: Invalid according to Policy", "Create the import again")),
        (400, TOO_LARGE, ("EntityTooLarge: Your proposed upload", "5 GiB")),
        (503, "<Error><Code>SlowDown</Code></Error>", ("SlowDown", "Try again")),
        (502, PROXY_PAGE, ("502 Bad Gateway", "Try again")),
        (500, "", ("500 Internal Server Error", "Try again")),
    ],
)
def test_an_upload_that_s3_refuses_is_told_in_one_line(
    status: int, body: str, parts: tuple[str, ...]
) -> None:
    with (
        client_of(lambda _: httpx.Response(status, text=body)) as client,
        pytest.raises(UploadRefusedError) as raised,
    ):
        client.upload(POST, io.BytesIO(b"Email\n"))
    check_line(str(raised.value), "https://uploads.example.com/", str(status), *parts)


# ---------------------------------------------------------------- the command, against real sockets


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that answers every request in some way; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def run(url: str, file: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "API_URL": url, "API_KEY": KEY, "PROJECT_ID": "demo"}
    return subprocess.run(
        [sys.executable, "-m", "local.client", file],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def answer_json(request: BaseHTTPRequestHandler, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text("Email\na@example.com\n")
    return path


def check_command(ended: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    check_line(line, *parts)


def test_the_command_says_that_the_api_is_gone(file: Path) -> None:
    with server(lambda request: answer_json(request, 404, {"message": "Not Found"})) as url:
        ended = run(url, file)
    check_command(
        ended, f"{url}/v1/contacts/imports", '404 Not Found ({"message": "Not Found"})', "make up"
    )


def test_the_command_says_that_nobody_answers(file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        check_command(run(url, file), url, "refused", "make up")


def test_the_command_says_that_the_connection_was_broken_off(file: Path) -> None:
    with server(lambda request: request.connection.shutdown(socket.SHUT_RDWR)) as url:
        check_command(run(url, file), url, "broken off", "Try again")


def test_the_command_says_that_there_is_no_tls(file: Path) -> None:
    with server(lambda request: answer_json(request, 200, {})) as url:
        ended = run(url.replace("http:", "https:"), file)
    check_command(ended, "no secure connection", "https")


def test_the_command_says_what_the_api_says(file: Path) -> None:
    refusal = {
        "success": False,
        "error": "The key is not valid. Make one.",
        "code": "UNAUTHENTICATED",
    }
    with server(lambda request: answer_json(request, 401, refusal)) as url:
        ended = run(url, file)
    check_command(ended, "401 (UNAUTHENTICATED): The key is not valid. Make one.")


def test_the_command_says_that_there_is_no_file(tmp_path: Path) -> None:
    check_command(run(API, tmp_path / "none.csv"), "none.csv: No such file")


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_the_command_prints_the_import_as_it_ended(file: Path, status: str) -> None:
    data = {"id": IMPORT, "status": status, "error": "It is empty."}
    with server(lambda request: answer_json(request, 200, {"success": True, "data": data})) as url:
        ended = run(url, file)
    assert json.loads(ended.stdout) == data
    assert ended.returncode == (status == "failed")
    assert ended.stderr == ("The import failed: It is empty.\n" if status == "failed" else "")
