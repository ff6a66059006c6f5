"""Checks by reading: what AWS says of the stack's resources."""

from __future__ import annotations

import time
from typing import Any

from local.verification.checks import Check, CheckError, NotCheckedError, expect_equal, expect_none
from local.verification.deployment import Deployment

_DRIFT_SECONDS = 300
_DRIFT_POLL_SECONDS = 5
_KEPT = {"ContactsTable", "TagsTable"}
"""The tables that stay when the stack is deleted."""
_PRIVATE = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def _each(deployment: Deployment, kind: str) -> dict[str, str]:
    """Logical to physical id of the stack's resources of a type; raises CheckError if there is none."""
    found = deployment.resources.get(kind)
    if not found:
        raise CheckError(f"The stack has no {kind}.")
    return found


def stack_is_complete(deployment: Deployment) -> None:
    stacks = deployment.aws("cloudformation").describe_stacks(StackName=deployment.stack_name)
    status = stacks["Stacks"][0]["StackStatus"]
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise CheckError(f"The stack is {status}.")


def no_drift(deployment: Deployment) -> None:
    """CloudFormation compares what is there with the template, resource by resource.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html
    """
    client = deployment.aws("cloudformation")
    detection = client.detect_stack_drift(StackName=deployment.stack_name)["StackDriftDetectionId"]
    deadline = time.monotonic() + _DRIFT_SECONDS
    while True:
        status = client.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if status["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"Drift detection is not done after {_DRIFT_SECONDS} seconds.")
        time.sleep(_DRIFT_POLL_SECONDS)
    drifts = client.describe_stack_resource_drifts(
        StackName=deployment.stack_name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
    )["StackResourceDrifts"]
    expect_none(
        "Changed since the deployment, by other means than the template",
        [drift["LogicalResourceId"] for drift in drifts],
    )
    if status["DetectionStatus"] == "DETECTION_FAILED":
        reason = status.get("DetectionStatusReason", "without a reason")
        raise NotCheckedError(f"Drift detection failed: {reason}")


def bucket_is_private(deployment: Deployment) -> None:
    s3, bucket = deployment.aws("s3"), deployment.bucket
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    expect_none("Not blocked", [name for name in _PRIVATE if not blocked.get(name)])
    versioning = s3.get_bucket_versioning(Bucket=bucket).get("Status")
    expect_equal("versioning", versioning, "Enabled")


def bucket_is_encrypted(deployment: Deployment) -> None:
    configuration = deployment.aws("s3").get_bucket_encryption(Bucket=deployment.bucket)
    (rule,) = configuration["ServerSideEncryptionConfiguration"]["Rules"]
    algorithm = rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    if algorithm not in ("AES256", "aws:kms"):
        raise CheckError(f"The algorithm is {algorithm}.")


def files_expire(deployment: Deployment) -> None:
    rules = deployment.aws("s3").get_bucket_lifecycle_configuration(Bucket=deployment.bucket)[
        "Rules"
    ]
    enabled: dict[str, Any] = {}
    for rule in rules:
        if rule["Status"] == "Enabled":
            enabled |= rule
    wanted = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    expect_none("No rule for", [name for name in wanted if name not in enabled])


def tables_are_encrypted(deployment: Deployment) -> None:
    client = deployment.aws("dynamodb")
    tables = {
        name: client.describe_table(TableName=table)["Table"]
        for name, table in _each(deployment, "AWS::DynamoDB::Table").items()
    }
    expect_none(
        "Not encrypted with a KMS key",
        [n for n, t in tables.items() if t.get("SSEDescription", {}).get("Status") != "ENABLED"],
    )


def contacts_can_be_restored(deployment: Deployment) -> None:
    client = deployment.aws("dynamodb")
    tables = _each(deployment, "AWS::DynamoDB::Table")
    states = {
        name: client.describe_continuous_backups(TableName=tables[name])[
            "ContinuousBackupsDescription"
        ]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
        for name in _KEPT
    }
    expect_none("Without recovery", [n for n, state in states.items() if state != "ENABLED"])


def queues_are_encrypted(deployment: Deployment) -> None:
    client = deployment.aws("sqs")
    bare = []
    for name, url in _each(deployment, "AWS::SQS::Queue").items():
        attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        if attributes.get("SqsManagedSseEnabled") != "true" and "KmsMasterKeyId" not in attributes:
            bare.append(name)
    expect_none("Not encrypted", bare)


def events_reach_functions(deployment: Deployment) -> None:
    client = deployment.aws("lambda")
    states = {
        name: client.get_event_source_mapping(UUID=uuid)["State"]
        for name, uuid in _each(deployment, "AWS::Lambda::EventSourceMapping").items()
    }
    expect_none("Not enabled", [f"{n} ({s})" for n, s in states.items() if s != "Enabled"])
    targets = {
        target["LambdaFunctionArn"].rsplit(":", 1)[-1]
        for target in deployment.aws("s3").get_bucket_notification_configuration(
            Bucket=deployment.bucket
        )["LambdaFunctionConfigurations"]
    }
    processor = _each(deployment, "AWS::Lambda::Function")["ProcessorFunction"]
    expect_equal("functions that the bucket calls", targets, {processor})


def ends_are_filtered(deployment: Deployment) -> None:
    client = deployment.aws("lambda")
    mappings = [
        client.get_event_source_mapping(UUID=uuid)
        for uuid in _each(deployment, "AWS::Lambda::EventSourceMapping").values()
    ]
    streams = [mapping for mapping in mappings if ":dynamodb:" in mapping["EventSourceArn"]]
    expect_none(
        "Without a filter or a destination for failures",
        [
            mapping["UUID"]
            for mapping in streams
            if not mapping.get("FilterCriteria", {}).get("Filters")
            or not mapping.get("DestinationConfig", {}).get("OnFailure")
        ],
    )


def failed_events_are_kept(deployment: Deployment) -> None:
    processor = _each(deployment, "AWS::Lambda::Function")["ProcessorFunction"]
    pages = deployment.aws("lambda").get_paginator("list_function_event_invoke_configs")
    configs = [
        config
        for page in pages.paginate(FunctionName=processor)
        for config in page["FunctionEventInvokeConfigs"]
    ]
    if not any(config.get("DestinationConfig", {}).get("OnFailure") for config in configs):
        raise CheckError("The processor has no destination for events that failed.")


def logs_expire(deployment: Deployment) -> None:
    client = deployment.aws("logs")
    kept = []
    for name, group in _each(deployment, "AWS::Logs::LogGroup").items():
        groups = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not any(g["logGroupName"] == group and g.get("retentionInDays") for g in groups):
            kept.append(name)
    expect_none("Kept for ever", kept)


def alarms_are_there(deployment: Deployment) -> None:
    alarms = _each(deployment, "AWS::CloudWatch::Alarm")
    found = {
        alarm["AlarmName"]: alarm
        for page in deployment.aws("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(AlarmNames=list(alarms.values()))
        for alarm in page["MetricAlarms"]
    }
    expect_none("Missing", [name for name, alarm in alarms.items() if alarm not in found])
    silent = [name for name, alarm in alarms.items() if not found[alarm].get("AlarmActions")]
    expect_none("Alarms that notify nobody (set AlarmEmail)", silent)


def one_throttled_stage(deployment: Deployment) -> None:
    api = deployment.outputs["ApiId"]
    stages = deployment.aws("apigateway").get_stages(restApiId=api)["item"]
    expect_equal("stages", [stage["stageName"] for stage in stages], ["prod"])
    settings = stages[0].get("methodSettings", {}).get("*/*", {})
    if not settings.get("throttlingRateLimit") or not settings.get("throttlingBurstLimit"):
        raise CheckError("The stage does not limit requests.")


_NOT_SHOWN = "The embedded DynamoDB does not show this setting."

CHECKS = (
    Check("The stack is deployed completely", stack_is_complete),
    Check("Nothing was changed since the deployment (drift detection)", no_drift),
    Check("The bucket is private and versioned", bucket_is_private),
    Check("The bucket is encrypted", bucket_is_encrypted),
    Check("Files and old versions expire", files_expire,
          "The embedded CloudFormation drops lifecycle rules."),
    Check("Tables are encrypted", tables_are_encrypted, _NOT_SHOWN),
    Check("Contacts can be restored to any second", contacts_can_be_restored, _NOT_SHOWN),
    Check("Queues are encrypted", queues_are_encrypted),
    Check("Queues, the bucket and the stream call their functions", events_reach_functions),
    Check("Of the stream, only ends of imports call a function", ends_are_filtered),
    Check("Events that the processor fails on are kept", failed_events_are_kept),
    Check("Logs expire", logs_expire),
    Check("Every alarm is there and notifies somebody", alarms_are_there,
          "The stack of `make up` has no AlarmEmail."),
    Check("The API has one stage, and it limits requests", one_throttled_stage),
)  # fmt: skip
