"""Prints what the functions of a stack log, oldest first, and follows it.

python -m local.logs [--stack-name contact-imports] [--since 10] [--import-id ID] [--once]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployed import resources_of
from local.sam import STACK_NAME

_REFRESH_SECONDS = 2
_LATE_MS = 30_000
"""How much older than the newest seen event another may be when it becomes visible."""
_STARTS_AND_ENDS = ("START RequestId", "END RequestId")
_LEFT_OUT = {"level", "location", "message", "timestamp", "service", "xray_trace_id"}
_METRICS = "_aws"
"""What only a line of metrics has: contact_imports.aws.metrics."""
_OF_LAMBDA = {"cold_start", "function_arn", "function_memory_size", "function_name"}


def line_of(event: dict[str, Any], group: str) -> str:
    """One log event as a line: time, service, level, message, and the fields that are left."""
    text = event["message"].strip()
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not entry.keys() & {"level", _METRICS}:
        return f"{at} {group:<16} {text}"
    if _METRICS in entry:
        return f"{at} {group:<16} METRICS {_metrics(entry)}"
    level, message = entry["level"], entry.get("message", "")
    fields = {k: v for k, v in entry.items() if k not in _LEFT_OUT | _OF_LAMBDA}
    rest = " ".join(f"{name}={_short(value)}" for name, value in fields.items())
    return f"{at} {entry.get('service', group):<16} {level:<7} {message} {rest}".rstrip()


def _metrics(entry: dict[str, Any]) -> str:
    """The names and values of a line of the embedded metric format."""
    names = [
        one["Name"] for sent in entry[_METRICS]["CloudWatchMetrics"] for one in sent["Metrics"]
    ]
    return " ".join(f"{name}={sum(entry[name]):g}" for name in names)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class LogGroups:
    """The log groups of a stack's functions."""

    def __init__(self, client: Any, groups: dict[str, str]) -> None:
        """`groups` are log groups' names by logical id."""
        self._client = client
        self._groups = groups
        self._seen: dict[str, int] = {}

    def lines(self, since_ms: int, containing: str = "") -> list[str]:
        """The lines since a time (milliseconds since 1970) that were not returned before, oldest first."""
        found = []
        pattern = {"filterPattern": f'"{containing}"'} if containing else {}
        pages = self._client.get_paginator("filter_log_events")
        for name, group in self._groups.items():
            for page in pages.paginate(logGroupName=group, startTime=since_ms, **pattern):
                for event in page["events"]:
                    if event["message"].startswith(_STARTS_AND_ENDS):
                        continue
                    # The embedded AWS gives events no id.
                    key = event.get("eventId") or f"{event['timestamp']} {event['message']}"
                    if key not in self._seen:
                        self._seen[key] = event["timestamp"]
                        found.append((event["timestamp"], line_of(event, name)))
        # Older events than these are not asked for again.
        self._seen = {key: at for key, at in self._seen.items() if at >= since_ms}
        return [line for _, line in sorted(found)]

    def newest_ms(self, otherwise: int) -> int:
        """The time of the newest line that was returned."""
        return max(self._seen.values(), default=otherwise)


def log_groups_of(stack_name: str) -> LogGroups:
    """The log groups of a stack; raises BotoCoreError, ClientError."""
    groups = resources_of(boto3.client("cloudformation"), stack_name).get("AWS::Logs::LogGroup", {})
    by_function = {name.removesuffix("Logs"): group for name, group in groups.items()}
    return LogGroups(boto3.client("logs"), by_function)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack-name", default=STACK_NAME)
    parser.add_argument("--since", type=int, default=10, metavar="MINUTES")
    parser.add_argument("--import-id", default="", help="only lines that name this import")
    parser.add_argument(
        "--once", action="store_true", help="print what is there, and do not follow"
    )
    arguments = parser.parse_args()
    since = int(time.time() - 60 * arguments.since) * 1000
    try:
        groups = log_groups_of(arguments.stack_name)
        while True:
            for line in groups.lines(since, arguments.import_id):
                print(line, flush=True)
            if arguments.once:
                return
            since = max(since, groups.newest_ms(since) - _LATE_MS)
            time.sleep(_REFRESH_SECONDS)
    except KeyboardInterrupt:
        pass
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS answered: {error}")


if __name__ == "__main__":
    main()
