"""Files posted to the deployed API: contacts and counts are the reference import's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.contact import Contact, OnConflict
from contact_imports.model.import_job import ImportOptions
from local import sample
from tests.e2e.conftest import Account
from tests.oracle import counts_of, expected

COLUMN_MAP = sample.COLUMN_MAP


def options(**chosen: Any) -> ImportOptions:
    return ImportOptions(parse_column_map(json.dumps(COLUMN_MAP)), **chosen)


def sample_file(rows: int, seed: int, tmp_path: Path) -> bytes:
    path = tmp_path / f"{seed}.csv"
    sample.write(path, rows, seed)
    return path.read_bytes()


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode()


def run_and_compare(
    account: Account,
    content: bytes,
    before: dict[str, Contact],
    on_conflict: OnConflict = OnConflict.UPSERT,
    tags: tuple[str, ...] = (),
) -> dict[str, Contact]:
    """Imports a file and compares everything with the reference; returns the contacts after."""
    ended = account.run(
        content, COLUMN_MAP, onConflict=on_conflict.value, tags=json.dumps(list(tags))
    )
    reference = expected(content, options(on_conflict=on_conflict, tags=tags), before)
    assert ended["status"] == "completed"
    assert ended["counts"] == counts_of(reference)
    assert account.contacts() == reference.contacts
    return reference.contacts


def test_ten_thousand_rows(account: Account, tmp_path: Path) -> None:
    content = sample_file(10_000, 1, tmp_path)
    after = run_and_compare(account, content, {}, tags=("newsletter", "launch"))
    # The sample has duplicates far apart and bad emails.
    assert 9_000 < len(after) < 9_990


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_a_file_imported_twice(account: Account, tmp_path: Path, on_conflict: OnConflict) -> None:
    content = sample_file(1_500, 2, tmp_path)
    after = run_and_compare(account, content, {}, on_conflict)
    run_and_compare(account, content, after, on_conflict)


@pytest.mark.parametrize("first", OnConflict)
@pytest.mark.parametrize("second", OnConflict)
def test_two_files_with_overlapping_emails(
    account: Account, first: OnConflict, second: OnConflict
) -> None:
    header = ("Email", "First Name", "Last Name", "Phone", "Country", "Language", "Plan", "Company")
    one = [(f"C{n}@example.com", f"First {n}", "", "1", "", "", "free", "") for n in range(600)]
    two = [(f"c{n}@example.com", "", f"Last {n}", "2", "", "", "", "Acme") for n in range(300, 900)]
    after = run_and_compare(account, table(header, one), {}, first, ("one",))
    run_and_compare(account, table(header, two), after, second, ("two",))


@pytest.mark.parametrize("on_conflict", OnConflict)
def test_the_same_email_many_times_far_apart(account: Account, on_conflict: OnConflict) -> None:
    header = ("Email", "First Name", "Last Name", "Phone", "Country", "Language", "Plan", "Company")
    rows = [
        (
            f"c{0 if n % 50 == 0 else n}@example.com",
            f"First {n}" if n % 3 else "",
            "",
            str(n),
            "",
            "",
            "",
            "x" * (n % 7) * 100,
        )
        for n in range(3_000)
    ]
    run_and_compare(account, table(header, rows), {}, on_conflict)


def test_every_field_of_the_contract_arrives(account: Account) -> None:
    content = "a;b;c;d;e;f;g;h\nAda@Example.com;Ada;Lovelace;Ada L.;007;UK;en;pro\n".encode(
        "utf-16"
    )
    column_map = {
        "email": "a",
        "firstName": "b",
        "lastName": "c",
        "name": "d",
        "phone": "e",
        "country": "f",
        "language": "g",
        "customFields": {"plan": "h"},
    }
    ended = account.run(content, column_map, delimiter=";", tags="x, y")
    assert ended["counts"] == {"total": 1, "created": 1, "updated": 0, "skipped": 0, "failed": 0}
    assert account.contacts() == {
        "ada@example.com": Contact(
            "ada@example.com",
            {
                "firstName": "Ada",
                "lastName": "Lovelace",
                "name": "Ada L.",
                "phone": "007",
                "country": "UK",
                "language": "en",
            },
            {"plan": "pro"},
            frozenset({"x", "y"}),
        )
    }


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t"])
def test_tabs(account: Account, delimiter: str) -> None:
    ended = account.run(b"Email\tName\na@example.com\tA\n", {"email": "Email"}, delimiter=delimiter)
    assert ended["counts"]["created"] == 1


def test_status_and_counts_are_the_contracts(account: Account) -> None:
    response = account.client.post(b"Email\na@example.com\n", account.project, {"email": "Email"})
    answer = response.json()
    assert answer == {
        "success": True,
        "data": {"object": "contact_import", "id": answer["data"]["id"], "status": "processing"},
    }
    import_id = answer["data"]["id"]
    ended = account.client.wait(import_id, 60)
    assert ended == {
        "object": "contact_import",
        "id": import_id,
        "status": "completed",
        "counts": {"total": 1, "created": 1, "updated": 0, "skipped": 0, "failed": 0},
        "error": None,
        "created_at": ended["created_at"],
        "completed_at": ended["completed_at"],
    }
    assert ended["created_at"] < ended["completed_at"]
    assert account.client.get(import_id.upper()).json() == {"success": True, "data": ended}


def test_a_file_that_breaks_half_way_imports_nothing(account: Account) -> None:
    rows = "".join(f"c{n}@example.com,{n}\n" for n in range(5_000))
    ended = account.run(
        f'Email,Name\n{rows}broken@example.com,"open\n'.encode(), {"email": "Email"}
    )
    assert ended["status"] == "failed"
    assert "line 5002 and never closed" in ended["error"]
    assert set(ended["counts"].values()) == {0}
    assert ended["completed_at"] is not None
    assert account.contacts() == {}


def test_logs_hold_nobodys_data(account: Account) -> None:
    content = b"Email,Name\nsomebody.special@example.com,Somebody Special\nnot an email,x\n"
    ended = account.run(content, {"email": "Email", "name": "Name"})
    logs = account.stack.client("logs")
    written = ""
    for group in logs.describe_log_groups()["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"]
        ):
            written += "".join(event["message"] for event in page["events"])
    assert ended["id"] in written
    for secret in ("somebody", "special", "not an email", account.key.rsplit("_", 1)[-1]):
        assert secret not in written.lower()
