"""Imports: what an object is, when an end is shown, and the times that exactness stands on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contact_imports.aws.project_writes import QUIET_AFTER
from contact_imports.model.contact import Outcome
from contact_imports.model.import_job import (
    REPORT_SECONDS,
    Counts,
    Import,
    ImportOptions,
    Status,
    Upload,
    import_time,
    new_import_id,
    object_identity,
)
from tests.template import resources

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
UPLOAD = Upload("drop/p/a.csv", "e1", 5)
ENDED = Import(
    new_import_id(NOW), "p", Status.COMPLETED, ImportOptions(None), NOW, completed_at=NOW
)


def test_an_id_tells_its_time_and_is_used_once() -> None:
    ids = {new_import_id(NOW) for _ in range(100)}
    assert len(ids) == 100
    assert {import_time(one) for one in ids} == {NOW}
    assert new_import_id(NOW) < new_import_id(NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("bucket", "other"),
    [
        ("b", replace(UPLOAD, key="drop/p/b.csv")),
        ("b", replace(UPLOAD, etag="e2")),
        ("b", replace(UPLOAD, version_id="v1")),
        ("other", UPLOAD),
        # The same text, if the parts were only put together.
        ("bd", replace(UPLOAD, key="rop/p/a.csv")),
        ("b", replace(UPLOAD, key="drop/p/a.csve", etag="1")),
    ],
)
def test_another_object_is_another(bucket: str, other: Upload) -> None:
    assert object_identity(bucket, other) != object_identity("b", UPLOAD)


def test_an_object_is_the_same_however_often_it_is_told_of() -> None:
    assert object_identity("b", replace(UPLOAD)) == object_identity("b", UPLOAD)
    # Its version says more than its content.
    versions = [replace(UPLOAD, version_id=version) for version in ("v1", "v2")]
    assert len({object_identity("b", one) for one in versions}) == 2
    same = [replace(versions[0], etag=etag) for etag in ("e1", "e2")]
    assert len({object_identity("b", one) for one in same}) == 1


def test_rows_with_a_result_are_counted_by_result() -> None:
    counts = Counts.of(20, {outcome: n for n, outcome in enumerate(Outcome, 1)})
    assert counts == Counts(20, created=1, updated=2, skipped=3, failed=4)
    assert counts.settled == 10


@pytest.mark.parametrize(
    ("counts", "reported", "later", "shown"),
    [
        (Counts(1, created=1), False, 0, True),
        (Counts(1, failed=1), False, 0, False),
        (Counts(1, failed=1), True, 0, True),
        (Counts(1, failed=1), False, REPORT_SECONDS, False),
        (Counts(1, failed=1), False, REPORT_SECONDS + 1, True),
    ],
)
def test_an_end_with_failed_rows_waits_for_their_report(
    counts: Counts, reported: bool, later: int, shown: bool
) -> None:
    job = replace(ENDED, counts=counts, reported=reported)
    now = NOW + timedelta(seconds=later)
    assert job.end_is_shown(now) is shown
    assert job.as_api(now)["status"] == ("completed" if shown else "processing")


def test_an_import_that_has_not_ended_shows_no_end() -> None:
    job = replace(ENDED, status=Status.PROCESSING, completed_at=None)
    assert not job.end_is_shown(NOW + timedelta(days=1))


def test_a_project_is_not_quiet_while_a_batch_may_be_writing() -> None:
    """A note is renewed every 30 seconds, and a batch that has noted may write until its function's timeout."""
    timeout = resources("AWS::Serverless::Function")["RowBatchFunction"]["Timeout"]
    assert timedelta(seconds=30 + timeout) * 2 <= QUIET_AFTER
