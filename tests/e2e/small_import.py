"""A small file with its column map, and the list of a project's imports."""

from __future__ import annotations

import json
from typing import Any

from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.import_job import ImportOptions
from tests.e2e.conftest import Account

COLUMN_MAP = {"email": "Email", "name": "Name"}
OPTIONS = ImportOptions(parse_column_map(json.dumps(COLUMN_MAP)))
FILE = b"Email,Name\na@example.com,A\nno email,B\n\na@example.com,C\n"


def listed(account: Account, **parameters: Any) -> list[dict[str, Any]]:
    response = account.client.list(account.project, **parameters)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]["data"]
    return data
