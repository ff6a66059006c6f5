"""An import whose functions reach AWS through a proxy that breaks connections, throttles and cuts answers off."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.progress import MAX_PARTITIONS
from local import sample
from local.emulator import TOOLS
from local.stack import LocalStack, free_port
from tests.e2e.conftest import Account
from tests.oracle import counts_of, expected

ROWS = 20_000
PROJECT = "proxied"
END_SECONDS = 400
POSTS = 20
START_SECONDS = 30
FAULTS: list[dict[str, Any]] = [
    # Before the call took effect: a connection that breaks, a refusal.
    {"service": "*", "probability": 0.02, "reset": True},
    {
        "service": "dynamodb",
        "probability": 0.05,
        "error": {"code": "ProvisionedThroughputExceededException"},
    },
    {"service": "sqs", "probability": 0.05, "error": {"code": "RequestThrottled"}},
    {"service": "s3", "probability": 0.05, "error": {"code": "SlowDown", "status": 503}},
    # After the call took effect: the caller does not know that it did.
    {"service": "*", "probability": 0.05, "response": {"abort_frac": 0.3}},
]


class Proxy:
    """The proxy between the functions and the embedded AWS."""

    def __init__(self, url: str) -> None:
        self.url = url

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        httpx.post(f"{self.url}/_microburst/rules", json=rules).raise_for_status()

    def fired(self) -> Counter[str]:
        """How often each kind of fault was injected."""
        events = httpx.get(f"{self.url}/_microburst/fired", params={"limit": 100_000}).json()
        return Counter(f"{event['service']}: {event['action']}" for event in events)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[Proxy, LocalStack]]:
    port, proxy_port = free_port(), free_port()
    url = f"http://127.0.0.1:{proxy_port}"
    stack = LocalStack(port, state=tmp_path / "aws", settings={"AWS_ENDPOINT_URL": url})
    with (tmp_path / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(TOOLS / "microburst" / "bin" / "python", "-m", "microburst"),
                *("--upstream", stack.endpoint, "--port", str(proxy_port)),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(f"{url}/_microburst/health")
        stack.start()
        stack.build()
        stack.deploy()
        yield Proxy(url), stack
    finally:
        stack.stop()
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx.get(url).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _post_until_accepted(account: Account, content: bytes) -> str:
    """Posts like a client that retries failed requests with the same Idempotency-Key."""
    headers = {"Idempotency-Key": "proxied-1"}
    for _ in range(POSTS):
        response = account.client.post(content, PROJECT, sample.COLUMN_MAP, headers)
        if response.status_code == 200:
            return str(response.json()["data"]["id"])
        assert response.status_code in {409, 500, 502}, response.text
    raise AssertionError(f"not accepted in {POSTS} posts")


def _wait_through_errors(account: Account, import_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        response = account.client.get(import_id)
        if response.status_code == 200:
            data: dict[str, Any] = response.json()["data"]
            if data["status"] in {"completed", "failed"}:
                return data
        time.sleep(0.5)
    raise TimeoutError(import_id)


@pytest.mark.chaos
def test_an_import_survives_a_broken_network(
    proxy: tuple[Proxy, LocalStack], tmp_path: Path, tried: Callable[[str, int], None]
) -> None:
    faults, stack = proxy
    account = Account(stack, PROJECT, stack.make_key(projects=(PROJECT,)))
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=6)
    content = path.read_bytes()
    faults.set_rules(FAULTS)
    try:
        import_id = _post_until_accepted(account, content)
        data = _wait_through_errors(account, import_id)
    finally:
        fired = faults.fired()
        faults.set_rules([])
    assert {"dynamodb: reset", "dynamodb: response:abort"} <= fired.keys()
    assert len(account.client.list(PROJECT).json()["data"]["data"]) == 1
    progress = ProgressRecords(stack.client("dynamodb"), stack.outputs["ImportsTableName"])
    errors = progress.errors(import_id, MAX_PARTITIONS)
    given_up = {error.row for error in errors if error.code == "not_processed"}
    options = ImportOptions(parse_column_map(json.dumps(sample.COLUMN_MAP)))
    reference = expected(content, options, leave_out=given_up)
    assert data["counts"] == counts_of(reference, len(given_up))
    assert data["counts"]["total"] == ROWS
    assert account.contacts() == reference.contacts
    tried("a fault of the network at a function's call, of a 20,000-row import", fired.total())
