"""The sections of results.md and the bars of results.svg."""

from __future__ import annotations

from collections import defaultdict

from bench.picture import Bar


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
