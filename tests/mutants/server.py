"""Runs pytest in forks of one process that has loaded the libraries, which takes longer than most tests.

It reads a line of JSON for each run, `{"arguments": [...], "environment": {...}, "output": path}`, and answers a line
with the exit code. Only the fork loads the files under test. SIGINT ends a run, not the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import aws_lambda_powertools.utilities.batch
import boto3
import email_validator
import httpx
import hypothesis.strategies
import msgspec
import orjson
import pydantic
import pytest
import yaml

LOADED = (
    *(aws_lambda_powertools, boto3, email_validator, httpx, hypothesis, msgspec, orjson),
    *(pydantic, yaml),
)


def main() -> None:
    """Serves until its input ends."""
    for line in sys.stdin:
        run = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(run["environment"])
            _test(run["arguments"], Path(run["output"]))
        signal.signal(signal.SIGINT, lambda *_, pid=child: os.kill(pid, signal.SIGINT))
        _, status = os.waitpid(child, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _test(arguments: list[str], output: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        with output.open("wb") as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = int(pytest.main(arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
