"""Every permission that the template gives is needed, and every call has one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore import xform_name
from botocore.exceptions import ClientError

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.aws.uploads_bucket import UploadGoneError
from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import ImportOptions, Upload
from tests import template
from tests.events import Context, ended_event, failure_event, handler
from tests.multipart import CONTENT_TYPE, FIELDS, body
from tests.simulation.aws_calls import Call, Crash, CrashPoint
from tests.simulation.one_import import COLUMN_MAP, CONTENT, POISON, run_import
from tests.simulation.world import MAX_RECEIVES, PROCESSOR_TRIES, NewWorld, World, new_project

pytestmark = pytest.mark.usefixtures("small_batches")

# The permissions of an operation: https://docs.aws.amazon.com/service-authorization/latest/reference/
ACTIONS = {
    ("dynamodb", "BatchExecuteStatement"): {"dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"},
    ("dynamodb", "TransactWriteItems"): {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    ("s3", "HeadObject"): {"s3:GetObject"},
    ("s3", "CopyObject"): {"s3:GetObject", "s3:PutObject"},
    ("s3", "CreateMultipartUpload"): {"s3:PutObject"},
    ("s3", "UploadPart"): {"s3:PutObject"},
    ("s3", "UploadPartCopy"): {"s3:GetObject", "s3:PutObject"},
    ("s3", "CompleteMultipartUpload"): {"s3:PutObject"},
}
# Lambda's own calls with a function's role: poll a queue, write the log, send failures to their destination.
POLLING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
STREAMING = {
    *("dynamodb:DescribeStream", "dynamodb:GetRecords"),
    *("dynamodb:GetShardIterator", "dynamodb:ListStreams"),
}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}

Grant = tuple[str, str, str]
"""(function, action, resource's logical id)"""


def granted() -> Iterator[Grant]:
    for function, properties in template.resources("AWS::Serverless::Function").items():
        role = template.resources("AWS::IAM::Role")[properties["Role"]["Fn::GetAtt"][0]]
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in _list(statement["Action"]):
                    for resource in _list(statement["Resource"]):
                        yield function, action, _logical_id(resource)


def needed_by_lambda() -> Iterator[Grant]:
    for function, properties in template.resources("AWS::Serverless::Function").items():
        yield from (
            (function, action, properties["LoggingConfig"]["LogGroup"]["Ref"]) for action in LOGGING
        )
        for event in properties["Events"].values():
            if event["Type"] == "SQS":
                queue = event["Properties"]["Queue"]["Fn::GetAtt"][0]
                yield from ((function, action, queue) for action in POLLING)
            if event["Type"] == "DynamoDB":
                table = event["Properties"]["Stream"]["Fn::GetAtt"][0]
                yield from ((function, action, table) for action in STREAMING)
        sources = [event["Properties"] for event in properties["Events"].values()]
        for config in (properties.get("EventInvokeConfig", {}), *sources):
            on_failure = config.get("DestinationConfig", {}).get("OnFailure")
            if on_failure:
                yield function, "sqs:SendMessage", on_failure["Destination"]["Fn::GetAtt"][0]


def needed_by(calls: list[Call]) -> Iterator[Grant]:
    for call in calls:
        function = "".join(part.title() for part in call.function.split("_")) + "Function"
        default = {f"{call.service}:{call.operation}"}
        resource = "UploadsBucket" if call.resource == "uploads" else call.resource
        resource = resource.removesuffix(".fifo")
        for action in ACTIONS.get((call.service, call.operation), default):
            yield function, action, resource


def test_permissions_are_enough_and_no_more_than_enough(
    new_world: NewWorld, tried: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Call] = []
    for poison, processor_fails in ((POISON, False), ({}, True)):
        world = run_import(new_world, OnConflict.UPSERT, poison, processor_fails)
        calls += [call for invocation in world.calls.invocations for call in invocation]
    calls += _overdue(new_world(0))
    calls += _api(new_world(0))
    calls += _dropped(new_world(0))
    calls += _put_off(new_world(0))
    in_parts = partial(TransferConfig, multipart_threshold=1)
    monkeypatch.setattr("boto3.s3.transfer.TransferConfig", in_parts)
    calls += _broken_off(new_world(0))
    needed = set(needed_by(calls)) | set(needed_by_lambda())
    for function, action, resource in tuple(needed):
        # With this permission, S3 answers 404 for a deleted object, without it 403: see the test below.
        if action == "s3:GetObject":
            needed.add((function, "s3:ListBucket", resource))
        # The bucket has versions, the simulation's has none.
        if action == "s3:GetObject" and function != "ApiFunction":
            needed.add((function, "s3:GetObjectVersion", resource))
    assert set(granted()) == needed
    tried("permission of the template that a call needs", len(needed))


def test_an_upload_that_is_gone_is_told_from_one_that_may_not_be_read(new_world: NewWorld) -> None:
    with pytest.raises(UploadGoneError):
        new_world(0).pipeline.uploads.open(Upload("imports/none", "etag", 1)).head(1)


def _overdue(world: World) -> list[Call]:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    world.pipeline.accept(new_project(), CONTENT, ImportOptions(COLUMN_MAP), now=long_ago)
    world.invoke("dead_letter", {"detail-type": "Scheduled Event"})
    return world.calls.invocations[-1]


def _put_off(world: World) -> list[Call]:
    """A dead letter and a processor's failure that cannot be handled now."""
    job, event = world.pipeline.accept(new_project(), CONTENT, ImportOptions(COLUMN_MAP))
    world.events.append((event, 0))
    world.deliver_event()
    dead = next(iter(world.groups.values())).pop(0)
    dead.receives = MAX_RECEIVES
    world.dead.append(dead)

    def throttle(operation: str, arguments: dict[str, Any]) -> None:
        if operation != "ChangeMessageVisibility" and arguments:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, operation)

    world.before = throttle  # type: ignore[method-assign]
    world.deliver_dead()
    world.failures.append(failure_event(event))
    world.deliver_failure()
    assert len(world.hidden_seconds) == 2
    assert not world.pipeline.get(job).ended
    return [call for invocation in world.calls.invocations for call in invocation]


def _dropped(world: World) -> list[Call]:
    project = new_project()
    pipeline = world.pipeline
    event = pipeline.drop(f"drop/{project}/c.csv", CONTENT, dry_run="true")
    for _ in range(PROCESSOR_TRIES):
        with suppress(Crash):
            world.invoke("processor", event, CrashPoint(2, "before"))
    world.invoke("dead_letter", failure_event(event))
    world.finish()
    world.events.append((pipeline.drop(f"drop/{project}/d.csv", CONTENT, dry_run="true"), 0))
    world.finish()
    world.events.append((pipeline.drop("drop/no project/c.csv", CONTENT), 0))
    world.finish()
    world.poison = POISON
    world.events.append((pipeline.drop(f"drop/{project}/e.csv", CONTENT, dry_run="true"), 0))
    world.finish()
    return [call for invocation in world.calls.invocations for call in invocation]


def _broken_off(world: World) -> list[Call]:
    """Managed uploads and copies, each of whose calls fails once: then the SDK makes calls of its own."""
    failed: list[str] = []

    def fail_once(operation: str, method: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
        def answer(arguments: dict[str, Any]) -> Any:
            if operation in failed:
                return method(**arguments)
            failed.append(operation)
            raise ClientError({"Error": {"Code": "InternalError"}}, operation)

        return answer

    s3 = world.pipeline.s3
    parts = ("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload")
    world.calls.answers |= {name: fail_once(name, getattr(s3, xform_name(name))) for name in parts}
    key = f"drop/{new_project()}/f.csv"
    world.events.append((world.pipeline.drop(key, CONTENT, dry_run="true"), 0))
    world.finish()
    assert set(failed) == set(parts)
    return [call for invocation in world.calls.invocations for call in invocation]


def _api(world: World) -> list[Call]:
    keys = ApiKeyTable(world.pipeline.dynamodb, "ApiKeysTable")
    key = keys.create(list(Scope), ["demo"], datetime.now(UTC))

    def request(method: str, path: str, content: bytes = b"", **query: str) -> Any:
        event = {
            "httpMethod": method,
            "path": path,
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
            "headers": {
                "Authorization": f"Bearer {key}",
                "Content-Type": CONTENT_TYPE,
                "Idempotency-Key": path,
            },
            "body": base64.b64encode(content).decode(),
            "isBase64Encoded": True,
            "requestContext": {},
        }
        with world.calls.invocation("api"):
            answer = handler("api").lambda_handler(event, Context())["body"]
            return json.loads(answer) if answer.startswith("{") else answer

    path = "/v1/contacts/imports"
    assert request("POST", path, body({**FIELDS, "file": "Mail\n"}))["code"] == "COLUMN_NOT_FOUND"
    created = request("POST", path, body({**FIELDS, "file": "Email,First Name\nno email,x\n"}))
    import_id = created["data"]["id"]
    assert request("GET", f"{path}/{import_id}")["success"]
    assert request("GET", path, projectId="demo", cursor="f" * 24)["success"]
    pipeline = world.pipeline
    pipeline.process(pipeline.object_event(f"imports/demo/{import_id}.csv"))
    pipeline.drain()
    pipeline.imports.get(import_id)
    handler("import_ended").lambda_handler(ended_event(import_id), Context())
    assert "import_row" in request("GET", f"{path}/{import_id}/errors")
    assert request("GET", f"{path}/{import_id}/errors", format="json")["data"]["data"]
    return [call for invocation in world.calls.invocations for call in invocation]


def _logical_id(resource: Any) -> str:
    match resource:
        case {"Fn::GetAtt": [name, "Arn"]}:
            return str(name)
        case {"Fn::GetAtt": [name, "StreamArn"]}:
            return str(name)
        case {"Fn::Sub": text} if "-uploads-" in text:
            return "UploadsBucket"
        case {"Fn::Sub": text} if "event-bus/" in text:
            return str(text).rsplit("/", 1)[-1]
        case {"Fn::Sub": text}:
            return str(text).removeprefix("${").replace(".Arn}", "")
        case _:
            raise AssertionError(resource)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
