"""A caller of the API's function that records the answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from local.stack import LocalStack
from tests.gateway import Answer, api_event, call
from tests.multipart import CONTENT_TYPE, FIELDS, body

LIST = "/v1/contacts/imports"
UPLOADS = "/v1/contacts/imports/uploads"
STATUS = "/v1/contacts/imports/{id}"
REPORT = "/v1/contacts/imports/{id}/errors"
FAILED_ROWS = "/v1/contacts/imports/{id}/failed-rows"
OPENAPI = "/v1/openapi.json"
OF_ONE_IMPORT = (STATUS, REPORT, FAILED_ROWS)
NO_IMPORT = "0" * 24
FILE = "Email,First Name\nno email,x\n"
JSON = "application/json"


class Caller:
    """A project with several keys, and the answers to its requests by operation."""

    def __init__(self, stack: LocalStack, project: str) -> None:
        table = ApiKeyTable(stack.client("dynamodb"), stack.outputs["ApiKeysTable"])
        now = datetime.now(UTC)
        self.project = project
        self.keys = {
            "both": table.create(tuple(Scope), (project,), now),
            "reader": table.create((Scope.READ,), (project,), now),
            "writer": table.create((Scope.WRITE,), (project,), now),
            "stranger": table.create(tuple(Scope), ("another",), now),
            "unknown": "ci_unknown",
        }
        self.answers: list[tuple[str, str, Answer]] = []

    def get(self, path: str, import_id: str = NO_IMPORT, key: str = "both", **query: str) -> Answer:
        return self._send("GET", path, key, import_id=import_id, query=query)

    def post(self, content: bytes = b"", key: str = "both", **headers: str) -> Answer:
        return self._send("POST", LIST, key, {"Content-Type": CONTENT_TYPE} | headers, content)

    def post_file(self, key: str = "both", file: str = FILE, **headers: str) -> Answer:
        return self.post(body({**FIELDS, "projectId": self.project, "file": file}), key, **headers)

    def ask(self, path: str, key: str = "both", tags: str = "", **headers: str) -> Answer:
        fields = {"projectId": self.project, "columnMap": {"email": "Email"}, "tags": [tags or "t"]}
        headers = {"Content-Type": JSON} | headers
        return self._send("POST", path, key, headers, json.dumps(fields).encode())

    def _send(
        self,
        method: str,
        path: str,
        key: str,
        headers: dict[str, str] | None = None,
        content: bytes = b"",
        import_id: str = "",
        query: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.keys[key]}", **(headers or {})}
        parameters = list((query or {}).items())
        url = path.replace("{id}", import_id)
        event = api_event(method, url, query=parameters, headers=sent, body=content)
        answer = call(event)
        self.answers.append((method.lower(), path, answer))
        return answer
