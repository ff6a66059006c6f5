"""The documented way to empty the bucket, which keeps old versions, so that its stack can be deleted."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.config import Config

from local.emulator import TOOLS
from local.stack import ROOT, LocalStack

PAGE = 1000
"""Versions that one request lists and one deletes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
BUCKET = "full"


def commands() -> str:
    """The lines of docs/operations.md from the bucket's name to the end of the loop."""
    text = (ROOT / "docs" / "operations.md").read_text()
    (block,) = re.findall(r"^(    BUCKET=.*?\bdone)$", text, re.MULTILINE | re.DOTALL)
    return re.sub(r"^    BUCKET=.*", f"BUCKET={BUCKET}", block, flags=re.MULTILINE)


def test_the_commands_empty_a_bucket_of_many_versions(
    embedded_aws: LocalStack, tmp_path: Path
) -> None:
    s3 = embedded_aws.client("s3", config=Config(max_pool_connections=8))
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    keys = [f"drop/a project/{number}.csv" for number in range(PAGE)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))
    s3.put_object(Bucket=BUCKET, Key=keys[0], Body=b"y")
    s3.delete_object(Bucket=BUCKET, Key=keys[1])
    emptied = subprocess.run(
        ["bash", "-euc", commands()],
        cwd=tmp_path,
        env={
            **os.environ,
            **embedded_aws.aws_environment,
            "PATH": f"{TOOLS / 'aws' / 'bin'}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert emptied.returncode == 0, emptied.stderr
    left = s3.list_object_versions(Bucket=BUCKET)
    assert "Versions" not in left
    assert "DeleteMarkers" not in left
    s3.delete_bucket(Bucket=BUCKET)
