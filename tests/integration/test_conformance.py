"""Every file of tests/inputs, dropped or posted: what is stored, counted and said is what tests/conformance.py says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import Import, ImportOptions, Status
from local.stack import LocalStack
from tests.conformance import CASES, Case, Refused
from tests.gateway import Answer, api_event, call
from tests.multipart import CONTENT_TYPE, body
from tests.pipeline import Pipeline, imports_of


@pytest.fixture
def key(embedded_aws: LocalStack, project: str) -> str:
    """An API key of the project."""
    table = ApiKeyTable(embedded_aws.client("dynamodb"), embedded_aws.outputs["ApiKeysTable"])
    return table.create(tuple(Scope), (project,), datetime.now(UTC))


def post(project: str, key: str, content: bytes, form: dict[str, str]) -> Answer:
    headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {key}"}
    fields: dict[str, str | bytes] = {**form, "projectId": project, "file": content}
    return call(api_event("POST", "/v1/contacts/imports", headers=headers, body=body(fields)))


def send(pipeline: Pipeline, project: str, key: str, case: Case) -> Import:
    """The import of a case, as it ended."""
    if case.before is not None:
        pipeline.run(project, case.before, ImportOptions(ColumnMap(email="Email", name="Name")))
    before = {job.id for job in imports_of(pipeline, project)}
    if case.form is None:
        event = pipeline.drop(f"drop/{project}/{case.input}", case.content, **case.metadata)
    else:
        answer = post(project, key, case.content, dict(case.form))
        assert answer.status == 200, answer.body
        event = pipeline.object_event(f"imports/{project}/{answer.json()['data']['id']}.csv")
    pipeline.process(event)
    pipeline.drain()
    (job,) = (job for job in imports_of(pipeline, project) if job.id not in before)
    return pipeline.finish(job)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_input(pipeline: Pipeline, project: str, key: str, case: Case) -> None:
    expected = case.expected
    job = send(pipeline, project, key, case)
    if isinstance(expected, Refused):
        assert job.status is Status.FAILED
        assert expected.message in (job.error or "")
        assert set(job.counts.as_dict().values()) == {0}
        assert pipeline.contacts_of(project) == {}
        assert pipeline.messages() == []
        return
    assert job.status is Status.COMPLETED
    created = len(expected.contacts) - (0 if case.before is None else 1)
    failed = len(expected.failed)
    assert job.counts.as_dict() == {
        "total": created + expected.updated + expected.skipped + failed,
        "created": created,
        "updated": expected.updated,
        "skipped": expected.skipped,
        "failed": failed,
    }
    assert {
        email: {**one.fields, "customFields": one.custom_fields}
        for email, one in pipeline.contacts_of(project).items()
    } == expected.contacts
    rows = pipeline.report(job)
    assert {row["row"]: row["code"] for row in rows} == {
        row: code for row, (code, _) in expected.failed.items()
    }
    assert all(expected.failed[row["row"]][1] in row["message"] for row in rows)
    assert tuple(dict.fromkeys(note.code for note in job.notes)) == expected.notes
    assert (job.options.delimiter, job.encoding) == (expected.delimiter, expected.encoding)


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CASES
        # Which column is the email is asked only where no column map says it.
        if isinstance(case.expected, Refused) and case.expected.code != "AMBIGUOUS_COLUMN"
    ],
    ids=str,
)
def test_an_input_that_is_refused_is_refused_at_once_if_it_is_posted(
    pipeline: Pipeline, project: str, key: str, case: Case
) -> None:
    expected = case.expected
    assert isinstance(expected, Refused)
    answer = post(project, key, case.content, {"columnMap": json.dumps({"email": "Email"})})
    assert answer.status == 400
    refusal = answer.json()
    assert refusal["code"] == expected.code
    assert expected.message in refusal["error"]
    assert expected.has(refusal["data"])
    assert imports_of(pipeline, project) == []
