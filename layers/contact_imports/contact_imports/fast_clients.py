"""AWS clients for functions that make many calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_DATA = Path(__file__).parent / "botocore_data"

FAST = Config(parameter_validation=False, user_agent="contact-imports")
"""Parameters that we made ourselves need no check; botocore's own user agent is made anew for every request."""


def fast_dynamodb_client() -> DynamoDBClient:
    """A client that passes attribute values on as they are.

    botocore walks through every value of every item, to decode binary ones, of which there are none here:
    with the check of parameters, that is two thirds of the time that a row takes. The service's model in
    `botocore_data` says that a value is a document, which is passed on whole.
    """
    session = botocore.session.get_session()
    session.get_component("data_loader").search_paths.append(str(_DATA))
    return boto3.Session(botocore_session=session).client("dynamodb", config=FAST)
