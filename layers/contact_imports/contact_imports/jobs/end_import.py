"""How an import ends that does not end by itself."""

from __future__ import annotations

from datetime import datetime

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.row_queue import RowQueue

GONE = "The uploaded file was replaced or deleted before it was read to its end."
PROCESSOR_FAILED = "The file could not be processed, although it was tried several times."
NO_UPLOAD = "The uploaded file never arrived, or could not be read in time. Import the file again."
OVERDUE = "The import did not end in time."


def stop_import(
    import_id: str, reason: str, imports: ImportTable, queue: RowQueue, now: datetime
) -> bool:
    """Ends an import whose processor sends nothing any more; False where there is nothing to end.

    Rows that were sent are still on their way and will count. So every partition is ended by a message
    behind its rows, and the import ends when the last of these is taken.
    """
    job = imports.get(import_id)
    if job is None or job.ended:
        return False
    if job.partitions is None:
        if imports.fail(import_id, f"{reason} Import the file again.", now):
            return True
        # It was started, or it ended, since it was read.
        job = imports.get(import_id)
        if job is None or job.ended or job.partitions is None:
            return False
    imports.set_failure(import_id, reason)
    for partition in range(job.partitions):
        queue.send_partition_end(import_id, job.project_id, partition)
    return True


def end_overdue_imports(imports: ImportTable, now: datetime) -> list[str]:
    """Fails every import that is past its deadline, whatever became of it; returns their ids."""
    ended = []
    for import_id in imports.overdue(now):
        job = imports.get(import_id)
        if job is None or job.ended:
            continue
        if job.partitions is None:
            imports.fail(import_id, NO_UPLOAD, now)
        else:
            imports.set_failure(import_id, OVERDUE)
            for partition in range(job.partitions):
                imports.end_partition(import_id, partition, forget_gaps=True)
            imports.end_if_done(import_id, now)
        ended.append(import_id)
    return ended
