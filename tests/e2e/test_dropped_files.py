"""Dropped files on the deployed stack."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from contact_imports.model.import_job import ImportOptions
from tests.e2e.conftest import END_SECONDS, Account, wait_for
from tests.e2e.small_import import COLUMN_MAP, FILE, OPTIONS, listed
from tests.oracle import counts_of, expected


def ended_imports(account: Account, count: int) -> list[dict[str, Any]]:
    """The project's imports, as soon as `count` of them have ended."""

    def ended() -> list[dict[str, Any]] | None:
        found = listed(account)
        done = [one for one in found if one["status"] in ("completed", "failed")]
        return found if len(done) == count else None

    return wait_for(ended, END_SECONDS)


def test_a_file_that_is_dropped_outside_of_every_project_leaves_a_result(account: Account) -> None:
    s3 = account.stack.client("s3")
    bucket = account.stack.outputs["UploadsBucketName"]
    name = f"no project/{account.project}.csv"
    s3.put_object(Bucket=bucket, Key=f"drop/{name}", Body=FILE)

    def result() -> Any:
        prefix = f"results/{name}"
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return found[0]["Key"] if found else None

    key = wait_for(result, END_SECONDS)
    assert key == f"results/{name}.result.json"
    left = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert left["status"] == "failed"
    assert "names no project" in left["error"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_dropped_file_is_imported_and_gets_a_result(account: Account, pack: type[bytes]) -> None:
    s3 = account.stack.client("s3")
    bucket = account.stack.outputs["UploadsBucketName"]
    name = f"{account.project}/2030 July/cöntacts.csv"
    s3.put_object(Bucket=bucket, Key=f"drop/{name}", Body=pack(FILE), Metadata={"tags": "x"})
    (ended,) = ended_imports(account, 1)
    reference = expected(FILE, ImportOptions(OPTIONS.column_map, tags=("x",)))
    assert ended["counts"] == counts_of(reference)
    assert ended["dropped_key"] == f"drop/{name}"
    assert ended["options"]["columnMap"] == COLUMN_MAP
    assert account.contacts() == reference.contacts
    status = account.client.get(ended["id"]).json()["data"]
    result = s3.get_object(Bucket=bucket, Key=f"results/{name}.result.json")["Body"].read()
    assert json.loads(result) == ended
    assert status.items() <= ended.items()
    report = s3.get_object(Bucket=bucket, Key=f"results/{name}.errors.csv")["Body"].read()
    assert report == account.client.errors(ended["id"]).content


def test_files_uploaded_in_parts_copied_and_put_again_are_imports_each(account: Account) -> None:
    s3 = account.stack.client("s3")
    bucket = account.stack.outputs["UploadsBucketName"]
    key = f"drop/{account.project}/parts.csv"
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=FILE)
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
    )
    ended_imports(account, 1)
    copy = f"drop/{account.project}/copy.csv"
    s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key})
    before = {one["id"] for one in ended_imports(account, 2)}
    s3.put_object(Bucket=bucket, Key=key, Body=FILE)
    # Ids begin with the second that the object was made in, so that the last one need not come first.
    (last,) = (one for one in ended_imports(account, 3) if one["id"] not in before)
    assert last["counts"] == {"total": 3, "created": 0, "updated": 2, "skipped": 0, "failed": 1}
