"""The documents say what there is: codes, limits, commands, files. Their prose is free."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from contact_imports.aws.received_messages import FAILED_SECONDS, seconds_put_off
from contact_imports.model import limits
from contact_imports.model.errors import FileErrorCode, RequestErrorCode, RowErrorCode
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    PENDING_DEADLINE_SECONDS,
    PRESIGNED_POST_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
)
from local.stack import ROOT
from tests.template import load, resources

MAKEFILE = (ROOT / "Makefile").read_text()
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "bench/*.md") for path in ROOT.glob(pattern)
)
NOT_OF_A_DOCUMENT = {"sure"}
"""Words that follow "make" in prose."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def first_cells(document: str) -> set[str]:
    """The code in the first two cells of each row of a document's tables."""
    rows = re.findall(r"^\|([^|]*)\|([^|]*)\|", text_of(document), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", " ".join(cell for row in rows for cell in row)))


@pytest.mark.parametrize("codes", [RequestErrorCode, FileErrorCode, RowErrorCode])
def test_every_code_is_in_a_table_of_the_api(codes: object) -> None:
    assert set(get_args(codes)) - first_cells("docs/api.md") == set()


def test_the_gateways_codes_are_in_a_table_of_the_api() -> None:
    (api,) = resources("AWS::Serverless::Api").values()
    codes = set()
    for response in api["GatewayResponses"].values():
        code = re.search(r'"code":"(\w+)"', response["ResponseTemplates"]["application/json"])
        assert code is not None
        codes.add(code[1])
    assert codes - first_cells("docs/api.md") == set()


@pytest.mark.parametrize("name", [n for n in vars(limits) if n.startswith("MAX_")])
def test_every_limit_is_in_the_table_of_limits(name: str) -> None:
    value = getattr(limits, name)
    table = text_of("docs/limits.md")
    for number in value.values() if isinstance(value, dict) else [value]:
        whole_mebibytes = f"{number // 1024**2} MiB"
        assert f" {number:,} " in table or (number % 1024**2 == 0 and whole_mebibytes in table)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_command_is_a_target(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    used = set(re.findall(r"(?:`|^ {4}|\$ )make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert used <= targets


def test_the_readme_has_the_commands_that_a_newcomer_needs() -> None:
    readme = text_of("README.md")
    assert all(f"make {name}" in readme for name in ("demo", "test", "up", "down", "deploy", "key"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), target


def anchors(path: Path) -> set[str]:
    """The anchors that a Markdown document's headings make."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_event_is_in_the_documents() -> None:
    named = {
        name for path in DOCUMENTS for name in re.findall(r"events/(\w+\.json)", path.read_text())
    }
    assert named == {path.name for path in (ROOT / "events").glob("*.json")}


def test_the_times_are_the_ones_that_hold() -> None:
    table = text_of("docs/limits.md")
    assert f"| time to use a presigned POST | {PRESIGNED_POST_SECONDS // 3600} hour |" in table
    for what, seconds in (
        ("an import whose upload never came fails", PENDING_DEADLINE_SECONDS),
        ("an import whose file nobody could check fails", UPLOAD_DEADLINE_SECONDS),
        ("an import that has not ended is failed", IMPORT_DEADLINE_SECONDS),
    ):
        assert f"| {what} | {seconds // 3600} hours |" in table
    parameters = load()["Parameters"]
    days = parameters["UploadRetentionDays"]["Default"]
    assert f"bucket expire | {days} days (`UploadRetentionDays`) |" in table


def test_every_parameter_is_in_the_table_with_its_default() -> None:
    section = text_of("docs/operations.md").partition("### Parameters\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? \| .", section, re.MULTILINE)
    expected = {
        name: str(parameter["Default"] or "none") if parameter["Default"] != 0 else "0"
        for name, parameter in load()["Parameters"].items()
    }
    assert len(rows) == len(expected)
    assert dict(rows) == expected


def test_a_row_batch_is_given_up_after_the_tries_of_the_table() -> None:
    queue = resources("AWS::SQS::Queue")["RowQueue"]
    tries = queue["RedrivePolicy"]["maxReceiveCount"]
    throttled = [seconds_put_off(receives, passes=True) for receives in range(1, tries + 1)]
    assert tries == 30
    table = text_of("docs/limits.md")
    assert "| a row batch that keeps failing is given up | 30 tries: an hour;" in table
    assert tries * FAILED_SECONDS == 3600
    assert "three hours where the function dies of it;" in table
    assert tries * queue["VisibilityTimeout"] == 3 * 3600
    assert "5 to 11 hours of throttling |" in table
    assert 5 * 3600 <= sum(throttled) <= 11 * 3600


def test_every_decision_is_in_the_index_with_its_status() -> None:
    text = text_of("docs/decisions.md")
    index = re.findall(r"^\| (\d+) \| \[([^\]]+)\]\([^)]*\) \| ([^|]+) \|$", text, re.MULTILINE)
    entries = re.findall(r"^## (\d+)\. (.+)\n\n(\S[^·\n]*) ·", text, re.MULTILINE)
    assert [(number, title) for number, title, _ in index] == [
        (number, title) for number, title, _ in entries
    ]
    for (_, _, listed), (_, _, status) in zip(index, entries, strict=True):
        assert status.lower().startswith(listed.lower())
