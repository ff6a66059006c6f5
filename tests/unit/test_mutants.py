"""The table of mutations fits the sources, and what docs/simulation.md says of the last run is explained."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.generated import changes
from tests.mutants.meant import MEANT, Meant
from tests.mutants.mutations import all_mutations, mutated, source_of
from tests.mutants.results import BEGIN, DOCUMENT, END, Result, with_results

MOST_SURVIVORS = 0.05
ALL = [(path, one) for path, mutations in MEANT.items() for one in mutations]


@pytest.mark.parametrize(("path", "one"), ALL, ids=[one.breaks for _, one in ALL])
def test_a_meant_mutation_fits_its_file(path: str, one: Meant) -> None:
    source = source_of(path)
    changed = mutated(source, one.old, one.new)
    assert changed != source
    compile(changed, path, "exec")


def test_every_mutation_has_a_name_of_its_own_and_can_be_run() -> None:
    mutations = all_mutations()
    names = Counter(one.id for one in mutations)
    assert [name for name, count in names.items() if count > 1] == []
    for one in mutations:
        compile(one.source, one.path, "exec")
        assert one.source != source_of(one.path)
        assert one.tests


def test_every_explanation_is_of_a_mutation_that_there_is() -> None:
    generated = {one.id for one in all_mutations() if not one.is_meant}
    assert EQUIVALENT.keys() - generated == set()


def test_a_snippet_is_found_however_it_is_formatted() -> None:
    source = "if a:\n    call(\n        b,\n    )\n"
    assert (
        mutated(source, "call( b, )", "first()\nsecond()") == "if a:\n    first()\n    second()\n"
    )
    for snippet in ("call(c)", "a"):
        with pytest.raises(ValueError, match="not once"):
            mutated(source, snippet, "")


def test_what_is_generated() -> None:
    source = "LIMIT = 5\ndef f(a, b):\n    b += 1\n    if a and not b < 2:\n        return a + 3\n"
    found = [source[change.start : change.end] + " → " + change.new for change in changes(source)]
    assert found == [
        "b += 1 → pass",
        "1 → 2",
        "a and not b < 2 → not (a and not b < 2)",
        "a and not b < 2 → ((not b < 2))",
        "a and not b < 2 → ((a))",
        "not b < 2 → bool(b < 2)",
        "b < 2 → b <= 2",
        "2 → 3",
        "a + 3 → a - 3",
        "3 → 4",
    ]


def test_the_document_has_what_was_found() -> None:
    mutations = all_mutations()
    results = {one.id: Result(one.id, one.digest, "tests/x.py::test", 1.0) for one in mutations}
    first = mutations[0]
    results[first.id] = Result(first.id, first.digest, None, 1.0)
    text = with_results(
        f"Before\n\n{BEGIN}\nold\n{END}\nAfter", mutations, results, date(2030, 1, 2)
    )
    killed = len(mutations) - 1
    assert text.startswith(
        f"Before\n\n{BEGIN}\n\nOn 2030-01-02, the tests killed {killed} of {killed + 1}"
    )
    assert f"\n| {first.id} |" in text
    assert "old" not in text
    assert text.endswith(f"{END}\nAfter")


def test_enough_mutations_were_killed_and_every_survivor_is_explained() -> None:
    _, _, rest = DOCUMENT.read_text().partition(BEGIN)
    text, _, _ = rest.partition(END)
    found = re.search(r"killed (\d+) of (\d+) mutations", text)
    assert found is not None
    killed, made = map(int, found.groups())
    survivors = re.findall(r"^\| (\S+: .+) \| (.*) \|$", text, re.MULTILINE)
    assert len(survivors) == made - killed <= made * MOST_SURVIVORS
    assert all(explanation.strip() for _, explanation in survivors)
