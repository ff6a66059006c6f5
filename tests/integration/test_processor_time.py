"""Files that take longer than a processor may run, and files with more rows than it may have."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from typing import Any

import pytest

from contact_imports.aws.uploads_bucket import Uploads
from contact_imports.files.plain_file import OutOfTimeError, PlainFile
from contact_imports.model import limits
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import Import, ImportOptions, Status
from tests.events import Context, handler
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name"))
ROWS = 40_000
CONTENT = b"Email,Name\n" + b"".join(b"c%d@example.com,Name\n" % n for n in range(ROWS))

ENOUGH_FOR_A_PART = 6
"""Reads of 256 KiB at most."""


@dataclass
class TimeToRead(Context):
    """A context whose time is over after it was asked for so often."""

    asked: int = 0

    def get_remaining_time_in_millis(self) -> int:
        self.asked -= 1
        enough: int = handler("processor").READING_ENDS_BEFORE_TIMEOUT_MS + 1
        return enough if self.asked >= 0 else enough - 1


def processed(pipeline: Pipeline, project: str, content: bytes, context: Context) -> Import:
    job, event = pipeline.accept(project, content, OPTIONS)
    handler("processor").lambda_handler(event, context)
    return pipeline.finish(job)


def check_nothing_was_imported(pipeline: Pipeline, ended: Import) -> None:
    assert ended.status is Status.FAILED
    assert set(ended.counts.as_dict().values()) == {0}
    assert pipeline.messages() == []
    assert pipeline.contacts_of(ended.project_id) == {}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_is_not_read_in_time_is_refused_with_how_to_split_it(
    pipeline: Pipeline, project: str, pack: type[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.files.split.PARTITION_BYTES", 2**30)
    ended = processed(pipeline, project, pack(CONTENT), TimeToRead("test", asked=ENOUGH_FOR_A_PART))
    check_nothing_was_imported(pipeline, ended)
    said = (
        "The file takes longer to read than the processor may run. Split it into files of at most "
    )
    error = ended.error or ""
    assert error.startswith(said)
    rows = int(error.removeprefix(said).removesuffix(" rows.").replace(",", ""))
    assert 0 < rows < ROWS
    assert rows % 1_000 == 0


def test_a_file_of_which_no_row_was_read_in_time_is_refused(
    pipeline: Pipeline, project: str
) -> None:
    ended = processed(pipeline, project, CONTENT, TimeToRead("test"))
    check_nothing_was_imported(pipeline, ended)
    assert (
        ended.error
        == "The file takes longer to read than the processor may run. Split it into smaller files."
    )


def test_a_file_that_was_started_is_tried_again_when_reading_takes_too_long(
    pipeline: Pipeline, project: str
) -> None:
    # Whoever read it in time once may do so again; its rows that were sent are being imported.
    job, event = pipeline.accept(project, CONTENT, OPTIONS)
    pipeline.process(event)
    with pytest.raises(OutOfTimeError):
        handler("processor").lambda_handler(event, TimeToRead("test", asked=ENOUGH_FOR_A_PART))
    assert not pipeline.get(job).ended
    pipeline.take_all()


def test_the_limit_of_rows_is_above_what_the_largest_file_of_usual_rows_has() -> None:
    usual_row_bytes = 105  # of the sample that the measurements are made with
    assert limits.MAX_FILE_BYTES / usual_row_bytes < limits.MAX_ROWS


@pytest.mark.parametrize("rows", [9, 10, 11])
def test_a_file_has_at_most_so_many_rows(
    pipeline: Pipeline, project: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.model.limits.MAX_ROWS", 10)
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 3)
    # Blank lines and the header are no rows.
    content = b"Email,Name\n" + b"\n".join(b"c%d@example.com,n\n" % n for n in range(rows))
    ended = pipeline.run(project, content, OPTIONS)
    if rows > 10:
        check_nothing_was_imported(pipeline, ended)
        assert (
            ended.error
            == "The file has more than 10 rows. Split it into files of at most that many."
        )
    else:
        assert ended.status is Status.COMPLETED
        assert ended.counts.as_dict() == counts_of(expected(content, OPTIONS))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was opened so far, each time that it was."""
    opened: list[Any] = []
    really_open = Uploads.open

    def open_and_note(uploads: Uploads, *arguments: Any) -> PlainFile:
        opened.append(arguments)
        return really_open(uploads, *arguments)

    monkeypatch.setattr(Uploads, "open", open_and_note)
    return opened


# Each email comes twice, the second time much later. More than 64 KiB, which are looked at before the first row.
PAIRS = b"".join(b"c%d@example.com,%d\n" % (n % 2_500, n) for n in range(5_000))
WESTERN = "".join(f"w{n % 3}@example.com,René Müller\n" for n in range(6)).encode("cp1252")


@pytest.mark.parametrize(
    ("rows", "pack", "times"),
    [
        (PAIRS, bytes, 1),
        # The encoding is found in a stream of its own, and the first one is read on.
        (PAIRS + WESTERN, gzip.compress, 2),
        # A degree sign in UTF-8 by chance: what was read before is read again in the other encoding.
        ("c0@example.com,5 °C\n".encode() + PAIRS + WESTERN, bytes, 3),
    ],
    ids=["usual", "late", "again"],
)
def test_a_dry_run_reads_its_file_once(
    pipeline: Pipeline,
    project: str,
    opened: list[Any],
    rows: bytes,
    pack: type[bytes],
    times: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("contact_imports.files.split.MAX_BATCH_ROWS", 100)
    monkeypatch.setattr("contact_imports.files.table_start.TABLE_HEAD_BYTES", 2**14)
    monkeypatch.setattr("contact_imports.files.contact_file.TABLE_HEAD_BYTES", 2**14)
    content = pack(b"Email,Name\n" + rows)
    options = replace(OPTIONS, dry_run=True)
    job, event = pipeline.accept(project, content, options)
    pipeline.process(event)
    assert len(opened) == times
    pipeline.drain()
    ended = pipeline.finish(job)
    assert ended.counts.as_dict() == counts_of(expected(content, options))
    assert ended.counts.updated >= 2_500
