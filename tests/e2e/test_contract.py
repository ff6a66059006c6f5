"""The contract's own document, run against the deployed API by schemathesis."""

from __future__ import annotations

import subprocess

from local.stack import ROOT
from tests.e2e.conftest import Account

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


def test_no_response_that_the_contract_does_not_describe(account: Account) -> None:
    created = account.client.post(b"Email\na@example.com\n", account.project, {"email": "Email"})
    import_id = created.json()["data"]["id"]
    configuration = f"""
[[operations]]
include-path = "/v1/contacts/imports/{{id}}"
parameters = {{ id = "{import_id}" }}

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
            ROOT / "tests" / "contract" / "openapi.yaml",
            *("--url", account.stack.api_url),
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
    assert "2 passed" in result.stdout or "No issues found" in result.stdout, result.stdout
