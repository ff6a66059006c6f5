"""Splits an uploaded file into row batches: reads the file to its end, then sends them."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Literal

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.report_files import ReportFiles
from contact_imports.aws.row_queue import OrderedSender, RowQueue
from contact_imports.aws.tags_table import TagTable
from contact_imports.aws.uploads_bucket import (
    UploadGoneError,
    UploadRefusedError,
    Uploads,
    import_of_key,
)
from contact_imports.files.contact_file import (
    ContactFile,
    open_contact_file,
    read_contact_file,
)
from contact_imports.files.split import Repeats, choose_partition_count, email_of, row_batches
from contact_imports.jobs.end_import import GONE, stop_import
from contact_imports.messages.row_messages import encode_row_batch
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import Import, Upload
from contact_imports.model.notes import Note

_TOO_MANY_ROWS = "The file has more rows than the processor can hold. Split it into smaller files."

_BUFFER_BYTES = 1024 * 1024
"""The buffer of the temporary file: with a smaller one, a line of 100 KB is read in many pieces."""

_GZIP_USUAL_RATIO = 5
"""How many times larger a gzip file of contacts usually is once unpacked; its real size is known only after reading."""


@dataclass(frozen=True, slots=True)
class ProcessedUpload:
    """The result of an upload, for the log: ids and counts."""

    result: Literal["not an import", "nothing to do", "failed", "sent"]
    import_id: str | None = None
    rows: int = 0
    batch_count: int = 0


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A file that was read to its end: its number of rows and row batches, and how it was read."""

    rows: int
    batch_count: int
    partition_count: int
    encoding: str
    delimiter: str
    header_record: int
    column_map: ColumnMap
    notes: tuple[Note, ...]


def process_upload(
    upload: Upload,
    uploads: Uploads,
    reports: ReportFiles,
    imports: ImportTable,
    tags: TagTable,
    queue: RowQueue,
    now: datetime,
) -> ProcessedUpload:
    """Imports one uploaded object; safe to run again, and more than once at a time, for the same object.

    A file that cannot be imported fails its import. Errors of AWS are raised, so that Lambda delivers the event again.
    """
    key = import_of_key(upload.key)
    if key is None or key.import_id is None:
        # Here, since only a dropped object needs it, and it imports pydantic.
        from contact_imports.jobs.create_dropped_import import record_dropped, refuse_misplaced
    if key is None:
        misplaced = refuse_misplaced(upload, reports, now)
        return ProcessedUpload("failed" if misplaced else "not an import")
    project_id = key.project_id
    try:
        import_id = key.import_id or record_dropped(upload, project_id, uploads, imports, now)
    except UploadGoneError:
        return ProcessedUpload("not an import")
    job = imports.claim(import_id, upload, now)
    if job is None or job.project_id != project_id:
        return ProcessedUpload("nothing to do", import_id)
    try:
        # Nothing is sent before the end of the file: a file that breaks half-way imports nothing.
        with TemporaryFile("w+b", _BUFFER_BYTES) as messages:
            split = _split_file(upload, uploads, job, messages)
            if job.partition_count is None:
                _start(imports, tags, job, split, now)
                # Another processor may have recorded its split first; that one counts.
                job = imports.get(import_id)
                if job is None or job.ended or job.partition_count is None:
                    return ProcessedUpload("nothing to do", import_id)
                if job.partition_count != split.partition_count:
                    split = _split_file(upload, uploads, job, messages)
            _send(import_id, messages, queue)
    except FileError as error:
        imports.fail(import_id, error.message, now)
        return ProcessedUpload("failed", import_id)
    except UploadGoneError:
        stop_import(import_id, GONE, imports, queue, now)
        return ProcessedUpload("failed", import_id)
    except UploadRefusedError as error:
        stop_import(import_id, str(error), imports, queue, now)
        return ProcessedUpload("failed", import_id)
    except OSError as error:
        # Another try would fill the disk again.
        if error.errno != errno.ENOSPC or not imports.fail(import_id, _TOO_MANY_ROWS, now):
            raise
        return ProcessedUpload("failed", import_id)
    return ProcessedUpload("sent", import_id, job.counts.total, split.batch_count)


def _split_file(upload: Upload, uploads: Uploads, job: Import, messages: IO[bytes]) -> SplitFile:
    """Reads a file to its end and writes each row batch as one line of `messages`.

    Raises FileError where it cannot be imported.
    """

    def split(file: ContactFile) -> SplitFile:
        # An earlier try with another encoding may have written batches.
        messages.seek(0)
        messages.truncate()
        repeats = _find_repeats(upload, uploads, job, file)
        size = upload.size * (_GZIP_USUAL_RATIO if file.stream.is_gzip else 1)
        partition_count = job.partition_count or choose_partition_count(size)
        rows = batch_count = 0
        table_rows = file.rows()
        for batch in row_batches(table_rows, file.columns, partition_count, repeats, file.header):
            body = encode_row_batch(job, file.columns.fields, batch)
            messages.write(b"%d %d %s\n" % (batch.partition, batch.seq, body))
            rows += batch.count
            batch_count += 1
        return SplitFile(
            rows=rows,
            batch_count=batch_count,
            partition_count=partition_count,
            encoding=file.encoding,
            delimiter=file.delimiter,
            header_record=file.header_record,
            column_map=file.column_map,
            notes=(*file.notes, *table_rows.notes),
        )

    return read_contact_file(lambda: uploads.open(upload), job.options, split)


def _find_repeats(
    upload: Upload, uploads: Uploads, job: Import, file: ContactFile
) -> Repeats | None:
    """For a dry run, which emails the file has more than once."""
    if not job.options.dry_run:
        return None
    same = open_contact_file(uploads.open(upload), job.options, file.encoding)
    repeats = Repeats()
    for _, record in same.reader:
        repeats.add(email_of(record, same.columns))
    return repeats


def _start(
    imports: ImportTable, tags: TagTable, job: Import, split: SplitFile, now: datetime
) -> None:
    if not job.options.dry_run:
        tags.create_missing(job.project_id, job.options.tags, now)
    imports.start(
        job.id,
        total=split.rows,
        partition_count=split.partition_count,
        encoding=split.encoding,
        delimiter=split.delimiter,
        header_record=split.header_record,
        column_map=split.column_map,
        notes=split.notes,
        now=now,
    )


def _send(import_id: str, messages: IO[bytes], queue: RowQueue) -> None:
    messages.seek(0)
    with OrderedSender(queue, import_id) as sender:
        for line in messages:
            partition, seq, body = line[:-1].split(b" ", 2)
            sender.send(int(partition), int(seq), body.decode())
