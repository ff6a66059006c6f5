"""Refusals of the deployed API: always the contract's ApiError, never a 5xx."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope, key_id_of
from contact_imports.model.limits import MAX_UPLOAD_BYTES
from tests.e2e.conftest import Account
from tests.e2e.refused import assert_refused

FILE = b"Email,Name\na@example.com,A\n"
COLUMN_MAP = {"email": "Email"}
PATH = "/v1/contacts/imports"
NO_IMPORT = "0123456789abcdef01234567"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Basic abc",
        "Bearer nonsense",
        "Bearer ci_0123456789ab_" + "x" * 43,
        "ci_0123456789ab_" + "x" * 43,
    ],
)
def test_no_key_or_an_unknown_one(account: Account, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for response in (
        account.request("POST", PATH, headers=headers),
        account.request("GET", f"{PATH}/{NO_IMPORT}", headers=headers),
    ):
        assert_refused(response, 401, "UNAUTHENTICATED")
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_revoked_key(account: Account) -> None:
    assert account.client.get(NO_IMPORT).status_code == 404
    stack = account.stack
    keys = ApiKeyTable(stack.client("dynamodb"), stack.outputs["ApiKeysTableName"])
    keys.revoke(key_id_of(account.key))
    assert_refused(account.client.get(NO_IMPORT), 401, "UNAUTHENTICATED")


def test_a_key_without_the_scope(account: Account) -> None:
    reader = account.stack.make_key(Scope.READ, projects=(account.project,))
    response = account.client_with(reader).post(FILE, account.project, COLUMN_MAP)
    assert_refused(response, 403, "MISSING_SCOPE")
    writer = account.stack.make_key(Scope.WRITE, projects=(account.project,))
    created = account.client_with(writer).post(FILE, account.project, COLUMN_MAP).json()["data"]
    assert_refused(account.client_with(writer).get(created["id"]), 403, "MISSING_SCOPE")
    assert account.client_with(reader).get(created["id"]).status_code == 200


def test_another_project(account: Account) -> None:
    response = account.client.post(FILE, "another", COLUMN_MAP)
    assert_refused(response, 403, "PROJECT_FORBIDDEN")
    created = account.client.post(FILE, account.project, COLUMN_MAP).json()["data"]
    stranger = account.stack.make_key(projects=("another",))
    response = account.client_with(stranger).get(created["id"])
    assert_refused(response, 404, "IMPORT_NOT_FOUND")


@pytest.mark.parametrize(
    "import_id", [NO_IMPORT, "x", "0" * 23, "0" * 25, "g" * 24, "%00" * 8, '"', "a%2Fb", "é"]
)
def test_an_import_that_does_not_exist(account: Account, import_id: str) -> None:
    response = account.client.get(import_id)
    code = "NOT_FOUND" if "%2F" in import_id else "IMPORT_NOT_FOUND"
    assert_refused(response, 404, code)


@pytest.mark.parametrize(
    ("content", "fields", "code", "field", "said"),
    [
        (b"", {}, "EMPTY_FILE", "file", "empty"),
        (b"\n\n", {}, "EMPTY_FILE", "file", "empty"),
        (b"PK\x03\x04", {}, "UNREADABLE_FILE", "file", "Excel"),
        (b"Email,x\n\x81\xff", {}, "ENCODING_UNCERTAIN", "file", "Line 2 is not text in UTF-8"),
        (b'"Email\n', {}, "UNREADABLE_FILE", "file", "line 1"),
        (b"E-mail,Name\n", {}, "COLUMN_NOT_FOUND", "email", "Did you mean 'E-mail'?"),
        (b"Email,Email\n", {}, "AMBIGUOUS_COLUMN", "email", "columns 1, 2"),
        (b"Email;Name\n", {}, "COLUMN_NOT_FOUND", "email", "The columns are: 'Email;Name'. If the file is separated by semicolons"),
        (FILE, {"onConflict": "merge"}, "INVALID_FIELD", "onConflict", "'upsert' or 'skip'"),
        (FILE, {"delimiter": "::"}, "INVALID_FIELD", "delimiter", "one character"),
        (FILE, {"tags": "a,,b"}, "INVALID_TAGS", "tags", "tag 2 is empty"),
        (FILE, {"tags": "x" * 101}, "INVALID_TAGS", "tags", "longer than 100"),
        (FILE, {"columnMap": "{"}, "INVALID_COLUMN_MAP", "columnMap", "JSON"),
        (FILE, {"columnMap": '{"name":"Name"}'}, "INVALID_COLUMN_MAP", "columnMap", "email is missing"),
        (FILE, {"columnMap": '{"email":"Email","mail":"x"}'}, "INVALID_COLUMN_MAP", "columnMap", "mail is not a field"),
        (FILE, {"columnMap": '{"email":["Email"]}'}, "INVALID_COLUMN_MAP", "columnMap", "valid string"),
        (FILE, {"projectId": "a/b"}, "INVALID_FIELD", "projectId", "letters, digits"),
        (FILE, {"colour": "red"}, "UNKNOWN_FIELD", None, "onConflict"),
        (FILE, {"project_id": "x"}, "UNKNOWN_FIELD", None, "unknown field 'project_id'. Did you mean 'projectId'?"),
        (FILE, {"columnMap": '{"Email":"email"}'}, "INVALID_COLUMN_MAP", "columnMap", "the wrong way round"),
        (FILE, {"tags": '"a"'}, "INVALID_TAGS", "tags", "JSON array"),
        (FILE, {"projectId": ""}, "INVALID_FIELD", "projectId", "empty"),
        (FILE, {"encoding": "utf-9"}, "INVALID_FIELD", "encoding", "not an encoding"),
    ],
)  # fmt: skip
def test_a_form_that_is_wrong(
    account: Account,
    content: bytes,
    fields: dict[str, str],
    code: str,
    field: str | None,
    said: str,
) -> None:
    sent = {"projectId": account.project, "columnMap": '{"email":"Email"}', **fields}
    response = post(account, data=sent, files={"file": ("contacts.csv", content)})
    answer = assert_refused(response, 400, code)
    assert answer.get("data", {}).get("field") == field
    assert said in answer["error"]


@pytest.mark.parametrize("missing", ["file", "projectId", "columnMap"])
def test_a_field_that_is_missing(account: Account, missing: str) -> None:
    parts = {
        "file": ("contacts.csv", FILE),
        "projectId": (None, account.project.encode()),
        "columnMap": (None, b'{"email":"Email"}'),
    }
    del parts[missing]
    answer = assert_refused(post(account, files=parts), 400, "MISSING_FIELD")
    assert answer["data"] == {"field": missing}


def test_what_is_not_multipart(account: Account) -> None:
    assert_refused(post(account, content=FILE), 400, "NOT_MULTIPART")
    assert_refused(post(account), 400, "NOT_MULTIPART")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_refused(post(account, content=b"garbage", headers=headers), 400, "INVALID_MULTIPART")


def test_json_that_cannot_be_read(account: Account) -> None:
    headers = {"Content-Type": "application/json"}
    for content, said in (
        (b'{\n"projectId": x}', "line 2, column 14"),
        (b'{"projectId":"\xff"}', "not UTF-8"),
        (gzip.compress(b"{}"), "JSON"),
    ):
        answer = assert_refused(
            post(account, content=content, headers=headers), 400, "INVALID_JSON"
        )
        assert said in answer["error"]


def test_a_key_may_be_in_another_header(account: Account) -> None:
    for headers in ({"Authorization": f"ApiKey {account.key}"}, {"X-API-Key": account.key}):
        response = account.request("GET", f"{PATH}/{NO_IMPORT}", headers=headers)
        assert_refused(response, 404, "IMPORT_NOT_FOUND")
    quoted = {"Authorization": f'Bearer "{account.key}"'}
    response = account.request("GET", f"{PATH}/{NO_IMPORT}", headers=quoted)
    answer = assert_refused(response, 401, "UNAUTHENTICATED")
    assert "in quotes" in answer["error"]
    assert account.key not in response.text


def test_a_body_that_is_too_large(account: Account) -> None:
    response = account.client.post(b"x" * MAX_UPLOAD_BYTES, account.project, COLUMN_MAP)
    answer = assert_refused(response, 413, "PAYLOAD_TOO_LARGE")
    assert "4,500,000" in answer["error"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/contacts", "/v2/contacts/imports", "/v1/contacts/imports/a/b"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_an_unknown_path(account: Account, path: str, method: str) -> None:
    response = account.request(method, path)
    assert_refused(response, 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method(account: Account, method: str) -> None:
    for path, allowed in (
        (PATH, "GET, POST"),
        (f"{PATH}/uploads", "POST"),
        (f"{PATH}/{NO_IMPORT}/failed-rows", "GET"),
        (f"{PATH}/{NO_IMPORT}", "GET"),
        (f"{PATH}/{NO_IMPORT}/errors", "GET"),
        ("/v1/openapi.json", "GET"),
    ):
        if method not in allowed.split(", "):
            response = account.request(method, path)
            assert_refused(response, 405, "METHOD_NOT_ALLOWED")
            assert response.headers["Allow"] == allowed


def test_what_is_refused_leaves_nothing_behind(account: Account) -> None:
    before = _count_imports(account)
    account.client.post(b"Mail\n", account.project, COLUMN_MAP)
    account.client.post(FILE, "another", COLUMN_MAP)
    assert _count_imports(account) == before


def post(account: Account, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {account.key}", **(headers or {})}
    return account.request("POST", PATH, headers=headers, **request)


def _count_imports(account: Account) -> int:
    items = account.stack.client("dynamodb").scan(
        TableName=account.stack.outputs["ImportsTableName"]
    )["Items"]
    return sum(item.get("projectId") == {"S": account.project} for item in items)
