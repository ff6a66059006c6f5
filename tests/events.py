"""Events as AWS sends them to the functions, and the functions' handlers in this process."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus

REGION = "us-east-1"
ACCOUNT = "000000000000"


@dataclass
class Context:
    """The part of a Lambda context that Powertools' logger reads."""

    function_name: str = "test"
    memory_limit_in_mb: int = 128
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:test"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    remaining_time_in_millis: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_time_in_millis


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


def failure_event(event: dict[str, Any], error_type: str = "RuntimeError") -> dict[str, Any]:
    """The record of an asynchronous invocation whose retries are spent, as its failure queue has it.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    body = {
        "version": "1.0",
        "timestamp": "2030-01-02T03:04:05.678Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "RuntimeError", "errorType": error_type},
    }
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(body)}
    return sqs_event([message], "ProcessorFailuresQueue")
