from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest

from contact_imports.model.contact import Contact
from local.client import ImportsClient
from local.emulator import http_client
from local.stack import LocalStack
from tests.pipeline import contacts_of

T = TypeVar("T")

REQUEST_SECONDS = 30

END_SECONDS = 120
"""How long a test waits for an import to end; it usually takes seconds."""


def wait_for(condition: Callable[[], T | None], seconds: float) -> T:
    """Waits until a condition returns something, and returns it; raises TimeoutError."""
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
    _clients: dict[str, ImportsClient] = field(default_factory=dict)

    @property
    def client(self) -> ImportsClient:
        return self.client_with(self.key)

    def client_with(self, key: str) -> ImportsClient:
        """A client with another key."""
        if key not in self._clients:
            self._clients[key] = ImportsClient(self.stack.api_url, key, self.stack.ca_file)
        return self._clients[key]

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request to the API, without a key; redirects are not followed."""
        return self.fetch(method, self.stack.api_url + path, **options)

    def fetch(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Any request to any address of the stack; redirects are not followed."""
        with http_client(self.stack.ca_file, REQUEST_SECONDS) as http:
            return http.request(method, url, follow_redirects=False, **options)

    def close(self) -> None:
        """Closes the clients."""
        for client in self._clients.values():
            client.close()

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
def account(deployed: LocalStack) -> Iterator[Account]:
    project = f"p-{secrets.token_hex(4)}"
    account = Account(deployed, project, deployed.make_key(projects=(project,)))
    yield account
    account.close()
