"""What takes minutes: size, and memory that does not grow with it. `make test-long` runs them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contact_imports.column_map import ColumnMap
from contact_imports.import_job import ImportOptions
from local import sample
from local.client import ImportsClient
from local.stack import ROOT, LocalStack
from tests.conftest import BUCKET
from tests.e2e.conftest import Account
from tests.harness import Pipeline, contacts_of, counts_of, expected

pytestmark = pytest.mark.long

ROWS = 100_000
END_SECONDS = 1_200


def test_a_hundred_thousand_rows(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=7)
    # Above what one POST takes, so in parts, which are read as one file by the reference.
    header, *lines = _records(path)
    parts = [lines[start : start + ROWS // 4] for start in range(0, ROWS, ROWS // 4)]
    client: ImportsClient = account.client
    options = ImportOptions(ColumnMap.parse(json.dumps(sample.COLUMN_MAP)))
    before = None
    started = time.monotonic()
    for part in parts:
        content = (header + "".join(part)).encode()
        response = client.post(content, account.project, sample.COLUMN_MAP)
        assert response.status_code == 200, response.text
        ended = client.wait(response.json()["data"]["id"], END_SECONDS)
        reference = expected(content, options, before)
        before = reference.contacts
        assert ended["status"] == "completed"
        assert ended["counts"] == counts_of(reference)
    seconds = time.monotonic() - started
    dynamodb = account.stack.client("dynamodb")
    table = account.stack.outputs["ContactsTableName"]
    assert contacts_of(dynamodb, table, account.project) == before
    print(f"\n{ROWS:,} rows in {len(parts)} imports: {seconds:.0f} s, {ROWS / seconds:,.0f} rows/s")


def test_a_hundred_thousand_rows_in_one_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=8)
    # One POST takes 4.5 MB: the columns that are not mapped are left out to make the rows fit.
    content = _narrow(path)
    options = ImportOptions(ColumnMap(email="Email", firstName="First Name"))
    started = time.monotonic()
    response = account.client.post(
        content, account.project, {"email": "Email", "firstName": "First Name"}
    )
    assert response.status_code == 200, response.text
    ended = account.client.wait(response.json()["data"]["id"], END_SECONDS)
    seconds = time.monotonic() - started
    reference = expected(content, options)
    assert ended["status"] == "completed"
    assert ended["counts"] == counts_of(reference)
    assert account.contacts() == reference.contacts
    print(f"\n{ROWS:,} rows in one import: {seconds:.0f} s, {ROWS / seconds:,.0f} rows/s")


MEASURE = """
import json, sys
sys.path[:0] = [{root!r}, {layer!r}]
from tests.harness import Context, handler
module = handler("processor")
module.lambda_handler(json.load(sys.stdin), Context())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0])
"""


def test_the_processors_memory_does_not_grow_with_the_file(
    embedded_aws: LocalStack, function_environment: None, tmp_path: Path
) -> None:
    pipeline = Pipeline(embedded_aws, BUCKET)
    options = ImportOptions(ColumnMap.parse(json.dumps(sample.COLUMN_MAP)))
    peaks = {}
    for megabytes in (10, 200):
        path = tmp_path / f"{megabytes}.csv"
        sample.write(path, megabytes * 10_000, seed=1)
        job, event = pipeline.accept("memory", path.read_bytes(), options)
        script = MEASURE.format(root=str(ROOT), layer=str(ROOT / "layers" / "contact_imports"))
        started = time.monotonic()
        result = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(event),
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.monotonic() - started
        peaks[megabytes] = int(result.stdout.split()[-1]) / 1024
        total = pipeline.get(job).counts.total
        assert total == megabytes * 10_000
        size = path.stat().st_size / 1e6
        print(f"\n{size:.0f} MB, {total:,} rows: {seconds:.0f} s, peak {peaks[megabytes]:.0f} MiB")
        pipeline.sqs.purge_queue(QueueUrl=pipeline.queue_url)
    # What is open at a time: a chunk of the object, and one row batch of each of up to 64 partitions.
    assert peaks[200] < peaks[10] + 32


def _records(path: Path) -> list[str]:
    """The file's records as text, which a quoted line end does not split."""
    records: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if records and records[-1].count('"') % 2:
            records[-1] += line
        else:
            records.append(line)
    return records


def _narrow(path: Path) -> bytes:
    text = io.StringIO(newline="")
    with path.open(encoding="utf-8", newline="") as file:
        csv.writer(text).writerows(row[:2] for row in csv.reader(file))
    return text.getvalue().encode()
