"""Whether the cost of a row depends on the number of rows."""

from __future__ import annotations

from bench.processor import processor_cpu
from bench.results import Results
from bench.stack import Bench


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
