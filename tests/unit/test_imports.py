"""What a cold start pays for: no function imports what only another one needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.stack import ROOT

SCRIPT = "import sys, app; print(*sys.modules)"
LAYER = ROOT / "layers" / "contact_imports"


READING_FILES = {"contact_imports.files.contact_file", "contact_imports.files.table_start"}
OF_NO_FUNCTION = {
    # botocore's clients are enough but for the transfers of a report.
    *("boto3", "s3transfer"),
    # Only addresses that are not plain need it, and only files that are not UTF-8.
    *("email_validator", "contact_imports.files.legacy_encoding"),
    # Only a misspelled name needs it.
    "difflib",
    # Events are read with msgspec.
    "aws_lambda_powertools.utilities.batch",
}


@pytest.mark.parametrize(
    ("function", "not_needed"),
    [
        (
            "api",
            {
                *("contact_imports.jobs.apply_row_batch", *READING_FILES),
                # Only the description of the API needs these.
                *(
                    "contact_imports.api.openapi",
                    "aws_lambda_powertools.event_handler.openapi.models",
                ),
                # Only a request with an Idempotency-Key needs it.
                "aws_lambda_powertools.utilities.idempotency",
            },
        ),
        (
            "processor",
            {
                *("asyncio", "contact_imports.aws.contacts_table", "multipart"),
                "aws_lambda_powertools.utilities.data_classes",
                # Only the options of dropped files need it.
                "pydantic",
            },
        ),
        (
            "row_batch",
            {
                *("asyncio", "multipart", "orjson", "pydantic"),
                "aws_lambda_powertools.utilities.data_classes",
                *("contact_imports.files.split", "contact_imports.aws.uploads_bucket"),
                *("tomllib", "contact_imports.model.column_match"),
            },
        ),
        (
            "dead_letter",
            {
                *("aws_lambda_powertools.event_handler", "asyncio", "multipart", "pydantic"),
                *("aws_lambda_powertools.utilities.data_classes", *READING_FILES),
            },
        ),
        (
            "import_ended",
            {
                *("asyncio", "contact_imports.aws.row_queue", "multipart", "pydantic"),
                "aws_lambda_powertools.utilities.data_classes",
                # Only failed rows need these, and only a dropped file the list of imports.
                *("contact_imports.files.failed_rows", "contact_imports.jobs.list_imports"),
                *READING_FILES,
            },
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
    assert (OF_NO_FUNCTION | not_needed).isdisjoint(imported)
