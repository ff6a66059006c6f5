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
    """A document with what was found between its two markers. Mutations without a result were not tried."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{_text(mutations, results, day)}\n\n{END}{after}"


def _text(mutations: Sequence[Mutation], results: Mapping[str, Result], day: date) -> str:
    tried = [one for one in mutations if one.id in results]
    tried_ids = {one.id for one in tried}
    survivors = [one for one in tried if results[one.id].killed_by is None]
    killed = len(tried) - len(survivors)
    lines = [
        f"On {day}, the tests killed {killed} of {len(tried)} mutations: {killed / len(tried):.1%}.",
        "",
    ]
    for kind, is_meant in (("meant", True), ("generated", False)):
        every = [one for one in mutations if one.is_meant is is_meant]
        of_kind = [one for one in tried if one.is_meant is is_meant]
        alive = sum(one in survivors for one in of_kind)
        left = len(every) - len(of_kind)
        not_tried = f"; {left} more were not tried" if left else ""
        lines.append(f"- {kind}: {len(of_kind) - alive} of {len(of_kind)} killed{not_tried}")
    minutes = sum(results[one.id].seconds for one in tried) / 60
    lines += [
        "",
        f"The tests of these mutations took {minutes:.0f} minutes of one core.",
        "",
        "| file | meant | tried | killed | generated | tried | killed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for path in dict.fromkeys(one.short_path for one in mutations):
        counts = []
        for is_meant in (True, False):
            of_file = [
                one for one in mutations if one.short_path == path and one.is_meant is is_meant
            ]
            tried_here = [one for one in of_file if one.id in tried_ids]
            alive = sum(results[one.id].killed_by is None for one in tried_here)
            numbers = (len(of_file), len(tried_here), len(tried_here) - alive)
            counts += [str(number) if of_file else "" for number in numbers]
        lines.append(f"| `{path}` | {' | '.join(counts)} |")
    lines += ["", "| survivor | why no test can kill it |", "|---|---|"]
    lines += [f"| {_cell(one.id)} | {_cell(one.survives)} |" for one in survivors]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
