"""Measures the largest imports against the 15 minutes that Lambda gives: reading and sending, and the report.

python -m bench.giants [--scale 50] [--only usual,most,report]

The handlers and AWS's SDK run as they are deployed, each case in a process of its own. AWS is answered within the
process: a file is made while it is read, so no case needs a disk or a network for it. Rows, and the limit of rows, are
divided by --scale, and the times multiplied by it again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
LAYER = ROOT / "layers" / "contact_imports"

SLOWER = 1.5
"""Lambda's CPU at 1,769 MB takes this much longer, at most, than the one that measures: an assumption."""

LAMBDA_SECONDS = 900
BLOCK_ROWS = 1 << 16
_TAG, _NUMBER = b"TTTT", b"NNNN"
"""What is replaced in each block, and in each row of it, so that all emails differ."""

SHORT_ROW = b"TTTTNNNN@abc.de\n"
USUAL_ROW = b"TTTTNNNN.mueller@mail.example.org,Anna,Mueller,+49 30 1234567,Germany,de,pro,Acme and Sons,a note on it\n"
DENSE_ROW = b"TTTTNNNN@mail.example.org,Anna Mueller,Germany,de,,\n"
"""53 bytes: 100 million of these are 5 GiB."""

FAILED_ROW = USUAL_ROW.replace(b"@", b"-at-")

HEADERS = {
    FAILED_ROW: b"Email,First Name,Last Name,Phone,Country,Language,Plan,Company,Notes\n",
    SHORT_ROW: b"Email\n",
    USUAL_ROW: b"Email,First Name,Last Name,Phone,Country,Language,Plan,Company,Notes\n",
    DENSE_ROW: b"Email,Name,Country,Language,Plan,Company\n",
}
LATE_NAME = "last@example.org,Ren\xe9,M\xfcller,,,,,,\n".encode("cp1252")


@dataclass(frozen=True)
class Giant:
    """A file for the processor. `ends_western` is whether its last row alone is in Windows-1252."""

    what: str
    row: bytes
    rows: int
    ends_western: bool = False
    dry_run: bool = False


_FULL = 5 * 1024**3
_USUAL = Giant("5 GiB of usual rows", USUAL_ROW, _FULL // len(USUAL_ROW) - 1)
_TINY = Giant("335 million rows of 16 bytes", SHORT_ROW, _FULL // len(SHORT_ROW))
_WESTERN = replace(_USUAL, what="5 GiB, its first special letter at the end", ends_western=True)
_MOST_ROWS = min(_FULL // len(DENSE_ROW), 100_000_000) - 1
GIANTS = {
    "tiny": _TINY,
    "dry-tiny": replace(_TINY, what=f"a dry run of {_TINY.what}", dry_run=True),
    "short": Giant("100 million rows of 16 bytes", SHORT_ROW, 100_000_000),
    "usual": _USUAL,
    "western": _WESTERN,
    "dry-western": replace(_WESTERN, what=f"a dry run of {_WESTERN.what}", dry_run=True),
    "most": Giant(
        "a dry run of 5 GiB, of 100 million rows, its first special letter at the end",
        DENSE_ROW,
        _MOST_ROWS,
        ends_western=True,
        dry_run=True,
    ),
}
LAYER_VERSION = "1"

REPORTED_ROWS = 10_000_000
PARTITIONS = 64


class Made:
    """A file's bytes from any offset on, made while they are read."""

    def __init__(self, row: bytes, rows: int, end: bytes) -> None:
        numbers = (row.replace(_NUMBER, b"%04x" % n) for n in range(BLOCK_ROWS))
        self._block = b"".join(numbers)
        self._row, self._rows, self._end = len(row), rows, end
        self._header = HEADERS[row]
        self.size = len(self._header) + rows * len(row) + len(end)

    def chunks(self) -> Iterator[bytes]:
        """From the beginning to the end."""
        yield self._header
        left = self._rows
        number = 0
        while left:
            block = self._block.replace(_TAG, b"%04x" % number)
            yield block[: left * self._row]
            left -= min(left, BLOCK_ROWS)
            number += 1
        yield self._end


class Answer:
    """The body of an HTTP answer, as urllib3 gives it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes, all that are left without it."""
        if size is None:
            return bytes(self._left) + b"".join(self._chunks)
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        taken, self._left = self._left[:size], self._left[size:]
        return bytes(taken)

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """The same."""
        yield self.read()

    def close(self) -> None:
        """Nothing."""


def answer(
    body: bytes | Iterator[bytes] = b"", headers: dict[str, str] | None = None, status: int = 200
) -> Any:
    """An answer of AWS."""
    from botocore.awsrequest import AWSResponse

    chunks = iter((body,)) if isinstance(body, bytes) else body
    return AWSResponse("http://aws", status, headers or {}, Answer(chunks))  # type: ignore[arg-type]


def answers(client: Any, operations: dict[str, Callable[[Any], Any]]) -> None:
    """Answers a client's operations within the process. A request is made and signed as always."""
    service = client.meta.service_model.service_id.hyphenize()
    for operation, function in operations.items():
        client.meta.events.register(
            f"before-send.{service}.{operation}", lambda request, f=function, **_: f(request)
        )


def peak_mib() -> float:
    """The most memory that the process has had."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


# ------------------------------------------------------------------ the processor


def process(name: str, scale: int) -> dict[str, Any]:
    """Runs the processor for one giant; its CPU times in seconds, of the whole file."""
    from contact_imports.aws.imports_table import ImportTable
    from contact_imports.jobs import split_upload
    from contact_imports.model import limits
    from contact_imports.model.import_job import Counts, Import, ImportOptions, Split, Status
    from functions.processor import app
    from tests.events import Context, s3_event

    giant = GIANTS[name]
    limits.MAX_ROWS //= scale
    western = giant.ends_western
    end = LATE_NAME if western else b""
    if western and giant.row != USUAL_ROW:
        end = LATE_NAME.replace(b",,,,,,", b",,,")
    file = Made(giant.row, giant.rows // scale, end)
    options = ImportOptions(None, dry_run=giant.dry_run)
    job = Import("0" * 24, "p", Status.PROCESSING, options, datetime.now(UTC))
    result: dict[str, Any] = {"error": None}
    files: list[IO[bytes]] = []
    real_file = TemporaryFile

    def keep(*arguments: Any) -> IO[bytes]:
        files.append(real_file(*arguments))
        return files[-1]

    def start(_table: Any, _id: str, *, total: int, split: Split, **_: Any) -> None:
        nonlocal job
        result["read"] = time.process_time() - began
        result["rows"] = total
        result["disk"] = sum(os.fstat(one.fileno()).st_size for one in files)
        job = replace(job, counts=Counts(total), split=split)

    def fail(_table: Any, _id: str, error: str, _now: Any) -> bool:
        result["read"] = time.process_time() - began
        result["error"] = error.replace(f"{limits.MAX_ROWS:,}", f"{limits.MAX_ROWS * scale:,}")
        return True

    headers = {"Content-Length": str(file.size), "Content-Range": f"bytes 0-/{file.size}"}
    answers(app.s3, {"GetObject": lambda _: answer(file.chunks(), headers, 206)})
    sent = json.dumps({"MessageId": "m", "MD5OfMessageBody": "0"}).encode()
    answers(app.sqs, {"SendMessage": lambda _: answer(sent)})
    event = s3_event("bucket", f"imports/p/{job.id}.csv", "etag", file.size)
    table: dict[str, Any] = {
        "claim": lambda *_: job,
        "get": lambda *_: job,
        "start": start,
        "fail": fail,
    }
    with patch.multiple(ImportTable, **table), patch.object(split_upload, "TemporaryFile", keep):
        began = time.process_time()
        app.lambda_handler(event, Context())  # type: ignore[arg-type]
        result["sent"] = time.process_time() - began - result["read"]
    for key in ("read", "sent", "rows", "disk"):
        result[key] = result.get(key, 0) * scale
    return {**result, "peak": peak_mib()}


# ------------------------------------------------------------------ the report


class Reasons:
    """Answers the queries for the reasons of failed rows, as `ProgressRecords` stores them."""

    def __init__(self, client: Any, rows: int) -> None:
        from contact_imports.aws.progress_records import ProgressRecords

        self._progress = ProgressRecords(client, "imports")
        self._rows = rows
        self._stored: dict[str, Any] = {}
        self.seconds = 0.0
        answers(client, {"Query": self._query, "TransactWriteItems": self._store})

    def _query(self, request: Any) -> Any:
        from contact_imports.aws.import_records import errors_prefix

        began = time.process_time()
        asked = json.loads(request.body)
        prefix = asked["ExpressionAttributeValues"][":errors"]["S"]
        partition = next(p for p in range(PARTITIONS) if errors_prefix(p) == prefix)
        seq = int(asked.get("ExclusiveStartKey", {"seq": {"N": "0"}})["seq"]["N"])
        rows = range(2 + partition, 2 + self._rows, PARTITIONS)
        of_batch = rows[seq * 1_000 : seq * 1_000 + 1_000]
        found: dict[str, Any] = {
            "Items": [self._item(partition, seq, of_batch)] if of_batch else []
        }
        if rows[(seq + 1) * 1_000 :]:
            found["LastEvaluatedKey"] = {"seq": {"N": str(seq + 1)}}
        made = answer(json.dumps(found).encode())
        self.seconds += time.process_time() - began
        return made

    def _item(self, partition: int, seq: int, rows: range) -> Any:
        from contact_imports.model.contact import Outcome
        from contact_imports.model.errors import RowError
        from contact_imports.model.progress import BatchKey, Partition

        message = "The email address has no '@'. Correct it."
        errors = [RowError(row, "invalid_email", message, "email") for row in rows]
        batch = BatchKey("0" * 24, partition, seq, last=False)
        self._progress.commit(batch, Partition(next_seq=seq), {Outcome.FAILED: len(rows)}, errors)
        return self._stored

    def _store(self, request: Any) -> Any:
        writes = json.loads(request.body)["TransactItems"]
        self._stored = next(write["Put"]["Item"] for write in writes if "Put" in write)
        return answer(b"{}")


class Bucket:
    """Answers S3: the file, and a report that is written and read again."""

    def __init__(self, client: Any, file: Made, report: IO[bytes]) -> None:
        self._file = file
        self._report = report
        self.bytes = 0
        answers(
            client,
            {
                "GetObject": self._get,
                "HeadObject": lambda _: answer(
                    headers={"Content-Length": str(self.bytes), "ETag": '"e"'}
                ),
                "PutObject": lambda _: answer(headers={"ETag": '"e"'}),
                "CreateMultipartUpload": lambda _: answer(
                    b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
                ),
                "UploadPart": self._part,
                "CompleteMultipartUpload": lambda _: answer(
                    b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
                ),
            },
        )

    def _get(self, request: Any) -> Any:
        chunks, size = self._file.chunks(), self._file.size
        if "/reports/" in request.url:
            self._report.seek(0)
            chunks, size = iter(lambda: self._report.read(1 << 20), b""), self.bytes
        headers = {"Content-Length": str(size), "Content-Range": f"bytes 0-/{size}", "ETag": '"e"'}
        return answer(chunks, headers, 206)

    def _part(self, request: Any) -> Any:
        content = request.body if isinstance(request.body, bytes) else request.body.read()
        if "spreadsheet" not in request.url:
            self._report.write(content)
            self.bytes += len(content)
        return answer(headers={"ETag": '"e"'})


def report(scale: int) -> dict[str, Any]:
    """Runs import_ended for REPORTED_ROWS failed rows; `sent` is the report for spreadsheets."""
    from contact_imports.aws.event_bus import EventBus
    from contact_imports.aws.imports_table import ImportTable
    from contact_imports.files.failed_rows import spreadsheet_report
    from contact_imports.jobs import report_import
    from contact_imports.model.column_map import ColumnMap
    from contact_imports.model.import_job import (
        Counts,
        Import,
        ImportOptions,
        Split,
        Status,
        Upload,
    )
    from functions.import_ended import app
    from tests.events import Context, ended_event

    rows = REPORTED_ROWS // scale
    file = Made(FAILED_ROW, rows, b"")
    job = Import(
        "0" * 24,
        "p",
        Status.COMPLETED,
        ImportOptions(ColumnMap(email="Email", first_name="First Name"), header_record=1),
        datetime.now(UTC),
        Counts(rows, failed=rows),
        Upload("imports/p/x.csv", "etag", file.size),
        encoding="utf-8-sig",
        split=Split(PARTITIONS, layer=LAYER_VERSION),
        completed_at=datetime.now(UTC),
    )
    result: dict[str, Any] = {"error": None, "rows": REPORTED_ROWS}

    def spreadsheet(*arguments: Any) -> Iterator[bytes]:
        result["read"] = time.process_time() - began - reasons.seconds
        return spreadsheet_report(*arguments)

    bucket = Bucket(app.s3, file, TemporaryFile())  # noqa: SIM115
    reasons = Reasons(app.dynamodb, rows)
    table: dict[str, Any] = {
        "get": lambda *_: job,
        "set_reported": lambda *_: None,
        "set_followed": lambda *_: None,
    }
    with (
        patch.multiple(ImportTable, **table),
        patch.object(EventBus, "import_ended", lambda *_: None),
        patch.object(report_import, "spreadsheet_report", spreadsheet),
    ):
        began = time.process_time()
        app.lambda_handler(ended_event(job.id), Context())  # type: ignore[arg-type]
        result["sent"] = time.process_time() - began - reasons.seconds - result["read"]
    for key in ("read", "sent"):
        result[key] *= scale
    return {**result, "disk": bucket.bytes * scale, "peak": peak_mib()}


# ------------------------------------------------------------------ the table


def run(name: str, scale: int) -> dict[str, Any]:
    """One case in a process of its own."""
    environment = {
        **os.environ,
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"),
        "LAYER_VERSION": LAYER_VERSION,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://aws",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(LAYER))),
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "EVENT_BUS_NAME": "default",
        "IMPORTS_TABLE": "imports",
        "ROW_QUEUE_URL": "http://aws/000000000000/rows.fifo",
        "TAGS_TABLE": "tags",
        "UPLOADS_BUCKET": "bucket",
    }
    script = f"import json, bench.giants as g; print(json.dumps(g.case({name!r}, {scale})))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def case(name: str, scale: int) -> dict[str, Any]:
    """One case in this process."""
    return report(scale) if name == "report" else process(name, scale)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=50)
    parser.add_argument("--only", default=",".join((*GIANTS, "report")))
    arguments = parser.parse_args()
    print("| file | result | reading | sending | both on AWS | of 900 s | disk | memory, MiB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in arguments.only.split(","):
        found = run(name, arguments.scale)
        whole = (found["read"] + found["sent"]) * SLOWER
        what = GIANTS[name].what if name in GIANTS else f"{REPORTED_ROWS:,} failed rows"
        result = found["error"] or f"{found['rows']:,} rows"
        cells = (
            what, result, f"{found['read']:.0f} s", f"{found['sent']:.0f} s", f"{whole:.0f} s",
            f"{whole / LAMBDA_SECONDS:.0%}", f"{found['disk'] / 1e9:.1f} GB", f"{found['peak']:.0f}",
        )  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
