"""The events of events/, taken by the functions that they are for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from local.stack import ROOT, LocalStack
from tests.events import Context, handler
from tests.pipeline import Pipeline

EVENTS = {
    "api_post": "api",
    "api_get": "api",
    "processor": "processor",
    "row_batch": "row_batch",
    "dead_letter": "dead_letter",
    "overdue": "dead_letter",
    "import_ended": "import_ended",
}


def invoke(name: str, **values: str) -> Any:
    text = (ROOT / "events" / f"{name}.json").read_text()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return handler(EVENTS[name]).lambda_handler(json.loads(text), Context())


@pytest.fixture
def api_key(embedded_aws: LocalStack) -> str:
    keys = ApiKeyTable(embedded_aws.client("dynamodb"), embedded_aws.outputs["ApiKeysTable"])
    return keys.create(list(Scope), ["demo"], datetime.now(UTC))


def test_there_is_an_event_for_every_function() -> None:
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == set(EVENTS)
    assert {path.name for path in (ROOT / "functions").iterdir()} - {"__pycache__"} == set(
        EVENTS.values()
    )


def test_a_post_and_a_get(pipeline: Pipeline, api_key: str) -> None:
    posted = invoke("api_post", API_KEY=api_key)
    assert posted["statusCode"] == 200
    import_id = json.loads(posted["body"])["data"]["id"]
    got = invoke("api_get", API_KEY=api_key, IMPORT_ID=import_id)
    assert json.loads(got["body"])["data"]["status"] == "processing"
    stored = pipeline.s3.get_object(Bucket=pipeline.bucket, Key=f"imports/demo/{import_id}.csv")
    assert stored["Body"].read().startswith(b"Email,First Name\r\nada@example.com")


def test_an_event_without_its_key_is_answered_401(function_environment: None) -> None:
    answer = invoke("api_post")
    assert answer["statusCode"] == 401
    assert answer["multiValueHeaders"]["WWW-Authenticate"]


def test_an_upload_of_no_import(pipeline: Pipeline) -> None:
    assert invoke("processor", IMPORT_ID="0" * 24) is None
    assert pipeline.messages() == []


def test_a_row_batch(pipeline: Pipeline) -> None:
    assert invoke("row_batch") == {"batchItemFailures": []}
    contacts = pipeline.contacts_of("demo")
    assert {"ada@example.com", "grace@example.com"} <= set(contacts)
    assert [e.row for e in pipeline.progress.errors("70dbd880aabbccddeeff0011", 1)] == [4]


def test_a_dead_letter(pipeline: Pipeline) -> None:
    assert invoke("dead_letter") == {"batchItemFailures": []}
    errors = pipeline.progress.errors("70dbd880aabbccddeeff0022", 1)
    assert [error.row for error in errors] == [2, 3, 4]


def test_the_schedule(pipeline: Pipeline) -> None:
    assert invoke("overdue") is None
