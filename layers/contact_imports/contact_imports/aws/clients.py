"""AWS clients that are made quickly, for a cold start, that make many calls quickly, and that end each of them in time.

They are botocore's. boto3 would add a third to the time of importing it, so only what needs its transfers imports it.
"""

from __future__ import annotations

import gc
import gzip
import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.config import Config
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session, get_session

from contact_imports.aws.retry import retry_or_stop

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_DATA = Path(__file__).parent / "botocore_data"

_CONNECT_SECONDS = 3.1
"""What AWS recommends for every SDK (`standard`): time for two SYN packets that get lost.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-smart-config-defaults.html"""

_ANSWER_SECONDS = 5.0
"""DynamoDB and SQS answer in milliseconds, and EventBridge in tens of them; botocore would wait for 60 seconds.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html"""

_OBJECT_ANSWER_SECONDS = 20.0
"""S3 answers in 0.1 to 0.2 seconds, but takes longer to put the parts of a report together. For a body, it is the time
without a byte. https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"""

_WAITED_FOR_SECONDS = 10.0
"""The same, where somebody waits for it: API Gateway gives up after 29 seconds."""


def _config(answer_seconds: float, **more: Any) -> Config:
    # One attempt by botocore: `retry_or_stop` decides about the others, whatever this version's defaults are.
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=answer_seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        **more,
    )


QUICK = _config(_ANSWER_SECONDS)
"""For DynamoDB, SQS and EventBridge."""

FAST = _config(_ANSWER_SECONDS, parameter_validation=False, user_agent="contact-imports")
"""For many calls. We make the parameters ourselves, so they need no check. botocore would build its user agent for every
request."""

OBJECTS = _config(_OBJECT_ANSWER_SECONDS)
"""For S3."""

PRESIGNING = _config(
    _WAITED_FOR_SECONDS, signature_version="s3v4", s3={"addressing_style": "virtual"}
)
"""For S3 in the API, whose clients use presigned URLs: those need the bucket's own region and signature version 4."""


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
    """A session whose clients are made in less than half the time, and retry until the invocation's deadline.

    Where botocore is not what our loader and model assume, the clients are botocore's own: slower, with the same
    answers.
    """
    session = get_session()
    session.register_component(
        "data_loader", _Loader(file_loader=_Files(), extra_search_paths=[str(_DATA)])
    )
    try:
        assumed = _is_as_assumed(session)
    except Exception:
        assumed = False
    if not assumed:
        logging.getLogger(__name__).warning("botocore has changed: clients are botocore's own")
        session = get_session()
    session.register("needs-retry", retry_or_stop)  # type: ignore[arg-type]
    return session


def _client(service: str, config: Config) -> Any:
    """Makes a client. Its model is tens of thousands of objects that stay for as long as the process: collecting
    garbage would visit all of them several times meanwhile, and once more with each full collection later, which
    takes longer than everything else here."""
    gc.disable()
    try:
        return fast_session().create_client(service, config=config)
    finally:
        gc.freeze()
        gc.enable()


def dynamodb_client() -> DynamoDBClient:
    """A client for DynamoDB that checks parameters."""
    return cast("DynamoDBClient", _client("dynamodb", QUICK))


def fast_dynamodb_client() -> DynamoDBClient:
    """A client that does not decode attribute values.

    botocore visits every value of every item to decode binary ones, which we do not have. With the check of
    parameters, that takes two thirds of the time of a row. The service's model in `botocore_data` declares a value
    to be a document, which botocore passes on unchanged.
    """
    return cast("DynamoDBClient", _client("dynamodb", FAST))


def s3_client(config: Config = OBJECTS) -> S3Client:
    """A client for S3."""
    return cast("S3Client", _client("s3", config))


def sqs_client(config: Config = QUICK) -> SQSClient:
    """A client for SQS."""
    return cast("SQSClient", _client("sqs", config))


def events_client() -> EventBridgeClient:
    """A client for EventBridge."""
    return cast("EventBridgeClient", _client("events", QUICK))


def _is_as_assumed(session: Session) -> bool:
    """Whether botocore speaks JSON with DynamoDB and knows documents, so that values can pass unchanged."""
    model = session.get_service_model("dynamodb")
    is_document = getattr(model.shape_for("AttributeValue"), "is_document_type", False)
    return model.resolved_protocol == "json" and is_document
