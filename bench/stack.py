"""The setting of the benchmarks: an embedded AWS, files, and measured processes."""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local import sample
from local.stack import ROOT, LocalStack, free_port
from tests import template

from contact_imports.model.column_map_json import parse_column_map  # isort: skip
from contact_imports.files.contact_file import open_contact_file  # isort: skip
from contact_imports.files.plain_file import PlainFile  # isort: skip
from contact_imports.model.import_job import Import, ImportOptions, Status, new_import_id  # isort: skip
from contact_imports.files.split import choose_partition_count, row_batches  # isort: skip
from contact_imports.messages.row_messages import encode_row_batch  # isort: skip

BUCKET = "uploads"
CONTENDER_PYTHON = ROOT / ".local" / "tools" / "bench" / "bin" / "python"
RECORDS_AN_EVENT = 1
"""As in the template."""
STATE = ROOT / ".local" / "bench"
"""Of the stack that imports from end to end; it is kept, with what was built for it."""
OPTIONS = ImportOptions(parse_column_map(json.dumps(sample.COLUMN_MAP)))


@dataclass
class Bench:
    """One embedded AWS with the template's tables, queues and bucket, and a folder for files."""

    aws: LocalStack
    folder: Path
    names: dict[str, str]
    _tables: int = field(default=0)

    @property
    def environment(self) -> dict[str, str]:
        """The functions' environment variables, as the template sets them, and credentials."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            **self.aws.aws_environment,
            "POWERTOOLS_SERVICE_NAME": "bench",
            "API_KEYS_TABLE": self.names["ApiKeysTable"],
            "CONTACTS_TABLE": self.names["ContactsTable"],
            "DEAD_LETTER_QUEUE_URL": self.names["DeadLetterQueue"],
            "DRY_RUN_CONTACTS_TABLE": self.names["DryRunContactsTable"],
            "EVENT_BUS_NAME": "default",
            "STACK_NAME": "bench",
            "IDEMPOTENCY_TABLE": self.names["IdempotencyTable"],
            "IMPORTS_TABLE": self.names["ImportsTable"],
            "PROCESSOR_FAILURES_QUEUE_ARN": "arn:aws:sqs:us-east-1:000000000000:failures",
            "PROCESSOR_FAILURES_QUEUE_URL": self.names["ProcessorFailuresQueue"],
            "ROW_QUEUE_URL": self.names["RowQueue"],
            "TAGS_TABLE": self.names["TagsTable"],
            "UPLOADS_BUCKET": BUCKET,
        }

    def new_table(self) -> str:
        """An empty table for the other contenders: the email is the key."""
        self._tables += 1
        name = f"contender-{self._tables}"
        self.aws.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "Email", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "Email", "KeyType": "HASH"}],
        )
        return name

    def rows(
        self, count: int, changed: Callable[[int], bool] = lambda _: False, to: str = "Changed"
    ) -> Path:
        """A file of `count` rows, all valid, each of an email of its own; some with another first name."""
        path = self.folder / f"rows-{count}.csv"
        if not path.exists():
            sample.write(path, count, seed=1, flawless=True)
        if not any(changed(n) for n in range(count)):
            return path
        other = self.folder / f"rows-{count}-{to}.csv"
        with (
            path.open(encoding="utf-8", newline="") as source,
            other.open("w", encoding="utf-8", newline="") as target,
        ):
            reader, writer = csv.reader(source), csv.writer(target)
            writer.writerow(next(reader))
            for number, row in enumerate(reader):
                writer.writerow([row[0], to, *row[2:]] if changed(number) else row)
        return other

    def events(self, path: Path, project: str) -> Path:
        """A file's row batches as events of the row_batch function, one in a line."""
        now = datetime.now(UTC)
        job = Import(new_import_id(now), project, Status.PROCESSING, OPTIONS, now)
        partition_count = choose_partition_count(path.stat().st_size)
        with path.open("rb") as content:
            stream = PlainFile(content, path.stat().st_size)
            file = open_contact_file(stream, OPTIONS, "utf-8-sig")
            batches = list(row_batches(file.reader.blocks(), file.columns, partition_count))
            bodies = [
                encode_row_batch(job, file.columns.fields, batch).decode() for batch in batches
            ]
        records = [
            {
                "messageId": str(number),
                "receiptHandle": str(number),
                "body": body,
                "attributes": {"MessageGroupId": f"{job.id}:{batch.partition}"},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:rows.fifo",
                "awsRegion": "us-east-1",
            }
            for number, (batch, body) in enumerate(zip(batches, bodies, strict=True))
        ]
        target = self.folder / f"{job.id}.jsonl"
        with target.open("w") as out:
            for start in range(0, len(records), RECORDS_AN_EVENT):
                out.write(json.dumps({"Records": records[start : start + RECORDS_AN_EVENT]}) + "\n")
        return target

    def be_quiet(self, project: str) -> None:
        """Pretends that the last write to the project was more than ten minutes ago."""
        self.aws.client("dynamodb").delete_item(
            TableName=self.names["ImportsTable"],
            Key={"importId": {"S": f"project#{project}"}, "record": {"S": "writes"}},
        )

    def contend(self, name: str, table: str, file: Path, *, units: bool = False) -> dict[str, Any]:
        """Runs a contender once, in a process of its own."""
        command = [str(CONTENDER_PYTHON), str(ROOT / "bench" / "contender.py"), name, table]
        return self.measure([*command, str(file), *(["units"] if units else [])])

    def measure(self, command: list[str], **options: Any) -> dict[str, Any]:
        """Runs a process and returns the JSON of its last line."""
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, **options
        )
        if result.returncode:
            sys.exit(result.stderr)
        measured: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return measured


@contextmanager
def bench() -> Iterator[Bench]:
    """Starts an embedded AWS, and stops it."""
    with tempfile.TemporaryDirectory() as folder:
        aws = LocalStack(free_port(), state=Path(folder) / "aws")
        aws.start()
        try:
            names = template.create_tables(aws) | template.create_queues(aws)
            aws.client("s3").create_bucket(Bucket=BUCKET)
            yield Bench(aws, Path(folder), names)
        finally:
            aws.stop()


def median(values: list[float]) -> float:
    """The median of an odd number of values."""
    return statistics.median(values)


def functions_cpu(aws: LocalStack) -> float:
    """Seconds of CPU time that the functions' processes have had so far, those that ended included."""
    assert aws._process
    emulator = str(aws._process.pid)
    seconds = _cpu_of(emulator)[1]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == emulator:
                seconds += sum(_cpu_of(stat.parent.name))
    return seconds


def _cpu_of(pid: str) -> tuple[float, float]:
    """Seconds of CPU time of a process, and of its children that ended; see proc(5)."""
    fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    own, children = (sum(map(int, fields[first : first + 2])) for first in (11, 13))
    ticks = os.sysconf("SC_CLK_TCK")
    return own / ticks, children / ticks
