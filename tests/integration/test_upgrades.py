"""An import goes on after an upgrade, and after the upgrade was taken back.

What a release leaves half-way is recorded in tests/releases, with its code. Its functions run in processes of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from contact_imports.model.import_job import Status
from local.stack import LocalStack
from tests.conftest import BUCKET, variables_of_functions
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline
from tests.releases.delivery import Delivery, ReleaseOf
from tests.releases.moments import MOMENTS, record
from tests.releases.recording import Recording
from tests.releases.release import (
    RELEASES,
    Release,
    recorded_releases,
    tree,
    unpack_code,
)

PREVIOUS = recorded_releases()[-1]
FUNCTIONS = ("api", "processor", "row_batch", "dead_letter", "import_ended")


@pytest.fixture(scope="module")
def current(embedded_aws: LocalStack) -> Iterator[Release]:
    """The functions of this checkout."""
    variables = variables_of_functions(embedded_aws) | {"LAYER_VERSION": "current"}
    with Release(tree(), variables) as release:
        yield release


@pytest.fixture(scope="module")
def previous(
    embedded_aws: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """The functions of the release before."""
    folders = unpack_code(PREVIOUS, tmp_path_factory.mktemp("previous"))
    variables = variables_of_functions(embedded_aws) | {"LAYER_VERSION": PREVIOUS}
    with Release(folders, variables) as release:
        yield release


@pytest.fixture
def aws(embedded_aws: LocalStack) -> Pipeline:
    return Pipeline(embedded_aws, BUCKET)


def go_on(recording: Recording, aws: Pipeline, release_of: ReleaseOf) -> None:
    """The import ends with the reference's contacts and counts, and clients get the answers that they got."""
    recording = recording.as_of_now()
    recording.restore_state(aws)
    delivery = Delivery.of(recording, aws, release_of)
    delivery.finish(recording.import_id)

    # Whoever goes on keeps what it does not know.
    recorded = recording.tables["ImportsTable"]
    known = next((set(item) for item in recorded if is_import(item, recording.import_id)), set())
    pages = aws.dynamodb.get_paginator("scan").paginate(TableName=aws.imports_table)
    items = [item for page in pages for item in page["Items"]]
    (after_all,) = (item for item in items if is_import(item, recording.import_id))
    assert known - set(after_all) <= {"open", "deadline"}

    earlier, job = aws.imports.get(recording.before_id), aws.imports.get(recording.import_id)
    assert earlier is not None
    assert job is not None
    assert job.followed
    before = expected(recording.before_content.encode(), earlier.options).contacts
    missing = set(recording.missing)
    reference = expected(recording.content.encode(), job.options, before, leave_out=missing)
    assert job.counts.as_dict() == counts_of(reference, len(missing))
    after = before if job.options.dry_run else reference.contacts
    assert aws.contacts_of(recording.project) == after
    explained = [error for error in aws.errors(job) if error.code != "not_processed"]
    assert explained == reference.errors
    failed = missing | {error.row for error in reference.errors}
    assert [row["row"] for row in aws.report(job)] == sorted(failed)
    given_up = bool(recording.failures)
    assert job.status is (Status.FAILED if given_up else Status.COMPLETED)
    for asked in recording.asked:
        answer = delivery.invoke("api", asked["event"])
        assert answer["statusCode"] == asked["answer"]["statusCode"]
        assert body_of(answer) == body_of(asked["answer"])


def is_import(item: dict[str, Any], import_id: str) -> bool:
    return (item["importId"], item["record"]) == ({"S": import_id}, {"S": "import"})


def body_of(answer: dict[str, Any]) -> Any:
    """An answer's body: JSON, or text."""
    with suppress(ValueError):
        return json.loads(answer["body"])
    return answer["body"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("release", recorded_releases())
def test_what_a_release_left_half_way_is_finished(
    release: str, moment: str, aws: Pipeline, current: Release
) -> None:
    recording = Recording.load(RELEASES / release / f"{moment}.json.gz")
    go_on(recording, aws, lambda _: current)


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_half_way_is_finished_by_the_release_before(
    moment: str, aws: Pipeline, current: Release, previous: Release
) -> None:
    recording = record(moment, aws, lambda _: current)
    go_on(recording, aws, lambda _: previous)


@pytest.mark.parametrize("new", FUNCTIONS)
@pytest.mark.parametrize("are_others_new", [False, True])
def test_functions_of_two_releases_finish_an_import_together(
    new: str, are_others_new: bool, aws: Pipeline, current: Release, previous: Release
) -> None:
    """As while a stack is updated, or an update is taken back: one function is ahead of the others, or behind."""

    def release_of(function: str) -> Release:
        return current if (function == new) != are_others_new else previous

    moment = "half_sent" if new == "processor" else "gap" if new == "dead_letter" else "accepted"
    go_on(record(moment, aws, release_of), aws, release_of)
