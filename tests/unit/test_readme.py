"""The README says what there is: codes, limits, commands."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from contact_imports.jobs.list_imports import MAX_INLINE_REPORT_BYTES
from contact_imports.model import limits
from contact_imports.model.errors import FileErrorCode, RequestErrorCode, RowErrorCode
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    PENDING_DEADLINE_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
    UPLOAD_FORM_SECONDS,
)
from local.stack import ROOT
from tests.template import resources

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(
    "code", sorted({*get_args(RequestErrorCode), *get_args(FileErrorCode), *get_args(RowErrorCode)})
)
def test_every_code_is_documented(code: str) -> None:
    assert f"`{code}`" in README


def test_the_gateways_codes_are_documented() -> None:
    (api,) = resources("AWS::Serverless::Api").values()
    for response in api["GatewayResponses"].values():
        code = re.search(r'"code":"(\w+)"', response["ResponseTemplates"]["application/json"])
        assert code is not None
        assert f"`{code[1]}`" in README


@pytest.mark.parametrize("name", [n for n in vars(limits) if n.startswith("MAX_")])
def test_every_limit_is_documented(name: str) -> None:
    value = getattr(limits, name)
    for number in value.values() if isinstance(value, dict) else [value]:
        assert f"{number:,}" in README or f"{number // 1024**2} MiB" in README


def test_every_command_of_the_readme_is_one_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    used = set(re.findall(r"make ([a-z]+[a-z-]*)(?= |`|\n|,|\))", README)) - {"sure"}
    assert {"demo", "test", "up", "down", "key", "revoke-key"} <= used <= targets


def test_every_event_of_the_readme_is_there() -> None:
    named = set(re.findall(r"events/(\w+\.json)", README))
    assert named == {path.name for path in (ROOT / "events").glob("*.json")}


def test_the_deadlines_are_the_ones_that_hold() -> None:
    assert f"could check after {UPLOAD_DEADLINE_SECONDS // 3600} hours" in README
    assert f"never came after {PENDING_DEADLINE_SECONDS // 3600} hours" in README
    assert f"fails after {PENDING_DEADLINE_SECONDS // 3600} hours if it never does" in README
    assert UPLOAD_FORM_SECONDS == 3600
    assert "within an\nhour" in README
    assert f"A report over {MAX_INLINE_REPORT_BYTES:,} bytes" in README
    assert f"an import after {IMPORT_DEADLINE_SECONDS // 3600}" in README


def test_a_row_batch_is_given_up_when_the_readme_says() -> None:
    queue = resources("AWS::SQS::Queue")["RowQueue"]
    tries = queue["RedrivePolicy"]["maxReceiveCount"]
    assert tries == 5
    assert "given up after five tries, about an hour" in " ".join(README.split())
    assert tries * queue["VisibilityTimeout"] == 3600
