"""What a cold start pays for: no function imports what only another one needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.stack import ROOT

SCRIPT = "import sys, app; print(*sys.modules)"
LAYER = ROOT / "layers" / "contact_imports"


@pytest.mark.parametrize(
    ("function", "not_needed"),
    [
        (
            "api",
            {
                *("contact_imports.jobs.apply_row_batch", "email_validator"),
                "contact_imports.files.legacy_encoding",
            },
        ),
        (
            "processor",
            {
                *("asyncio", "contact_imports.aws.contacts_table", "email_validator", "multipart"),
                "contact_imports.files.legacy_encoding",
            },
        ),
        (
            "row_batch",
            {
                *("asyncio", "boto3", "difflib", "multipart", "orjson", "pydantic"),
                *("contact_imports.files.split", "contact_imports.aws.uploads_bucket"),
                *("tomllib", "contact_imports.model.column_match"),
            },
        ),
        ("dead_letter", {"aws_lambda_powertools.event_handler", "multipart"}),
        (
            "import_ended",
            {"asyncio", "contact_imports.aws.row_queue", "email_validator", "multipart"},
        ),
    ],
)
def test_a_function_imports_no_more_than_it_needs(function: str, not_needed: set[str]) -> None:
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": "us-east-1",
        "POWERTOOLS_SERVICE_NAME": "test",
        "PYTHONPATH": str(LAYER),
    }
    imported = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT / "functions" / function,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "contact_imports.aws.imports_table" in imported
    assert not_needed.isdisjoint(imported)
