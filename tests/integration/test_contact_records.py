"""What the table of contacts keeps of a contact, and what it does when DynamoDB does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from contact_imports.aws.contacts_table import ContactTable, DryRunContacts
from contact_imports.aws.retry import StillUnprocessedError, time_limit
from contact_imports.model.contact import Contact
from contact_imports.model.import_job import new_import_id
from contact_imports.model.stored_contact import AppliedRows, CreatedBy, StoredContact
from tests.pipeline import Pipeline

NOW = datetime.now(UTC).replace(microsecond=0)
EMAIL = "a@example.com"
ROW = 7
OURS, OTHER = new_import_id(NOW), new_import_id(NOW)
NEW = StoredContact(
    Contact(EMAIL, {"name": "Ann"}), 1, CreatedBy(OURS, ROW), {OURS: (AppliedRows(ROW),)}
)


@pytest.mark.parametrize(
    "applied",
    [
        {OURS: (AppliedRows(ROW),)},
        {OURS: (AppliedRows(ROW + 1),)},
        {OURS: (AppliedRows(ROW, {ROW - 1: "why"}),)},
        {OURS: (AppliedRows(ROW), AppliedRows(ROW + 2))},
    ],
    ids=["one row", "a later row", "a failed row", "two batches"],
)
def test_what_a_batch_did_to_the_contact_that_it_created_is_kept(
    pipeline: Pipeline, project: str, applied: dict[str, tuple[AppliedRows, ...]]
) -> None:
    created = replace(NEW, applied=applied)
    assert pipeline.contacts.write(project, [created]) == set()
    assert pipeline.contacts.read(project, [EMAIL]) == {EMAIL: created}


def test_what_is_applied_is_as_after_the_last_write(pipeline: Pipeline, project: str) -> None:
    pipeline.contacts.write(project, [NEW])
    # By another import, which is forgotten after some days.
    second = replace(NEW, version=2, applied={OURS: (AppliedRows(ROW),), OTHER: (AppliedRows(3),)})
    third = replace(NEW, version=3)
    for after in (second, third):
        assert pipeline.contacts.write(project, [after]) == set()
        assert pipeline.contacts.read(project, [EMAIL]) == {EMAIL: after}


def test_a_field_that_a_row_cleared_is_gone(pipeline: Pipeline, project: str) -> None:
    full = replace(NEW, contact=Contact(EMAIL, {"name": "Ann", "phone": "1"}, {"plan": "x"}))
    cleared = replace(NEW, version=2, emptied=frozenset({"phone", "customFields"}))
    for after in (full, cleared):
        assert pipeline.contacts.write(project, [after]) == set()
    read = pipeline.contacts.read(project, [EMAIL])[EMAIL]
    assert read.contact == Contact(EMAIL, {"name": "Ann"})


def test_a_dry_run_changes_contacts_that_it_made_itself(pipeline: Pipeline, project: str) -> None:
    import_id = new_import_id(NOW)
    scratch = ContactTable(pipeline.dynamodb, pipeline.contacts_table)
    pipeline.contacts.write(project, [NEW])
    before = NEW
    # Each batch of it has stores of its own.
    for version in (2, 3, 4):
        dry_run = DryRunContacts(pipeline.contacts, scratch, import_id, {EMAIL})
        found = dry_run.read(project, [EMAIL])[EMAIL]
        assert found.contact == before.contact
        before = replace(
            found, version=found.version + 1, contact=Contact(EMAIL, {"name": str(version)})
        )
        assert dry_run.write(project, [before]) == set()
    assert pipeline.contacts.read(project, [EMAIL]) == {EMAIL: NEW}


class _Throttled:
    """DynamoDB that leaves everything undone in calls that succeed."""

    def batch_get_item(self, **request: Any) -> Any:
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    def batch_execute_statement(self, **request: Any) -> Any:
        error = {"Error": {"Code": "ThrottlingError"}}
        return {"Responses": [error for _ in request["Statements"]]}


def test_what_stays_undone_is_an_error() -> None:
    contacts = ContactTable(cast("Any", _Throttled()), "table")
    with time_limit(0):
        with pytest.raises(StillUnprocessedError):
            contacts.read("p", [EMAIL])
        with pytest.raises(StillUnprocessedError):
            contacts.write("p", [NEW])
