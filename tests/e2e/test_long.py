"""Tests of large files, whose memory must not grow with their size. `make test-long` runs them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.import_job import ImportOptions
from local import sample
from local.client import ImportsClient
from local.stack import ROOT, LocalStack
from tests.conftest import BUCKET
from tests.e2e.conftest import Account
from tests.events import ended_event
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, contacts_of, many_contacts_of

pytestmark = pytest.mark.long

ROWS = 100_000
MILLION = 1_000_000
END_SECONDS = 3_600


def test_a_hundred_thousand_rows(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    sample.write(path, ROWS, seed=7)
    # Above what one POST takes, so in parts, which are read as one file by the reference.
    header, *lines = _records(path)
    parts = [lines[start : start + ROWS // 4] for start in range(0, ROWS, ROWS // 4)]
    client: ImportsClient = account.client
    options = ImportOptions(parse_column_map(json.dumps(sample.COLUMN_MAP)))
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


def test_a_million_rows_in_one_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    sample.write(path, MILLION, seed=8)
    size = path.stat().st_size / 1e6
    started = time.monotonic()
    response = account.client.send(path, account.project, sample.COLUMN_MAP)
    assert response.status_code == 200, response.text
    ended = account.client.wait(response.json()["data"]["id"], END_SECONDS)
    seconds = time.monotonic() - started
    reference = expected(
        path.read_bytes(), ImportOptions(parse_column_map(json.dumps(sample.COLUMN_MAP)))
    )
    assert ended["status"] == "completed"
    assert ended["counts"] == counts_of(reference)
    rate = MILLION / seconds
    print(f"\n{size:.0f} MB, {MILLION:,} rows in one import: {seconds:.0f} s, {rate:,.0f} rows/s")
    print(ended["counts"])
    dynamodb = account.stack.client("dynamodb")
    table = account.stack.outputs["ContactsTableName"]
    assert many_contacts_of(dynamodb, table, account.project) == reference.contacts


MEASURE = """
import json, sys, time
sys.path[:0] = [{root!r}, {layer!r}]
from tests.events import Context, handler
module = handler({function!r})
started = time.monotonic()
module.lambda_handler(json.load(sys.stdin), Context())
seconds = time.monotonic() - started
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0], time.process_time(), seconds)
"""


def test_the_processor_takes_a_gigabyte_in_flat_memory(
    embedded_aws: LocalStack, function_environment: None, tmp_path: Path
) -> None:
    pipeline = Pipeline(embedded_aws, BUCKET)
    peaks = {}
    for megabytes in (10, 1000):
        path = tmp_path / f"{megabytes}.csv"
        rows = _write_blocks(path, megabytes * 1_000_000)
        key = f"drop/gigabyte-{megabytes}/contacts.csv"
        pipeline.s3.upload_file(str(path), BUCKET, key)
        peaks[megabytes], cpu, seconds = _measure("processor", pipeline.object_event(key))
        page = pipeline.imports.of_project(f"gigabyte-{megabytes}", limit=1, now=datetime.now(UTC))
        assert page.imports[0].counts.total == rows
        sent = pipeline.sqs.get_queue_attributes(
            QueueUrl=pipeline.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]["ApproximateNumberOfMessages"]
        print(
            f"\n{path.stat().st_size / 1e6:,.0f} MB, {rows:,} rows, {int(sent):,} row batches: "
            f"{seconds:.0f} s, {cpu:.0f} s of CPU, peak {peaks[megabytes]:.0f} MiB"
        )
        path.unlink()
        pipeline.sqs.purge_queue(QueueUrl=pipeline.queue_url)
    # In memory at a time: a chunk of the object, and one row batch of each of up to 64 partitions.
    assert peaks[1000] < peaks[10] + 16


def test_a_report_of_a_million_rows_is_made_in_flat_memory(
    embedded_aws: LocalStack, function_environment: None
) -> None:
    pipeline = Pipeline(embedded_aws, BUCKET)
    logging.disable(logging.INFO)
    options = ImportOptions(ColumnMap(email="Email", name="Name"))
    peaks = {}
    for rows in (10_000, MILLION):
        content = "Email,Name\n" + "".join(f"no email {n},Name {n}\n" for n in range(rows))
        job, event = pipeline.accept("bad", content.encode(), options)
        pipeline.process(event)
        pipeline.drain()
        assert pipeline.get(job).counts.failed == rows
        peaks[rows], cpu, seconds = _measure("import_ended", ended_event(job.id))
        lines = pipeline.reports.report(job).decode("utf-8-sig").splitlines()
        assert len(lines) == rows + 1
        assert lines[-1].startswith(f"no email {rows - 1},Name {rows - 1},{rows + 1},invalid_email")
        last = json.loads(pipeline.reports.failed_rows_page(job, rows // 1_000 - 1) or b"")
        assert last[-1]["row"] == rows + 1
        print(
            f"\na report of {rows:,} failed rows: {seconds:.0f} s, {cpu:.0f} s of CPU, "
            f"peak {peaks[rows]:.0f} MiB"
        )
    # Two parts of the report, and a row batch's errors of each partition.
    assert peaks[MILLION] < peaks[10_000] + 96


def _measure(function: str, event: dict[str, Any]) -> tuple[float, float, float]:
    """A handler in a process of its own: its peak memory in MiB, its CPU time, and how long it took."""
    layer = str(ROOT / "layers" / "contact_imports")
    result = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT), layer=layer, function=function)],
        input=json.dumps(event),
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    *_, peak, cpu, seconds = result.stdout.split()
    return int(peak) / 1024, float(cpu), float(seconds)


def _write_blocks(path: Path, size: int) -> int:
    """Writes a file of at least `size` bytes, the same hundred thousand rows again and again."""
    block = path.with_suffix(".block")
    sample.write(block, 100_000, seed=1)
    header, _, rows = block.read_bytes().partition(b"\r\n")
    with path.open("wb") as file:
        file.write(header + b"\r\n")
        blocks = -(-size // len(rows))
        for _ in range(blocks):
            file.write(rows)
    return blocks * 100_000


def _records(path: Path) -> list[str]:
    """The file's records as text, which a quoted line end does not split."""
    records: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if records and records[-1].count('"') % 2:
            records[-1] += line
        else:
            records.append(line)
    return records
