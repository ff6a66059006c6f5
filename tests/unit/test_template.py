"""What the embedded AWS drops without a word is asserted on the template itself."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from contact_imports.api.cors import CONSOLE_ORIGIN
from contact_imports.api.paths import UPLOADS_PATH
from contact_imports.api.responses import REQUEST_ID_HEADER
from contact_imports.aws.environment import (
    ApiEnvironment,
    DeadLetterEnvironment,
    ImportEndedEnvironment,
    ProcessorEnvironment,
    RowBatchEnvironment,
)
from contact_imports.aws.imports_table import OPEN_INDEX, PROJECT_INDEX, REPORT_DUE
from contact_imports.aws.project_writes import QUIET_AFTER
from contact_imports.aws.received_messages import (
    FAILED_SECONDS,
    FIRST_THROTTLED_SECONDS,
    LONGEST_THROTTLED_SECONDS,
    seconds_put_off,
)
from contact_imports.aws.retry import RESERVED_SECONDS
from contact_imports.jobs.apply_row_batch import GIVEN_BACK_AFTER_SECONDS, PATIENCE_SECONDS
from contact_imports.model.import_job import (
    IMPORT_DEADLINE_SECONDS,
    REPORT_RETRY_SECONDS,
    REPORT_SECONDS,
    UPLOAD_DEADLINE_SECONDS,
)
from contact_imports.model.limits import MAX_FILE_BYTES, MAX_UPLOAD_BYTES
from local.sam import STACK_NAME
from local.stack import ROOT
from tests.events import handler
from tests.template import load, resources
from tests.transformed import deployed_resources

FUNCTIONS = resources("AWS::Serverless::Function")
QUEUES = resources("AWS::SQS::Queue")
TABLES = resources("AWS::DynamoDB::Table")
ROLES = resources("AWS::IAM::Role")
(BUCKET,) = resources("AWS::S3::Bucket").values()
(API,) = resources("AWS::Serverless::Api").values()

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html: one and two minutes
ASYNC_RETRY_DELAYS_SECONDS = 60 + 120


def test_everything_is_encrypted() -> None:
    # With a key of the account: tests/unit/test_template_parameters.py.
    (bucket,) = deployed_resources("AWS::S3::Bucket").values()
    rules = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    queues = deployed_resources("AWS::SQS::Queue")
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())
    assert all(table["SSESpecification"]["SSEEnabled"] is True for table in TABLES.values())


def test_the_bucket_is_private_and_expires_uploads() -> None:
    assert set(BUCKET["PublicAccessBlockConfiguration"].values()) == {True}
    lifecycle = {rule["Id"]: rule for rule in BUCKET["LifecycleConfiguration"]["Rules"]}
    assert lifecycle["expire-files"]["ExpirationInDays"] == {"Ref": "UploadRetentionDays"}
    assert "Prefix" not in lifecycle["expire-files"]
    assert lifecycle["expire-files"]["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0
    assert BUCKET["VersioningConfiguration"] == {"Status": "Enabled"}


@pytest.mark.parametrize("kind", ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"])
def test_only_tls_is_taken(kind: str) -> None:
    for policy in resources(kind).values():
        statement = policy["PolicyDocument"]["Statement"][0]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == "*"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_queue_has_a_policy() -> None:
    policies = resources("AWS::SQS::QueuePolicy").values()
    assert [queue for policy in policies for queue in policy["Queues"]] == [
        {"Ref": queue} for queue in QUEUES
    ]


def test_contacts_are_kept() -> None:
    contacts = load()["Resources"]["ContactsTable"]
    assert contacts["DeletionPolicy"] == contacts["UpdateReplacePolicy"] == "Retain"
    recovery = contacts["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery["PointInTimeRecoveryEnabled"] is True


def test_every_function_has_a_log_that_expires() -> None:
    logs = resources("AWS::Logs::LogGroup")
    functions = {f["LoggingConfig"]["LogGroup"]["Ref"] for f in FUNCTIONS.values()}
    assert {*functions, "ApiAccessLogs"} == set(logs)
    assert all(log["RetentionInDays"] == {"Ref": "LogRetentionDays"} for log in logs.values())


def test_a_table_has_backups_unless_all_that_is_in_it_goes_within_days() -> None:
    # .checkov.yaml leaves this check out for all tables.
    without = {
        name for name, table in TABLES.items() if "PointInTimeRecoverySpecification" not in table
    }
    assert without == {"DryRunContactsTable", "IdempotencyTable"}
    assert all("TimeToLiveSpecification" in TABLES[name] for name in without)


def test_a_deployment_asks_nothing() -> None:
    # As `make deploy` and the embedded AWS's deployment do: local/sam.py.
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]["deploy"]
    assert settings["parameters"] == {
        "stack_name": STACK_NAME,
        "capabilities": "CAPABILITY_IAM",
        "resolve_s3": True,
        "confirm_changeset": False,
        "fail_on_empty_changeset": False,
    }


def test_every_check_that_is_left_out_has_a_reason() -> None:
    lines = (ROOT / ".checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    for before, line in pairwise(["", *lines]):
        assert line.lstrip().startswith(("# ", "- CKV_"))
        if line.lstrip().startswith("- "):
            assert before.lstrip().startswith("# ")
            assert before.endswith(".")


def test_everything_that_takes_tags_is_tagged() -> None:
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::IAM::Role"):
        for properties in resources(kind).values():
            assert properties["Tags"] == [{"Key": "application", "Value": "contact-imports"}]


@pytest.mark.parametrize(
    ("function", "environment"),
    [
        ("ApiFunction", ApiEnvironment),
        ("ProcessorFunction", ProcessorEnvironment),
        ("RowBatchFunction", RowBatchEnvironment),
        ("DeadLetterFunction", DeadLetterEnvironment),
        ("ImportEndedFunction", ImportEndedEnvironment),
    ],
)
def test_a_function_gets_the_environment_that_it_reads(
    function: str, environment: type[msgspec.Struct]
) -> None:
    variables = set(FUNCTIONS[function]["Environment"]["Variables"])
    # Read before the rest, when the module is imported.
    early = {"POWERTOOLS_SERVICE_NAME"} | ({CONSOLE_ORIGIN} if function == "ApiFunction" else set())
    assert variables - early == set(environment.__struct_fields__)


def test_a_queue_hides_a_message_for_six_times_the_functions_timeout() -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    seen = set()
    for function in FUNCTIONS.values():
        for event in function["Events"].values():
            if event["Type"] == "SQS":
                queue, _ = event["Properties"]["Queue"]["Fn::GetAtt"]
                assert QUEUES[queue]["VisibilityTimeout"] >= 6 * function["Timeout"]
                assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
                seen.add(queue)
    # The others are for a person: tests/unit/test_transformed_template.py.
    assert seen == {"RowQueue", "DeadLetterQueue", "ProcessorFailuresQueue"}


def test_row_batches_that_keep_failing_become_dead_letters() -> None:
    redrive = QUEUES["RowQueue"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert QUEUES["RowQueue"]["FifoQueue"] == QUEUES["DeadLetterQueue"]["FifoQueue"] is True


@pytest.mark.parametrize("queue", ["RowQueue", "DeadLetterQueue", "ProcessorFailuresQueue"])
def test_a_message_survives_hours_of_throttling_and_no_more_than_a_day_of_anything(
    queue: str,
) -> None:
    properties = QUEUES[queue]
    tries = properties["RedrivePolicy"]["maxReceiveCount"]
    assert tries >= 5  # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    longest = FIRST_THROTTLED_SECONDS
    shortest_sum = longest_sum = 0
    for receives in range(1, tries + 1):
        drawn = {seconds_put_off(receives, passes=True) for _ in range(20)}
        assert longest / 2 <= min(drawn) <= max(drawn) <= longest
        shortest_sum += longest // 2
        longest_sum += longest
        longest = min(2 * longest, LONGEST_THROTTLED_SECONDS)
    # Even if each wait is the shortest that may be drawn.
    assert shortest_sum > 5 * 3600
    # And within the time that the queue keeps a message, whatever it fails by, with the time of the tries themselves.
    timeout = max(function["Timeout"] for function in FUNCTIONS.values() if _reads(function, queue))
    for seconds in (longest_sum, tries * FAILED_SECONDS, tries * properties["VisibilityTimeout"]):
        assert seconds + tries * timeout < properties["MessageRetentionPeriod"] / 2
    assert QUEUES["RowQueue"]["MessageRetentionPeriod"] < IMPORT_DEADLINE_SECONDS
    assert timeout < FAILED_SECONDS


def _reads(function: dict[str, Any], queue: str) -> bool:
    return any(
        event["Type"] == "SQS" and event["Properties"]["Queue"]["Fn::GetAtt"][0] == queue
        for event in function["Events"].values()
    )


def test_a_processor_that_keeps_failing_is_handed_over() -> None:
    invoke = FUNCTIONS["ProcessorFunction"]["EventInvokeConfig"]
    assert invoke["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["ProcessorFailuresQueue", "Arn"]},
    }
    # An import without a checked file is failed only when no processor can still be at it.
    processor = FUNCTIONS["ProcessorFunction"]["Timeout"]
    tries = (invoke["MaximumRetryAttempts"] + 1) * processor + ASYNC_RETRY_DELAYS_SECONDS
    assert invoke["MaximumEventAgeInSeconds"] + tries <= UPLOAD_DEADLINE_SECONDS


def test_an_import_is_failed_only_when_no_row_of_it_can_still_be_under_way() -> None:
    retention = QUEUES["RowQueue"]["MessageRetentionPeriod"]
    sending = FUNCTIONS["ProcessorFunction"]["Timeout"] * 3 + ASYNC_RETRY_DELAYS_SECONDS
    assert retention + sending + FUNCTIONS["RowBatchFunction"]["Timeout"] <= IMPORT_DEADLINE_SECONDS


def test_imports_can_be_found_by_deadline_and_by_project() -> None:
    indexes = TABLES["ImportsTable"]["GlobalSecondaryIndexes"]
    assert {index["IndexName"] for index in indexes} == {OPEN_INDEX, PROJECT_INDEX}


def test_the_row_batches_of_the_largest_file_have_room() -> None:
    storage = FUNCTIONS["ProcessorFunction"]["EphemeralStorage"]["Size"]
    assert storage * 1024**2 >= 2 * MAX_FILE_BYTES


def test_what_is_kept_for_a_while_goes_by_itself() -> None:
    for table in ("DryRunContactsTable", "IdempotencyTable", "ImportsTable"):
        assert TABLES[table]["TimeToLiveSpecification"]["Enabled"] is True


def test_only_what_was_uploaded_or_dropped_starts_the_processor() -> None:
    events = FUNCTIONS["ProcessorFunction"]["Events"].values()
    prefixes = [event["Properties"]["Filter"]["S3Key"]["Rules"][0]["Value"] for event in events]
    assert sorted(prefixes) == ["drop/", "imports/"]


def test_the_stream_starts_a_function_at_an_imports_end_alone_and_once() -> None:
    (event,) = FUNCTIONS["ImportEndedFunction"]["Events"].values()
    (one,) = event["Properties"]["FilterCriteria"]["Filters"]
    assert json.loads(one["Pattern"]) == {"dynamodb": {"NewImage": {"report": {"S": [REPORT_DUE]}}}}
    assert event["Properties"]["MaximumRecordAgeInSeconds"] > REPORT_SECONDS
    # The tries of one that fails slowly are over before the ends behind it are forgotten.
    tries = event["Properties"]["MaximumRetryAttempts"] + 1
    timeout = FUNCTIONS["ImportEndedFunction"]["Timeout"]
    assert tries * timeout < event["Properties"]["MaximumRecordAgeInSeconds"] / 10
    # The schedule begins with its own when they are over.
    assert tries * timeout < REPORT_RETRY_SECONDS


def test_a_dead_letter_or_an_end_has_the_functions_time_to_itself(
    function_environment: None,
) -> None:
    for function in ("DeadLetterFunction", "ImportEndedFunction"):
        events = [event["Properties"] for event in FUNCTIONS[function]["Events"].values()]
        sizes = [event["BatchSize"] for event in events if "Schedule" not in event]
        assert set(sizes) == {1}
    for function, left in (
        ("DeadLetterFunction", handler("dead_letter").SWEEP_ENDS_BEFORE_TIMEOUT_MS),
        ("ImportEndedFunction", handler("import_ended").REPORT_ENDS_BEFORE_TIMEOUT_MS),
    ):
        assert 0 < left < FUNCTIONS[function]["Timeout"] * 1000 / 3


def test_what_the_gateway_refuses_has_the_errors_shape() -> None:
    responses = API["GatewayResponses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "REQUEST_TOO_LARGE", "THROTTLED"} <= set(responses)
    for response in responses.values():
        answer = json.loads(response["ResponseTemplates"]["application/json"])
        assert set(answer) == {"success", "error", "code"}
        assert answer["success"] is False
    statuses = {kind: response.get("StatusCode") for kind, response in responses.items()}
    assert statuses["REQUEST_TOO_LARGE"] == 413
    assert statuses["MISSING_AUTHENTICATION_TOKEN"] == 404
    too_large = responses["REQUEST_TOO_LARGE"]["ResponseTemplates"]["application/json"]
    assert f"{MAX_UPLOAD_BYTES:,}" in too_large
    assert UPLOADS_PATH in too_large


def test_what_the_gateway_refuses_has_the_requests_id_and_when_to_retry() -> None:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html:
    # a header is mapped from the context by name, or is a text in single quotes.
    for response in API["GatewayResponses"].values():
        headers = response["ResponseParameters"]["Headers"]
        assert headers[REQUEST_ID_HEADER] == "context.requestId"
        assert ("Retry-After" in headers) == (response.get("StatusCode") == 429)
        if "Retry-After" in headers:
            assert re.fullmatch(r"'[1-9]\d*'", headers["Retry-After"])


def test_the_gateway_passes_files_as_they_are_and_limits_requests() -> None:
    assert API["BinaryMediaTypes"] == ["multipart/form-data"]
    (settings,) = API["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}


def statements() -> list[tuple[str, dict[str, Any]]]:
    return [
        (role, statement)
        for role, properties in ROLES.items()
        for policy in properties["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def test_no_permission_is_open() -> None:
    functions = {f["Role"]["Fn::GetAtt"][0] for f in FUNCTIONS.values()}
    assert {*functions, "WebhookRole"} == set(ROLES)
    assert not any("ManagedPolicyArns" in role for role in ROLES.values())
    for _, statement in statements():
        assert "*" not in str(statement["Action"])
        assert statement["Resource"] != "*"


def test_who_may_write_contacts_and_files() -> None:
    may = {(role, action) for role, s in statements() for action in _list(s["Action"])}
    assert {role for role, action in may if "PartiQL" in action} == {"RowBatchRole"}
    files = [(role, s) for role, s in statements() if "s3:PutObject" in _list(s["Action"])]
    written = {
        (role, resource["Fn::Sub"].rsplit("/", 2)[1])
        for role, s in files
        for resource in _list(s["Resource"])
    }
    # Nothing that a function writes starts another import, but for the API's uploads.
    assert written == {
        ("ApiRole", "imports"),
        ("ImportEndedRole", "reports"),
        ("ImportEndedRole", "results"),
        ("ProcessorRole", "results"),
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_row_batches_are_received_one_by_one_and_have_time_to_wait() -> None:
    function = FUNCTIONS["RowBatchFunction"]
    (event,) = function["Events"].values()
    # What is received along with a batch that fails has its receives counted as well.
    assert event["Properties"]["BatchSize"] == 1
    # A call that begins at the last moment ends, and so do the next one and telling SQS when the batch comes again.
    assert PATIENCE_SECONDS < GIVEN_BACK_AFTER_SECONDS
    assert function["Timeout"] > GIVEN_BACK_AFTER_SECONDS + 3 * (RESERVED_SECONDS - 2)
    assert 2 * function["Timeout"] < QUIET_AFTER.total_seconds()


def test_the_functions_have_the_sdk_that_the_tests_had() -> None:
    # The managed runtime's own changes under a deployed function, with other retries and protocols.
    layer = (ROOT / "layers" / "contact_imports" / "requirements.txt").read_text().splitlines()
    for name in ("boto3", "botocore"):
        assert f"{name}=={version(name)}" in layer


def test_ten_thousand_files_dropped_at_once_end_in_a_new_account() -> None:
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: new accounts have ten
    # concurrent executions. One is left to the API; small files take the processor two seconds, cold.
    account, api, files, seconds_a_file = 10, 1, 10_000, 2
    processors = account - api - load()["Parameters"]["RowBatchConcurrency"]["Default"]
    age = FUNCTIONS["ProcessorFunction"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    assert files * seconds_a_file / processors < age


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        ("ApiFunction", "ApiReservedConcurrency"),
        ("ProcessorFunction", "ProcessorReservedConcurrency"),
    ],
)
def test_concurrency_is_reserved_only_where_that_is_asked_for(
    function: str, parameter: str
) -> None:
    template = load()
    assert template["Parameters"][parameter]["Default"] == 0
    condition, reserved, otherwise = FUNCTIONS[function]["ReservedConcurrentExecutions"]["Fn::If"]
    assert template["Conditions"][condition] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]
    }
    assert (reserved, otherwise) == ({"Ref": parameter}, {"Ref": "AWS::NoValue"})
