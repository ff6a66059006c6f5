"""Splits an uploaded file into row batches: reads the file to its end, then sends them, in the time that there is."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from contact_imports.files.contact_file import ContactFile, read_contact_file
from contact_imports.files.encoding import UTF_8
from contact_imports.files.plain_file import OutOfTimeError
from contact_imports.files.split import (
    EncodedBatch,
    Repeats,
    SplitDigest,
    choose_partition_count,
    new_batch_limits,
    row_batches,
)
from contact_imports.jobs.end_import import GONE, stop_import
from contact_imports.messages.row_messages import encode_row_batch, with_repeated
from contact_imports.model import limits
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError, SplitChangedError
from contact_imports.model.import_job import Import, Split, Upload
from contact_imports.model.notes import Note

_DISK_IS_FULL = "The file has more rows than the processor can hold. Split it into smaller files."

_BUFFER_BYTES = 1024 * 1024
"""The buffer of a temporary file: with a smaller one, a line of 100 KB is read in many pieces."""

_ROUNDED_ROWS = 1_000
"""People are told thousands of rows."""

_GZIP_USUAL_RATIO = 5
"""How many times larger a gzip file of contacts usually is once unpacked; its real size is known only after reading."""


class NotAllSentError(Exception):
    """The time is over, and not all row batches are sent. The next try sends the rest."""


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Whether there is still time to read a file, and to send its row batches, which takes a part of the time too."""

    to_read: Callable[[], bool]
    to_send: Callable[[], bool]


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
    split: Split
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
    time: ProcessorTime,
    layer: str = "",
) -> ProcessedUpload:
    """Imports one uploaded object; safe to run again, and more than once at a time, for the same object.

    A file that cannot be imported, or not read in time, fails its import. Errors of AWS are raised, so that Lambda
    delivers the event again; so is NotAllSentError, and then the next try goes on where this one stopped, and
    SplitChangedError, if another version of the code has begun the import and this one splits the file otherwise: the
    next try may be that version's again. `layer` is the version of the code.
    """
    key = import_of_key(upload.key)
    if key is None or key.import_id is None:
        # Here, since only a dropped object needs it, and it imports pydantic.
        from contact_imports.jobs.create_dropped_import import (
            id_of_dropped,
            record_dropped,
            refuse_misplaced,
        )
    if key is None:
        misplaced = refuse_misplaced(upload, reports, now)
        return ProcessedUpload("failed" if misplaced else "not an import")
    project_id = key.project_id
    try:
        import_id = key.import_id or record_dropped(upload, project_id, uploads, imports, now)
    except UploadGoneError:
        # An earlier try may have recorded its import, and died.
        import_id = id_of_dropped(upload, uploads.bucket, imports, now)
        stopped = stop_import(import_id, GONE, imports, queue, now)
        return ProcessedUpload("failed", import_id) if stopped else ProcessedUpload("not an import")
    job = imports.claim(import_id, upload, now)
    if job is None or job.project_id != project_id:
        return ProcessedUpload("nothing to do", import_id)
    try:
        # Nothing is sent before the end of the file: a file that breaks half-way imports nothing.
        with (
            TemporaryFile("w+b", _BUFFER_BYTES) as bodies,
            TemporaryFile("w+b", _BUFFER_BYTES) as hashes,
        ):
            batches = _StoredBatches(bodies, hashes)
            split = _split_file(upload, uploads, job, batches, time)
            if job.split is None:
                _start(imports, tags, job, split, layer, now)
                # Another processor may have recorded its split first; that one counts.
                job = imports.get(import_id)
                if job is None or job.ended or job.split is None:
                    return ProcessedUpload("nothing to do", import_id)
                if job.split.digest != split.split.digest:
                    split = _split_file(upload, uploads, job, batches, time)
            _check_same_split(job, split)
            sent = _send(job, batches, queue, time)
        if sent < split.batch_count:
            imports.set_sent(import_id, sent)
            raise NotAllSentError(f"{sent} of {split.batch_count} row batches are sent")
    except FileError as error:
        if job is not None and job.split is not None:
            raise SplitChangedError from error
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
        if error.errno != errno.ENOSPC or not imports.fail(import_id, _DISK_IS_FULL, now):
            raise
        return ProcessedUpload("failed", import_id)
    return ProcessedUpload("sent", import_id, job.counts.total, split.batch_count)


class _StoredBatches:
    """Row batches on disk, in file order, until the file was read to its end."""

    def __init__(self, bodies: IO[bytes], hashes: IO[bytes]) -> None:
        self._bodies = bodies
        self._hashes = hashes
        self._repeats: Repeats | None = None

    def clear(self, repeats: Repeats | None) -> None:
        """Drops all batches. The next ones are those of a dry run if `repeats` is given."""
        for file in (self._bodies, self._hashes):
            file.seek(0)
            file.truncate()
        self._repeats = repeats

    def add(self, batch: EncodedBatch, body: bytes) -> None:
        """Adds a batch: its message's body, which is one line, and for a dry run its rows' hashes."""
        self._bodies.write(b"%d %d %d %s\n" % (batch.partition, batch.seq, batch.count, body))
        if self._repeats is not None:
            self._repeats.add(batch.hashes)
            self._hashes.write(batch.hashes.tobytes())

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """The batches' partitions, numbers and bodies. In a dry run's, repeated rows are marked."""
        self._bodies.seek(0)
        self._hashes.seek(0)
        for line in self._bodies:
            partition, seq, count, body = line[:-1].split(b" ", 3)
            if self._repeats is not None:
                hashes = array("Q")
                hashes.fromfile(self._hashes, int(count))
                body = with_repeated(body, self._repeats.numbers(hashes))
            yield int(partition), int(seq), body


def _split_file(
    upload: Upload, uploads: Uploads, job: Import, batches: _StoredBatches, time: ProcessorTime
) -> SplitFile:
    """Reads a file to its end and stores its row batches in `batches`.

    Raises FileError where it cannot be imported, or not be read in time.
    """
    rows = 0

    def split(file: ContactFile) -> SplitFile:
        nonlocal rows
        size = upload.size * (_GZIP_USUAL_RATIO if file.stream.is_gzip else 1)
        begun = job.split or Split(choose_partition_count(size), new_batch_limits())
        digest = SplitDigest(file.columns)
        # An earlier try with another encoding may have written batches.
        batches.clear(Repeats(size) if job.options.dry_run else None)
        rows = batch_count = 0
        table_rows = file.rows()
        for batch in row_batches(
            table_rows,
            file.columns,
            begun.partition_count,
            file.header,
            begun.limits,
            with_hashes=job.options.dry_run,
        ):
            digest.add(batch)
            batches.add(batch, encode_row_batch(job, file.columns.fields, batch))
            rows += batch.count
            batch_count += 1
            if rows > limits.MAX_ROWS:
                raise FileError("UNREADABLE_FILE", _too_many_rows())
        return SplitFile(
            rows=rows,
            batch_count=batch_count,
            split=replace(begun, digest=digest.hexdigest()),
            encoding=file.encoding,
            delimiter=file.delimiter,
            header_record=file.header_record,
            column_map=file.column_map,
            notes=(*file.notes, *table_rows.notes),
        )

    # An import that was begun goes on in the encoding that was found then; UTF-8 is found without being named.
    found = job.encoding if job.encoding != UTF_8 else None
    options = replace(job.options, encoding=found or job.options.encoding)
    try:
        return read_contact_file(lambda: uploads.open(upload, time.to_read), options, split)
    except OutOfTimeError:
        if job.split is not None:
            # Rows may have been sent, and the next try may have enough time.
            raise
        raise FileError("UNREADABLE_FILE", _too_slow(rows)) from None


def _too_many_rows() -> str:
    return f"The file has more than {limits.MAX_ROWS:,} rows. Split it into files of at most that many."


def _too_slow(rows: int) -> str:
    """The reason of a file that takes too long, of which `rows` were read in time."""
    message = "The file takes longer to read than the processor may run."
    rounded = rows // _ROUNDED_ROWS * _ROUNDED_ROWS
    if not rounded:
        return f"{message} Split it into smaller files."
    return f"{message} Split it into files of at most {rounded:,} rows."


def _start(
    imports: ImportTable,
    tags: TagTable,
    job: Import,
    split: SplitFile,
    layer: str,
    now: datetime,
) -> None:
    if not job.options.dry_run:
        tags.create_missing(job.project_id, job.options.tags, now)
    imports.start(
        job.id,
        total=split.rows,
        split=replace(split.split, layer=layer),
        encoding=split.encoding,
        delimiter=split.delimiter,
        header_record=split.header_record,
        column_map=split.column_map,
        notes=split.notes,
        now=now,
    )


def _check_same_split(job: Import, split: SplitFile) -> None:
    """Raises SplitChangedError if these are not the row batches that the import began with.

    Where they were not recorded, only the number of rows can show it.
    """
    recorded = job.split.digest if job.split else ""
    if (recorded or split.split.digest) != split.split.digest or job.counts.total != split.rows:
        raise SplitChangedError


def _send(job: Import, batches: _StoredBatches, queue: RowQueue, time: ProcessorTime) -> int:
    """Sends the row batches that an earlier try has not sent, while there is time; returns how many, from the first
    on, are in the queue now."""
    sent = 0
    with OrderedSender(queue, job.id) as sender:
        for partition, seq, body in batches:
            if sent >= job.sent_batches:
                if not time.to_send():
                    break
                sender.send(partition, seq, body.decode())
            sent += 1
    return sent
