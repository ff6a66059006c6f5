"""Compares our code with other tools in alternating runs, and writes results.md and results.svg.

python -m bench [--rounds 5] [--only rows,units,cost,processor,growth,start,end]
"""

from __future__ import annotations

import argparse
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.cold_start import start
from bench.cost import cost
from bench.end_to_end import end
from bench.growth import growth
from bench.picture import picture
from bench.processor import processor
from bench.results import Results
from bench.rows import rows
from bench.stack import bench
from bench.units import units

HERE = Path(__file__).parent
SECTIONS = ("rows", "units", "cost", "processor", "growth", "start", "end")


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
        print(
            "Some sections were not measured, so results.md and results.svg are unchanged. These were:"
        )
        print("\n".join(results.lines))
        return
    (HERE / "results.md").write_text("\n".join([*head, *results.lines, ""]))
    (HERE / "results.svg").write_text(picture(results.bars))


if __name__ == "__main__":
    main()
