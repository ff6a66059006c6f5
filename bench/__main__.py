"""Compares our code with other tools in alternating runs, and writes results.md and results.svg.

python -m bench [--rounds 5] [--only rows,units,cost,processor,growth,start,end]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.picture import Bar, picture
from bench.stack import BUCKET, Bench, bench, functions_cpu, median
from local import sample
from local.client import ImportsClient
from local.stack import PROJECT_ID, ROOT, LocalStack, free_port

HERE = Path(__file__).parent
SECTIONS = ("rows", "units", "cost", "processor", "growth", "start", "end")
FUNCTIONS = ("api", "processor", "row_batch", "dead_letter", "import_ended")

ROWS = 10_000
SLOW_ROWS = 1_000
"""For contenders that make one request for each row."""

WAIT_SECONDS = 0.005
"""The assumed time of a DynamoDB call on AWS; the functions make 8 calls in parallel."""

CALLS_AT_A_TIME = 8
LAMBDA_GB = 1.769 / 1.024
LOG_BYTES_A_BATCH = 900
SQS_STEP_BYTES = 64 * 1024
USUAL_COLUMNS = 9
READING_TARGET = 0.35
"""The share of csv.reader's rows a second that reading must reach."""


class Results:
    """The sections of results.md and the bars of results.svg."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bars: dict[str, list[Bar]] = defaultdict(list)

    def section(self, title: str, says: str, head: tuple[str, ...]) -> None:
        """Begins a section with a table."""
        self.lines += ["", f"## {title}", "", says, "", _row(head), _row(("---",) * len(head))]

    def row(self, *cells: str) -> None:
        """Adds a row to the table, and prints it."""
        self.lines.append(_row(cells))
        print("  ".join(cells), flush=True)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def verdict(value: float, target: float) -> str:
    """A ratio with its target, the maximum."""
    return f"{value:.2f} (target {target:.2f}: {'met' if value <= target else 'missed'})"


# ------------------------------------------------------------------ 1: CPU time of a row


def rows(at: Bench, results: Results, rounds: int) -> dict[str, float]:
    """CPU time of a row, of each contender."""
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    path, slow = at.rows(ROWS), at.rows(SLOW_ROWS)
    for round_ in range(rounds):
        project = f"rows-{round_}"
        seen["ours"].append(at.contend("ours", "", at.events(path, project)))
        at.be_quiet(project)
        seen["ours, unchanged"].append(at.contend("ours", "", at.events(path, project)))
        for name in ("batch_writer", "awswrangler"):
            seen[name].append(at.contend(name, at.new_table(), path))
        for name in ("put_item", "update_item"):
            seen[name].append(at.contend(name, at.new_table(), slow))
    cpu = {n: median([one["cpu"] / one["rows"] * 1e6 for one in all_]) for n, all_ in seen.items()}
    results.section(
        "CPU time of a row",
        f"User and system time of the process, in microseconds a row, median of {rounds}; {ROWS:,} rows of 9 "
        f"columns ({SLOW_ROWS:,} where every row is a request). `ours` is the handler of `row_batch` with all of "
        "its validation, merging, conditions and counting; only it and `update_item` can tell created from "
        "updated.",
        ("", "µs a row", "ours is of it"),
    )
    targets = {"batch_writer": 0.9, "awswrangler": 0.45, "update_item": 0.12}
    for name, value in cpu.items():
        ratio = cpu["ours"] / value
        of_it = verdict(ratio, targets[name]) if name in targets else f"{ratio:.2f}"
        if name == "ours, unchanged":
            of_it = f"{verdict(value / cpu['awswrangler'], 0.25)} of awswrangler"
        results.row(name, f"{value:.0f}", "" if name == "ours" else of_it)
        results.bars["CPU time of a row, µs"].append(Bar(name, value, name.startswith("ours")))
    return cpu


# ------------------------------------------------------------------ 2: units and requests


def units(at: Bench, results: Results) -> dict[str, dict[str, Any]]:
    """Write units, read units and requests of a row."""
    path = at.rows(ROWS)
    found = {"all new": at.contend("ours", "", at.events(path, "units"), units=True)}
    at.be_quiet("units")
    found["all unchanged"] = at.contend("ours", "", at.events(path, "units"), units=True)
    found["all unchanged, at once"] = at.contend("ours", "", at.events(path, "at-once"))
    found["all unchanged, at once"] = at.contend("ours", "", at.events(path, "at-once"), units=True)
    at.be_quiet("units")
    half = at.rows(ROWS, lambda n: n % 2 == 0)
    found["half changed"] = at.contend("ours", "", at.events(half, "units"), units=True)
    at.be_quiet("units")
    every = at.rows(ROWS, lambda _: True, "Changed again")
    found["all changed"] = at.contend("ours", "", at.events(every, "units"), units=True)
    for name in ("batch_writer", "awswrangler"):
        found[name] = at.contend(name, at.new_table(), path, units=True)
    found["update_item"] = at.contend("update_item", at.new_table(), at.rows(SLOW_ROWS), units=True)
    results.section(
        "Units and requests of a row",
        "From ConsumedCapacity; read units of BatchGetItem by AWS's rule, from the items' sizes. Above 1 are "
        "the partitions' counters, one a row batch. `at once` is an import of the same file within ten minutes "
        "of the one before; the others come later.",
        ("", "write units", "read units", "requests"),
    )
    for name, one in found.items():
        per_row = [one[key] / one["rows"] for key in ("write_units", "read_units", "requests")]
        results.row(name, *(f"{value:.3f}" for value in per_row))
    return found


# ------------------------------------------------------------------ 3: what a million rows cost


def cost(
    at: Bench, results: Results, cpu: dict[str, float], found: dict[str, dict[str, Any]]
) -> None:
    """What a million rows cost, from the run's own counts."""
    prices = json.loads((HERE / "prices.json").read_text())
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


# ------------------------------------------------------------------ 4: the processor

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
    import csv

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


# ------------------------------------------------------------------ 5: from end to end


_STATE = ROOT / ".local" / "bench"


def end(results: Results, rounds: int, count: int = 100_000) -> None:
    """The time from POST to completed, compared with awswrangler on the same endpoint."""
    stack = LocalStack(free_port(), state=_STATE)
    stack.start()
    try:
        stack.build()
        stack.deploy()
        client = ImportsClient(stack.api_url, stack.make_key())
        at = Bench(stack, stack.state, {"RowQueue": "", **dict.fromkeys(_TABLES, "")})
        ours, other, functions = [], [], []
        for round_ in range(rounds):
            path = stack.state / f"end-{round_}.csv"
            sample.write(path, count, seed=round_ + 1, flawless=True)
            started, before = time.monotonic(), functions_cpu(stack)
            created = client.send(path, PROJECT_ID, sample.COLUMN_MAP).json()["data"]
            ended = client.wait(created["id"], 3600)
            assert ended["counts"]["created"] == count, ended
            ours.append(time.monotonic() - started)
            functions.append((functions_cpu(stack) - before) / ours[-1])
            other.append(at.contend("awswrangler", at.new_table(), path)["wall"])
            print(f"end to end: ours {ours[-1]:.1f} s, awswrangler {other[-1]:.1f} s", flush=True)
    finally:
        stack.stop()
    results.section(
        "From end to end",
        f"{count:,} new rows on the local stack, median of {rounds}. The emulator is one process and most of the time "
        f"of both: the functions' own CPU time is {median(functions):.0%} of ours.",
        ("", "seconds", "rows a second", "of awswrangler's time"),
    )
    own, its = median(ours), median(other)
    results.row("awswrangler.put_csv", f"{its:.1f}", f"{count / its:,.0f}", "")
    results.row(
        "ours, from POST to completed", f"{own:.1f}", f"{count / own:,.0f}", verdict(own / its, 1.0)
    )


_TABLES = (
    *("ApiKeysTable", "ContactsTable", "DryRunContactsTable", "IdempotencyTable", "ImportsTable"),
    "TagsTable",
)


# ------------------------------------------------------------------ 6: cold start

START = """
import json, sys, time
sys.path[:0] = [{function!r}, {layer!r}]
began = time.process_time()
import {module}
took = time.process_time() - began
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(dict(cpu=took, peak=int(peak) / 1024)))
"""


def start(at: Bench, results: Results, rounds: int) -> None:
    """Import time and memory of each function, compared with boto3's."""
    seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(2 * rounds + 1):
        for name in ("boto3", *FUNCTIONS):
            script = START.format(
                function=str(ROOT / "functions" / name),
                layer=str(ROOT / "layers" / "contact_imports"),
                module="boto3" if name == "boto3" else "app",
            )
            # Without the development environment's start-up code, and with the layer's packages.
            seen[name].append(at.measure([str(_start_python()), "-c", script]))
    base = median([one["cpu"] for one in seen["boto3"]])
    layer = sum(
        one.stat().st_size
        for one in (_STATE / "build" / "ContactImportsLayer").rglob("*")
        if one.is_file() and "__pycache__" not in one.parts
    )
    size = f" The layer, built, has {layer / 1e6:.1f} MB." if layer else ""
    results.section(
        "Cold start",
        f"CPU time of importing a function's module, with its clients, compared with `import boto3`; median of "
        f"{2 * rounds + 1}.{size}",
        ("", "ms", "of boto3's", "peak memory, MiB"),
    )
    for name, all_ in seen.items():
        took = median([one["cpu"] for one in all_])
        ratio = took / base
        said = verdict(ratio, 1.6) if name == "row_batch" else f"{ratio:.2f}"
        peak = median([one["peak"] for one in all_])
        results.row(name, f"{took * 1000:.0f}", said, f"{peak:.0f}")


def _start_python() -> Path:
    return ROOT / ".local" / "tools" / "bench" / "bin" / "python"


# ------------------------------------------------------------------ 7: growth


def growth(at: Bench, results: Results, counts: tuple[int, ...]) -> None:
    """Whether the cost of a row depends on the number of rows."""
    results.section(
        "How cost grows with work",
        "All rows new, then all unchanged; one run each, whose CPU time includes that of counting units.",
        ("rows", "CPU, µs a row", "write units", "read units", "unchanged: µs", "write units", "read units",
         "processor, µs a row", "its peak, MiB"),
    )  # fmt: skip
    for count in counts:
        path, project = at.rows(count), f"growth-{count}"
        per_row: list[str] = []
        for _ in ("new", "unchanged"):
            at.be_quiet(project)
            ran = at.contend("ours", "", at.events(path, project), units=True)
            per_row.append(f"{ran['cpu'] / count * 1e6:.0f}")
            per_row += [f"{ran[key] / count:.3f}" for key in ("write_units", "read_units")]
        process = processor_cpu(at, path)
        results.row(
            f"{count:,}",
            *per_row,
            f"{process['cpu'] / count * 1e6:.1f}",
            f"{process['peak']:.0f}",
        )


def machine() -> str:
    """The machine and the Python version."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{cpu}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--growth", default="1000,10000,100000,1000000")
    arguments = parser.parse_args()
    only = set(arguments.only.split(","))
    results = Results()
    with bench() as at:
        cpu = rows(at, results, arguments.rounds) if only & {"rows", "cost"} else {}
        found = units(at, results) if only & {"units", "cost"} else {}
        steps: dict[str, Callable[[], None]] = {
            "cost": lambda: cost(at, results, cpu, found),
            "processor": lambda: processor(at, results, arguments.rounds),
            "growth": lambda: growth(at, results, tuple(map(int, arguments.growth.split(",")))),
            "start": lambda: start(at, results, arguments.rounds),
        }
        for name, step in steps.items():
            if name in only:
                step()
    if "end" in only:
        end(results, min(3, arguments.rounds))
    head = [
        "# Results",
        "",
        f"`make bench` on: {machine()}. All but the arithmetic was measured there.",
    ]
    if only != set(SECTIONS):
        print("Some sections were not measured, so results.md and results.svg are unchanged.")
        return
    (HERE / "results.md").write_text("\n".join([*head, *results.lines, ""]))
    (HERE / "results.svg").write_text(picture(results.bars))


if __name__ == "__main__":
    main()
