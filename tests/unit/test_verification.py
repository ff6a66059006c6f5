"""`make verify-deployment`: every check of settings fails where its setting is missing, and no error ends the run."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from rich.console import Console

from local.client import NoApiAnswerError
from local.verification import settings
from local.verification.__main__ import verify
from local.verification.checks import (
    Check,
    CheckError,
    NotCheckedError,
    Verdict,
    expect_equal,
    expect_none,
    finding_of,
)
from local.verification.deployment import Deployment

REGION = "us-east-1"
BUCKET = "uploads"


class OneStage:
    """An API Gateway; moto's needs more packages."""

    def get_stages(self, **_: str) -> dict[str, Any]:
        return {"item": [{"stageName": "prod"}]}


class RolledBack:
    """A CloudFormation whose stack was rolled back, with a bucket that somebody changed."""

    def describe_stacks(self, **_: str) -> dict[str, Any]:
        return {"Stacks": [{"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}]}

    def detect_stack_drift(self, **_: str) -> dict[str, Any]:
        return {"StackDriftDetectionId": "1"}

    def describe_stack_drift_detection_status(self, **_: str) -> dict[str, Any]:
        return {"DetectionStatus": "DETECTION_COMPLETE"}

    def describe_stack_resource_drifts(self, **_: Any) -> dict[str, Any]:
        return {"StackResourceDrifts": [{"LogicalResourceId": "UploadsBucket"}]}


class Bare(Deployment):
    """A stack whose resources have no settings but AWS's defaults."""

    is_embedded = False


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bare]:
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_REGION", REGION),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws():
        outputs = {
            name: name for name in ("ContactsTableName", "TagsTableName", "ImportsTableName")
        }
        deployment = Bare(
            "stack",
            {**outputs, "ApiKeysTableName": "keys", "UploadsBucketName": BUCKET},
            "https://api.invalid",
        )
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        for name in ("ContactsTableName", "TagsTableName"):
            boto3.client("dynamodb").create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            )
        queue = boto3.client("sqs").create_queue(
            QueueName="rows", Attributes={"SqsManagedSseEnabled": "false"}
        )["QueueUrl"]
        boto3.client("logs").create_log_group(logGroupName="api")
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName="alarm", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
        )  # fmt: skip
        deployment.outputs["ApiId"] = "api"
        deployment._clients["apigateway"] = OneStage()
        deployment._clients["cloudformation"] = RolledBack()
        vars(deployment)["resources"] = {
            "AWS::DynamoDB::Table": {
                "ContactsTable": "ContactsTableName",
                "TagsTable": "TagsTableName",
            },
            "AWS::SQS::Queue": {"RowQueue": queue},
            "AWS::Logs::LogGroup": {"ApiLogs": "api"},
            "AWS::CloudWatch::Alarm": {"Alarm": "alarm"},
        }
        yield deployment


@pytest.mark.parametrize("check", settings.CHECKS, ids=lambda check: check.run.__name__)
def test_a_stack_without_settings_fails(check: Check, bare: Bare) -> None:
    assert finding_of(check, bare).verdict is Verdict.FAILS


def _raises(error: Exception) -> Callable[[Deployment], None]:
    def run(_: Deployment) -> None:
        raise error

    return run


def _aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetItem")


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (CheckError("counts differ"), Verdict.FAILS, "counts differ"),
        (NotCheckedError("no burst"), Verdict.NOT_CHECKED, "no burst"),
        (_aws_error("AccessDeniedException"), Verdict.NOT_CHECKED, "do not allow GetItem"),
        (_aws_error("ResourceNotFoundException"), Verdict.FAILS, "ResourceNotFound"),
        (httpx.ConnectError("refused"), Verdict.FAILS, "refused"),
        (httpx.ReadTimeout(""), Verdict.FAILS, "ReadTimeout"),
        (TimeoutError("late"), Verdict.FAILS, "late"),
        (NoApiAnswerError("answered by a proxy"), Verdict.FAILS, "answered by a proxy"),
        (KeyError("data"), Verdict.FAILS, "KeyError: 'data'"),
    ],
)
def test_an_error_is_a_finding(bare: Bare, error: Exception, verdict: Verdict, reason: str) -> None:
    finding = finding_of(Check("p", _raises(error)), bare)
    assert finding.verdict is verdict
    assert reason in finding.reason


def test_a_known_difference_of_the_embedded_aws_is_not_a_pass(bare: Bare) -> None:
    check = Check("p", lambda _: None, "It has no such setting.")
    assert finding_of(check, bare).verdict is Verdict.HOLDS
    bare.is_embedded = True
    assert finding_of(check, bare).verdict is Verdict.KNOWN_DIFFERENCE


def test_what_differs_is_said() -> None:
    with pytest.raises(CheckError, match="status: expected 413, found 500"):
        expect_equal("status", 500, 413)
    with pytest.raises(CheckError, match="Not encrypted: RowQueue, Other"):
        expect_none("Not encrypted", ["RowQueue", "Other"])
    expect_equal("status", 413, 413)
    expect_none("Not encrypted", [])


@pytest.mark.parametrize(("error", "passes"), [(None, True), (CheckError("no"), False)])
def test_the_run_fails_where_a_check_does_and_removes_its_traces(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, error: Exception | None, *, passes: bool
) -> None:
    undone: list[str] = []
    bare.at_the_end(lambda: undone.append("first"))
    bare.at_the_end(lambda: undone.append("second"))
    monkeypatch.setattr("local.verification.deployment.Deployment._delete_records", lambda _: None)
    monkeypatch.setattr("local.verification.deployment.Deployment._delete_contacts", lambda _: None)
    monkeypatch.setattr("local.verification.deployment.Deployment._delete_tags", lambda _: None)
    monkeypatch.setattr(
        settings, "CHECKS", (Check("p", _raises(error) if error else lambda _: None),)
    )
    monkeypatch.setattr("local.verification.use.CHECKS", ())
    assert verify(Console(file=io.StringIO()), bare) is passes
    assert undone == ["second", "first"]


def test_a_trace_that_stays_is_told_and_the_others_go(bare: Bare) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket=BUCKET, Key=f"drop/{bare.project}/a", Body=b"x")
    s3.put_object(Bucket=BUCKET, Key="drop/other/a", Body=b"x")
    bare.at_the_end(_fail)
    left = bare.remove_traces()
    assert any("stuck" in what for what in left)
    objects = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    assert [version["Key"] for version in objects] == ["drop/other/a"]


def _fail() -> None:
    raise RuntimeError("stuck")
