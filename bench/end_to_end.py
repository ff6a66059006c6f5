"""From POST to completed on the local stack, compared with awswrangler on the same endpoint."""

from __future__ import annotations

import time

from bench.results import Results, verdict
from bench.stack import STATE, Bench, functions_cpu, median
from local import sample
from local.client import ImportsClient
from local.stack import PROJECT_ID, LocalStack, free_port

_TABLES = (
    *("ApiKeysTable", "ContactsTable", "DryRunContactsTable", "IdempotencyTable", "ImportsTable"),
    "TagsTable",
)


def end(results: Results, rounds: int, count: int = 100_000) -> None:
    """The time from POST to completed, compared with awswrangler on the same endpoint."""
    stack = LocalStack(free_port(), state=STATE)
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
