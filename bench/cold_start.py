"""Cold starts: what a function imports and makes before its first event, compared with `import boto3`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.results import Results, verdict
from bench.stack import STATE, Bench, median
from local.stack import ROOT

TARGETS = {"api": 1.6, "processor": 1.6, "row_batch": 1.4, "dead_letter": 1.6, "import_ended": 1.6}
"""The most that each function may take, of boto3's time."""

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
        for name in ("boto3", *TARGETS):
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
        for one in (STATE / "build" / "ContactImportsLayer").rglob("*")
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
        said = verdict(ratio, TARGETS[name]) if name in TARGETS else f"{ratio:.2f}"
        peak = median([one["peak"] for one in all_])
        results.row(name, f"{took * 1000:.0f}", said, f"{peak:.0f}")


def _start_python() -> Path:
    return ROOT / ".local" / "tools" / "bench" / "bin" / "python"
