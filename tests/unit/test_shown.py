"""docs/shown.md: every test that it names exists, and it has every check of `make verify-deployment`."""

from __future__ import annotations

import re

from local.stack import ROOT
from local.verification import settings, use

PAGE = (ROOT / "docs" / "shown.md").read_text()
WAYS = {"simulation", "emulator", "code", "template", "arithmetic", "deployment"}


def rows_of(heading: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [row.split(" | ") for row in rows[1:]]


def test_every_file_that_shows_something_exists() -> None:
    named = set(re.findall(r"`((?:tests|bench|local)/[^`]+)`", PAGE))
    assert len(named) > len(WAYS)
    for name in named:
        assert (ROOT / name).is_file(), name


def test_every_promise_says_how_and_by_what_it_is_shown() -> None:
    for heading in ("Exactness", "API and files", "Safety", "Operation"):
        rows = rows_of(heading)
        assert rows
        for promise, ways, shown_by in rows:
            assert set(ways.split(", ")) <= WAYS, promise
            assert "`" in shown_by or ways == "deployment", promise


def test_every_simulation_and_end_to_end_test_is_listed() -> None:
    """What such a test shows is a promise. Those that only try tools of this repository are left out."""
    of_tools = {"tests/e2e/test_up.py"}
    for pattern in ("tests/simulation/test_*.py", "tests/e2e/test_*.py"):
        for path in ROOT.glob(pattern):
            name = path.relative_to(ROOT).as_posix()
            assert f"`{name}`" in PAGE or name in of_tools, name


def test_every_check_of_a_deployment_is_listed_with_what_the_embedded_aws_cannot_show() -> None:
    expected = {
        check.promise: f"known difference: {check.on_embedded}" if check.on_embedded else "holds"
        for check in (*settings.CHECKS, *use.CHECKS)
    }
    assert dict(rows_of("What `make verify-deployment` asks AWS")) == expected
