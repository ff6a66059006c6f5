"""One moment of an import, as a release left it: items, objects, messages and events that are on their way."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.pipeline import Pipeline

TABLES = (
    "ApiKeysTable",
    "ContactsTable",
    "DryRunContactsTable",
    "IdempotencyTable",
    "ImportsTable",
    "TagsTable",
)
_TIMES = ("deadline", "expiration", "expiresAt")
_DAY = 24 * 3600
_TIME_DIGITS = 8


@dataclass
class Recording:
    """What there is of one import of a project, after an earlier import of it. Texts are as bytes in Latin-1.

    `missing` are the numbers of the rows that will not be processed, whoever goes on. `asked` are events of the API's
    function with the answers that they must get again.
    """

    project: str
    before_id: str
    import_id: str
    before_content: str
    content: str
    missing: list[int] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    dead: list[tuple[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes it, the same bytes for the same content."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Reads it."""
        return cls(**json.loads(gzip.decompress(path.read_bytes())))

    def as_of_now(self) -> Recording:
        """The same, as if it had been recorded just now, with other ids: nothing has expired, and SQS knows none of
        its messages. A dry run keeps its ids, of which its contacts' keys are made."""
        latest = int(self.import_id[:_TIME_DIGITS], 16)
        text = json.dumps(asdict(self))
        is_dry_run = bool(self.tables["DryRunContactsTable"])
        for old in () if is_dry_run else (self.before_id, self.import_id):
            seconds = int(time.time()) - latest + int(old[:_TIME_DIGITS], 16)
            text = text.replace(old, f"{seconds:08x}{time.time_ns() % 2**64:016x}")
        now = Recording(**json.loads(text))
        for items in now.tables.values():
            for item in items:
                for name in set(_TIMES) & set(item):
                    item[name] = {"N": str(int(time.time()) + _DAY)}
        return now

    def take_state(self, pipeline: Pipeline) -> None:
        """Reads the items and objects of this project and its imports."""
        owners = (self.project, self.import_id, self.before_id)
        for table in TABLES:
            pages = pipeline.dynamodb.get_paginator("scan").paginate(TableName=table)
            self.tables[table] = [
                item
                for page in pages
                for item in page["Items"]
                if any(owner in json.dumps(item) for owner in owners)
            ]
        listed = pipeline.s3.list_objects_v2(Bucket=pipeline.bucket).get("Contents", [])
        for key in (found["Key"] for found in listed):
            if self.project in key:
                found = pipeline.s3.get_object(Bucket=pipeline.bucket, Key=key)
                self.objects.append(
                    {
                        "Key": key,
                        "Body": found["Body"].read().decode("latin-1"),
                        "ContentType": found["ContentType"],
                        "Metadata": found["Metadata"],
                    }
                )

    def restore_state(self, pipeline: Pipeline) -> None:
        """Puts the items and objects where they were, and nothing else of this project."""
        remove_project(pipeline, self.project)
        for table, items in self.tables.items():
            for item in items:
                pipeline.dynamodb.put_item(TableName=table, Item=item)
        for found in self.objects:
            body = found["Body"].encode("latin-1")
            pipeline.s3.put_object(**{**found, "Body": body, "Bucket": pipeline.bucket})


def remove_project(pipeline: Pipeline, project: str) -> None:
    """Deletes a project's contacts."""
    pages = pipeline.dynamodb.get_paginator("scan").paginate(TableName=pipeline.contacts_table)
    for item in [item for page in pages for item in page["Items"]]:
        if item["pk"]["S"].startswith(f"{project}#"):
            key = {name: item[name] for name in ("pk", "sk")}
            pipeline.dynamodb.delete_item(TableName=pipeline.contacts_table, Key=key)
