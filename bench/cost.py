"""What a million rows cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.picture import Bar
from bench.processor import processor_cpu
from bench.results import Results, verdict
from bench.rows import ROWS
from bench.stack import Bench

PRICES = Path(__file__).with_name("prices.json")

WAIT_SECONDS = 0.005
"""The assumed time of a DynamoDB call on AWS; the functions make 8 calls in parallel."""

CALLS_AT_A_TIME = 8
LAMBDA_GB = 1.769 / 1.024
LOG_BYTES_A_BATCH = 900
SQS_STEP_BYTES = 64 * 1024


def cost(
    at: Bench, results: Results, cpu: dict[str, float], found: dict[str, dict[str, Any]]
) -> None:
    """What a million rows cost, from the run's own counts."""
    prices = json.loads(PRICES.read_text())
    path = at.rows(ROWS)
    bodies = [
        record["body"]
        for line in at.events(path, "cost").read_text().splitlines()
        for record in json.loads(line)["Records"]
    ]
    a_row = 1 / ROWS
    steps = sum(-(-len(body.encode()) // SQS_STEP_BYTES) for body in bodies) * a_row
    batches = len(bodies) * a_row
    million = 1e6
    floor = million * prices["dynamodb_write_unit"]
    results.section(
        "What a million rows cost",
        f"US dollars in {prices['region']}, at the prices of {prices['date']} in `bench/prices.json`. Lambda's time is "
        f"the measured CPU time and {WAIT_SECONDS * 1000:.0f} ms of waiting for every DynamoDB call, "
        f"{CALLS_AT_A_TIME} at a time (arithmetic); the processor's is its CPU time. The floor is one write unit a "
        "new row.",
        ("", "DynamoDB", "Lambda", "SQS, S3, logs", "together", "of the floor"),
    )
    process = processor_cpu(at, path)["cpu"] / ROWS
    targets = {"all new": 1.15, "all unchanged": 0.15}
    for name, one in found.items():
        ours = name.startswith(("all", "half"))
        per_row = {k: one[k] / one["rows"] for k in ("write_units", "read_units", "requests")}
        dynamodb = million * (
            per_row["write_units"] * prices["dynamodb_write_unit"]
            + per_row["read_units"] * prices["dynamodb_read_unit"]
        )
        own_cpu = cpu["ours, unchanged" if name.startswith("all unchanged") else "ours"]
        seconds = own_cpu / 1e6 if ours else cpu[name] / 1e6
        seconds += per_row["requests"] * WAIT_SECONDS / CALLS_AT_A_TIME
        seconds += process if ours else 0
        compute = million * seconds * LAMBDA_GB * prices["lambda_gb_second"]
        compute += million * batches * prices["lambda_request"] if ours else 0
        rest = 0.0
        if ours:
            # A batch is sent, received and deleted; sending and receiving go by 64 KB.
            rest += million * (2 * steps + batches) * prices["sqs_fifo_request"]
            size = million * path.stat().st_size * a_row
            rest += prices["s3_put"] + 2 * size / (8 * 1024**2) * prices["s3_get"]
            rest += million * batches * LOG_BYTES_A_BATCH / 1e9 * prices["logs_gb"]
        together = dynamodb + compute + rest
        of_floor = together / floor
        said = verdict(of_floor, targets[name]) if name in targets else f"{of_floor:.2f}"
        money = (f"{value:.3f}" for value in (dynamodb, compute, rest, together))
        results.row(name, *money, said)
        results.bars["What a million rows cost, of the floor"].append(Bar(name, of_floor, ours))
