from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from local.stack import LocalStack, free_port
from tests import template

BUCKET = "uploads"

# The time of an example depends on the machine's load.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


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


def variables_of_functions(stack: LocalStack) -> dict[str, str]:
    """The environment that the template gives the functions, for an embedded AWS without them."""
    outputs = stack.outputs
    return {
        **stack.aws_environment,
        "POWERTOOLS_METRICS_NAMESPACE": "test",
        "POWERTOOLS_SERVICE_NAME": "test",
        "API_KEYS_TABLE": outputs["ApiKeysTable"],
        "CONTACTS_TABLE": outputs["ContactsTable"],
        "DEAD_LETTER_QUEUE_URL": outputs["DeadLetterQueue"],
        "DRY_RUN_CONTACTS_TABLE": outputs["DryRunContactsTable"],
        "EVENT_BUS_NAME": "default",
        "IDEMPOTENCY_TABLE": outputs["IdempotencyTable"],
        "IMPORTS_TABLE": outputs["ImportsTable"],
        "PROCESSOR_FAILURES_QUEUE_ARN": "arn:aws:sqs:us-east-1:000000000000:ProcessorFailuresQueue",
        "PROCESSOR_FAILURES_QUEUE_URL": outputs["ProcessorFailuresQueue"],
        "ROW_QUEUE_URL": outputs["RowQueue"],
        "STACK_NAME": "test",
        "TAGS_TABLE": outputs["TagsTable"],
        "UPLOADS_BUCKET": BUCKET,
    }


@pytest.fixture(scope="session")
def function_environment(embedded_aws: LocalStack) -> Iterator[None]:
    """The functions' environment, so that handlers run in this process."""
    before = dict(os.environ)
    os.environ.update(variables_of_functions(embedded_aws))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The real template, built and deployed onto an embedded AWS that enforces its permissions.

    Over TLS, since the template's bucket and queues take nothing else.
    """
    settings = {"AUTH": "true", "USE_SSL": "1"}
    stack = LocalStack(free_port(), state=tmp_path_factory.mktemp("deployed"), settings=settings)
    stack.start()
    try:
        stack.build()
        stack.deploy()
        _allow_what_the_emulator_calls_otherwise(stack)
        yield stack
    finally:
        stack.stop()


def _allow_what_the_emulator_calls_otherwise(stack: LocalStack) -> None:
    """AWS checks a batch of PartiQL statements as PartiQLInsert and PartiQLUpdate, the emulator as the batch."""
    iam = stack.client("iam")
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    (row_batch_role,) = (name for name in names if "-RowBatchRole-" in name)
    statement = {
        "Effect": "Allow",
        "Action": "dynamodb:BatchExecuteStatement",
        "Resource": "*",  # what it checks a batch against
    }
    iam.put_role_policy(
        RoleName=row_batch_role,
        PolicyName="emulator",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Notes how many points or schedules of a fault a test tried, for the table at the end of the run."""
    return lambda fault, count: record_property(f"tried: {fault}", count)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints which faults were tried, how often, and how many of the tests that tried them passed."""
    faults: dict[str, list[int]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, count in getattr(report, "user_properties", []):
                if name.startswith("tried: ") and report.when == "call":
                    row = faults.setdefault(name.removeprefix("tried: "), [0, 0])
                    row[0] += int(count)
                    row[1] += int(count) * (outcome == "passed")
    if faults:
        terminalreporter.write_sep("=", "faults")
        width = max(map(len, faults))
        terminalreporter.write_line(f"{'fault':{width}}  {'tried':>7}  {'survived':>8}")
        for fault, (count, survived) in sorted(faults.items()):
            terminalreporter.write_line(f"{fault:{width}}  {count:7,}  {survived:8,}")
