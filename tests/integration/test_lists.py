"""Lists and pages of the API: what comes back always fits an answer of Lambda."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import Import, ImportOptions, Status, new_import_id
from tests.events import Context, handler
from tests.pipeline import Pipeline

LAMBDA_ANSWER_BYTES = 6_291_556
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

NOW = datetime(2030, 1, 2, tzinfo=UTC)
PATH = "/v1/contacts/imports"


@pytest.fixture
def key(pipeline: Pipeline, project: str) -> str:
    return ApiKeyTable(pipeline.dynamodb, "ApiKeysTable").create(list(Scope), [project], NOW)


def get(key: str, path: str, **query: str) -> dict[str, Any]:
    event = {
        "httpMethod": "GET",
        "path": path,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "headers": {"Authorization": f"Bearer {key}"},
        "requestContext": {},
    }
    answer = handler("api").lambda_handler(event, Context())
    assert len(json.dumps(answer).encode()) <= LAMBDA_ANSWER_BYTES
    return {"status": answer["statusCode"], **json.loads(answer["body"])}


def all_pages(key: str, **query: str) -> list[list[dict[str, Any]]]:
    pages = []
    cursor: dict[str, str] = {}
    while True:
        data = get(key, PATH, **query, **cursor)["data"]
        pages.append(data["data"])
        if data["next_cursor"] is None:
            return pages
        cursor = {"cursor": data["next_cursor"]}


def put_imports(pipeline: Pipeline, project: str, count: int, map_chars: int) -> list[Import]:
    """Imports of a project, newest first, with column maps of so many characters that take much of an answer."""
    headers = {f"{n}": "\U0001f4ab" * 100 for n in range(map_chars // 100)}
    jobs: list[Import] = []
    for number in range(count):
        made = NOW + timedelta(seconds=number)
        status = Status.FAILED if number % 2 else Status.PROCESSING
        options = ImportOptions(ColumnMap(email="Email", custom_fields=headers))
        job = Import(new_import_id(made), project, status, options, made)
        assert pipeline.imports.create(job, made)
        jobs.insert(0, job)
    return jobs


@pytest.mark.parametrize(("count", "map_chars"), [(30, 20_000), (3, 90_000), (5, 100)])
@pytest.mark.parametrize("status", [None, "processing"])
def test_a_list_of_large_column_maps_comes_in_pages_that_fit(
    pipeline: Pipeline, project: str, key: str, count: int, map_chars: int, status: str | None
) -> None:
    jobs = put_imports(pipeline, project, count, map_chars)
    pages = all_pages(key, projectId=project, limit="100", **({"status": status} if status else {}))
    if status:
        jobs = [job for job in jobs if job.status.value == status]
    listed = [entry for page in pages for entry in page]
    assert [entry["id"] for entry in listed] == [job.id for job in jobs]
    assert all(
        entry["options"]["columnMap"]
        == (job.options.column_map.as_dict() if job.options.column_map else None)
        for entry, job in zip(listed, jobs, strict=True)
    )
    assert all(page for page in pages[:-1])


def test_a_limit_is_kept_across_pages(pipeline: Pipeline, project: str, key: str) -> None:
    jobs = put_imports(pipeline, project, 7, 100)
    pages = all_pages(key, projectId=project, limit="3")
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [entry["id"] for page in pages for entry in page] == [job.id for job in jobs]


@pytest.mark.parametrize("cursor", ["9" * 5_000, "9" * 40, "100000000", "-1", "1e3", ""])
def test_a_cursor_of_failed_rows_that_no_page_has_is_refused(
    pipeline: Pipeline, project: str, key: str, cursor: str
) -> None:
    (job,) = put_imports(pipeline, project, 1, 100)
    answer = get(key, f"{PATH}/{job.id}/errors", format="json", cursor=cursor)
    assert (answer["status"], answer["code"]) == (400, "INVALID_PARAMETER")
    assert answer["data"] == {"field": "cursor"}
    assert "999" not in answer["error"]
