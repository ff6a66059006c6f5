"""A DynamoDB client for a function that reads and writes many items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DATA = Path(__file__).parent / "botocore_data"


def fast_dynamodb_client() -> DynamoDBClient:
    """A client that passes attribute values on as they are, and does not check its parameters.

    botocore walks through every value of every item, to decode binary ones, of which there are none here, and
    checks every parameter, which we make ourselves: two thirds of the time that a row takes. The service's
    model in `botocore_data` says that a value is a document, which is passed on whole.
    """
    session = botocore.session.get_session()
    session.get_component("data_loader").search_paths.append(str(_DATA))
    # botocore makes its own user agent anew for every request.
    config = Config(parameter_validation=False, user_agent="contact-imports")
    return boto3.Session(botocore_session=session).client("dynamodb", config=config)
