"""Requests with an Idempotency-Key, on the deployed stack."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import END_SECONDS, Account
from tests.e2e.refused import assert_refused
from tests.e2e.small_import import COLUMN_MAP, FILE, listed


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


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
