"""The functions' processes are killed at random moments, on the running stack."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.progress import MAX_PARTITIONS
from local import sample
from tests.e2e.conftest import Account
from tests.oracle import counts_of, expected

ROWS = 20_000
KILLS = 8
END_SECONDS = 300
# The template's is three minutes; waiting for it is all that a longer one would add.
VISIBILITY_SECONDS = "5"


def function_processes(account: Account) -> dict[int, str]:
    """The emulator's processes that run functions, with the function's name."""
    emulator = int((account.stack.state / "ministack.pid").read_text())
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            name = re.search(rb"AWS_LAMBDA_FUNCTION_NAME=([^\0]+)", environment)
            if parent == emulator and name:
                found[int(folder.name)] = name[1].decode().split("-")[-2]
    return found


@pytest.fixture
def _quick_redelivery(account: Account) -> Iterator[None]:
    sqs = account.stack.client("sqs")
    before = {}
    for queue in sqs.list_queues()["QueueUrls"]:
        asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])
        before[queue] = asked["Attributes"]
        sqs.set_queue_attributes(
            QueueUrl=queue, Attributes={"VisibilityTimeout": VISIBILITY_SECONDS}
        )
    yield
    for queue, attributes in before.items():
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)


@pytest.mark.usefixtures("_quick_redelivery")
def test_an_import_survives_kills(
    account: Account,
    tmp_path: Path,
    tried: Callable[[str, int], None],
) -> None:
    seed = int(os.environ.get("KILL_SEED", "1"))
    chance = random.Random(seed)
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=5)
    content = path.read_bytes()
    response = account.client.post(content, account.project, sample.COLUMN_MAP)
    import_id = response.json()["data"]["id"]
    ended = threading.Event()
    killed: Counter[str] = Counter()

    def kill() -> None:
        while killed.total() < KILLS and not ended.wait(chance.uniform(0.1, 0.8)):
            # A processor that was killed three times is given up, and a client whose API is killed sees
            # a 502: both as on AWS, but not what this is about.
            spared = {"ApiFunction"} | (
                {"ProcessorFunction"} if killed["ProcessorFunction"] == 2 else set()
            )
            running = function_processes(account)
            victims = sorted(pid for pid, function in running.items() if function not in spared)
            if victims:
                victim = chance.choice(victims)
                killed[running[victim]] += 1
                os.kill(victim, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        data = account.client.wait(import_id, END_SECONDS)
    finally:
        ended.set()
        killer.join()
    assert killed.total() >= KILLS // 2
    progress = ProgressRecords(
        account.stack.client("dynamodb"), account.stack.outputs["ImportsTableName"]
    )
    errors = progress.errors(import_id, MAX_PARTITIONS)
    given_up = {error.row for error in errors if error.code == "not_processed"}
    options = ImportOptions(parse_column_map(json.dumps(sample.COLUMN_MAP)))
    reference = expected(content, options, leave_out=given_up)
    assert data["status"] == "completed", data
    assert data["counts"] == counts_of(reference, len(given_up))
    assert data["counts"]["total"] == ROWS
    assert account.contacts() == reference.contacts
    tried("SIGKILL of a function's process under a 20,000-row import", killed.total())
