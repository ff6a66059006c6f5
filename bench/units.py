"""Write units, read units and requests of a row."""

from __future__ import annotations

from typing import Any

from bench.results import Results
from bench.rows import ROWS, SLOW_ROWS
from bench.stack import Bench


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
