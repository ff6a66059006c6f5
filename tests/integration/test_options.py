"""Dry runs, and blank cells that clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.import_job import ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, items_of

COLUMN_MAP = ColumnMap(email="Email", name="Name", custom_fields={"plan": "Plan", "note": "Note"})
OPTIONS = ImportOptions(COLUMN_MAP, tags=("t",))
HEADER = "Email,Name,Plan,Note"
BEFORE = "\n".join([HEADER, *(f"c{n}@example.com,Before {n},p,x" for n in range(0, 30, 2)), ""])
# New, existing and repeated, near and far; blank cells, bad rows, a contact that would grow too large.
FILE = "\n".join(
    [
        HEADER,
        *(f"c{n}@example.com,Name {n},{'' if n % 3 else n}," for n in range(20)),
        "no email,x,,",
        *(f"C{n}@Example.com ,,again," for n in range(0, 20, 3)),
        "c1@example.com,a,b,c,shifted",
        *(f"c{n}@example.com,,," for n in range(1, 20, 4)),
        "new@example.com,,,",
        "new@example.com,Second,,",
        "",
    ]
)
pytestmark = pytest.mark.usefixtures("many_batches")


def items(pipeline: Pipeline, table: str) -> list[Any]:
    found = items_of(pipeline.dynamodb, table)
    return sorted(found, key=str)


@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("on_blank", OnBlank)
def test_blank_cells_keep_or_clear(
    pipeline: Pipeline, project: str, on_conflict: OnConflict, on_blank: OnBlank
) -> None:
    pipeline.run(project, BEFORE.encode(), OPTIONS)
    options = replace(OPTIONS, on_conflict=on_conflict, on_blank=on_blank)
    before = expected(BEFORE.encode(), OPTIONS).contacts
    reference = expected(FILE.encode(), options, before)
    ended = pipeline.run(project, FILE.encode(), options)
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts
    if on_conflict is OnConflict.UPSERT and on_blank is OnBlank.CLEAR:
        assert reference.contacts["c1@example.com"].custom_fields == {}
        assert reference.contacts["c9@example.com"].fields == {}


def test_clearing_what_is_clear_already_writes_nothing(pipeline: Pipeline, project: str) -> None:
    options = replace(OPTIONS, on_blank=OnBlank.CLEAR)
    content = b"Email,Name,Plan,Note\na@example.com,,,\n"
    pipeline.run(project, content, options)
    before = items(pipeline, pipeline.contacts_table)
    pipeline.run(project, content, options)
    assert items(pipeline, pipeline.contacts_table) == before


@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("on_blank", OnBlank)
@pytest.mark.parametrize("before", [BEFORE, ""])
def test_a_dry_run_counts_what_the_import_would_and_changes_nothing(
    pipeline: Pipeline, project: str, on_conflict: OnConflict, on_blank: OnBlank, before: str
) -> None:
    existing = {}
    if before:
        pipeline.run(project, before.encode(), OPTIONS)
        existing = expected(before.encode(), OPTIONS).contacts
    options = replace(
        OPTIONS, on_conflict=on_conflict, on_blank=on_blank, tags=("dry",), dry_run=True
    )
    contacts = items(pipeline, pipeline.contacts_table)
    tags = items(pipeline, pipeline.tags_table)
    ended = pipeline.run(project, FILE.encode(), options)
    reference = expected(FILE.encode(), options, existing)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.errors(ended) == reference.errors
    assert [row["row"] for row in pipeline.report(ended)] == [e.row for e in reference.errors]
    assert items(pipeline, pipeline.contacts_table) == contacts
    assert items(pipeline, pipeline.tags_table) == tags
    # Then the real one does just that.
    real = pipeline.run(project, FILE.encode(), replace(options, dry_run=False))
    assert real.counts == ended.counts


def test_a_dry_run_knows_what_a_contact_would_grow_to(pipeline: Pipeline, project: str) -> None:
    maps = ColumnMap(email="Email", custom_fields={f"f{n}": f"f{n}" for n in range(40)})
    options = ImportOptions(maps, dry_run=True)
    header = ",".join(["Email", *(f"f{n}" for n in range(40))])
    # Each row's values are in fields of their own, and only all of them together are too large.
    rows = [
        ",".join(["big@example.com", *("x" * 8000 if n % 6 == part else "" for n in range(40))])
        for part in range(6)
    ]
    content = "\n".join([header, *rows, ""]).encode()
    ended = pipeline.run(project, content, options)
    reference = expected(content, options)
    assert {error.code for error in reference.errors} == {"contact_too_large"}
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.errors(ended) == reference.errors


def test_a_dry_run_writes_only_what_stands_in_the_file_again(
    pipeline: Pipeline, project: str
) -> None:
    content = "\n".join(
        [HEADER, *(f"one{n}@example.com,,," for n in range(30)), *["two@example.com,a,,"] * 2, ""]
    )
    before = items(pipeline, "DryRunContactsTable")
    pipeline.run(project, content.encode(), replace(OPTIONS, dry_run=True))
    written = [item for item in items(pipeline, "DryRunContactsTable") if item not in before]
    assert [item["email"]["S"] for item in written] == ["two@example.com"]
    assert "expiresAt" in written[0]


def test_a_dry_run_delivered_twice_counts_once(pipeline: Pipeline, project: str) -> None:
    options = replace(OPTIONS, dry_run=True)
    job, event = pipeline.accept(project, FILE.encode(), options)
    pipeline.process(event)
    for message in pipeline.take_all():
        assert pipeline.apply([message]) == []
        assert pipeline.apply([message]) == []
    reference = expected(FILE.encode(), options)
    assert pipeline.get(job).counts.as_dict() == counts_of(reference)
