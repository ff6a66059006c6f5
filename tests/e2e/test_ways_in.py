"""Big files, dropped files, packed files, failed rows, lists and repeated requests, on the deployed stack."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from contact_imports.jobs.list_imports import MAX_INLINE_REPORT_BYTES
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.import_job import ImportOptions
from tests.e2e.conftest import END_SECONDS, Account, wait_for
from tests.e2e.refused import assert_refused
from tests.oracle import counts_of, expected

COLUMN_MAP = {"email": "Email", "name": "Name"}
OPTIONS = ImportOptions(parse_column_map(json.dumps(COLUMN_MAP)))
FILE = b"Email,Name\na@example.com,A\nno email,B\n\na@example.com,C\n"


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


# ------------------------------------------------------------ upload forms


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_comes_in_through_an_upload_form(account: Account, pack: type[bytes]) -> None:
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


def test_a_form_is_good_for_its_own_file_alone(account: Account) -> None:
    form = account.client.post_json(account.project, COLUMN_MAP).json()["data"]["upload"]
    moved = {**form, "fields": {**form["fields"], "key": "drop/another/contacts.csv"}}
    empty = io.BytesIO(b"")
    for changed, content in ((moved, io.BytesIO(FILE)), (form, empty)):
        with pytest.raises(httpx.HTTPStatusError):
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


def test_a_file_that_does_not_fit_its_form_fails_and_says_why(account: Account) -> None:
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


# ------------------------------------------------------------ the drop bucket


def listed(account: Account, **parameters: Any) -> list[dict[str, Any]]:
    response = account.client.list(account.project, **parameters)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]["data"]
    return data


def ended_imports(account: Account, count: int) -> list[dict[str, Any]]:
    """The project's imports, once so many of them have ended."""

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
def test_a_dropped_file_is_imported_and_its_result_left_beside_it(
    account: Account, pack: type[bytes]
) -> None:
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
    beside = s3.get_object(Bucket=bucket, Key=f"results/{name}.result.json")["Body"].read()
    assert json.loads(beside) == ended
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


# ------------------------------------------------------------ failed rows


def test_failed_rows_as_csv_and_json(account: Account) -> None:
    ended = account.run(FILE, COLUMN_MAP)
    report = account.client.errors(ended["id"])
    assert report.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f"{ended['id']}-errors.csv" in report.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(report.content.decode("utf-8-sig"), newline="")))
    assert rows == [
        ["Email", "Name", "import_row", "import_error"],
        [
            "no email",
            "B",
            "3",
            "invalid_email: The email has no @. Give an address such as ann@example.org.",
        ],
    ]
    assert account.client.errors(ended["id"], format="json").json() == {
        "success": True,
        "data": {
            "object": "list",
            "data": [
                {
                    "row": 3,
                    "line": 3,
                    "field": "email",
                    "code": "invalid_email",
                    "message": "The email has no @. Give an address such as ann@example.org.",
                }
            ],
            "next_cursor": None,
        },
    }
    page = account.client.failed_rows(ended["id"])
    assert page.json() == account.client.errors(ended["id"], format="json").json()
    again = account.run(report.content, COLUMN_MAP)
    assert again["counts"] == {"total": 1, "created": 0, "updated": 0, "skipped": 0, "failed": 1}


def test_an_import_without_failed_rows_has_an_empty_report(account: Account) -> None:
    ended = account.run(b"Email,Name\na@example.com,A\n", COLUMN_MAP)
    assert account.client.errors(ended["id"]).content.decode("utf-8-sig") == (
        "import_row,import_error\r\n"
    )
    assert account.client.errors(ended["id"], format="json").json()["data"]["data"] == []


def test_many_failed_rows_come_in_pages_and_with_a_redirect(account: Account) -> None:
    rows = 2_500
    content = "Email,Name\n" + "".join(f"bad {n},{'x' * 500}\n" for n in range(rows))
    ended = account.run(content.encode(), COLUMN_MAP)
    assert ended["counts"]["failed"] == rows
    found: list[int] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = account.client.failed_rows(ended["id"], limit=700, cursor=cursor).json()
        found += [row["row"] for row in page["data"]["data"]]
        cursor = page["data"]["next_cursor"]
    assert found == list(range(2, rows + 2))
    redirect = account.request(
        "GET",
        f"/v1/contacts/imports/{ended['id']}/errors",
        headers={"Authorization": f"Bearer {account.key}"},
    )
    assert redirect.status_code == 302
    # Without the key, as who follows to another host sends it.
    report = account.fetch("GET", redirect.headers["Location"])
    assert len(report.content) > MAX_INLINE_REPORT_BYTES
    assert len(report.content.splitlines()) == rows + 1


def test_who_may_see_failed_rows(account: Account) -> None:
    ended = account.run(FILE, COLUMN_MAP)
    stranger = account.client_with(account.stack.make_key(projects=("another",)))
    assert_refused(stranger.errors(ended["id"]), 404, "IMPORT_NOT_FOUND")
    assert_refused(account.client_with("ci_no").errors(ended["id"]), 401, "UNAUTHENTICATED")
    pending = account.client.post_json(account.project, COLUMN_MAP).json()["data"]["id"]
    assert_refused(account.client.errors(pending), 409, "REPORT_NOT_READY")
    assert_refused(account.client.errors("0" * 24), 404, "IMPORT_NOT_FOUND")
    assert_refused(account.client.errors("zzz"), 404, "IMPORT_NOT_FOUND")
    assert_refused(stranger.failed_rows(ended["id"]), 404, "IMPORT_NOT_FOUND")
    assert_refused(account.client.failed_rows(pending), 409, "REPORT_NOT_READY")
    for wrong in ({"format": "xml"}, {"limit": 0}, {"limit": 1001}, {"cursor": "x"}):
        answer = account.client.errors(ended["id"], **wrong)
        data = assert_refused(answer, 400, "INVALID_PARAMETER")["data"]
        assert data == {"field": next(iter(wrong))}


# ------------------------------------------------------------ lists


def test_a_project_lists_its_imports_newest_first_in_pages(account: Account) -> None:
    other = account.client.post_json(account.project, COLUMN_MAP).json()["data"]["id"]
    ids = [other] + [account.run(FILE, COLUMN_MAP)["id"] for _ in range(3)]
    newest_first = sorted(ids, reverse=True)
    assert [one["id"] for one in listed(account)] == newest_first
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = account.client.list(account.project, limit=2, **cursor).json()["data"]
        found += [one["id"] for one in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == newest_first
    assert [one["id"] for one in listed(account, status="pending")] == [other]
    assert {one["id"] for one in listed(account, status="completed", limit=3)} == set(ids[1:])
    assert listed(account, status="failed") == []
    first = account.client.list(account.project, status="completed", limit=1).json()["data"]
    status = account.client.get(first["data"][0]["id"]).json()["data"]
    assert status.items() <= first["data"][0].items()


def test_a_list_that_is_not_asked_for_rightly(account: Account) -> None:
    client = account.client
    assert_refused(client.list("another"), 403, "PROJECT_FORBIDDEN")
    assert_refused(account.client_with("ci_no").list(account.project), 401, "UNAUTHENTICATED")
    for wrong in ({"status": "done"}, {"limit": 0}, {"limit": 101}, {"cursor": "x"}):
        answer = client.list(account.project, **wrong)
        assert assert_refused(answer, 400, "INVALID_PARAMETER")["data"] == {
            "field": next(iter(wrong))
        }
    missing = account.request(
        "GET", "/v1/contacts/imports", headers={"Authorization": f"Bearer {account.key}"}
    )
    assert assert_refused(missing, 400, "INVALID_PARAMETER")["data"] == {"field": "projectId"}


# ------------------------------------------------------------ repeated requests


def test_the_same_key_and_request_is_one_import(account: Account) -> None:
    client, project = account.client, account.project
    first = client.post(FILE, project, COLUMN_MAP, keyed("k"), tags="a")
    again = client.post(FILE, project, COLUMN_MAP, keyed("k"), tags="a")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert len(listed(account)) == 1
    different = client.post(FILE, project, COLUMN_MAP, keyed("k"), tags="b")
    assert_refused(different, 409, "IDEMPOTENCY_CONFLICT")
    other_key = account.client_with(account.stack.make_key(projects=(project,)))
    assert other_key.post(FILE, project, COLUMN_MAP, keyed("k"), tags="b").status_code == 200
    assert client.post(FILE, project, COLUMN_MAP, keyed("k2"), tags="a").json() != first.json()
    client.wait(first.json()["data"]["id"], END_SECONDS)


def test_a_refused_request_does_not_use_up_its_key(account: Account) -> None:
    refused = account.client.post(b"Mail\n", account.project, COLUMN_MAP, keyed("k"))
    assert_refused(refused, 400, "COLUMN_NOT_FOUND")
    assert account.client.post(FILE, account.project, COLUMN_MAP, keyed("k")).status_code == 200


@pytest.mark.parametrize("key", ["", "k" * 101])
def test_a_key_of_the_wrong_length(account: Account, key: str) -> None:
    response = account.client.post(FILE, account.project, COLUMN_MAP, keyed(key))
    assert_refused(response, 400, "INVALID_IDEMPOTENCY_KEY")


# ------------------------------------------------------------ options, events, the document


def test_a_dry_run_changes_nothing(account: Account) -> None:
    dry = account.run(FILE, COLUMN_MAP, dryRun="true")
    assert account.contacts() == {}
    assert account.run(FILE, COLUMN_MAP)["counts"] == dry["counts"]


def test_blank_cells_that_clear(account: Account) -> None:
    account.run(FILE, COLUMN_MAP)
    account.run(b"Email,Name\na@example.com,\n", COLUMN_MAP, onBlank="clear")
    assert account.contacts()["a@example.com"].fields == {}


def test_an_end_is_told_to_whoever_has_a_rule(account: Account) -> None:
    events, sqs = account.stack.client("events"), account.stack.client("sqs")
    url = sqs.create_queue(QueueName=f"ends-{account.project}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": ["contact-imports"], "resources": [f"project/{account.project}"]}
    events.put_rule(Name=account.project, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=account.project, Targets=[{"Id": "1", "Arn": arn["QueueArn"]}])
    ended = account.run(FILE, COLUMN_MAP)

    def told() -> dict[str, Any] | None:
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        return json.loads(messages[0]["Body"]) if messages else None

    event = wait_for(told, END_SECONDS)
    assert event["detail-type"] == "contact_import.completed"
    assert event["detail"] == ended


def test_the_api_describes_itself_to_anyone(account: Account) -> None:
    response = account.request("GET", "/v1/openapi.json")
    assert response.status_code == 200
    assert "/v1/contacts/imports/{id}/errors" in response.json()["paths"]
