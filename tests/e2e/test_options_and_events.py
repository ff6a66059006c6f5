"""Options, events and the OpenAPI document on the deployed stack."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.conftest import END_SECONDS, Account, wait_for
from tests.e2e.small_import import COLUMN_MAP, FILE


def test_a_dry_run_changes_nothing(account: Account) -> None:
    dry = account.run(FILE, COLUMN_MAP, dryRun="true")
    assert account.contacts() == {}
    assert account.run(FILE, COLUMN_MAP)["counts"] == dry["counts"]


def test_blank_cells_that_clear(account: Account) -> None:
    account.run(FILE, COLUMN_MAP)
    account.run(b"Email,Name\na@example.com,\n", COLUMN_MAP, onBlank="clear")
    assert account.contacts()["a@example.com"].fields == {}


def test_an_end_is_told_to_whoever_has_a_rule(account: Account) -> None:
    events, sqs = account.stack.client("events"), account.stack.client("sqs")
    url = sqs.create_queue(QueueName=f"ends-{account.project}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["contact-imports"], "resources": [f"project/{account.project}"]}
    events.put_rule(Name=account.project, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=account.project, Targets=[{"Id": "1", "Arn": arn["QueueArn"]}])
    ended = account.run(FILE, COLUMN_MAP)

    def told() -> dict[str, Any] | None:
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        return json.loads(messages[0]["Body"]) if messages else None

    event = wait_for(told, END_SECONDS)
    assert event["detail-type"] == "contact_import.completed"
    assert event["detail"] == ended


def test_the_api_describes_itself_to_anyone(account: Account) -> None:
    response = account.request("GET", "/v1/openapi.json")
    assert response.status_code == 200
    assert "/v1/contacts/imports/{id}/errors" in response.json()["paths"]
