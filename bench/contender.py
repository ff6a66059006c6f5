"""Measures one way of writing contacts to DynamoDB, in a process of its own.

python bench/contender.py NAME TABLE FILE [units]    prints one line of JSON

FILE is a CSV, or for `ours` the events of the row_batch function, one in a line. TABLE is given to the others;
`ours` finds its tables in the environment, as in Lambda.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parent.parent
UNIT_BYTES = 4096
"""The bytes of a read unit. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""


class Units:
    """Requests and capacity units of a client's calls, by AWS's rules."""

    def __init__(self) -> None:
        self.requests = 0
        self.write_units = 0.0
        self.read_units = 0.0
        self._call = threading.local()

    def watch(self, client: Any) -> None:
        """Counts a client's calls from now on."""
        events = client.meta.events
        events.register_first("provide-client-params.dynamodb", self._ask)
        events.register("after-call.dynamodb", self._count)

    def _ask(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "TOTAL"
        self._call.reads = [
            (len(request["Keys"]), bool(request.get("ConsistentRead")))
            for request in params.get("RequestItems", {}).values()
            if "Keys" in request
        ]

    def _count(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        self.requests += 1
        if model.name == "BatchGetItem":
            # The emulator does not say; every key costs at least one step of 4 KB, consistent or half.
            for (keys, consistent), items in zip(
                self._call.reads, parsed["Responses"].values(), strict=True
            ):
                steps = keys - len(items)
                steps += sum(math.ceil(len(json.dumps(item)) / UNIT_BYTES) for item in items)
                self.read_units += steps * (1 if consistent else 0.5)
            return
        consumed = parsed.get("ConsumedCapacity") or []
        units = sum(
            one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed])
        )
        if model.name in ("GetItem", "Query", "Scan"):
            self.read_units += units
        else:
            self.write_units += units


def ours(_table: str, path: Path, units: Units | None) -> Callable[[], int]:
    sys.path[:0] = [
        str(ROOT / "functions" / "row_batch"),
        str(ROOT / "layers" / "contact_imports"),
    ]
    import app  # type: ignore[import-not-found]

    class Context:
        function_name = invoked_function_arn = aws_request_id = "bench"
        memory_limit_in_mb = 1769
        get_remaining_time_in_millis = staticmethod(lambda: 60_000)

    lines = path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    app.dynamodb.list_tables()
    if units:
        units.watch(app.dynamodb)

    def run() -> int:
        for event in events:
            assert app.lambda_handler(event, Context()) == {"batchItemFailures": []}
        return sum(
            len(json.loads(record["body"])["rows"])
            for event in events
            for record in event["Records"]
        )

    return run


def batch_writer(table: str, path: Path, units: Units | None) -> Callable[[], int]:
    resource = _table(table, units)

    def run() -> int:
        count = 0
        with path.open(encoding="utf-8", newline="") as file, resource.batch_writer() as writer:
            for row in csv.DictReader(file):
                writer.put_item(Item=row)
                count += 1
        return count

    return run


def put_item(table: str, path: Path, units: Units | None) -> Callable[[], int]:
    resource = _table(table, units)

    def run() -> int:
        count = 0
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                resource.put_item(Item=row)
                count += 1
        return count

    return run


def update_item(table: str, path: Path, units: Units | None) -> Callable[[], int]:
    """The only other contender that can tell created from updated contacts."""
    resource = _table(table, units)

    def run() -> int:
        count = 0
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                email = row.pop("Email")
                names = list(row)
                answer = resource.update_item(
                    Key={"Email": email},
                    UpdateExpression="SET " + ",".join(f"#{n}=:{n}" for n in range(len(names))),
                    ExpressionAttributeNames={f"#{n}": name for n, name in enumerate(names)},
                    ExpressionAttributeValues={f":{n}": row[name] for n, name in enumerate(names)},
                    ReturnValues="ALL_OLD",
                )
                count += "Attributes" in answer or 1
        return count

    return run


def awswrangler(table: str, path: Path, units: Units | None) -> Callable[[], int]:
    import awswrangler as wr  # type: ignore[import-not-found]

    session = boto3.Session()
    session.resource("dynamodb")  # so that the service's model is loaded before it counts
    with path.open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.reader(file)) - 1
    if units:
        # It makes its clients itself.
        units.watch(_Everywhere(session))

    def run() -> int:
        wr.dynamodb.put_csv(
            str(path), table, boto3_session=session, dtype=str, keep_default_na=False
        )
        return rows

    return run


class _Everywhere:
    def __init__(self, session: boto3.Session) -> None:
        self.meta = self
        self.events = session.events


def _table(name: str, units: Units | None) -> Any:
    table = boto3.resource("dynamodb").Table(name)
    table.load()
    if units:
        units.watch(table.meta.client)
    return table


CONTENDERS = {
    "ours": ours,
    "batch_writer": batch_writer,
    "awswrangler": awswrangler,
    "put_item": put_item,
    "update_item": update_item,
}


def main() -> None:
    name, table, file, *rest = sys.argv[1:]
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "bench")
    logging.disable(logging.CRITICAL)
    units = Units() if rest else None
    run = CONTENDERS[name](table, Path(file), units)
    cpu, wall = time.process_time(), time.monotonic()
    rows = run()
    result = {
        "rows": rows,
        "cpu": time.process_time() - cpu,
        "wall": time.monotonic() - wall,
    }
    if units:
        result |= {
            "requests": units.requests,
            "write_units": units.write_units,
            "read_units": units.read_units,
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
