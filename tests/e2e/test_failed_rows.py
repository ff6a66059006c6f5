"""Reports of failed rows on the deployed stack."""

from __future__ import annotations

import csv
import io

from contact_imports.jobs.list_imports import MAX_INLINE_REPORT_BYTES
from tests.e2e.conftest import Account
from tests.e2e.refused import assert_refused
from tests.e2e.small_import import COLUMN_MAP, FILE


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
    # Without the key, as clients follow a redirect to another host.
    report = account.fetch("GET", redirect.headers["Location"])
    assert len(report.content) > MAX_INLINE_REPORT_BYTES
    assert len(report.content.splitlines()) == rows + 1


def test_only_the_projects_keys_see_failed_rows(account: Account) -> None:
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
