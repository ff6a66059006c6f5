from __future__ import annotations

import gzip
import io
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files import plain_file
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_GZIP_RATIO, MAX_GZIP_RATIO_FROM_BYTES, MAX_LINE_BYTES


def read(content: bytes) -> bytes:
    return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)).readall()


@given(st.binary(max_size=2000))
def test_a_file_is_read_as_it_was_before_it_was_packed(content: bytes) -> None:
    packed = gzip.compress(content)
    assert read(packed) == content
    assert read(packed + gzip.compress(b"more")) == content + b"more"


@given(st.binary(max_size=200).filter(lambda content: not content.startswith(b"\x1f\x8b")))
def test_what_is_not_packed_is_read_as_it_is(content: bytes) -> None:
    assert read(content) == content


def test_the_bytes_are_counted_unpacked() -> None:
    packed = gzip.compress(b"x\n" * 1000)
    stream = PlainFile(io.BufferedReader(io.BytesIO(packed)), len(packed))
    stream.readall()
    assert stream.size == 2000


@pytest.mark.parametrize(
    "damaged",
    [
        gzip.compress(b"Email\n", mtime=0)[:-1],
        gzip.compress(b"Email\n" * 100, mtime=0)[:20],
        gzip.compress(b"Email\n", mtime=0)[:-8] + b"12345678",
        gzip.compress(b"Email\n", mtime=0) + b"garbage",
        b"\x1f\x8b",
        b"\x1f\x8bEmail\na@example.com\n",
    ],
)
def test_damaged_gzip_is_an_error(damaged: bytes) -> None:
    with pytest.raises(FileError, match="damaged or truncated") as refused:
        read(damaged)
    assert refused.value.code == "UNREADABLE_FILE"


@given(st.binary(max_size=300), st.integers(0, 400))
def test_the_head_is_still_to_be_read(content: bytes, size: int) -> None:
    stored = gzip.compress(content)
    stream = PlainFile(io.BufferedReader(io.BytesIO(stored)), len(stored))
    assert stream.head(size) == content[:size]
    assert stream.head(size // 2) == content[: size // 2]
    assert stream.readall() == content


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_the_bytes_of_a_line_end_are_no_line_end_in_utf_16(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(plain_file, "MAX_LINE_BYTES", 1000)

    def read_text(text: str) -> bytes:
        content = text.encode(encoding)
        stream = PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))
        stream.head(4)
        stream.set_encoding(encoding)
        return b"".join(iter(partial(stream.read, 100), b""))

    lines = "\u0a0d\u0d0a\n" * 400
    assert read_text(lines) == lines.encode(encoding)
    with pytest.raises(FileError, match="without the end of a line"):
        read_text("\u0a0d\u0d0a" * 400)


def test_a_bomb_is_stopped_at_its_ratio() -> None:
    bomb = gzip.compress(b"a\n" * MAX_GZIP_RATIO_FROM_BYTES)
    assert MAX_GZIP_RATIO * len(bomb) < 2 * MAX_GZIP_RATIO_FROM_BYTES
    stream = PlainFile(io.BufferedReader(io.BytesIO(bomb)), len(bomb))
    with pytest.raises(FileError, match="send it without gzip"):
        list(iter(partial(stream.read, 65536), b""))
    assert stream.size <= MAX_GZIP_RATIO_FROM_BYTES + 65536


def test_what_packs_well_is_no_bomb() -> None:
    content = b"a\n" * (MAX_GZIP_RATIO_FROM_BYTES // 2)
    assert len(content) > MAX_GZIP_RATIO * len(gzip.compress(content))
    assert read(gzip.compress(content)) == content


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_over_the_limit_is_stopped(
    monkeypatch: pytest.MonkeyPatch, pack: type[bytes]
) -> None:
    monkeypatch.setattr(plain_file, "MAX_FILE_BYTES", 1000)
    assert read(pack(b"a\n" * 500)) == b"a\n" * 500
    with pytest.raises(FileError, match="more than 1,000 bytes"):
        read(pack(b"a\n" * 501))


def test_a_file_that_is_too_large_as_it_is_is_not_even_read() -> None:
    with pytest.raises(FileError, match="more than 5,368,709,120 bytes"):
        PlainFile(io.BufferedReader(io.BytesIO(b"Email\n")), 5 * 1024**3 + 1)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_stretch_without_a_line_end_is_stopped(pack: type[bytes]) -> None:
    # By chance, so that it is a long line and no bomb.
    long = random.Random(1).randbytes(MAX_LINE_BYTES // 2 + 1).hex().encode()
    with pytest.raises(FileError, match="without the end of a line"):
        read(pack(b"Email\n" + long))
    assert read(pack(long[:MAX_LINE_BYTES] + b"\r" + long[:MAX_LINE_BYTES]))
