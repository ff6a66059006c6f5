"""Copies a project's contacts back from a table that was restored from a backup.

python -m local.restore --from-table TABLE --project acme [--stack-name contact-imports] [--write]

Without --write it only counts. docs/operations.md ("Restore contacts from a backup") says what comes before it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed import outputs_of
from local.emulator import ROOT
from local.sam import STACK_NAME

sys.path.insert(0, str(ROOT / "layers" / "contact_imports"))

from contact_imports.aws.contacts_table import partition_keys_of

_MEMORY = ("version", "createdBy", "applied")
"""What a contact knows of its writes. It stays as it is now, so that a row which is delivered again is recognised."""

MISSING = "missing now"
DIFFERENT = "different now"
SAME = "the same"
NEWER = "only there now; they stay"
CHANGED = "changed while we wrote; run it again"


def contacts_of(client: Any, table: str, project_id: str) -> Iterator[dict[str, dict[str, Any]]]:
    """The items of a project, by contact id: one dict for each of its partition keys, in order."""
    pages = client.get_paginator("query")
    for key in partition_keys_of(project_id):
        items: dict[str, Any] = {}
        for page in pages.paginate(
            TableName=table,
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": key}},
        ):
            items |= {item["sk"]["S"]: item for item in page["Items"]}
        yield items


def restored(then: dict[str, Any], now: dict[str, Any] | None) -> dict[str, Any] | None:
    """The item to write, so that a contact has the values of `then`; None if it has them.

    Its version is above the one of `now`, as after any other write.
    """
    if now is None:
        return _with_version(then, then)
    if _values(then) == _values(now):
        return None
    memory = {name: now[name] for name in _MEMORY if name in now}
    return _with_version({**_values(then), **memory}, now)


def _values(item: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in item.items() if name not in _MEMORY}
    if "tags" in values:
        values["tags"] = {"SS": sorted(values["tags"]["SS"])}
    return values


def _with_version(item: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {**item, "version": {"N": str(int(before["version"]["N"]) + 1)}}


def restore(client: Any, source: str, target: str, project_id: str, *, write: bool) -> Counter[str]:
    """Gives the contacts of a project the values that they have in another table; returns how many were what.

    Each write is conditional on the contact as it was read. Contacts that the other table does not have stay.
    Raises ClientError.
    """
    found: Counter[str] = Counter()
    for then, now in zip(
        contacts_of(client, source, project_id),
        contacts_of(client, target, project_id),
        strict=True,
    ):
        found[NEWER] += len(now.keys() - then.keys())
        for contact, item in then.items():
            present = now.get(contact)
            new = restored(item, present)
            if new is None:
                found[SAME] += 1
            elif not write or _put(client, target, new, present):
                found[MISSING if present is None else DIFFERENT] += 1
            else:
                found[CHANGED] += 1
    return found


def _put(client: Any, table: str, item: dict[str, Any], present: dict[str, Any] | None) -> bool:
    condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
    if present is not None:
        condition = {
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": present["version"]},
        }
    try:
        client.put_item(TableName=table, Item=item, **condition)
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack-name", default=STACK_NAME)
    parser.add_argument("--from-table", required=True, help="the restored table")
    parser.add_argument("--project", required=True)
    parser.add_argument("--write", action="store_true", help="write; without it, only count")
    arguments = parser.parse_args()
    try:
        outputs = outputs_of(boto3.client("cloudformation"), arguments.stack_name)
        found = restore(
            boto3.client("dynamodb"),
            arguments.from_table,
            outputs["ContactsTableName"],
            arguments.project,
            write=arguments.write,
        )
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS answered: {error}")
    for what in (MISSING, DIFFERENT, SAME, NEWER, CHANGED):
        print(f"{found[what]:>9,} {what}")
    print("Missing and different ones were written." if arguments.write else "Nothing was written.")


if __name__ == "__main__":
    main()
