"""CPU time of a row, compared with other tools."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from bench.picture import Bar
from bench.results import Results, verdict
from bench.stack import Bench, median

ROWS = 10_000
SLOW_ROWS = 1_000
"""For contenders that make one request for each row."""


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
