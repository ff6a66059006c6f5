from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import requests

from contact_imports.model.contact import Contact
from local.client import ImportsClient
from local.stack import LocalStack
from tests.pipeline import contacts_of

T = TypeVar("T")

END_SECONDS = 120
"""How long a test waits for an import to end; far more than it takes."""


def wait_for(condition: Callable[[], T | None], seconds: float) -> T:
    """What a condition gives once it gives something; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (found := condition()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


@dataclass
class Account:
    """A project of its own on the deployed stack, with a key that may use it."""

    stack: LocalStack
    project: str
    key: str

    @property
    def client(self) -> ImportsClient:
        return self.client_with(self.key)

    def client_with(self, key: str) -> ImportsClient:
        """A client with another key."""
        return ImportsClient(self.stack.api_url, key, self.stack.ca_file)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request to the API, without a key."""
        url = self.stack.api_url + path
        return requests.request(method, url, timeout=30, verify=str(self.stack.ca_file), **options)

    def run(self, content: bytes, column_map: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """One import over HTTP, until it has ended."""
        response = self.client.post(content, self.project, column_map, **fields)
        assert response.status_code == 200, response.text
        return self.client.wait(response.json()["data"]["id"], END_SECONDS)

    def contacts(self) -> dict[str, Contact]:
        """All contacts of the project."""
        table = self.stack.outputs["ContactsTableName"]
        return contacts_of(self.stack.client("dynamodb"), table, self.project)


@pytest.fixture
def account(deployed: LocalStack) -> Account:
    project = f"p-{secrets.token_hex(4)}"
    return Account(deployed, project, deployed.make_key(projects=(project,)))
