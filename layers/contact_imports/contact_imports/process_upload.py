"""What the processor does with an uploaded file: check it to its end, then send its rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contact_imports.column_map import ColumnMap
from contact_imports.contact_file import ContactFile, open_contact_file
from contact_imports.csv_rows import HEAD_BYTES, is_blank, read_in_encoding
from contact_imports.drop_bucket import record_dropped
from contact_imports.end_import import GONE, stop_import
from contact_imports.errors import FileError
from contact_imports.import_job import Import, Upload
from contact_imports.import_table import ImportTable
from contact_imports.partition import Repeats, email_of, partition_count, row_batches
from contact_imports.row_batch import encode_row_batch
from contact_imports.row_queue import OrderedSender, RowQueue
from contact_imports.tag_table import TagTable
from contact_imports.uploads import UploadGoneError, Uploads, import_of_key


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of an upload, for the log: ids and counts."""

    result: Literal["not an import", "nothing to do", "failed", "sent"]
    import_id: str | None = None
    rows: int = 0
    row_batches: int = 0


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that can be read to its end: its rows, its bytes without gzip, and how it is read."""

    rows: int
    size: int
    encoding: str
    delimiter: str
    column_map: ColumnMap


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
    key = import_of_key(upload.key)
    if key is None:
        return Processed("not an import")
    project_id = key.project_id
    try:
        import_id = key.import_id or record_dropped(upload, project_id, uploads, imports, now)
    except UploadGoneError:
        return Processed("not an import")
    job = imports.claim(import_id, upload, now)
    if job is None or job.project_id != project_id:
        return Processed("nothing to do", import_id)
    try:
        if job.partitions is None:
            checked = check_file(upload, uploads, job)
            if not job.options.dry_run:
                tags.create_missing(project_id, job.options.tags, now)
            imports.start(
                import_id,
                total=checked.rows,
                partitions=partition_count(checked.size),
                encoding=checked.encoding,
                delimiter=checked.delimiter,
                column_map=checked.column_map,
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
    head = uploads.head(upload, HEAD_BYTES)

    def check(encoding: str) -> CheckedFile:
        stream = uploads.open(upload)
        file = open_contact_file(stream, head, encoding, job.options)
        rows = sum(not is_blank(record) for _, record in file.records)
        return CheckedFile(rows, stream.size, encoding, file.delimiter, file.column_map)

    return read_in_encoding(head, check)


def open_checked_file(uploads: Uploads, upload: Upload, job: Import) -> ContactFile:
    """The file of an import that was started, once more from its beginning."""
    return open_contact_file(uploads.open(upload), b"", job.encoding or "utf-8-sig", job.options)


def _send_rows(
    upload: Upload, uploads: Uploads, job: Import, partitions: int, queue: RowQueue
) -> int:
    """Sends the rows of a file that was checked; returns the number of row batches."""
    repeats = _find_repeats(upload, uploads, job) if job.options.dry_run else None
    file = open_checked_file(uploads, upload, job)
    sent = 0
    with OrderedSender(queue, job.id) as sender:
        for batch in row_batches(file.records, file.columns, partitions, repeats):
            body = encode_row_batch(job, file.columns.fields, batch)
            sender.send(batch.partition, batch.seq, body)
            sent += 1
    return sent


def _find_repeats(upload: Upload, uploads: Uploads, job: Import) -> Repeats:
    file = open_checked_file(uploads, upload, job)
    repeats = Repeats()
    for _, record in file.records:
        repeats.add(email_of(record, file.columns))
    return repeats
