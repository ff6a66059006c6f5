"""Drives the real handlers in this process against the embedded AWS: tests deliver the events themselves."""

from __future__ import annotations

import importlib
import io
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus

from contact_imports.aws.contacts_table import ContactTable
from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.row_queue import RowQueue
from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.files.contact_file import open_contact_file
from contact_imports.files.plain_file import PlainFile, plain_head
from contact_imports.files.records import possible_encodings
from contact_imports.model.contact import Contact, OnConflict, Row, apply_row
from contact_imports.model.errors import RowError
from contact_imports.model.import_job import Import, ImportOptions, Status, new_import_id
from local.stack import LocalStack
from tests.reference import ReferenceImport, reference_import

REGION = "us-east-1"
ACCOUNT = "000000000000"


@dataclass
class Context:
    """What Powertools' logger reads of a Lambda context."""

    function_name: str = "test"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:test"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def handler(function: str) -> ModuleType:
    """A function's module; its environment must be set before."""
    return importlib.import_module(f"functions.{function}.app")


def s3_event(bucket: str, key: str, etag: str, size: int) -> dict[str, Any]:
    """One object created, as S3 tells of it."""
    s3_object = {"key": quote_plus(key, safe="/"), "size": size, "eTag": etag, "sequencer": "0"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2030-01-02T03:04:05.678Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": s3_object,
        },
    }
    return {"Records": [record]}


def ended_event(import_id: str) -> dict[str, Any]:
    """An import's item that says that it has ended, as the table's stream tells of it."""
    image = {"importId": {"S": import_id}, "record": {"S": "import"}, "report": {"S": "due"}}
    keys = {name: image[name] for name in ("importId", "record")}
    record = {
        "eventID": "1",
        "eventName": "MODIFY",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "awsRegion": REGION,
        "dynamodb": {"Keys": keys, "NewImage": image, "StreamViewType": "NEW_IMAGE"},
    }
    return {"Records": [record]}


def sqs_event(messages: Iterable[dict[str, Any]], queue: str) -> dict[str, Any]:
    """Messages as the event source hands them over."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


def failure_event(event: dict[str, Any]) -> dict[str, Any]:
    """The record of an asynchronous invocation whose retries are spent, as its failure queue has it.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    body = {
        "version": "1.0",
        "timestamp": "2030-01-02T03:04:05.678Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "RuntimeError"},
    }
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(body)}
    return sqs_event([message], "ProcessorFailuresQueue")


class Pipeline:
    """One embedded AWS with what the functions leave in it."""

    def __init__(self, stack: LocalStack, bucket: str) -> None:
        self.sqs = stack.client("sqs")
        self.s3 = stack.client("s3")
        dynamodb = stack.client("dynamodb")
        self.dynamodb = dynamodb
        self.bucket = bucket
        self.queue_url = stack.outputs["RowQueue"]
        self.imports = ImportTable(dynamodb, stack.outputs["ImportsTable"])
        self.contacts = ContactTable(dynamodb, stack.outputs["ContactsTable"])
        self.contacts_table = stack.outputs["ContactsTable"]
        self.tags_table = stack.outputs["TagsTable"]
        self.queue = RowQueue(self.sqs, self.queue_url)
        self.uploads = Uploads(self.s3, bucket)

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

    def errors(self, job: Import) -> list[RowError]:
        """The reasons of the failed rows that were counted so far."""
        return list(self.imports.errors(job.id, self.get(job).partitions or 0))

    def report(self, job: Import) -> list[dict[str, Any]]:
        """The failed rows as the report has them, all pages of it."""
        rows: list[dict[str, Any]] = []
        page = 0
        while (content := self.uploads.error_page(job, page)) is not None:
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
            key = {name: item[name] for name in ("pk", "email")}
            self.dynamodb.delete_item(TableName=self.contacts_table, Key=key)

    def creator(self, project: str, email: str, jobs: list[Import]) -> int:
        """Which of the imports created a contact."""
        created_by = self.contacts.read(project, [email])[email].created_by[0]
        return [job.id for job in jobs].index(created_by)

    def contacts_of(self, project: str) -> dict[str, Contact]:
        """All contacts of a project."""
        return contacts_of(self.dynamodb, self.contacts_table, project)


def contacts_of(dynamodb: Any, table: str, project: str) -> dict[str, Contact]:
    """All contacts of a project, read from the table without the code under test."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    items = (item for page in pages for item in page["Items"])
    return _contacts(item for item in items if item["pk"]["S"].rsplit("#", 1)[0] == project)


def many_contacts_of(dynamodb: Any, table: str, project: str) -> dict[str, Contact]:
    """The same, key by key: the embedded AWS takes long to go through a large table."""
    pages = (
        page
        for spread in range(256)
        for page in dynamodb.get_paginator("query").paginate(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"{project}#{spread}"}},
            ConsistentRead=True,
        )
    )
    return _contacts(item for page in pages for item in page["Items"])


def _contacts(items: Iterable[dict[str, Any]]) -> dict[str, Contact]:
    found = {}
    for item in items:
        standard = ("firstName", "lastName", "name", "phone", "country", "language")
        custom = item.get("customFields", {"M": {}})["M"]
        found[item["email"]["S"]] = Contact(
            item["email"]["S"],
            {name: item[name]["S"] for name in standard if name in item},
            {name: value["S"] for name, value in custom.items()},
            frozenset(item["tags"]["SS"]) if "tags" in item else frozenset(),
        )
    return found


def expected(
    content: bytes,
    options: ImportOptions,
    before: dict[str, Contact] | None = None,
    leave_out: Collection[int] = (),
) -> ReferenceImport:
    """What the reference import makes of a file, but for the rows that are left out."""
    head = plain_head(content)
    encoding = possible_encodings(head)[0]
    plain = PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)).readall()
    file = open_contact_file(io.BytesIO(plain), b"", encoding, options)
    records = [(file.header_record, file.header), *file.reader]
    return reference_import(
        (record for record in records if record[0] not in leave_out),
        file.column_map,
        on_conflict=options.on_conflict,
        on_blank=options.on_blank,
        tags=options.tags,
        before=before,
    )


def counts_of(result: ReferenceImport, left_out: int = 0) -> dict[str, int]:
    """The reference's counts as the API gives them, with the rows left out as failed."""
    outcomes = {outcome.value: count for outcome, count in result.counts.items()}
    outcomes["failed"] += left_out
    return {"total": result.total + left_out, **outcomes}


def possible_contacts(
    orders: list[list[Row]], conflicts: list[OnConflict], creator: int
) -> list[Contact | None]:
    """What a contact can be after its rows in any order that keeps each import's own.

    `orders` has each import's rows of the email; the first row of all is one of the `creator`-th import.
    """
    start = (0,) * len(orders)
    states: dict[tuple[int, ...], list[Contact | None]] = {start: [None]}
    last = tuple(len(order) for order in orders)
    for _ in range(sum(last)):
        after: dict[tuple[int, ...], list[Contact | None]] = defaultdict(list)
        for at, contacts in states.items():
            for index, order in enumerate(orders):
                if at[index] == len(order) or (at == start and index != creator):
                    continue
                following = (*at[:index], at[index] + 1, *at[index + 1 :])
                for contact in contacts:
                    applied = apply_row(contact, order[at[index]], conflicts[index]).contact
                    if applied not in after[following]:
                        after[following].append(applied)
        states = after
    return states[last]


UPSERT, SKIP = OnConflict.UPSERT, OnConflict.SKIP
