"""Lists of imports on the deployed stack."""

from __future__ import annotations

from tests.e2e.conftest import Account
from tests.e2e.refused import assert_refused
from tests.e2e.small_import import COLUMN_MAP, FILE, listed


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
