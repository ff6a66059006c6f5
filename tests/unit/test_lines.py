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
