"""The contract's own document, run against the deployed API by schemathesis."""

from __future__ import annotations

import re
import subprocess

import pytest
import schemathesis

from local.stack import ROOT
from tests.e2e.conftest import END_SECONDS, Account

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
# Requests that the contract describes; a method that it does not is answered 405 (test_refusals).
PHASES = "examples,coverage,fuzzing"


@pytest.mark.parametrize("document", ["tests/contract/openapi.yaml", "/v1/openapi.json"])
def test_no_response_that_the_document_does_not_describe(account: Account, document: str) -> None:
    """The specified document, and the one that the API serves."""
    created = account.client.post(b"Email\na@example.com\n", account.project, {"email": "Email"})
    import_id = created.json()["data"]["id"]
    configuration = f"""
[parameters]
id = "{import_id}"
projectId = "{account.project}"

[phases.coverage]
unexpected-methods = []
"""
    path = account.stack.state / "schemathesis.toml"
    path.write_text(configuration)
    result = subprocess.run(
        [
            ROOT / ".venv" / "bin" / "schemathesis",
            *("--config-file", path),
            "run",
            account.stack.api_url + document if document.startswith("/") else ROOT / document,
            *("--url", account.stack.api_url),
            *("--tls-verify", str(account.stack.ca_file)),
            *("--header", f"Authorization: Bearer {account.key}"),
            *("--checks", ",".join(CHECKS)),
            *("--phases", PHASES),
            *("--max-examples", "60"),
            *("--seed", "1"),
            "--no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=account.stack.state,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert re.search(r"Selected: (\d+)/\1\n *Tested: \1\n", result.stdout), result.stdout


def test_the_answers_that_people_get_are_the_contracts(account: Account) -> None:
    contract = schemathesis.openapi.from_path(ROOT / "tests" / "contract" / "openapi.yaml")
    post = contract["/v1/contacts/imports"]["POST"]
    get = contract["/v1/contacts/imports/{id}"]["GET"]
    file = b"Email,Name\na@example.com,A\nno email,B\n"
    client = account.client
    created = client.post(file, account.project, {"email": "Email"})
    import_id = created.json()["data"]["id"]
    running = client.get(import_id)
    client.wait(import_id, END_SECONDS)
    failed = client.post(b'Email\n"open\n', account.project, {"email": "Email"})
    client.wait(failed.json()["data"]["id"], END_SECONDS)
    stranger = account.client_with("ci_unknown")
    answers = [
        (post, 200, created),
        (post, 400, client.post(file, account.project, {"email": "E-Mail"})),
        (post, 401, stranger.post(file, account.project, {"email": "Email"})),
        (post, 403, client.post(file, "another", {"email": "Email"})),
        (get, 200, running),
        (get, 200, client.get(import_id)),
        (get, 200, client.get(failed.json()["data"]["id"])),
        (get, 401, stranger.get(import_id)),
        (get, 404, client.get("0" * 24)),
    ]
    for operation, status, answer in answers:
        assert answer.status_code == status
        answer.request.read()  # httpx does not keep what it sent; schemathesis asks for it
        operation.validate_response(answer)
