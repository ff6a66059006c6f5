"""AWS clients that are made quickly, for a cold start, and clients that make many calls quickly.

They are botocore's. boto3 would add a third to the time of importing it, so only what needs its transfers imports it.
"""

from __future__ import annotations

import gc
import gzip
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_DATA = Path(__file__).parent / "botocore_data"

FAST = Config(parameter_validation=False, user_agent="contact-imports")
"""We make the parameters ourselves, so they need no check. botocore would build its user agent for every request."""


class _Files(JSONFileLoader):
    """Reads models with msgspec, which is several times as fast as botocore's own way."""

    def load_file(self, file_path: str) -> Any:
        """The JSON of a file by its path without an ending; None if there is no file."""
        for ending, opened in ((".json", open), (".json.gz", gzip.open)):
            try:
                with opened(file_path + ending, "rb") as file:
                    return msgspec.json.decode(file.read())
            except FileNotFoundError:
                continue
        return None


class _Loader(Loader):
    """Lists every folder as a service; botocore would look into all of them, several times for each client."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """The names of the services that may have a model."""
        return os.listdir(self.BUILTIN_DATA_PATH)


@cache
def fast_session() -> Session:
    """A session whose clients are made in less than half the time."""
    session = get_session()
    session.register_component(
        "data_loader", _Loader(file_loader=_Files(), extra_search_paths=[str(_DATA)])
    )
    return session


def _client(service: str, config: Config | None = None) -> Any:
    """Makes a client. Its model is tens of thousands of objects that stay for as long as the process: collecting
    garbage would visit all of them several times meanwhile, and once more with each full collection later, which
    takes longer than everything else here."""
    gc.disable()
    try:
        return fast_session().create_client(service, config=config)
    finally:
        gc.freeze()
        gc.enable()


def dynamodb_client(config: Config | None = None) -> DynamoDBClient:
    """A client for DynamoDB that checks parameters."""
    return cast("DynamoDBClient", _client("dynamodb", config))


def fast_dynamodb_client() -> DynamoDBClient:
    """A client that does not decode attribute values.

    botocore visits every value of every item to decode binary ones, which we do not have. With the check of
    parameters, that takes two thirds of the time of a row. The service's model in `botocore_data` declares a value
    to be a document, which botocore passes on unchanged.
    """
    return cast("DynamoDBClient", _client("dynamodb", FAST))


def s3_client(config: Config | None = None) -> S3Client:
    """A client for S3."""
    return cast("S3Client", _client("s3", config))


def sqs_client(config: Config | None = None) -> SQSClient:
    """A client for SQS."""
    return cast("SQSClient", _client("sqs", config))


def events_client(config: Config | None = None) -> EventBridgeClient:
    """A client for EventBridge."""
    return cast("EventBridgeClient", _client("events", config))
