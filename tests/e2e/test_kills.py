"""The functions' processes are killed at random moments, on the running stack."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contact_imports.column_map import ColumnMap
from contact_imports.import_job import ImportOptions
from contact_imports.import_table import ImportTable
from local import sample
from tests.e2e.conftest import Account
from tests.harness import expected

ROWS = 20_000
KILLS = 8
END_SECONDS = 300
# The template's is three minutes; waiting for it is all that a longer one would add.
VISIBILITY_SECONDS = "5"


def function_processes(account: Account) -> list[int]:
    """The emulator's processes that run functions, but for the API's: its client would see a 502, as on AWS."""
    emulator = int((account.stack.state / "ministack.pid").read_text())
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            name = re.search(rb"AWS_LAMBDA_FUNCTION_NAME=([^\0]+)", environment)
            if parent == emulator and name and b"-ApiFunction-" not in name[1]:
                found.append(int(folder.name))
    return found


@pytest.fixture
def quick_redelivery(account: Account) -> Any:
    sqs, queue = account.stack.client("sqs"), account.stack.outputs["RowQueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": VISIBILITY_SECONDS})
    yield
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=before["Attributes"])


def test_an_import_survives_kills(
    account: Account,
    quick_redelivery: None,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    seed = int(os.environ.get("KILL_SEED", "1"))
    chance = random.Random(seed)
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=5)
    content = path.read_bytes()
    response = account.client.post(content, account.project, sample.COLUMN_MAP)
    import_id = response.json()["data"]["id"]
    ended = threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while kills < KILLS and not ended.wait(chance.uniform(0.1, 0.8)):
            running = function_processes(account)
            if running:
                os.kill(chance.choice(running), signal.SIGKILL)
                kills += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        data = account.client.wait(import_id, END_SECONDS)
    finally:
        ended.set()
        killer.join()
    assert kills >= KILLS // 2
    imports = ImportTable(
        account.stack.client("dynamodb"), account.stack.outputs["ImportsTableName"]
    )
    errors = imports.errors(import_id)
    given_up = {error.row for error in errors if error.code == "not_processed"}
    options = ImportOptions(ColumnMap.model_validate(sample.COLUMN_MAP))
    reference = expected(content, options, leave_out=given_up)
    outcomes = {outcome.value: count for outcome, count in reference.counts.items()}
    outcomes["failed"] += len(given_up)
    assert data["status"] == "completed", data
    assert data["counts"] == {"total": ROWS, **outcomes}
    assert account.contacts() == reference.contacts
    record_property("SIGKILL of a function's process", kills)
