from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from local.stack import LocalStack, free_port
from tests import template

BUCKET = "uploads"


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """An embedded AWS with the template's tables, queues and bucket, and no functions."""
    stack = LocalStack(free_port(), state=tmp_path_factory.mktemp("aws"))
    stack.start()
    try:
        stack.outputs = template.create_tables(stack) | template.create_queues(stack)
        stack.client("s3").create_bucket(Bucket=BUCKET)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def function_environment(embedded_aws: LocalStack) -> Iterator[None]:
    """The environment that the template gives the functions, so that handlers run in this process."""
    before = dict(os.environ)
    outputs = embedded_aws.outputs
    os.environ.update(
        embedded_aws.aws_environment,
        POWERTOOLS_SERVICE_NAME="test",
        API_KEYS_TABLE=outputs["ApiKeysTable"],
        CONTACTS_TABLE=outputs["ContactsTable"],
        IMPORTS_TABLE=outputs["ImportsTable"],
        PROCESSOR_FAILURES_QUEUE_ARN="arn:aws:sqs:us-east-1:000000000000:ProcessorFailuresQueue",
        ROW_QUEUE_URL=outputs["RowQueue"],
        TAGS_TABLE=outputs["TagsTable"],
        UPLOADS_BUCKET=BUCKET,
    )
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The real template, built and deployed onto an embedded AWS of its own."""
    stack = LocalStack(free_port(), state=tmp_path_factory.mktemp("deployed"))
    stack.start()
    try:
        stack.build()
        stack.deploy()
        yield stack
    finally:
        stack.stop()
