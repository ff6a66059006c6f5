"""`make verify-deployment`, `make imports` and `make logs` on the deployed stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from local.client import ImportsClient
from local.stack import ROOT, LocalStack
from local.verification import settings, use
from local.verification.deployment import PROJECT_PREFIX


def run(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **stack.aws_environment, "API_URL": stack.api_url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_deployed_stack_is_verified_and_left_as_it_was(deployed: LocalStack) -> None:
    verified = run(deployed, "local.verification")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    differences = [check for check in (*settings.CHECKS, *use.CHECKS) if check.on_embedded]
    held = len(settings.CHECKS) + len(use.CHECKS) - len(differences)
    assert verified.stdout.rstrip().endswith(f"{held} holds, {len(differences)} known difference")
    for check in differences:
        assert re.search(re.escape(check.promise) + r" +│ known difference", verified.stdout)
    _assert_nothing_is_left(deployed)


def _assert_nothing_is_left(stack: LocalStack) -> None:
    dynamodb = stack.client("dynamodb")
    for output in ("ContactsTableName", "TagsTableName", "ImportsTableName", "ApiKeysTableName"):
        items = dynamodb.scan(TableName=stack.outputs[output])["Items"]
        assert PROJECT_PREFIX not in str(items), output
    objects = stack.client("s3").list_object_versions(Bucket=stack.outputs["UploadsBucketName"])
    assert PROJECT_PREFIX not in str((objects.get("Versions"), objects.get("DeleteMarkers")))
    assert PROJECT_PREFIX not in str(stack.client("sqs").list_queues().get("QueueUrls"))
    assert PROJECT_PREFIX not in str(stack.client("events").list_rules()["Rules"])


def test_a_stack_that_is_not_there(deployed: LocalStack) -> None:
    verified = run(deployed, "local.verification", "--stack-name", "nothing")
    assert verified.returncode == 2
    assert verified.stderr.startswith("The stack nothing was not found:")
    assert "Traceback" not in verified.stderr


def test_open_imports_and_logs_of_one(deployed: LocalStack) -> None:
    project = "watched"

    key = deployed.make_key(projects=(project,))
    with ImportsClient(deployed.api_url, key, deployed.ca_file) as client:
        created = client.post_json(project, {"email": "Email"}).json()["data"]
        shown = run(deployed, "local.imports", "--once").stdout
        assert re.search(rf"{created['id']} +│ {project} +│ pending", shown)
        done = client.post(b"Email\na@example.com\n", project, {"email": "Email"}).json()["data"]
        client.wait(done["id"], 120)
        logged = run(deployed, "local.logs", "--once", "--import-id", done["id"]).stdout
    lines = logged.splitlines()
    assert any(re.match(r"\S+ processor +INFO +upload processed", line) for line in lines)
    assert all(done["id"] in line for line in lines)
    shown = run(deployed, "local.imports", "--once").stdout
    assert done["id"] not in shown
