"""Whatever comes in is understood or refused with a documented error. `make fuzz` goes on for longer."""

from __future__ import annotations

import gzip
import io
import os
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_imports.api.requests import parse_form
from contact_imports.files.contact_file import open_contact_file
from contact_imports.files.failed_rows import ReportWriter, failed_rows
from contact_imports.files.plain_file import PlainFile, plain_head
from contact_imports.files.records import HEAD_BYTES, read_in_encoding
from contact_imports.messages.row_messages import decode_message
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.errors import FileError, RequestError
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.options import parse_options
from tests.multipart import BOUNDARY, CONTENT_TYPE
from tests.reference import ReferenceImport, reference_import

fuzz = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

words = st.sampled_from(
    [
        *("email", "Email", "projectId", "columnMap", "file", "tags", "delimiter", "onConflict"),
        *("onBlank", "dryRun", "demo", "true", "false", "null", "keep", "clear", "skip", "upsert"),
        *('"', "'", "{", "}", "[", "]", ":", ",", ";", "\\", "\n", "\r\n", "\r", "\t", " ", "\0"),
        *("--", BOUNDARY, f"--{BOUNDARY}\r\n", f"--{BOUNDARY}--", "\r\n\r\n", "\ufeff", "\uffff"),
        *(
            'Content-Disposition: form-data; name="',
            'filename="c.csv"',
            "Content-Type: ",
            "=?UTF-8",
        ),
        *('{"email":"Email"}', "customFields", "a@example.com", "import_row", "import_error", "é"),
        *("\\ud800", "0", "1", "-1", "1e999", "NaN", "漢"),
    ]
)
texts = st.lists(st.one_of(words, st.text(max_size=3)), max_size=30).map("".join)
contents = st.builds(
    lambda parts, pack, cut: pack(b"".join(parts))[: cut or None],
    st.lists(
        st.one_of(
            words.map(lambda word: word.encode()),
            st.binary(max_size=4),
            st.sampled_from(
                [b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b"PK\x03\x04", b"Email,Name\n"]
            ),
            # Rows whose quotes are written in other ways, or damaged.
            st.sampled_from(
                [
                    *(b'a@example.com,"A\nB"\n', b'b@example.com,"B,c\n', b'c@example.com,C"\n'),
                    *(
                        b'd@example.com, "D, d" \n',
                        b'e@example.com,"a \\"e\\""\n',
                        b'\n"",""e"",\n',
                    ),
                    *(b'f@example.com,"12" f"\r', b"g@example.com,g\r\n", b'"h@example.com,H"\n'),
                ]
            ),
        ),
        max_size=40,
    ),
    st.sampled_from([bytes, gzip.compress, lambda b: b.decode("latin-1").encode("utf-16")]),
    st.one_of(st.just(0), st.integers(1, 60)),
)


@fuzz
@given(
    contents,
    st.one_of(
        st.just(CONTENT_TYPE),
        st.just("application/json"),
        texts,
        texts.map(lambda text: f"multipart/form-data; boundary={text}"),
    ),
)
def test_a_request(body: bytes, content_type: str) -> None:
    try:
        parse_form(content_type, body)
    except RequestError as error:
        assert error.status in (400, 413)


parts = st.lists(st.tuples(words, contents), max_size=8)


@fuzz
@given(parts)
def test_a_form_of_parts(parts: list[tuple[str, bytes]]) -> None:
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), name.encode(), content)
        for name, content in parts
    )
    try:
        parse_form(CONTENT_TYPE, body + f"--{BOUNDARY}--\r\n".encode())
    except RequestError as error:
        assert error.status == 400


@fuzz
@given(texts)
def test_a_column_map(text: str) -> None:
    try:
        parse_column_map(text)
    except ValueError as error:
        assert len(str(error)) > 10


names = st.sampled_from(["columnMap", "onConflict", "onBlank", "delimiter", "tags", "dryRun"])


@fuzz
@given(st.dictionaries(names, texts))
def test_options_of_metadata(metadata: dict[str, str]) -> None:
    try:
        parse_options(metadata)
    except RequestError as error:
        assert error.status == 400


@fuzz
@given(
    contents,
    st.sampled_from([None, ",", ";", "\t", " ", "a"]),
    st.sampled_from([None, ColumnMap(email="Email"), ColumnMap(email="a", name="b")]),
)
def test_a_file(content: bytes, delimiter: str | None, column_map: ColumnMap | None) -> None:
    options = ImportOptions(column_map, delimiter=delimiter)

    def opened(encoding: str) -> Any:
        file = PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))
        return open_contact_file(file, plain_head(content[:HEAD_BYTES]), encoding, options)

    def read(encoding: str) -> ReferenceImport:
        file = opened(encoding)
        result = reference_import([(1, file.header), *file.reader], file.column_map)
        file = opened(encoding)
        report = bytearray()
        writer = ReportWriter(report.extend, file.delimiter, file.header, file.columns)
        for row in failed_rows(file.reader, iter(result.errors)):
            writer.write(row)
        writer.flush()
        assert report
        return result

    try:
        result = read_in_encoding(plain_head(content[:HEAD_BYTES]), read)
    except FileError as error:
        assert len(error.message) > 10
    else:
        assert result.total == sum(result.counts.values())


@fuzz
@given(texts)
def test_a_message_of_the_queue(text: str) -> None:
    try:
        decode_message(text)
    except msgspec.DecodeError as error:
        assert len(str(error)) > 10
