"""The reports and results that imports leave in the S3 bucket when they end.

reports/PROJECT/IMPORT/errors*         the failed rows: as CSV, as CSV for spreadsheets, and as pages of JSON
results/PROJECT/anything.result.json   the result of a dropped file's import
results/PROJECT/anything.errors.csv    its failed rows
results/anything.result.json           why a file outside of every project was not imported
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from botocore.exceptions import ClientError

from contact_imports.aws.byte_stream import ByteStream
from contact_imports.aws.errors import is_gone
from contact_imports.aws.object_stream import object_chunks
from contact_imports.aws.uploads_bucket import import_of_key
from contact_imports.model.import_job import Import

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from s3transfer.manager import TransferManager

_REPORT_URL_SECONDS = 900
_MAX_KEY_BYTES = 1024


class ReportFiles:
    """Reports and results by import."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put_report(
        self, job: Import, chunks: Iterator[bytes], *, for_spreadsheet: bool = False
    ) -> None:
        """Stores the report of an import's failed rows, of any size; all of it or nothing."""
        with self._one_part_at_a_time() as transfers:
            transfers.upload(
                io.BufferedReader(ByteStream(chunks)),
                self._bucket,
                _report_key(job, for_spreadsheet=for_spreadsheet),
                extra_args={"ContentType": "text/csv; charset=utf-8"},
            ).result()

    def report_size(self, job: Import, *, for_spreadsheet: bool = False) -> int | None:
        """The bytes of an import's report; None if there is none."""
        key = _report_key(job, for_spreadsheet=for_spreadsheet)
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return head["ContentLength"]

    def report(self, job: Import, *, for_spreadsheet: bool = False) -> bytes:
        """An import's report."""
        key = _report_key(job, for_spreadsheet=for_spreadsheet)
        return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def open_report(self, job: Import) -> BinaryIO:
        """An import's report as a stream."""
        key = _report_key(job)
        head = self._client.head_object(Bucket=self._bucket, Key=key)

        def read_from(offset: int) -> StreamingBody:
            return self._client.get_object(
                Bucket=self._bucket, Key=key, IfMatch=head["ETag"], Range=f"bytes={offset}-"
            )["Body"]

        return io.BufferedReader(ByteStream(object_chunks(read_from, head["ContentLength"])))

    def report_url(self, job: Import, file_name: str, *, for_spreadsheet: bool = False) -> str:
        """A URL at which anyone can download an import's report for 15 minutes."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": _report_key(job, for_spreadsheet=for_spreadsheet),
                "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            },
            ExpiresIn=_REPORT_URL_SECONDS,
        )

    def put_failed_rows_page(self, job: Import, page: int, content: bytes) -> None:
        """Stores one page of an import's failed rows."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=_failed_rows_page_key(job, page),
            Body=content,
            ContentType="application/json",
        )

    def failed_rows_page(self, job: Import, page: int) -> bytes | None:
        """A page of an import's failed rows; None if there is none."""
        try:
            response = self._client.get_object(
                Bucket=self._bucket, Key=_failed_rows_page_key(job, page)
            )
        except ClientError as error:
            if is_gone(error):
                return None
            raise
        return response["Body"].read()

    def put_result(self, key: str, content: bytes) -> None:
        """Stores a JSON document next to what was dropped."""
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=content, ContentType="application/json"
        )

    def copy_report(self, job: Import, key: str) -> None:
        """Copies an import's report to where the results of its dropped file are."""
        source = {"Bucket": self._bucket, "Key": _report_key(job)}
        # Not CopyObject, which takes 5 GB at most.
        with self._one_part_at_a_time() as transfers:
            transfers.copy(source, self._bucket, key).result()

    def delete_result(self, key: str) -> None:
        """Deletes the result that an earlier import of the same key left, if there is one."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def _one_part_at_a_time(self) -> TransferManager:
        """Holds one part (8 MiB) of an object in memory at a time, and returns when all of them are sent."""
        # Here, since boto3 takes long to import, and few imports have a report.
        from boto3.s3.transfer import TransferConfig, create_transfer_manager

        return create_transfer_manager(self._client, TransferConfig(use_threads=False))


def result_key(job: Import, suffix: str) -> str:
    """The key of a result of a dropped file: the file's own name, in `results/` instead of `drop/`."""
    key = f"results/{(job.dropped_key or '').removeprefix('drop/')}.{suffix}"
    if len(key.encode()) > _MAX_KEY_BYTES:
        return f"results/{job.project_id}/{job.id}.{suffix}"
    return key


def misplaced_result_key(key: str) -> str | None:
    """The key of the result of an object that was dropped outside of every project. It cannot be a project's
    result, because it does not begin with a project id. None if the key is another one, or a folder's marker."""
    if not key.startswith("drop/") or key.endswith("/") or import_of_key(key) is not None:
        return None
    result = f"results/{key.removeprefix('drop/')}.result.json"
    if len(result.encode()) <= _MAX_KEY_BYTES:
        return result
    return f"results/{hashlib.sha256(key.encode()).hexdigest()}.result.json"


def _report_key(job: Import, *, for_spreadsheet: bool = False) -> str:
    name = "errors-spreadsheet.csv" if for_spreadsheet else "errors.csv"
    return f"reports/{job.project_id}/{job.id}/{name}"


def _failed_rows_page_key(job: Import, page: int) -> str:
    return f"reports/{job.project_id}/{job.id}/errors-{page:06}.json"
