"""What a mutation run found, and how the document shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from local.stack import ROOT
from tests.mutants.mutations import Mutation

DOCUMENT = ROOT / "docs" / "simulation.md"
BEGIN = "<!-- made by: make mutants -->"
END = "<!-- end -->"


@dataclass(frozen=True)
class Result:
    """The result of the mutation with this id and digest: the test that failed, None if it survived, and how long the
    tests took."""

    id: str
    digest: str
    killed_by: str | None
    seconds: float


def with_results(
    document: str, mutations: Sequence[Mutation], results: Mapping[str, Result], day: date
) -> str:
    """A document with what was found between its two markers."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{_text(mutations, results, day)}\n\n{END}{after}"


def _text(mutations: Sequence[Mutation], results: Mapping[str, Result], day: date) -> str:
    survivors = [one for one in mutations if results[one.id].killed_by is None]
    killed = len(mutations) - len(survivors)
    lines = [
        f"On {day}, the tests killed {killed} of {len(mutations)} mutations: {killed / len(mutations):.1%}.",
        "",
        "| file | meant | killed | generated | killed |",
        "|---|---:|---:|---:|---:|",
    ]
    for path in dict.fromkeys(one.short_path for one in mutations):
        counts = []
        for is_meant in (True, False):
            of_file = [
                one for one in mutations if one.short_path == path and one.is_meant is is_meant
            ]
            alive = sum(one in survivors for one in of_file)
            counts += [str(len(of_file)), str(len(of_file) - alive)] if of_file else ["", ""]
        lines.append(f"| `{path}` | {' | '.join(counts)} |")
    lines += ["", "| survivor | why no test can kill it |", "|---|---|"]
    lines += [f"| {_cell(one.id)} | {_cell(one.survives)} |" for one in survivors]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
