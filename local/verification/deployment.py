"""A deployment that is being verified: its outputs, its clients, a project of its own, and the removal of all traces."""

from __future__ import annotations

import os
import secrets
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import httpx

from local.client import ImportsClient
from local.deployed import outputs_of, resources_of
from local.emulator import ROOT

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope, key_id_of
from contact_imports.aws.contacts_table import ContactTable, partition_keys_of
from contact_imports.model.identity import email_identity

T = TypeVar("T")

PROJECT_PREFIX = "verify-"
"""What the projects of this command begin with."""

END_SECONDS = 180
"""How long an import may take: the first of a day has five cold starts."""
_POLL_SECONDS = 0.5
_REQUEST_SECONDS = 60
_OBJECTS_A_REQUEST = 1000
_ITEMS_A_REQUEST = 25
_FOLDERS = ("imports", "drop", "reports", "results")


@dataclass
class Deployment:
    """A stack, and a project that only this run uses. `remove_traces` deletes what the run left."""

    stack_name: str
    outputs: dict[str, str]
    api_url: str
    project: str = field(default_factory=lambda: PROJECT_PREFIX + secrets.token_hex(4))
    import_ids: list[str] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)
    _keys: list[str] = field(default_factory=list)
    _undo: list[Callable[[], object]] = field(default_factory=list)

    @classmethod
    def find(cls, stack_name: str) -> Deployment:
        """The deployment of a stack, at the AWS that the environment points at; raises BotoCoreError, ClientError.

        `API_URL` in the environment wins over the stack's output, which the embedded AWS does not serve.
        """
        outputs = outputs_of(boto3.client("cloudformation"), stack_name)
        return cls(stack_name, outputs, os.environ.get("API_URL") or outputs["ApiUrl"])

    @cached_property
    def is_embedded(self) -> bool:
        """Whether this is the embedded AWS, not AWS itself."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        if not endpoint:
            return False
        try:
            with self.new_http() as http:
                return http.get(f"{endpoint}/_ministack/health").is_success
        except httpx.HTTPError:
            return False

    @cached_property
    def resources(self) -> dict[str, dict[str, str]]:
        """The stack's resources: type to logical id to physical id."""
        return resources_of(self.aws("cloudformation"), self.stack_name)

    def aws(self, service: str) -> Any:
        """A boto3 client, with the credentials of the environment."""
        if service not in self._clients:
            self._clients[service] = boto3.client(service)  # type: ignore[call-overload]
        return self._clients[service]

    def new_http(self) -> httpx.Client:
        """A client for requests that ImportsClient does not make; it follows no redirect."""
        local = urlsplit(self.api_url).hostname in ("127.0.0.1", "localhost", "::1")
        context = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        return httpx.Client(verify=context, timeout=_REQUEST_SECONDS, trust_env=not local)

    @cached_property
    def http(self) -> httpx.Client:
        """The client for all requests but those of the burst."""
        return self.new_http()

    @property
    def ca_file(self) -> Path | None:
        """The certificates to trust, where the AWS SDKs are told which."""
        name = os.environ.get("AWS_CA_BUNDLE")
        return Path(name) if name else None

    @cached_property
    def key(self) -> str:
        """A key with all scopes for the project of this run."""
        return self.make_key(self.project)

    @cached_property
    def client(self) -> ImportsClient:
        """A client of the API with `key`."""
        return ImportsClient(self.api_url, self.key, self.ca_file)

    @property
    def bucket(self) -> str:
        """The name of the bucket of uploads."""
        return self.outputs["UploadsBucketName"]

    def make_key(self, project: str) -> str:
        """A new key for a project; it is revoked at the end."""
        keys = ApiKeyTable(self.aws("dynamodb"), self.outputs["ApiKeysTableName"])
        key = keys.create(tuple(Scope), (project,), datetime.now(UTC))
        self._keys.append(key)
        return key

    def run(self, content: bytes, column_map: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """One import by a form, until it has ended: the data of GET. Raises httpx.HTTPStatusError, TimeoutError."""
        response = self.client.post(content, self.project, column_map, **fields)
        response.raise_for_status()
        return self.wait(response.json()["data"]["id"])

    def wait(self, import_id: str) -> dict[str, Any]:
        """The data of GET once an import has ended; raises TimeoutError."""
        self.import_ids.append(import_id)
        return self.client.wait(import_id, END_SECONDS)

    def contacts(self, *emails: str) -> dict[str, dict[str, str]]:
        """The values, custom ones included, of the stored contacts of these addresses."""
        table = ContactTable(self.aws("dynamodb"), self.outputs["ContactsTableName"])
        found = table.read(self.project, [email_identity(email) for email in emails])
        return {
            email: {**stored.contact.fields, **stored.contact.custom_fields}
            for email, stored in found.items()
        }

    def at_the_end(self, undo: Callable[[], object]) -> None:
        """Has something undone by `remove_traces`, the last first."""
        self._undo.append(undo)

    def remove_traces(self) -> list[str]:
        """Deletes everything that this run made: keys, contacts, records, files. Returns what could not be deleted.

        Records of `Idempotency-Key`s stay for a day; they hold no data.
        """
        failures: list[str] = []
        steps = [
            *reversed(self._undo),
            self._revoke_keys,
            self._delete_contacts,
            self._delete_tags,
            self._delete_records,
            self._delete_files,
        ]
        for step in steps:
            try:
                step()
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")
        return failures

    def _revoke_keys(self) -> None:
        keys = ApiKeyTable(self.aws("dynamodb"), self.outputs["ApiKeysTableName"])
        for key in self._keys:
            keys.revoke(key_id_of(key))

    def _delete_contacts(self) -> None:
        for key in partition_keys_of(self.project):
            self._delete_items("ContactsTableName", "pk", key, "sk")

    def _delete_tags(self) -> None:
        self._delete_items("TagsTableName", "projectId", self.project, "name")

    def _delete_records(self) -> None:
        for import_id in (*self.import_ids, f"project#{self.project}"):
            self._delete_items("ImportsTableName", "importId", import_id, "record")

    def _delete_items(self, output: str, hash_key: str, value: str, range_key: str) -> None:
        table, client = self.outputs[output], self.aws("dynamodb")
        pages = client.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="#h = :v",
            ProjectionExpression="#h, #r",
            ExpressionAttributeNames={"#h": hash_key, "#r": range_key},
            ExpressionAttributeValues={":v": {"S": value}},
        )
        keys = [item for page in pages for item in page["Items"]]
        for start in range(0, len(keys), _ITEMS_A_REQUEST):
            requests: Any = [
                {"DeleteRequest": {"Key": key}} for key in keys[start : start + _ITEMS_A_REQUEST]
            ]
            while requests:
                answer = client.batch_write_item(RequestItems={table: requests})
                requests = answer["UnprocessedItems"].get(table)

    def _delete_files(self) -> None:
        client = self.aws("s3")
        for folder in _FOLDERS:
            pages = client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=f"{folder}/{self.project}/"
            )
            versions = [
                {"Key": version["Key"], "VersionId": version["VersionId"]}
                for page in pages
                for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
            for start in range(0, len(versions), _OBJECTS_A_REQUEST):
                some = versions[start : start + _OBJECTS_A_REQUEST]
                client.delete_objects(Bucket=self.bucket, Delete={"Objects": some, "Quiet": True})


def wait_for(what: str, find: Callable[[], T | None], seconds: float = END_SECONDS) -> T:
    """Asks until something is found, and returns it; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (found := find()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} seconds.")
        time.sleep(_POLL_SECONDS)
    return found
