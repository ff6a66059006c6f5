"""The processor: rows a second, compared with csv.reader."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.picture import Bar
from bench.results import Results
from bench.stack import BUCKET, Bench, median
from local.stack import ROOT

USUAL_COLUMNS = 9
READING_TARGET = 0.35
"""The share of csv.reader's rows a second that reading must reach."""

PROCESSOR = """
import json, os, sys, time
sys.path[:0] = [{function!r}, {layer!r}]
import logging
import app
logging.disable(logging.CRITICAL)
if not {sends!r}:
    app.RowQueue.send = lambda *_: None
class Context:
    function_name = invoked_function_arn = aws_request_id = "bench"
    memory_limit_in_mb = 1769
    get_remaining_time_in_millis = staticmethod(lambda: 900_000)
    get_remaining_time_in_millis = staticmethod(lambda: 900_000)
event = json.load(sys.stdin)
app.s3.list_buckets(); app.sqs.list_queues(); app.dynamodb.list_tables()
cpu, wall = time.process_time(), time.monotonic()
app.lambda_handler(event, Context())
cpu, wall = time.process_time() - cpu, time.monotonic() - wall
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(dict(cpu=cpu, wall=wall, peak=int(peak) / 1024)))
"""
"""Runs the handler in its own process; if it does not send, a fake queue accepts everything at once."""

READER = """
import csv, io, json, sys, time
content = open(sys.argv[1], "rb").read()
cpu = time.process_time()
rows = sum(1 for _ in csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")))
print(json.dumps(dict(cpu=time.process_time() - cpu, rows=rows)))
"""


def processor_cpu(at: Bench, path: Path, *, sends: bool = True) -> dict[str, Any]:
    """Measures the processor's handler for a dropped file."""
    s3, key = at.aws.client("s3"), f"drop/processor/{time.time_ns()}.csv"
    s3.upload_file(str(path), BUCKET, key)
    head = s3.head_object(Bucket=BUCKET, Key=key)
    s3_object = {"key": key, "size": head["ContentLength"], "eTag": head["ETag"].strip('"')}
    event = {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": s3_object}}]}
    script = PROCESSOR.format(
        function=str(ROOT / "functions" / "processor"),
        layer=str(ROOT / "layers" / "contact_imports"),
        sends=sends,
    )
    measured = at.measure([sys.executable, "-c", script], input=json.dumps(event))
    at.aws.client("sqs").purge_queue(QueueUrl=at.names["RowQueue"])
    return measured


def shaped(at: Bench, columns: int, count: int) -> Path:
    """A file of rows with this number of columns; 9 is usual."""
    usual = at.rows(count)
    path = at.folder / f"{columns}-{count}.csv"

    with (
        usual.open(encoding="utf-8", newline="") as source,
        path.open("w", encoding="utf-8", newline="") as out,
    ):
        reader, writer = csv.reader(source), csv.writer(out)
        header = next(reader)
        more = [f"Extra {n}" for n in range(columns - len(header))]
        writer.writerow([*header, *more][:columns])
        for row in reader:
            writer.writerow([*row, *(f"value {n}" for n in range(len(more)))][:columns])
    return path


def processor(at: Bench, results: Results, rounds: int) -> None:
    """Rows a second, compared with csv.reader on the same bytes."""
    results.section(
        "The processor",
        "Rows a second of CPU time, compared with a loop over `csv.reader` on the same bytes: `part` is the share of "
        "the loop's speed; median of "
        f"{rounds}. `Reading` is the handler with a queue that accepts everything at once: it gets the file from S3, "
        "reads it to its end, and splits and encodes it. `With sending` is the whole handler. There is no column map, so "
        "every column is imported.",
        ("columns", "csv.reader", "reading", "part", "with sending", "part", "peak memory, MiB"),
    )
    for name, columns, count in (
        ("4", 4, 200_000),
        ("9 (usual)", 9, 200_000),
        ("100", 100, 20_000),
    ):
        path = shaped(at, columns, count)
        bare, reading, whole = [], [], []
        for _ in range(rounds):
            bare.append(at.measure([sys.executable, "-c", READER, str(path)])["cpu"])
            reading.append(processor_cpu(at, path, sends=False)["cpu"])
            whole.append(processor_cpu(at, path))
        others, reads = count / median(bare), count / median(reading)
        sends = count / median([one["cpu"] for one in whole])
        said = f"{reads / others:.2f}"
        if columns == USUAL_COLUMNS:
            met = "met" if reads / others >= READING_TARGET else "missed"
            said += f" (target {READING_TARGET}: {met})"
        peak = median([one["peak"] for one in whole])
        results.row(
            name,
            f"{others:,.0f}",
            f"{reads:,.0f}",
            said,
            f"{sends:,.0f}",
            f"{sends / others:.2f}",
            f"{peak:.0f}",
        )
        results.bars["Rows a second, in thousands"] += [
            Bar(f"csv.reader, {name}", others / 1000, ours=False),
            Bar(f"processor reads, {name}", reads / 1000, ours=True),
            Bar(f"and sends, {name}", sends / 1000, ours=True),
        ]
