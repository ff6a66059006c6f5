from __future__ import annotations

import secrets

import pytest

from local.stack import LocalStack
from tests.conftest import BUCKET
from tests.pipeline import Pipeline


@pytest.fixture(scope="session")
def pipeline(embedded_aws: LocalStack, function_environment: None) -> Pipeline:
    return Pipeline(embedded_aws, BUCKET)


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p-{secrets.token_hex(4)}"


@pytest.fixture
def many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits small files as large ones are: into several partitions of several row batches."""
    monkeypatch.setattr("contact_imports.files.split.PARTITION_BYTES", 400)
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 3)
