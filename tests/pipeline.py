"""Drives the real handlers in this process against the embedded AWS: tests deliver the events themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from contact_imports.aws.contacts_table import ContactTable, partition_keys_of
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.progress_records import ProgressRecords
from contact_imports.aws.project_writes import ProjectWrites
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.model.contact import Contact
from contact_imports.model.errors import RowError
from contact_imports.model.identity import email_identity
from contact_imports.model.import_job import Import, ImportOptions, Status, new_import_id
from local.stack import LocalStack
from tests.events import Context, ended_event, handler, s3_event, sqs_event


class Pipeline:
    """One embedded AWS with what the functions leave in it."""

    def __init__(self, stack: LocalStack, bucket: str) -> None:
        self.sqs = stack.client("sqs")
        self.s3 = stack.client("s3")
        dynamodb = stack.client("dynamodb")
        self.dynamodb = dynamodb
        self.bucket = bucket
        self.queue_url = stack.outputs["RowQueue"]
        imports_table = self.imports_table = stack.outputs["ImportsTable"]
        self.imports = ImportTable(dynamodb, imports_table)
        self.progress = ProgressRecords(dynamodb, imports_table)
        self.writes = ProjectWrites(dynamodb, imports_table)
        self.contacts = ContactTable(dynamodb, stack.outputs["ContactsTable"])
        self.contacts_table = stack.outputs["ContactsTable"]
        self.tags_table = stack.outputs["TagsTable"]
        self.queue = RowQueue(self.sqs, self.queue_url)
        self.uploads = Uploads(self.s3, bucket)
        self.reports = ReportFiles(self.s3, bucket)

    def accept(
        self, project: str, content: bytes, options: ImportOptions, now: datetime | None = None
    ) -> tuple[Import, dict[str, Any]]:
        """What the api function leaves behind: the job, the upload, and the event that follows."""
        now = now or datetime.now(UTC)
        job = Import(new_import_id(now), project, Status.PROCESSING, options, now)
        self.imports.create(job, now)
        self.uploads.put(project, job.id, content)
        return job, self.upload_event(job)

    def upload_event(self, job: Import) -> dict[str, Any]:
        return self.object_event(f"imports/{job.project_id}/{job.id}.csv")

    def process(self, event: dict[str, Any]) -> None:
        handler("processor").lambda_handler(event, Context())

    def messages(self) -> list[dict[str, Any]]:
        """Takes the next messages of the row queue, in the order that SQS gives them."""
        response = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        return list(response.get("Messages", []))

    def delete(self, messages: Iterable[dict[str, Any]]) -> None:
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def apply(self, messages: list[dict[str, Any]]) -> list[str]:
        """Hands messages to row_batch; returns the ids of those that failed."""
        answer = handler("row_batch").lambda_handler(
            sqs_event(messages, "RowQueue.fifo"), Context()
        )
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def give_up(self, messages: list[dict[str, Any]]) -> list[str]:
        """Hands messages to dead_letter; returns the ids of those that failed."""
        event = sqs_event(messages, "DeadLetterQueue.fifo")
        answer = handler("dead_letter").lambda_handler(event, Context())
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def take_all(self) -> list[dict[str, Any]]:
        """Every message of the row queue, in an order that keeps groups in order; the queue is then empty."""
        taken: list[dict[str, Any]] = []
        while messages := self.messages():
            self.delete(messages)
            taken += messages
        return taken

    def drain(self) -> None:
        """Delivers what is in the row queue until nothing is left."""
        while messages := self.messages():
            assert self.apply(messages) == []
            self.delete(messages)

    def run(self, project: str, content: bytes, options: ImportOptions) -> Import:
        """One import without any fault; returns it as it ended."""
        job, event = self.accept(project, content, options)
        self.process(event)
        self.drain()
        return self.finish(job)

    def get(self, job: Import) -> Import:
        found = self.imports.get(job.id)
        assert found is not None
        return found

    def finish(self, job: Import) -> Import:
        """What follows an import's end; returns it with that."""
        handler("import_ended").lambda_handler(ended_event(job.id), Context())
        return self.get(job)

    def make_overdue(self, import_id: str) -> None:
        """Puts the deadline of an import, or of what follows its end, into the past, if it has one."""
        with suppress(self.dynamodb.exceptions.ConditionalCheckFailedException):
            self.dynamodb.update_item(
                TableName=self.imports_table,
                Key={"importId": {"S": import_id}, "record": {"S": "import"}},
                UpdateExpression="SET deadline = :past",
                ConditionExpression="attribute_exists(deadline)",
                ExpressionAttributeValues={":past": {"N": "1"}},
            )

    def errors(self, job: Import) -> list[RowError]:
        """The reasons of the failed rows that were counted so far."""
        return list(self.progress.errors(job.id, self.get(job).partition_count or 0))

    def report(self, job: Import) -> list[dict[str, Any]]:
        """The failed rows as the report has them, all pages of it."""
        rows: list[dict[str, Any]] = []
        page = 0
        while (content := self.reports.failed_rows_page(job, page)) is not None:
            rows += json.loads(content)
            page += 1
        return rows

    def drop(self, key: str, content: bytes, **metadata: str) -> dict[str, Any]:
        """Puts an object into the bucket, as anyone may; returns its event."""
        self.s3.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=content,
            Metadata={name.replace("_", "-"): value for name, value in metadata.items()},
        )
        return self.object_event(key)

    def object_event(self, key: str) -> dict[str, Any]:
        head = self.s3.head_object(Bucket=self.bucket, Key=key)
        return s3_event(self.bucket, key, head["ETag"].strip('"'), head["ContentLength"])

    def delete_contacts(self) -> None:
        """Empties the table, which is read whole by every comparison."""
        for item in self.dynamodb.scan(TableName=self.contacts_table)["Items"]:
            key = {name: item[name] for name in ("pk", "sk")}
            self.dynamodb.delete_item(TableName=self.contacts_table, Key=key)

    def creator(self, project: str, email: str, jobs: list[Import]) -> int:
        """Which of the imports created a contact."""
        created_by = self.contacts.read(project, [email])[email].created_by.import_id
        return [job.id for job in jobs].index(created_by)

    def contacts_of(self, project: str) -> dict[str, Contact]:
        """All contacts of a project."""
        return contacts_of(self.dynamodb, self.contacts_table, project)


def items_of(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    """All items of a table, which other tests may have filled: a scan's page has 1 MB."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def imports_of(pipeline: Pipeline, project: str) -> list[Import]:
    """Every import of a project, newest first, read without the code under test."""
    pages = pipeline.dynamodb.get_paginator("scan").paginate(TableName="ImportsTable")
    found = [item for page in pages for item in page["Items"]]
    ids = sorted(
        {item["importId"]["S"] for item in found if item.get("projectId") == {"S": project}},
        reverse=True,
    )
    jobs = [pipeline.imports.get(import_id) for import_id in ids]
    return [job for job in jobs if job is not None]


def contacts_of(dynamodb: Any, table: str, project: str) -> dict[str, Contact]:
    """All contacts of a project, read from the table without the code under test."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    items = (item for page in pages for item in page["Items"])
    return _contacts(item for item in items if item["pk"]["S"].rsplit("#", 1)[0] == project)


def many_contacts_of(dynamodb: Any, table: str, project: str) -> dict[str, Contact]:
    """The same, key by key: the embedded AWS takes long to go through a large table."""
    pages = (
        page
        for key in partition_keys_of(project)
        for page in dynamodb.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": key}},
            ConsistentRead=True,
        )
    )
    return _contacts(item for page in pages for item in page["Items"])


def _contacts(items: Iterable[dict[str, Any]]) -> dict[str, Contact]:
    found = {}
    for item in items:
        standard = ("firstName", "lastName", "name", "phone", "country", "language")
        custom = item.get("customFields", {"M": {}})["M"]
        email = email_identity(item["email"]["S"])
        found[email] = Contact(
            email,
            {name: item[name]["S"] for name in standard if name in item},
            {name: value["S"] for name, value in custom.items()},
            frozenset(item["tags"]["SS"]) if "tags" in item else frozenset(),
        )
    return found
