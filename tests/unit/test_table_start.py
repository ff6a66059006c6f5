"""Where a table begins and ends: lines before the header, delimiters, footers, and what is no table."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files.records import Block, RecordReader
from contact_imports.files.table_end import MAX_FOOTER_RECORDS, TableRows
from contact_imports.files.table_start import (
    HEADER_WITHIN_RECORDS,
    TABLE_HEAD_BYTES,
    find_table,
)
from contact_imports.model.column_map import ColumnMap, Columns
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import ImportOptions

DROPPED = ImportOptions(None, delimiter=None)
POSTED = ImportOptions(ColumnMap(email="Email", name="Name"))
TABLE = "Email,Name\na@x.com,Ann\nb@x.com,Bob\n"


def start(text: str, options: ImportOptions = DROPPED, *, is_whole: bool = True) -> tuple[int, str]:
    table = find_table(text, options, is_whole=is_whole)
    return table.header_record, table.delimiter


def refusal(text: str, options: ImportOptions = DROPPED) -> FileError:
    with pytest.raises(FileError) as refused:
        find_table(text, options, is_whole=True)
    assert "x.com" not in f"{refused.value.message}{refused.value.data}"
    return refused.value


@pytest.mark.parametrize("options", [DROPPED, POSTED])
@pytest.mark.parametrize(
    ("before", "header"),
    [
        ("", 1),
        ("\n\n", 3),
        ("\n" * 50, 51),
        ("Contacts\n", 2),
        ("Contacts,,\n,,\nMade,2024,\n", 4),
        ("Contacts of Acme, exported on 1/1/2024\n\n", 3),
        ("Notes:\n\"Some of the addresses, as you may notice, are missing.\"\n\n", 4),
        ('"A note\nof two lines"\n', 2),
        ("Account,admin,admin@x.com\n", 2),
        ("Emails\n\n", 3),
        ("sep=,\n", 2),
        ("sep=,\r\nContacts\r\n", 3),
        ("SEP=,,\n", 2),
        ('"sep=,"\n', 2),
        ("\ufeffsep=,\n", 2),
        ("x\n" * (HEADER_WITHIN_RECORDS - 1), HEADER_WITHIN_RECORDS),
    ],
)  # fmt: skip
def test_lines_before_the_header_are_skipped(
    options: ImportOptions, before: str, header: int
) -> None:
    assert start(before + TABLE, options) == (header, ",")
    table = find_table(before + TABLE, options, is_whole=True)
    said = [note.code for note in table.notes]
    assert said == (["lines_skipped"] if before.strip() else [])


def test_the_lines_that_were_skipped_are_named() -> None:
    (note,) = find_table('"A note\nof two lines"\n' + TABLE, DROPPED, is_whole=True).notes
    assert note.message == "Lines 1 to 2 were skipped, since line 3 names the columns."


@pytest.mark.parametrize("options", [DROPPED, POSTED])
def test_a_header_further_down_is_not_looked_for(options: ImportOptions) -> None:
    error = refusal("x\n" * HEADER_WITHIN_RECORDS + TABLE, options)
    assert error.code == "COLUMN_NOT_FOUND"


def test_a_header_that_nobody_knows_stands_over_the_addresses() -> None:
    assert start("Report\n\nFoo,Bar\n1,a@x.com\n2,b@x.com\n") == (3, ",")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Email;Name\na@x.com;Ann\n", ";"),
        ("Email\tName\na@x.com\tAnn\n", "\t"),
        ("Email|Name\na@x.com|Ann\n", "|"),
        ("Email\na@x.com\n", ","),
        # The other one is in more places, or in as many.
        ('email;"Name (last, first, middle)";Ort\na@x.com;"Lee, Ann, B";Bonn\n', ";"),
        ("name;email\nLee, Ann;a@x.com\nRay, Bob;b@x.com\n", ";"),
        ("email;amount\na@x.com;1,5\nb@x.com;2,5\n", ";"),
        ("a;b,c;Email\nx;y,z;a@x.com\n", ";"),
        ("Email,Tags\na@x.com,a;b;c\nb@x.com,d;e;f\n", ","),
        ("Foo\tBar\nLee, Ann\ta@x.com\n", "\t"),
        ("Liste, Stand: 1.1.2024, alle\nName;E-Mail\nLee;a@x.com\n", ";"),
        ("Email,Contact\n1,a@x.com\n", ","),
        ("Email^Name\na@x.com^Ann\n", "^"),
        ("Email:Name\na@x.com:Ann\n", ":"),
        # What a file says of itself.
        ("sep=;\nEmail;Name\na@x.com;Ann\n", ";"),
        ("sep=\\t\nEmail\tName\na@x.com\tAnn\n", "\t"),
        ("sep=^\nEmail^Name\na@x.com^Ann\n", "^"),
        # Which is wrong after somebody saved it otherwise.
        ("sep=;\nEmail,Name\na@x.com,Ann\n", ","),
    ],
)  # fmt: skip
def test_the_delimiter_is_the_one_that_gives_an_email(text: str, delimiter: str) -> None:
    assert start(text)[1] == delimiter


def test_a_request_obeys_sep_too() -> None:
    assert start("sep=;\nEmail;Name\na@x.com;Ann\n", POSTED) == (2, ";")
    assert start("sep=;\nEmail,Name\na@x.com,Ann\n", POSTED) == (2, ",")


def test_a_request_has_the_delimiter_that_it_names() -> None:
    error = refusal("Email;Name\na@x.com;Ann\n", POSTED)
    assert error.code == "COLUMN_NOT_FOUND"
    assert "separated by semicolons" in error.message


@pytest.mark.parametrize(
    "text", ["a@x.com\nb@x.com\n", "Ann,a@x.com\nBob,b@x.com\n", "a@x.com;Ann;Lee\n"]
)
@pytest.mark.parametrize("options", [DROPPED, POSTED])
def test_a_file_without_a_header(text: str, options: ImportOptions) -> None:
    error = refusal(text, options)
    assert error.code == "HEADER_NOT_FOUND"
    assert "line 1" in error.message
    assert "first line above it" in error.message


@pytest.mark.parametrize("options", [DROPPED, POSTED])
def test_a_contact_before_the_header_is_not_lost(options: ImportOptions) -> None:
    error = refusal("z@x.com,Zoe\n" + TABLE, options)
    assert error.code == "HEADER_NOT_FOUND"
    assert error.data == {"line": 1, "headerLine": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BEGIN:VCARD\nVERSION:3.0\nEMAIL:a@x.com\n", "a vCard"),
        ("\ufeff\nbegin:vcard\n", "a vCard"),
        ("BEGIN:VCALENDAR\n", "a calendar"),
        ('[{"Email":"a@x.com"}]', "JSON"),
        ('[\n  {\n    "Email": "a@x.com"', "JSON"),
        ('["a@x.com"]', "JSON"),
        ('{"Email":"a@x.com"}\n{"Email":"b@x.com"}\n', "JSON"),
        ('{\n  "contacts": [', "JSON"),
        ("[]", "JSON"),
        ("INSERT INTO contacts VALUES ('a@x.com');\n", "SQL"),
        ("-- dump\n\nCREATE TABLE contacts (email text);\n", "SQL"),
        ("version: 1\ndn: cn=Ann,mail=a@x.com\n", "LDIF"),
        ("- email: a@x.com\n  name: Ann\n", "YAML"),
        ("From: Ann <a@x.com>\nTo: b@x.com\nSubject: Hi\n", "an email"),
        ("From a@x.com Mon Jan  1 00:00:00 2024\n", "an email"),
        ('"Email,Name"\n"a@x.com,Ann"\n', "in quotes as a whole"),
        ('"Email;Name"\n"a@x.com;Ann"\n', "in quotes as a whole"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [DROPPED, POSTED])
def test_what_is_no_table_is_named(text: str, said: str, options: ImportOptions) -> None:
    error = refusal(text, options)
    assert error.code == "UNREADABLE_FILE"
    assert said in error.message


@pytest.mark.parametrize(
    "header", ["[Email],[Name]", "{Email},{Name}", "From,Email", "Insert date,Email", "dn,Email", "- Email"]
)  # fmt: skip
def test_a_header_that_looks_a_little_like_another_format(header: str) -> None:
    row = ",".join(["a@x.com"] * header.count(",")) or "a@x.com"
    assert start(f"{header}\nx,{row}\n" if "," in header else f"{header}\n{row}\n")[0] == 1


@pytest.mark.parametrize(
    ("text", "code", "said", "line"),
    [
        ('Email,Name\n"a@x.com,Ann"\n"b@x.com,Bob"\n', "UNREADABLE_FILE", "in quotes as a whole", 2),
        ("Email,Name\na@x.com;Ann\nb@x.com;Bob\n", "UNREADABLE_FILE", "by a semicolon", 2),
        ("'Email','Name'\n'a@x.com','Ann'\n", "UNREADABLE_FILE", "The names from line 1", 1),
        ("Email,Name\n'a@x.com','Ann'\n'b@x.com','Ray, Bob'\n", "UNREADABLE_FILE", "The values from line 2", 2),
        ("Email,Name\n“a@x.com”,“Ann”\n", "UNREADABLE_FILE", "The values from line 2", 2),
        ('"""Email""","""Name"""\n"""a@x.com""","""Ann"""\n', "UNREADABLE_FILE", "two pairs", 1),
        ("Email,Name\u2028a@x.com,Ann\u2028b@x.com,Bob\u2028", "UNREADABLE_FILE", "is one line", 1),
        ("Email,Name\x1ea@x.com,Ann\x1e", "HEADER_NOT_FOUND", "line 1 has an email address", 1),
        # Somebody's data is no list of columns.
        ("email=a@x.com\nname=Ann\n", "HEADER_NOT_FOUND", "line 1 has an email address", 1),
        ("contacts:\n  - email: a@x.com\n", "HEADER_NOT_FOUND", "before line 2, which has", 2),
        # As R writes it, the rows have a number that the header does not name.
        ('"Email","Name"\n"1","a@x.com","Ann"\n', "HEADER_NOT_FOUND", "names 2 columns, but line 2 has 3 cells", 2),
        # The first row is no header although it has no address.
        ("n/a,Ann\nb@x.com,Bob\nc@x.com,Cy\n", "HEADER_NOT_FOUND", "before line 2, which has", 2),
        (",Ann\nb@x.com,Bob\nc@x.com,Cy\n", "HEADER_NOT_FOUND", "before line 2, which has", 2),
        # A quote that is not closed before the header.
        ('Notes: 5" and\n"All of them\nEmail,Name\na@x.com,"Ann"\n', "UNREADABLE_FILE", "starts at line 2 and never closed", None),
        ('"All of them\nEmail,Name\na@x.com,Ann\n', "UNREADABLE_FILE", "starts at line 1 and never closed", None),
        ("ID;PWXL;N;E\nC;Y1;X1;K\"Email\"\n", "UNREADABLE_FILE", "a SYLK file", None),
    ],
)  # fmt: skip
def test_rows_that_are_not_written_as_the_header_is(
    text: str, code: str, said: str, line: int | None
) -> None:
    error = refusal(text)
    assert (error.code, (error.data or {}).get("line")) == (code, line)
    assert said in error.message


@pytest.mark.parametrize(
    "text",
    [
        # One of these is an ordinary value.
        "Email,Name\na@x.com,'Ann'\nb@x.com,Bob\n",
        "Email,Name,Zip\na@x.com,Ann,'001\n",
        'Email,Name\na@x.com,"""Ann"""\nb@x.com,Bob\n',
        "Email,Name\na@x.com;b@x.com,Ann\n",
        'Email\n"a@x.com, b@x.com"\n',
        '"What is your email, such as a@x.com?",Name\nb@x.com,Ann\n',
        "# by Ann <a@x.com>\nEmail,Name\nb@x.com,Bob\n",
    ],
)
def test_a_table_that_looks_a_little_like_another_dialect(text: str) -> None:
    assert start(text)[1] == ","


@pytest.mark.parametrize(
    "text",
    [
        'Email,Name\n"a@x.com,Ann"\n',
        "Email,Name\na@x.com;Ann\n",
        "'Email','Name'\n'a@x.com','Ann'\n",
        "Email,Name\n'a@x.com','Ann'\n",
    ],
)
def test_a_column_map_does_not_hide_how_the_rows_are_written(text: str) -> None:
    dropped, posted = refusal(text), refusal(text, POSTED)
    assert (posted.code, posted.message) == (dropped.code, dropped.message)


@pytest.mark.parametrize("separator", ["\x1f", "\x01"])
def test_cells_that_an_invisible_character_separates_are_not_joined(separator: str) -> None:
    table = f"Email{separator}Name\na@x.com{separator}Ann\n"
    assert start(table)[1] == separator
    assert refusal(table, POSTED).code == "COLUMN_NOT_FOUND"


def test_an_empty_file() -> None:
    assert refusal("").code == "EMPTY_FILE"
    assert refusal("\n \n,,\n").code == "EMPTY_FILE"
    assert refusal("sep=;\n").code == "EMPTY_FILE"


def test_a_refused_column_map_comes_with_one_that_fits() -> None:
    error = refusal("Vorname;E-Mail-Adresse;Ort\nAnn;a@x.com;Bonn\n", POSTED)
    assert error.data is not None
    assert error.data["suggestion"] == {
        "delimiter": ";",
        "columnMap": {
            "email": "E-Mail-Adresse",
            "firstName": "Vorname",
            "customFields": {"Ort": "Ort"},
        },
    }
    nearest = refusal("Subscriber,City\na@x.com,Paris\n", POSTED)
    assert "Its email is probably in 'Subscriber'." in nearest.message


def test_a_value_that_is_called_like_a_mapped_column_makes_no_header() -> None:
    # Of two people, one is reached by "Email".
    options = ImportOptions(ColumnMap(email="Email"))
    for rows in ("ann,Email\na@x.com,Phone\n", "a@x.com,Email\nb@x.com,Email\n"):
        assert refusal("E-mail,Channel\n" + rows, options).code == "COLUMN_NOT_FOUND"


def test_what_was_found_is_taken_as_it_is() -> None:
    options = ImportOptions(ColumnMap(email="Email"), delimiter=";", header_record=7)
    assert start("", options) == (7, ";")


def test_a_header_that_is_wider_than_the_head_is_read_later() -> None:
    text = ",".join(["Email", *(f"column {n}" for n in range(100_000))])[:TABLE_HEAD_BYTES]
    assert start(text, DROPPED, is_whole=False)[0] == 1
    assert start(text, POSTED, is_whole=False) == (1, ",")


titles = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters='"@,;|\t\r\n\0'), max_size=30), max_size=10
)  # fmt: skip


@given(
    titles,
    st.sampled_from([",", ";", "\t", "|"]),
    st.lists(st.sampled_from(["Ann", "Lee; Ann", "Lee, Ann", "", "x|y", "+44"]), min_size=1),
)
def test_a_table_is_found_whatever_comes_before_it(
    before: list[str], delimiter: str, names: list[str]
) -> None:
    rows = [[f"c{n}@example.com", name, "Bonn"] for n, name in enumerate(names)]
    lines = [
        delimiter.join(f'"{cell}"' for cell in row) for row in [["E-mail", "Name", "City"], *rows]
    ]
    text = "\n".join([*before, *lines, ""])
    table = find_table(text, DROPPED, is_whole=True)
    records = dict(RecordReader(io.BytesIO(text.encode()), "utf-8", table.delimiter))
    assert records[table.header_record] == ["E-mail", "Name", "City"]
    assert [list(row.cells) for row in table.rows] == rows[:100]


# The end


def rows_of(table: str, size: int = 32) -> tuple[list[Any], list[str]]:
    """The records after a header that are rows, and what is said, from blocks of this size."""
    records = [record for _, record in RecordReader(io.BytesIO(table.encode()), "utf-8", ",")]
    header, *after = records
    columns = Columns(("email",), (header.index("Email"),), len(header))
    blocks: list[Block] = [
        (first + 2, after[first : first + size]) for first in range(0, len(after), size)
    ]
    rows = TableRows(blocks, columns)
    found = [
        (number, record)
        for first, block in rows
        for number, record in enumerate(block, first)
        if any(record)
    ]
    assert all(records[number - 1] == record for number, record in found)
    return [number for number, _ in found], [note.message for note in rows.notes]


@pytest.mark.parametrize(
    "footer",
    [
        "Total: 2\n",
        "Total 2\n",
        "Total contacts,2\n",
        "TOTAL,,2\n",
        "Grand total: 1,234 rows\n",
        "(2 rows)\n",
        "\n(2 rows affected)\n",
        "2 contacts exported\n",
        "-- end --\n",
        "*** End of report ***\n",
        "-----,-----,-----\n",
        "========\n",
        "Page 1 of 1\n",
        "\nTotal,2\nConfidential Information - Do Not Distribute\nCopyright (c) Example Inc.\n",
        "\nConfidential\nAcme\n",
        "\nContact Report\nCopyright (c) Example Inc.\nGenerated By: Bob Ray\nAcme\n",
        "\nGesamt: 1 Kontakt\n",
        "\nGenerated by Example on 2024-01-01\n",
        "Exported at 10:00\n",
        "\n\n",
        "Total records exported: 2\n",
        "Number of contacts: 2\n",
        "# rows: 2\n",
        "Record count: 2\n",
        "(2 row(s) affected)\n",
        "2 rows in set (0.00 sec)\n",
        "EOF\n",
        "End of file\n",
        "Export date: 2024-01-01\n",
        "Summe: 2\n",
        "Итого: 2\n",
        "合計: 2\n",
        "\x1a",
        "\n\x1a\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 32])
def test_a_footer_is_no_row(footer: str, size: int) -> None:
    table = "Name,Email,City\nAnn,a@x.com,Bonn\nBob,b@x.com,\n"
    numbers, said = rows_of(table + footer, size)
    assert numbers == [2, 3]
    assert bool(said) == bool(footer.strip("\n\x1a"))


@pytest.mark.parametrize(
    "footer", ["Total: 2", "(2 rows)", "-- end --", "----", "\nConfidential", "\x1a"]
)
def test_a_footer_of_a_single_column(footer: str) -> None:
    assert rows_of(f"Email\na@x.com\nbob\n{footer}\n")[0] == [2, 3]


@pytest.mark.parametrize(
    "row",
    [
        "Bob,\n",
        "Bob\n",
        ",,\n,Bob,\n",
        "\nBob,not an address,\n",
        "\nBob van den Berg\n",
        "\nBob\nCy\n",
        "Total Energies,,\n",
        "Page,Larry,\n",
        "Copyright Ltd,,\n",
        "Finn,,\n",
        "\nAsk help@x.com for more of this\n",
        "Total: 2\nBob,,\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 32])
def test_a_row_without_an_address_is_a_row(row: str, size: int) -> None:
    table = "Name,Email,City\nAnn,a@x.com,Bonn\n"
    numbers, said = rows_of(table + row, size)
    lines = (table + row).splitlines()
    assert numbers == [n for n, line in enumerate(lines, 1) if n > 1 and line.strip(",")]
    assert said == []


def test_a_rule_under_the_header_is_no_row() -> None:
    numbers, said = rows_of("Email,Name\n-----,----\na@x.com,Ann\n---,---\nb@x.com,Bob\n")
    assert numbers == [3, 4, 5]
    assert len(said) == 1


def test_a_footer_is_no_longer_than_the_records_that_are_looked_at() -> None:
    numbers, _ = rows_of("Email,Name\na@x.com,Ann\n" + "Total: 1\n" * (MAX_FOOTER_RECORDS + 5))
    assert numbers == [2, *range(3, 8)]


kinds = st.sampled_from(
    ["a@x.com,Ann", "bob,Bob", ",", "", "Total: 1", "Total,1", "-- end --", "Confidential", "Acme", "---,---", "x"]
)  # fmt: skip


@given(st.lists(kinds, max_size=90), st.integers(1, 40), st.integers(1, 40))
def test_the_rows_do_not_depend_on_how_they_are_read(
    lines: list[str], one: int, other: int
) -> None:
    table = "Email,Name\n" + "\n".join(lines) + "\n"
    assert rows_of(table, one) == rows_of(table, other)
    numbers, _ = rows_of(table, one)
    last = max((n for n, line in enumerate(lines, 2) if "@" in line), default=1)
    kept = {n for n, line in enumerate(lines, 2) if line.strip(",") and n <= last}
    assert kept - set(numbers) <= {2}
