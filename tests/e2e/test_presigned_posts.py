"""Large files through presigned POSTs, and gzip, on the deployed stack."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from contact_imports.model.import_job import ImportOptions
from local.client import UploadRefusedError
from tests.e2e.conftest import END_SECONDS, Account
from tests.e2e.refused import assert_refused
from tests.e2e.small_import import COLUMN_MAP, FILE, OPTIONS
from tests.oracle import counts_of, expected


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_is_uploaded_with_a_presigned_post(account: Account, pack: type[bytes]) -> None:
    response = account.client.post_json(account.project, COLUMN_MAP, tags=["t"])
    data = response.json()["data"]
    assert (response.status_code, data["status"]) == (200, "pending")
    assert set(data["upload"]) == {"url", "fields", "max_bytes", "expires_at"}
    assert data["upload"]["max_bytes"] == 5 * 1024**3
    waiting = account.client.get(data["id"]).json()["data"]
    assert (waiting["status"], waiting["completed_at"]) == ("pending", None)
    account.client.upload(data["upload"], io.BytesIO(pack(FILE)))
    ended = account.client.wait(data["id"], END_SECONDS)
    reference = expected(FILE, ImportOptions(OPTIONS.column_map, tags=("t",)))
    assert ended["status"] == "completed"
    assert ended["counts"] == counts_of(reference)
    assert account.contacts() == reference.contacts


def test_a_file_that_is_too_large_to_post(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    rows = "".join(f"c{n}@example.com,Name {n},{'x' * 9_000}\n" for n in range(1_000))
    path.write_text(f"Email,Name,Notes\n{rows}")
    refused = account.client.post(path, account.project, COLUMN_MAP)
    assert_refused(refused, 413, "PAYLOAD_TOO_LARGE")
    created = account.client.send(path, account.project, COLUMN_MAP).json()["data"]
    ended = account.client.wait(created["id"], END_SECONDS)
    reference = expected(path.read_bytes(), OPTIONS)
    assert ended["counts"] == counts_of(reference)
    assert account.contacts() == reference.contacts


def test_a_presigned_post_takes_only_its_own_file(account: Account) -> None:
    form = account.client.post_json(account.project, COLUMN_MAP).json()["data"]["upload"]
    moved = {**form, "fields": {**form["fields"], "key": "drop/another/contacts.csv"}}
    empty = io.BytesIO(b"")
    for changed, content in ((moved, io.BytesIO(FILE)), (form, empty)):
        with pytest.raises(UploadRefusedError):
            account.client.upload(changed, content)


def test_a_file_that_is_uploaded_again_changes_nothing(account: Account) -> None:
    data = account.client.post_json(account.project, COLUMN_MAP).json()["data"]
    account.client.upload(data["upload"], io.BytesIO(FILE))
    ended = account.client.wait(data["id"], END_SECONDS)
    account.client.upload(data["upload"], io.BytesIO(b"Email,Name\nb@example.com,B\n"))
    # What comes after it ends after it.
    account.run(FILE, COLUMN_MAP)
    assert account.client.get(data["id"]).json()["data"] == ended
    assert set(account.contacts()) == {"a@example.com"}


def test_an_uploaded_file_that_does_not_fit_its_column_map_fails(account: Account) -> None:
    data = account.client.post_json(account.project, COLUMN_MAP).json()["data"]
    account.client.upload(data["upload"], io.BytesIO(b"Mail;Name\n"))
    ended = account.client.wait(data["id"], END_SECONDS)
    assert ended["status"] == "failed"
    assert "semicolons" in ended["error"]


def test_a_packed_file_may_be_posted_too(account: Account) -> None:
    ended = account.run(gzip.compress(FILE), COLUMN_MAP)
    assert ended["counts"] == counts_of(expected(FILE, OPTIONS))
    refused = account.client.post(gzip.compress(FILE)[:-4], account.project, COLUMN_MAP)
    assert "damaged" in assert_refused(refused, 400, "UNREADABLE_FILE")["error"]
