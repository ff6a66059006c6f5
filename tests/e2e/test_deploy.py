"""`make deploy`, onto the embedded AWS, as a user with only the documented permissions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from contact_imports.aws.api_keys_table import ApiKeyTable
from local import sam
from local.deploy import MAX_STACK_NAME_CHARACTERS
from local.emulator import TOOLS, StackError
from local.sam import ARM64, RUNTIME, X86_64
from local.stack import NOT_HERE, ROOT, LocalStack
from tests import transformed

STACK = "second"

# Those that make no resource of a type that the embedded AWS does not have.
OPTIONAL = {
    "AccessLog": "true",
    "AlarmEmail": "ops@example.com",
    "ConsoleOrigin": "https://console.example.com",
    "DropBucketWriters": "222222222222",
    "LogLevel": "DEBUG",
    "Tracing": "true",
    "WebAclArn": "",
}
POLICY = (ROOT / "docs" / "deployer-policy.json").read_text()

# Permissions of resource types for features that the template does not use.
NOT_USED = (
    *(
        "ec2:*",
        "elasticfilesystem:*",
        "firehose:*",
        "kinesis:*",
        "kms:ListAliases",
        "kms:RevokeGrant",
        "s3files:*",
        "s3tables:*",
    ),
    *("iam:*GroupPolicy", "iam:*PermissionsBoundary", "iam:*UserPolicy"),
    *("lambda:*CodeSigningConfig", "lambda:PassCapacityProvider"),
    *("logs:*LogDelivery", "logs:*ResourcePolicy"),
    # A web ACL can be that of other services, too.
    *("amplify:*", "apprunner:*", "appsync:*", "bedrock-agentcore:*", "cognito-idp:*"),
    "elasticloadbalancing:*",
)


def allowed_actions() -> list[str]:
    actions: list[str] = []
    for statement in json.loads(POLICY)["Statement"]:
        assert statement["Effect"] == "Allow"
        action = statement["Action"]
        actions += [action] if isinstance(action, str) else action
    return actions


def declared_permissions(resource_type: str) -> set[str]:
    """The permissions that a type's CloudFormation schema declares for create, read, update and delete."""
    (schemas,) = (TOOLS / "sam" / "lib").glob("python3*/site-packages/cfnlint/data/schemas")
    index = json.loads((schemas / "providers" / "us-east-1.json").read_text())
    schema = json.loads((schemas / "resources" / f"{index[resource_type]}.json").read_text())
    return {
        permission
        for handler, says in schema["handlers"].items()
        if handler != "list"
        for permission in says["permissions"]
    }


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def deployer(deployed: LocalStack) -> Iterator[dict[str, str]]:
    """The environment of a user who has docs/deployer-policy.json and nothing else."""
    iam = deployed.client("iam")
    iam.create_user(UserName="deployer")
    policy = POLICY.replace("contact-imports", STACK)
    iam.put_user_policy(UserName="deployer", PolicyName="deployer", PolicyDocument=policy)
    key: dict[str, Any] = iam.create_access_key(UserName="deployer")["AccessKey"]
    yield {
        **deployed.aws_environment,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    iam.delete_access_key(UserName="deployer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="deployer", PolicyName="deployer")
    iam.delete_user(UserName="deployer")


def test_a_deployer_with_the_documented_policy(
    deployed: LocalStack, deployer: dict[str, str]
) -> None:
    command = ("local.deploy", "deploy", "--stack-name", STACK)
    here = [f"{name}={value}" for name, value in NOT_HERE.items()]
    first = run(deployer, *command, "--architecture", X86_64, "LogRetentionDays=7", *here)
    assert first.returncode == 0, first.stdout + first.stderr
    cloudformation = deployed.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    outputs = {out["OutputKey"]: out["OutputValue"] for out in stack["Outputs"]}
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert parameters["LogRetentionDays"] == "7"
    # One runtime for the build and for the functions.
    assert parameters["Runtime"] == RUNTIME
    assert parameters["Architecture"] == X86_64
    assert f"export API_URL={outputs['ApiUrl']}\n" in first.stdout
    assert f"export UPLOADS_BUCKET={outputs['UploadsBucketName']}\n" in first.stdout
    assert f"make -s key PROJECT=$PROJECT_ID STACK={STACK}" in first.stdout
    assert "has no authentication" not in first.stdout + first.stderr

    key = deployed.client("kms").create_key()["KeyMetadata"]["Arn"]
    more = {**OPTIONAL, "KmsKeyArn": key}
    again = run(deployer, *command, *(f"{name}={value}" for name, value in more.items()))
    assert again.returncode == 0, again.stdout + again.stderr
    # What is left out stays as it was, for the build too.
    assert f"Building for {RUNTIME} on {X86_64}\n" in again.stdout
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]} == {
        **parameters,
        **more,
    }

    made = run(deployer, "local.api_key", "--stack-name", STACK, "create", "--project", "acme")
    assert made.returncode == 0, made.stderr
    keys = ApiKeyTable(deployed.client("dynamodb"), outputs["ApiKeysTableName"])
    found = keys.find(made.stdout.strip())
    assert found is not None


def test_who_has_no_permission_is_told(deployed: LocalStack, deployer: dict[str, str]) -> None:
    refused = run(deployer, "local.api_key", "create", "--project", "acme")
    assert refused.returncode == 1
    assert re.fullmatch(r"AWS answered: .*AccessDenied.*\n", refused.stderr)


def test_the_policy_has_what_resource_types_declare(deployed: LocalStack) -> None:
    pages = deployed.client("cloudformation").get_paginator("list_stack_resources")
    here = {
        resource["ResourceType"]
        for page in pages.paginate(StackName="contact-imports")
        for resource in page["StackResourceSummaries"]
    }
    assert len(here) > 10
    # With those of the optional parameters.
    types = {resource["Type"] for resource in transformed.load()["Resources"].values()}
    assert here < types
    allowed = allowed_actions()
    missing = {
        permission
        for resource_type in types
        for permission in declared_permissions(resource_type)
        if not any(fnmatchcase(permission, pattern) for pattern in (*allowed, *NOT_USED))
    }
    assert missing == set()


@pytest.mark.parametrize(
    "name", ["Contacts", "contact_imports", "1st", "-a", "x" * (MAX_STACK_NAME_CHARACTERS + 1)]
)
def test_a_stack_name_that_cannot_be(name: str) -> None:
    refused = run({}, "local.deploy", "deploy", f"--stack-name={name}")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"{name!r} cannot be the stack's name" in refused.stderr


def test_the_longest_stack_name_makes_a_bucket_name_of_s3() -> None:
    longest_region = "ap-northeast-1"
    bucket = f"{'x' * MAX_STACK_NAME_CHARACTERS}-uploads-{'0' * 12}-{longest_region}"
    assert len(bucket) == 63


def test_a_parameter_without_a_value(deployed: LocalStack) -> None:
    with pytest.raises(StackError, match="Write Name=value"):
        sam.deploy(deployed.build_folder, STACK, RUNTIME, X86_64, ["AlarmEmail"], {}, None)


@pytest.mark.parametrize("name", ["Runtime", "Architecture"])
def test_what_the_build_needs_is_no_parameter_of_the_template_alone(name: str) -> None:
    refused = run({}, "local.deploy", "deploy", f"{name}={ARM64}")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"{name.upper()}=..." in refused.stderr


def test_a_runtime_that_is_not_here(tmp_path: Path) -> None:
    refused = run({}, "local.deploy", "build", "--runtime", "python3.99")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"RUNTIME={RUNTIME}" in refused.stderr
