"""What the processor does with an uploaded file: read it to its end, then send its rows."""

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
from contact_imports.files.split import Repeats, email_of, partition_count, row_batches
from contact_imports.jobs.create_dropped_import import record_dropped, refuse_misplaced
from contact_imports.jobs.end_import import GONE, stop_import
from contact_imports.messages.row_messages import encode_row_batch
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import Import, Upload
from contact_imports.model.notes import Note

_TOO_MANY_ROWS = "The file has more rows than can be held at a time. Split it."

_BUFFER_BYTES = 1024 * 1024
"""Of the row batches' file: lines of 100 KB are put together of many pieces where it is small."""

_GZIP_USUAL_RATIO = 5
"""What contacts unpack to, by their size as gzip: all that is known before the file is read."""


@dataclass(frozen=True, slots=True)
class Processed:
    """What came of an upload, for the log: ids and counts."""

    result: Literal["not an import", "nothing to do", "failed", "sent"]
    import_id: str | None = None
    rows: int = 0
    row_batches: int = 0


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A file that was read to its end: its rows, the row batches that they make, and how it was read."""

    rows: int
    row_batches: int
    partitions: int
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
) -> Processed:
    """Imports one uploaded object; safe to run again, and more than once at a time, for the same object.

    A file that cannot be imported fails its import. What AWS refuses is raised: the event comes again.
    """
    key = import_of_key(upload.key)
    if key is None:
        misplaced = refuse_misplaced(upload, reports, now)
        return Processed("failed" if misplaced else "not an import")
    project_id = key.project_id
    try:
        import_id = key.import_id or record_dropped(upload, project_id, uploads, imports, now)
    except UploadGoneError:
        return Processed("not an import")
    job = imports.claim(import_id, upload, now)
    if job is None or job.project_id != project_id:
        return Processed("nothing to do", import_id)
    try:
        # Nothing is sent before the end of the file is reached: one that breaks half-way imports nothing.
        with TemporaryFile("w+b", _BUFFER_BYTES) as messages:
            split = _split_file(upload, uploads, job, messages)
            if job.partitions is None:
                _start(imports, tags, job, split, now)
                # What counts is what was recorded first, by whichever processor.
                job = imports.get(import_id)
                if job is None or job.ended or job.partitions is None:
                    return Processed("nothing to do", import_id)
                if job.partitions != split.partitions:
                    split = _split_file(upload, uploads, job, messages)
            _send(import_id, messages, queue)
    except FileError as error:
        imports.fail(import_id, error.message, now)
        return Processed("failed", import_id)
    except UploadGoneError:
        stop_import(import_id, GONE, imports, queue, now)
        return Processed("failed", import_id)
    except UploadRefusedError as error:
        stop_import(import_id, str(error), imports, queue, now)
        return Processed("failed", import_id)
    except OSError as error:
        # Trying it again fills the disk again.
        if error.errno != errno.ENOSPC or not imports.fail(import_id, _TOO_MANY_ROWS, now):
            raise
        return Processed("failed", import_id)
    return Processed("sent", import_id, job.counts.total, split.row_batches)


def _split_file(upload: Upload, uploads: Uploads, job: Import, messages: IO[bytes]) -> SplitFile:
    """Reads a file to its end and writes its row batches to `messages`, a line each.

    Raises FileError where it cannot be imported.
    """

    def split(file: ContactFile) -> SplitFile:
        # What was written in another encoding goes.
        messages.seek(0)
        messages.truncate()
        repeats = _find_repeats(upload, uploads, job, file)
        size = upload.size * (_GZIP_USUAL_RATIO if file.stream.is_gzip else 1)
        partitions = job.partitions or partition_count(size)
        rows = count = 0
        table_rows = file.rows()
        for batch in row_batches(table_rows, file.columns, partitions, repeats, file.header):
            body = encode_row_batch(job, file.columns.fields, batch)
            messages.write(b"%d %d %s\n" % (batch.partition, batch.seq, body))
            rows += batch.count
            count += 1
        return SplitFile(
            rows=rows,
            row_batches=count,
            partitions=partitions,
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
    """For a dry run, which emails stand in the file more than once."""
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
        partitions=split.partitions,
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
