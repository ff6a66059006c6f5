"""What the processor does with an uploaded file: check it to its end, then send its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contact_imports.column_map import find_columns
from contact_imports.csv_rows import (
    HEAD_BYTES,
    is_blank,
    read_header,
    read_in_encoding,
    read_records,
)
from contact_imports.end_import import GONE, stop_import
from contact_imports.errors import FileError
from contact_imports.import_job import Import
from contact_imports.import_table import ImportTable
from contact_imports.partition import partition_count, row_batches
from contact_imports.row_batch import encode_row_batch
from contact_imports.row_queue import OrderedSender, RowQueue
from contact_imports.tag_table import TagTable
from contact_imports.uploads import Upload, UploadGoneError, Uploads, import_of_key


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of an upload, for the log: ids and counts."""

    result: Literal["not an import", "nothing to do", "failed", "sent"]
    import_id: str | None = None
    rows: int = 0
    row_batches: int = 0


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that can be read to its end: its rows, and the encoding that all of it is in."""

    rows: int
    encoding: str


def process_upload(
    upload: Upload,
    uploads: Uploads,
    imports: ImportTable,
    tags: TagTable,
    queue: RowQueue,
    now: datetime,
) -> Processed:
    """Imports one uploaded object; safe to run again, and more than once at a time, for the same object.

    A file that cannot be imported fails its import. What AWS refuses is raised: the event comes again.
    """
    ids = import_of_key(upload.key)
    if ids is None:
        return Processed("not an import")
    project_id, import_id = ids
    job = imports.claim(import_id, upload.etag, now)
    if job is None or job.project_id != project_id:
        return Processed("nothing to do", import_id)
    try:
        if job.partitions is None:
            checked = check_file(upload, uploads, job)
            tags.create_missing(project_id, job.options.tags, now)
            imports.start(
                import_id,
                total=checked.rows,
                partitions=partition_count(upload.size),
                encoding=checked.encoding,
                now=now,
            )
            # What counts is what was recorded first, by whichever processor.
            job = imports.get(import_id)
            if job is None or job.ended or job.partitions is None:
                return Processed("nothing to do", import_id)
        sent = _send_rows(upload, uploads, job, job.partitions, queue)
    except FileError as error:
        imports.fail(import_id, error.message, now)
        return Processed("failed", import_id)
    except UploadGoneError:
        stop_import(import_id, GONE, imports, queue, now)
        return Processed("failed", import_id)
    return Processed("sent", import_id, job.counts.total, sent)


def check_file(upload: Upload, uploads: Uploads, job: Import) -> CheckedFile:
    """Reads a file to its end; raises FileError where it cannot be imported."""

    def check(encoding: str) -> CheckedFile:
        records = read_records(uploads.open(upload), encoding, job.options.delimiter)
        find_columns(job.options.column_map, read_header(records))
        return CheckedFile(sum(not is_blank(record) for _, record in records), encoding)

    return read_in_encoding(uploads.head(upload, HEAD_BYTES), check)


def _send_rows(
    upload: Upload, uploads: Uploads, job: Import, partitions: int, queue: RowQueue
) -> int:
    """Sends the rows of a file that was checked; returns the number of row batches."""
    records = read_records(uploads.open(upload), job.encoding or "utf-8-sig", job.options.delimiter)
    columns = find_columns(job.options.column_map, read_header(records))
    sent = 0
    with OrderedSender(queue, job.id) as sender:
        for batch in row_batches(records, columns, partitions):
            sender.send(batch.partition, batch.seq, encode_row_batch(job, columns.fields, batch))
            sent += 1
    return sent
