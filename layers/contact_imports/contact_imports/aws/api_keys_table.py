"""The DynamoDB table of API keys. A key is `ci_<id>_<secret>`; only the secret's hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ID_BYTES = 6
_SECRET_BYTES = 32  # 256 bits cannot be guessed, so a plain hash is enough
_KEY = re.compile(r"ci_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """The scopes of a key: create imports, or read them."""

    WRITE = "audience:write"
    READ = "audience:read"


class ApiKey(msgspec.Struct, frozen=True):
    """A key's scopes and projects. `id` identifies the key and is not secret."""

    id: str
    scopes: frozenset[str]
    projects: frozenset[str]


class ApiKeyTable:
    """API keys by id."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table = table_name

    def create(self, scopes: Iterable[Scope], projects: Iterable[str], now: datetime) -> str:
        """Makes a key and returns its text, which is not stored."""
        key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        self._client.put_item(
            TableName=self._table,
            Item={
                "keyId": {"S": key_id},
                "secretHash": {"S": _hash(secret)},
                "scopes": {"SS": sorted(scopes)},
                "projects": {"SS": sorted(projects)},
                "createdAt": {"S": now.isoformat()},
            },
            ConditionExpression="attribute_not_exists(keyId)",
        )
        return f"ci_{key_id}_{secret}"

    def revoke(self, key_id: str) -> bool:
        """Revokes a key at once; False if no key has this id."""
        response = self._client.delete_item(
            TableName=self._table, Key={"keyId": {"S": key_id}}, ReturnValues="ALL_OLD"
        )
        return "Attributes" in response

    def find(self, text: str) -> ApiKey | None:
        """The key of this text; None if it is malformed, unknown or revoked."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        response = self._client.get_item(
            TableName=self._table, Key={"keyId": {"S": match["id"]}}, ConsistentRead=True
        )
        item = response.get("Item")
        if item is None or not hmac.compare_digest(item["secretHash"]["S"], _hash(match["secret"])):
            return None
        return ApiKey(
            match["id"], frozenset(item["scopes"]["SS"]), frozenset(item["projects"]["SS"])
        )


def key_id_of(text: str) -> str:
    """The id in a key's text, or the text itself, which may be an id already."""
    match = _KEY.fullmatch(text)
    return match["id"] if match else text


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
