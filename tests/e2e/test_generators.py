"""The served OpenAPI document works with client generators: linters find no fault in it, and two
generated clients import a file, each against the deployed API."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from contact_imports.jobs.list_imports import MAX_INLINE_REPORT_BYTES
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import ImportOptions
from local.emulator import TOOLS
from local.stack import ROOT
from tests.e2e.conftest import Account
from tests.oracle import counts_of, expected

GENERATORS = TOOLS / "generators"
PROGRAMS = ROOT / "tests" / "generators"
FILE = "Email,Name\na@example.com,A\nno email,B\n\nb@example.com,Zoë\nnor here,C\n"
BAD_ROWS = 2_100
BAD_FILE = "Email,Name\n" + "".join(f"no email {n},{'x' * 500}\n" for n in range(BAD_ROWS))
COLUMN_MAP = parse_column_map('{"email":"Email","name":"Name"}')
SECONDS = 180


@pytest.fixture(scope="session")
def generators() -> None:
    if not (GENERATORS / ".made").exists():
        reason = f"The generators are not installed. Run: make {GENERATORS.relative_to(ROOT)}/.made"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def document(generators: None, account: Account, tmp_path: Path) -> Path:
    """The document as the deployed API serves it."""
    response = account.request("GET", "/v1/openapi.json")
    assert response.status_code == 200
    path = tmp_path / "openapi.json"
    path.write_bytes(response.content)
    return path


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Runs a program of the generators' environment; returns its output."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODE"))
    }
    path = f"{GENERATORS / 'node_modules' / '.bin'}:{GENERATORS / 'bin'}:{os.environ['PATH']}"
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, "NO_COLOR": "1", **environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result.stdout


def test_the_document_has_the_urls_that_were_used(account: Account) -> None:
    by_address = account.request("GET", "/v1/openapi.json").json()["servers"]
    assert by_address == [{"url": account.stack.api_url}]
    port, api = account.stack.port, account.stack.outputs["ApiId"]
    host = f"{api}.execute-api.localhost:{port}"
    by_name = requests.get(
        f"{account.stack.endpoint}/prod/v1/openapi.json",
        headers={"Host": host},
        timeout=30,
        verify=str(account.stack.ca_file),
    )
    assert by_name.json()["servers"] == [{"url": f"https://{host}/prod"}]


def test_redocly_finds_nothing(document: Path) -> None:
    configuration = PROGRAMS / "redocly.yaml"
    settings = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    output = run(
        *("redocly", "lint", document, "--config", configuration, "--format", "json"),
        cwd=document.parent,
        **settings,
    )
    assert json.loads(output)["problems"] == []


def test_spectral_finds_nothing(document: Path) -> None:
    rules = ("--ruleset", PROGRAMS / "spectral.yaml", "--fail-severity", "hint")
    output = run("spectral", "lint", document, *rules, cwd=document.parent)
    assert "No results" in output


def test_openapi_python_client_imports_a_file(account: Account, document: Path) -> None:
    folder = document.parent
    client = ("--meta", "none", "--output-path", folder / "contact_imports_client")
    output = run(
        *("openapi-python-client", "generate", "--path", document, *client, "--fail-on-warning"),
        cwd=folder,
    )
    assert "Warning" not in output
    shutil.copy(PROGRAMS / "import_file.py", folder)
    (server,) = json.loads(document.read_text())["servers"]
    output = run(
        "python", "import_file.py", cwd=folder, API_URL=server["url"], **given(account, folder)
    )
    assert_imported(account, json.loads(output))


def test_openapi_ts_imports_a_file(account: Account, document: Path) -> None:
    folder = document.parent
    run("openapi-ts", "--input", document, "--output", "client", "--no-log-file", cwd=folder)
    shutil.copy(PROGRAMS / "import_file.ts", folder)
    compiled = ("--outDir", "compiled", "--rootDir", ".")
    types = ("--typeRoots", GENERATORS / "node_modules" / "@types", "--types", "node")
    modern = ("--target", "es2023", "--module", "commonjs", "--moduleResolution", "node10")
    run("tsc", "--strict", *modern, *types, *compiled, "import_file.ts", cwd=folder)
    # The client knows the server's URL from the document.
    output = run("node", "compiled/import_file.js", cwd=folder, **given(account, folder))
    assert_imported(account, json.loads(output))


def given(account: Account, folder: Path) -> dict[str, str]:
    """A program's environment variables: its key, a file to import, and a file with a large report."""
    file, bad_file = folder / "file.csv", folder / "bad_file.csv"
    file.write_text(FILE)
    bad_file.write_text(BAD_FILE)
    assert len(BAD_FILE) > MAX_INLINE_REPORT_BYTES
    ca_file = str(account.stack.ca_file)
    return {
        "API_KEY": account.key,
        "PROJECT_ID": account.project,
        "FILE": str(file),
        "BAD_FILE": str(bad_file),
        "CA_FILE": ca_file,
        "NODE_EXTRA_CA_CERTS": ca_file,
    }


def assert_imported(account: Account, seen: dict[str, Any]) -> None:
    """A program posted the file, then uploaded it again with onConflict=skip, and saw that both ended rightly."""
    content = FILE.encode()
    posted = expected(content, ImportOptions(COLUMN_MAP, tags=("posted",)))
    again = ImportOptions(COLUMN_MAP, tags=("uploaded",), on_conflict=OnConflict.SKIP)
    uploaded = expected(content, again, posted.contacts)
    assert seen["refusal"] == {"status": 401, "code": "UNAUTHENTICATED"}
    assert seen["request_id"]
    assert seen["posted"] == counts_of(posted)
    assert seen["failed_rows"] == [[error.row, error.code] for error in posted.errors]
    assert emails_in(seen["report"]) == ["no email", "nor here"]
    assert emails_in(seen["redirected"]) == [f"no email {n}" for n in range(BAD_ROWS)]
    assert seen["stored"] is True
    assert seen["uploaded"] == counts_of(uploaded)
    assert seen["listed"] == seen["ids"]
    assert len(set(seen["ids"])) == 3
    assert account.contacts() == uploaded.contacts


def emails_in(report: str) -> list[str]:
    """The first column of a report of failed rows."""
    rows = csv.reader(io.StringIO(report.removeprefix("\ufeff"), newline=""))
    return [row[0] for row in rows][1:]
