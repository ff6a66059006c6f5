"""Runs the functions of one release, whose code is on PYTHONPATH: calls come in as lines of JSON, answers go out.

It imports nothing of this repository, so that it can run any release.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

from botocore.client import BaseClient

CONTEXT = SimpleNamespace(
    function_name="test",
    memory_limit_in_mb=128,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:test",
    aws_request_id="00000000-0000-0000-0000-000000000000",
    get_remaining_time_in_millis=lambda: 900_000,
)


class DiedError(BaseException):
    """The function dies: nothing catches it, and it makes no more calls."""


class Death:
    """Kills the function before a call of an AWS operation; `calls` is how many of them it makes before."""

    def __init__(self, operation: str | None, calls: int) -> None:
        self._operation = operation
        self._calls = calls
        self._dead = False
        self._lock = threading.Lock()

    def before(self, operation: str) -> None:
        with self._lock:
            if operation == self._operation:
                self._calls -= 1
                self._dead = self._dead or self._calls < 0
            if self._dead:
                raise DiedError


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the functions' logs
    death = Death(None, 0)
    real = BaseClient._make_api_call  # type: ignore[attr-defined]

    def make(client: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        death.before(operation)
        return real(client, operation, arguments)

    BaseClient._make_api_call = make  # type: ignore[attr-defined]
    for line in sys.stdin:
        call = json.loads(line)
        death = Death(*(call["dies_at"] or (None, 0)))
        module = importlib.import_module(f"functions.{call['function']}.app")
        try:
            answer = {"answer": module.lambda_handler(call["event"], CONTEXT)}
        except (Exception, DiedError) as error:
            answer = {"error": type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


main()
