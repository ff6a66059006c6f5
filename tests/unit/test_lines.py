"""A file's lines, whatever ends them and wherever a chunk is cut."""

from __future__ import annotations

import io
import itertools
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files import lines as module
from contact_imports.files.lines import Lines

texts = st.lists(
    st.sampled_from(["\n", "\r", "\r\n", "a", "bc", "é", "姓", "\v", "\x1c", "\x85", "\u2028"])
).map("".join)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


@given(texts, encodings, st.integers(1, 9), st.lists(st.integers(0, 3)))
def test_lines_are_those_of_the_text_wherever_it_is_cut(
    text: str, encoding: str, chunk: int, steps: list[int]
) -> None:
    content = text.encode(encoding, errors="ignore")
    expected = list(io.TextIOWrapper(io.BytesIO(content), encoding, newline=""))
    with patch.object(module, "_CHUNK_BYTES", chunk):
        lines = Lines(io.BytesIO(content), encoding)
        for step in steps:
            seen = list(itertools.islice(lines, step))
            assert seen == expected[:step]
            held = lines.held()
            assert held == expected[: len(held)]
            assert held or not expected
            lines.skip(len(seen))
            expected = expected[len(seen) :]
        assert list(lines) == expected
        assert list(lines) == expected


def test_what_is_behind_a_reader_is_forgotten() -> None:
    lines = Lines(io.BytesIO(b"some line\n" * 100_000), "utf-8")
    most = 0
    while held := lines.held():
        most = max(most, len(held))
        lines.skip(min(len(held), 7))
        next(itertools.islice(lines, 20, None), None)
    assert most < 10_000


def test_bytes_that_are_no_text_are_an_error() -> None:
    for content in (b"a\n\xff", b"a\xc3"):
        with pytest.raises(UnicodeDecodeError):
            list(Lines(io.BytesIO(content), "utf-8"))


western = st.lists(
    st.sampled_from([b"\n", b"\r", b"a", b"bcdefgh", b"\xe9", b"\xc3", b"\xa9", b"\x85"])
)


@given(western.map(b"".join), st.integers(1, 9))
def test_a_file_that_was_ascii_is_read_on_in_the_encoding_that_is_found(
    content: bytes, chunk: int
) -> None:
    found: list[str] = []

    def find() -> str:
        found.append("cp1252")
        return "cp1252"

    with patch.object(module, "_CHUNK_BYTES", chunk):
        lines = Lines(io.BytesIO(content), "utf-8", find)
        try:
            text = "".join(lines)
        except UnicodeDecodeError:
            # Some of it was read as UTF-8, and would be something else in the other encoding.
            assert not content.decode(errors="ignore").isascii()
            return
    assert text == content.decode(lines.encoding)
    assert found == ([] if lines.encoding == "utf-8" else ["cp1252"])


def test_a_file_that_was_not_ascii_is_not_read_on() -> None:
    with patch.object(module, "_CHUNK_BYTES", 4):
        lines = Lines(io.BytesIO("é\nab".encode() + b"\xe9"), "utf-8", lambda: "cp1252")
        with pytest.raises(UnicodeDecodeError):
            list(lines)


def test_a_file_is_not_read_on_in_an_encoding_without_ascii() -> None:
    lines = Lines(io.BytesIO(b"ab\xff"), "utf-8", lambda: "utf-16")
    with pytest.raises(UnicodeDecodeError):
        list(lines)
