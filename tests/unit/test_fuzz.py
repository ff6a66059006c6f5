"""Whatever comes in is understood or refused with a documented error. `make fuzz` goes on for longer."""

from __future__ import annotations

import gzip
import io
import os
import unicodedata
from dataclasses import replace

import msgspec
from email_validator import validate_email
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_imports.api.requests import parse_request
from contact_imports.api.responses import STATUSES
from contact_imports.files.contact_file import ContactFile, open_contact_file, read_contact_file
from contact_imports.files.encoding import encoding_name
from contact_imports.files.failed_rows import ReportWriter, failed_rows
from contact_imports.files.plain_file import PlainFile
from contact_imports.files.split import row_batches
from contact_imports.jobs.create_dropped_import import read_metadata
from contact_imports.messages.option_fields import OptionFields, field_names, parse_fields
from contact_imports.messages.row_messages import decode_message
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.contact import Row
from contact_imports.model.errors import FileError, RequestError, RowError
from contact_imports.model.identity import email_identity, readable_email
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.row_validation import EmailProblem, RowReader
from contact_imports.model.text import clean_value
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
        *(
            "sep=;\n",
            "sep=",
            "Total: 1\n",
            "\x1a",
            "-- end --",
            "---",
            "Vorname",
            "E-mail 2",
            "Notes:\n",
        ),
        *(
            "Email;Name\n",
            "Buyer Email",
            "a@example.com,Ann\n",
            "yes",
            "+44",
            "Phone",
            "(column 2)",
        ),
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
                [
                    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b"PK\x03\x04"),
                    *(b"Email,Name\n", b"a@example.com,Ann\n", b"Title\n\n", b"\nTotal,1\n"),
                ]
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
        parse_request(content_type, body)
    except RequestError as error:
        assert STATUSES[error.code] in (400, 413)


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
        parse_request(CONTENT_TYPE, body + f"--{BOUNDARY}--\r\n".encode())
    except RequestError as error:
        assert STATUSES[error.code] == 400


@fuzz
@given(texts)
def test_a_column_map(text: str) -> None:
    try:
        parse_column_map(text)
    except ValueError as error:
        assert len(str(error)) > 10


names = st.sampled_from(field_names(OptionFields))


@fuzz
@given(st.dictionaries(names, texts))
def test_options_of_metadata(metadata: dict[str, str]) -> None:
    try:
        parse_fields(OptionFields, metadata)
    except RequestError as error:
        assert STATUSES[error.code] == 400


keys_of_metadata = st.one_of(
    st.sampled_from([*field_names(OptionFields), "projectId", "on-conflict", "dry-run", "x"]),
    st.text(max_size=12),
)
values_of_metadata = st.one_of(
    st.text(max_size=20),
    st.builds(
        "=?{}?{}?{}?=".format,
        st.sampled_from(["utf-8", "foo", "utf-16", "unicode_escape", "idna", "é", "rot13", "zip"]),
        st.sampled_from(["B", "Q", "q", "X"]),
        st.text(max_size=12),
    ),
    st.text("=?BQutf8-_", max_size=30).map("=?".__add__),
)


@fuzz
@given(st.dictionaries(keys_of_metadata, values_of_metadata, max_size=4))
def test_whatever_metadata_says_it_is_understood_or_refused(metadata: dict[str, str]) -> None:
    try:
        options = read_metadata(metadata, "demo")
    except RequestError as error:
        assert len(error.message) > 20
    else:
        repr(options).encode()


@fuzz
@given(
    contents,
    st.sampled_from([None, ",", ";", "\t", " ", "a"]),
    st.sampled_from([None, ColumnMap(email="Email"), ColumnMap(email="a", name="b")]),
)
def test_a_file(content: bytes, delimiter: str | None, column_map: ColumnMap | None) -> None:
    options = ImportOptions(column_map, delimiter=delimiter)

    def stream() -> PlainFile:
        return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))

    def read(file: ContactFile) -> ReferenceImport:
        result = reference_import(
            [(file.header_record, file.header), *file.reader], file.column_map
        )
        file = open_contact_file(stream(), options, file.encoding)
        batches = row_batches(file.rows(), file.columns, 3)
        assert sum(batch.count for batch in batches) == result.total
        found = replace(
            options,
            column_map=file.column_map,
            delimiter=file.delimiter,
            header_record=file.header_record,
        )
        file = open_contact_file(stream(), found, file.encoding)
        report = bytearray()
        writer = ReportWriter(report.extend, file.delimiter, file.header, file.columns)
        for row in failed_rows(file.reader, iter(result.errors)):
            writer.write(row)
        writer.flush()
        assert report
        return result

    try:
        result = read_contact_file(stream, options, read)
    except FileError as error:
        assert len(error.message) > 10
    else:
        assert result.total == sum(result.counts.values())


def cells_of(content: bytes, encoding: str | None = None) -> list[list[str]] | None:
    """A file's records, or None where it is refused, which must be with a documented error."""
    options = ImportOptions(ColumnMap(email="Email"), encoding=encoding)
    try:
        return read_contact_file(
            lambda: PlainFile(io.BufferedReader(io.BytesIO(content)), len(content)),
            options,
            lambda file: [file.header, *(record for _, record in file.reader)],
        )
    except FileError as error:
        assert error.code in ("UNREADABLE_FILE", "ENCODING_UNCERTAIN")
        assert len(error.message) > 10
        return None


NAMES = {
    "cp1252": "René Müller;Søren Ærø;José Núñez;João Conceição;Zoë Dupré;Åsa Sjöström;Niccolò;François",
    "cp1250": "Łukasz Żółć;Małgorzata Wiśniewska;Jiří Dvořák;Kateřina Nováčková;Győző Szűcs;Paweł",
    "cp1251": "Иван Петров;Мария Кузнецова;Сергей Ёлкин;Олександр Шевченко;Георги Димитров",
    "koi8_r": "Иван Петров;Мария Кузнецова;Сергей Ёлкин",
    "cp1253": "Γιώργος Παπαδόπουλος;Ελένη Νικολάου",
    "cp1254": "Ayşe Yılmaz;Işıl Çağlar;Oğuz Şahin",
    "cp1255": "דוד כהן;שרה לוי",
    "cp1256": "محمد علي;فاطمة حسن",
    "cp874": "สมชาย ใจดี;วิภา ศรีสุข",
    "cp932": "山田太郎;鈴木一郎;ソニー表;佐藤花子",
    "euc_jp": "山田太郎;佐藤花子;高橋健一",
    "gb18030": "王小明;李丽华;赵国强;欧阳娜娜",
    "cp950": "王小明;陳淑芬;林志豪",
    "cp949": "김철수;이영희;박민수",
    "mac_roman": "José Núñez;François Lefèvre;Jürgen Groß;Zoë Dupré",
    "cp850": "José Núñez;François Lefèvre;Jürgen Groß;Zoë Dupré",
    "utf-8": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
    "utf-8-sig": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
    "utf-16": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
    "utf-16-le": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
    "utf-16-be": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
    "utf-32": "René Müller;Łukasz Żółć;Иван Петров;山田太郎;محمد علي;😀",
}
"""By encoding, names that are told from those of others two at a time."""


@st.composite
def files_of_names(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    encoding = draw(st.sampled_from(sorted(NAMES)))
    names = NAMES[encoding].split(";")
    chosen = draw(st.lists(st.sampled_from([*names, "Ann Lee", ""]), max_size=20))
    table = [[f"c{number}@example.com", name] for number, name in enumerate([*names[:2], *chosen])]
    return encoding, [["Email", "Name"], *table]


def encoded(table: list[list[str]], encoding: str) -> bytes:
    return "".join(",".join(row) + "\r\n" for row in table).encode(encoding)


@fuzz
@given(files_of_names())
def test_names_come_out_as_they_went_in_or_the_file_is_refused(
    file: tuple[str, list[list[str]]],
) -> None:
    encoding, table = file
    content = encoded(table, encoding)
    assert cells_of(content) in (table, None)
    assert cells_of(content, encoding_name(encoding)) == table
    if encoding == "cp1252" or encoding.startswith("utf"):
        assert cells_of(content) == table


@fuzz
@given(files_of_names(), st.data())
def test_damage_is_in_its_own_rows_or_the_file_is_refused(
    file: tuple[str, list[list[str]]], data: st.DataObject
) -> None:
    """What is cut off or put in may come out as other text, in its row: no other row does."""
    encoding, table = file
    content = encoded(table, encoding)
    place = data.draw(st.integers(len(encoded(table[:1], encoding)), len(content)))
    bytes_ = data.draw(
        st.sampled_from([b"", b"\xe9", b"\x81", b"\xc3", b"\xff\xfe", b"\xed\xa0\x80"])
    )
    cut = data.draw(st.sampled_from([0, 1, 2]))
    damaged = content[:place] + bytes_ + content[place + cut :]
    read = cells_of(damaged)
    if read is not None and encoding.startswith("utf-8"):
        others = [row for row in read if row not in table]
        assert len(others) <= cut + 2
        # A cut can leave what is valid, but never another encoding.
        assert "\ufffd" not in str(others)
        assert "Ã" not in str(others)


around = st.sampled_from(
    [
        *(
            "Ann <",
            "<",
            ">",
            "mailto:",
            "?x=%40",
            "%2B",
            "'",
            '"',
            "“",
            "”",
            ",",
            ";",
            " ::: ",
            " / ",
            "@",
            "@",
            ".",
        ),
        *(
            "ann",
            "rené",
            "e\u0301",
            "İ",
            "ß",
            "example.org",
            "münchen.de",
            "xn--mnchen-3ya.de",
            "。",
            "＠",
            "localhost",
        ),
        *(
            "\u200b",
            "\u200d",
            "\ufeff",
            "\u202e",
            "\xad",
            "\0",
            "\x92",
            "\xa0",
            "\u3000",
            "\u3164",
            "\ufe0f",
            "\u094d",
        ),
    ]
)
cells = st.lists(st.one_of(around, st.text(max_size=3)), max_size=12).map("".join)


@fuzz
@given(cells)
def test_an_email(cell: str) -> None:
    row = RowReader(("email",), ()).read(2, [cell])
    if isinstance(row, RowError):
        assert (row.code, row.field) == ("invalid_email", "email")
        assert row.message in set(EmailProblem)
    else:
        email = row.contact.email
        assert email_identity(email) == email_identity(readable_email(email)) == email
        assert validate_email(email, check_deliverability=False).ascii_domain in email


@fuzz
@given(cells, cells)
def test_values(first: str, second: str) -> None:
    row = RowReader(("email", "name", "customFields.x"), ()).read(
        2, ["a@example.org", first, second]
    )
    assert isinstance(row, Row)
    values = {"name": clean_value(first), "x": clean_value(second)}
    contact = {**row.contact.fields, **row.contact.custom_fields}
    assert contact == {name: value for name, value in values.items() if value}
    for value in contact.values():
        assert not any(unicodedata.category(char) == "Cc" for char in value if char not in "\t\n\r")


@fuzz
@given(texts)
def test_a_message_of_the_queue(text: str) -> None:
    try:
        decode_message(text)
    except msgspec.DecodeError as error:
        assert len(str(error)) > 10
