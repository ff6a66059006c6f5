"""Files as people have them, from the bucket to the contacts: dialects, damage, and what is no CSV at all."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import os
from dataclasses import replace
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import ImportOptions, Status
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline

OPTIONS = ImportOptions(ColumnMap(email="Email", name="Name", custom_fields={"note": "Note"}))
ROWS = [
    ["Email", " name ", "", "Note", "Other", "Other"],
    ["a@example.com", "Zoë", "", "two\nlines, one cell", "", ""],
    ["b@example.com", 'says "hi"', "", "007", "x", "y"],
    ["short@example.com"],
    ["no email", "n", "", "", "", ""],
    ["long@example.com", "n", "", "", "", "", "beyond"],
    ["", "", "", "", "", ""],
    [],
    ["c@example.com", "last", "", "", "", ""],
]


def written(end: str = "\r\n", delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    # Without quotes around everything, csv leaves line ends bare that are not the table's own.
    csv.writer(text, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(ROWS)
    return text.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize(
    ("delimiter", "pack"), [(",", bytes), (";", bytes), ("\t", bytes), (",", gzip.compress)]
)
def test_the_same_table_in_any_dialect_is_the_same_import(
    pipeline: Pipeline, project: str, encoding: str, end: str, delimiter: str, pack: type[bytes]
) -> None:
    reference = expected(written().encode(), OPTIONS)
    content = pack(written(end, delimiter).encode(encoding))
    ended = pipeline.run(project, content, replace(OPTIONS, delimiter=delimiter))
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts
    assert ended.encoding == {"utf-8": "utf-8-sig"}.get(encoding, encoding)
    assert [row["row"] for row in pipeline.report(ended)] == [5, 6]
    assert pipeline.contacts_of(project)["b@example.com"].custom_fields["note"] == "007"


def test_the_encoding_is_decided_for_the_whole_file(pipeline: Pipeline, project: str) -> None:
    # ASCII all the way, but for one name at the end.
    rows = "".join(f"c{n}@example.com,Zoe {n},,\n" for n in range(500))
    content = f"Email,Name,x,Note\n{rows}".encode() + "last@example.com,René,,\n".encode("cp1252")
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.encoding == "cp1252"
    assert ended.counts.total == 501
    assert pipeline.contacts_of(project)["last@example.com"].fields["name"] == "René"


def test_one_letter_of_another_encoding_in_a_utf_8_file_is_damage(
    pipeline: Pipeline, project: str
) -> None:
    # Read as Windows-1252, 500 names would come out as other letters.
    rows = "".join(f"c{n}@example.com,Zoë {n},,\n" for n in range(500))
    content = f"Email,Name,x,Note\n{rows}".encode() + "last@example.com,é,,\n".encode("cp1252")
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.status is Status.FAILED
    assert "Line 502 has bytes that are not UTF-8" in (ended.error or "")
    assert pipeline.contacts_of(project) == {}
    assert pipeline.messages() == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_file_is_read_in_the_encoding_that_was_named(
    pipeline: Pipeline, project: str, pack: type[bytes], dry_run: bool
) -> None:
    content = pack("Email,Name,Note\na@example.com,Łukasz,表|渾\n".encode("gb18030"))
    named = replace(OPTIONS, encoding="GBK", dry_run=dry_run)
    ended = pipeline.run(project, content, named)
    assert ended.status is Status.COMPLETED
    assert ended.encoding == "gb18030"
    assert ended.counts.created == 1
    if not dry_run:
        assert pipeline.contacts_of(project)["a@example.com"].fields["name"] == "Łukasz"


def test_an_uncertain_encoding_is_refused_with_the_candidates(
    pipeline: Pipeline, project: str
) -> None:
    content = "Email,Name,Note\na@example.com,Łukasz Żółć,\n".encode("cp1250")
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.status is Status.FAILED
    assert "Line 2 is not text in UTF-8" in (ended.error or "")
    assert "windows-1250" in (ended.error or "")
    assert pipeline.messages() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \r\n", "is empty"),
        (b"\x1f\x8b\x08broken", "damaged"),
        (gzip.compress(written().encode(), mtime=0)[:-5], "damaged"),
        (gzip.compress(b"Email,Name,Note\n" + b"a@example.com,n,x\n" * 2_000_000, mtime=0), "send it without gzip"),
        (b"PK\x03\x04" + bytes(100), "Excel"),
        (b"<!DOCTYPE html><html><body>", "web page"),
        (bytes(range(256)) * 20, "binary"),
        (b"Email,Name,Note\na@example.com,n,\x81\xff\n", "not text"),
        ("Email,Name,Note\nx\ud800y,n,\n".encode("utf-16", "surrogatepass"), "not text"),
        (b'Email,Name,Note\na@example.com,"n,x\n' * 3, "never closed"),
        (b"Email,Name,Note\na@example.com," + b"x" * 1_000_001 + b",\n", "1,000,000 characters"),
        (b"Email,Name,Note\n" + b"x" * (9 * 1024 * 1024), "without the end of a line"),
        (b"Email,Name,Email,Note\n", "columns 1, 3"),
        (b"Email,Name\n", "no column 'Note'"),
        (b",".join(b"c%d" % n for n in range(1001)), "1001 columns"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_says_why_and_imports_nothing(
    pipeline: Pipeline, project: str, content: bytes, said: str
) -> None:
    ended = pipeline.run(project, content, OPTIONS)
    assert ended.status is Status.FAILED
    assert said in (ended.error or "")
    assert set(ended.counts.as_dict().values()) == {0}
    assert pipeline.contacts_of(project) == {}
    assert pipeline.messages() == []


class FullDisk(io.BytesIO):
    """A file that nothing can be written to."""

    def write(self, _: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_whose_row_batches_fill_the_disk_is_refused(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contact_imports.jobs.split_upload.TemporaryFile", lambda *_: FullDisk())
    ended = pipeline.run(project, written().encode(), OPTIONS)
    assert ended.status is Status.FAILED
    assert (
        ended.error
        == "The file has more rows than the processor can hold. Split it into smaller files."
    )
    assert pipeline.messages() == []
    assert pipeline.contacts_of(project) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"Email,Name,Note",
        b"Email,Name,Note\r\n,,\r\n\r\n",
        b"Email,Name,Note\na@example.com,n,x",
        b"Email,Name,Note\na@example.com,n\x00u\x01l,\x1b[0m\n" + b"b@example.com,x,y\n" * 5,
        b"Email,Name,Note," + b",".join(b"c%d" % n for n in range(497)) + b"\na@example.com,n\n",
        b"Email,Name,Note,Big\na@example.com,n,x," + b"y" * 100_000 + b"\n",
    ],
    ids=["header", "blank lines", "no newline", "controls", "500 columns", "a cell of 100 KB"],
)
def test_unusual_files_are_imported_as_the_reference_does(
    pipeline: Pipeline, project: str, content: bytes
) -> None:
    ended = pipeline.run(project, content, OPTIONS)
    reference = expected(content, OPTIONS)
    assert ended.status is Status.COMPLETED
    assert ended.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts
