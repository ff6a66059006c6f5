"""Columns are found by their names and by what is in them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contact_imports.model.column_map import find_columns
from contact_imports.model.column_match import (
    MAX_MATCHED_CHARS,
    MatchedColumns,
    is_one_address,
    match_columns,
    sample_row,
)
from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_CUSTOM_FIELD_KEY_CHARS
from contact_imports.model.text import clean_header


def match(table: str) -> MatchedColumns:
    header, *rows = (line.strip().split(",") for line in table.strip().splitlines())
    return match_columns(header, [sample_row(row) for row in rows])


@pytest.mark.parametrize(
    ("table", "email"),
    [
        # A column that is called email and has no addresses is none, if another has them.
        ("Email,E-mail address\n yes,a@x.com\n no,b@x.com", "E-mail address"),
        ("Email,Contact\n 1,a@x.com", "Contact"),
        ("Email Opt-In,Kontakt\n ja,a@x.com", "Kontakt"),
        ("Email Status,Subscriber\n active,a@x.com", "Subscriber"),
        ("Name,City,Foo\n Ann,Paris,a@x.com", "Foo"),
        ("Contact,City\n Ann <a@x.com>,Paris\n mailto:b@x.com,Rome", "Contact"),
        # Blank in the first rows.
        ("Email,Work Email\n ,a@x.com", "Work Email"),
        ("Work Email,Personal Email\n ,a@x.com", "Personal Email"),
        # The first of several.
        ("E-mail 2 - Value,E-mail 1 - Value\n a@x.com,b@x.com", "E-mail 1 - Value"),
        ("Secondary Email,Primary Email\n a@x.com,b@x.com", "Primary Email"),
        ("Billing Email,Email\n a@x.com,b@x.com", "Email"),
        ("Owner Email,Attendee\n boss@x.com,a@x.com", "Attendee"),
        ("Email,Bidder Email\n a@x.com,b@x.com", "Email"),
        ("User Email,Bidder Email\n a@x.com,", "User Email"),
        ("User Email,Backup Email\n a@x.com,b@x.com", "User Email"),
        ("Contact owner,Email\n boss@x.com,a@x.com", "Email"),
        # Mistakes in it do not matter.
        ("Email,Referred by\n a@x,boss@x.com\n b@x.com,boss@x.com", "Email"),
        ("Email\n nobody", "Email"),
        ("Email,Name\n ,Ann", "Email"),
        # A column without a name is called by its number.
        (",Name\n a@x.com,Ann", "(column 1)"),
    ],
)
def test_the_email_is_the_column_that_has_addresses(table: str, email: str) -> None:
    assert match(table).column_map.email == email


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("Buyer Email,Attendee Email\n a@x.com,b@x.com", "'Buyer Email', 'Attendee Email'"),
        ("Email,E-mail\n a@x.com,b@x.com", "'Email', 'E-mail'"),
        ("Work Email,Home Email\n a@x.com,b@x.com", "'Work Email', 'Home Email'"),
        ("Email,Email\n a@x.com,b@x.com", "'Email (column 1)', 'Email (column 2)'"),
        ("A,B\n a@x.com,b@x.com", "'A', 'B'"),
        # A word that is known next to one that is not: whose address is it?
        ("User Email,Invitee Email\n a@x.com,b@x.com", "'User Email', 'Invitee Email'"),
        ("User Email,Bidder Email\n a@x.com,b@x.com", "'User Email', 'Bidder Email'"),
        ("From Email,To Email\n a@x.com,b@x.com", "'From Email', 'To Email'"),
    ],
)
def test_several_that_may_be_the_email_are_refused_and_named(table: str, named: str) -> None:
    with pytest.raises(FileError) as refused:
        match(table)
    assert refused.value.code == "AMBIGUOUS_COLUMN"
    assert named in refused.value.message
    assert "x.com" not in refused.value.message
    assert refused.value.data is not None
    assert refused.value.data["columns"] == [1, 2]


@pytest.mark.parametrize(
    "table", ["Name,City\n Ann,Paris", "Email Opt-In,Name\n yes,Ann", "Owner Email\n boss@x.com", "Notes\n ask a@x.com first"]
)  # fmt: skip
def test_without_an_email_the_columns_are_named(table: str) -> None:
    with pytest.raises(FileError) as refused:
        match(table)
    assert refused.value.code == "COLUMN_NOT_FOUND"
    assert repr(table.splitlines()[0].split(",")[0]) in refused.value.message


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("Email,Country Code\n a@x.com,+44", {}),
        ("Email,Country Code\n a@x.com,GB", {"country": "Country Code"}),
        ("Email,Contact\n a@x.com,+1 555 0100", {}),
        ("Email,Contact\n a@x.com,Ann Lee", {"name": "Contact"}),
        ("Email,Name\n a@x.com,1\n b@x.com,2", {"name": "Name"}),
        ("Email,Language\n a@x.com,Yes\n b@x.com,No", {}),
        ("Email,Language,Country\n a@x.com,no,NO", {"language": "Language", "country": "Country"}),
        ("Email,Phone\n a@x.com,yes", {}),
        ("Email,Name\n a@x.com,Yes\n b@x.com,No", {}),
        ("Email,First Name\n a@x.com,No", {"firstName": "First Name"}),
        ("Email,Phone,Phone Number\n a@x.com,Mobile,+1 555", {"phone": "Phone Number"}),
        ("Email,Phone,Mobile\n a@x.com,,5550100\n b@x.com,5550101,", {"phone": "Phone"}),
        ("Email,Phone,Mobile\n a@x.com,,5550100", {"phone": "Mobile"}),
        ("Email,Phone,Mobile\n a@x.com,,", {"phone": "Phone"}),
        ("Email,Name\n a@x.com,a@x.com", {}),
        # What a spreadsheet left of a number, and a record's key.
        ("Email,Phone\n a@x.com,4.91521E+11", {}),
        ("Email,Contact\n a@x.com,6f9619ff-8b86-d011-b42d-00c04fc964ff", {}),
        # A name that is certain goes before one among words that nobody knows.
        ("Email,(Do Not Modify) Contact,Full Name\n a@x.com,x1,Ann Lee", {"name": "Full Name"}),
        ("Email,First Name,First Name\n a@x.com,,Ann", {"firstName": "First Name (column 3)"}),
    ],
)
def test_values_decide_what_a_name_proposes(table: str, fields: dict[str, str]) -> None:
    found = match(table)
    assert {
        field: header
        for field, header in found.column_map.as_dict().items()
        if field not in ("email", "customFields")
    } == fields
    header = table.splitlines()[0].split(",")
    assert len(found.column_map.custom_fields) == len(header) - 1 - len(fields)


def test_a_report_is_matched_by_its_names_since_its_emails_are_wrong() -> None:
    found = match("Email,Manager,import_row,import_error\n nobody,boss@x.com,2,invalid_email")
    assert found.column_map.email == "Email"


@pytest.mark.parametrize(
    ("header", "custom", "codes"),
    [
        (["Email", "Note", "NOTE", "note"], ["Note", "NOTE (2)", "note (3)"], {"column_renamed"}),
        (["Email", "", "Note", ""], ["Note"], {"column_left_out"}),
        (["Email", "q" * 129], ["q" * 128], {"column_renamed"}),
        (["Email", "q" * 500, "q" * 600], ["q" * 128, "q" * 124 + " (2)"], {"column_renamed"}),
        (["Email", "N", "N", "N (column 2)"], ["N", "N (2)", "N (column 2)"], {"column_renamed"}),
        (["Email", "Note (2)", "Note", "Note"], ["Note (2)", "Note", "Note (3)"], {"column_renamed"}),
    ],
)  # fmt: skip
def test_headers_that_nobody_maps_never_refuse_a_file(
    header: list[str], custom: list[str], codes: set[str]
) -> None:
    found = match_columns(header)
    assert list(found.column_map.custom_fields) == custom
    assert {note.code for note in found.notes} == codes
    positions = find_columns(found.column_map, header).positions
    named = [position for position, name in enumerate(header) if name]
    assert list(positions) == named


def test_names_that_are_more_than_can_be_recorded_are_left_out() -> None:
    header = ["Email", *(f"{n} {'x' * 120}" for n in range(999))]
    found = match_columns(header)
    chars = sum(len(key) + len(name) for key, name in found.column_map.custom_fields.items())
    assert MAX_MATCHED_CHARS - 300 < chars <= MAX_MATCHED_CHARS
    assert {note.code for note in found.notes} == {"column_left_out"}
    assert sum(len(note.message) for note in found.notes) < 5_000


names = st.one_of(
    st.sampled_from(["Email", "email", "Name", "Phone", "", " ", "Note", "Note (column 2)", "import_row", "import_error", "Straße", "STRASSE"]),
    st.text(max_size=8),
    st.text(min_size=1, max_size=3).map(lambda text: text * 70),
)  # fmt: skip
cells = st.sampled_from(["a@x.com", "", "yes", "+44", "Ann", "b@x.com"])


@example(["Email", "import_row", "import_row", "import_error"], [])
@given(
    st.lists(names, max_size=8).map(lambda some: ["Email", *some]),
    st.lists(st.lists(cells, max_size=9), max_size=4),
)
def test_what_is_matched_is_found_again(header: list[str], rows: list[list[str]]) -> None:
    """Each column of a matched map is one column of the file, and always the same."""
    try:
        found = match_columns(header, [sample_row(row) for row in rows])
    except FileError as error:
        assert error.code in ("AMBIGUOUS_COLUMN", "COLUMN_NOT_FOUND")
        return
    columns = find_columns(found.column_map, header)
    assert columns.positions[0] == found.email
    assert len(set(columns.positions)) == len(columns.positions)
    mapped = {position for position, cell in enumerate(header) if clean_header(cell)}
    assert mapped - set(columns.positions) <= set(range(columns.width, len(header)))
    assert all(0 < len(key) <= MAX_CUSTOM_FIELD_KEY_CHARS for key in found.column_map.custom_fields)


@pytest.mark.parametrize(
    "cell", ["a@x.com", " a@x.com ", "Ann <a@x.com>", "mailto:a@x.com", "<a@x.com>", "a@x.com;", "'a@x.com'", "\u200ba@x.com", "a@münchen.de"]
)  # fmt: skip
def test_addresses(cell: str) -> None:
    assert is_one_address(cell)


@pytest.mark.parametrize(
    "cell", ["", "@ann", "a@x", "ask a@x.com", "https://example.com/@ann", "a@x.com; b@x.com", "a@x.com;Ann", "1|a@x.com", "email=a@x.com"]
)  # fmt: skip
def test_what_is_no_address(cell: str) -> None:
    assert not is_one_address(cell)
