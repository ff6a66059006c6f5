from __future__ import annotations

import json
from typing import Any

import pytest

from contact_imports.model.column_map import ColumnMap, Columns, find_columns
from contact_imports.model.column_map_json import parse_column_map
from contact_imports.model.column_match import match_columns
from contact_imports.model.errors import FileError

EVERYTHING = {
    "email": "E",
    "firstName": "F",
    "lastName": "L",
    "name": "N",
    "phone": "P",
    "country": "C",
    "language": "La",
    "customFields": {"plan": "Plan"},
}


def test_every_field_of_the_contract_is_mapped() -> None:
    header = ["Plan", "La", "C", "P", "N", "L", "F", "E", "unmapped"]
    columns = find_columns(parse_column_map(json.dumps(EVERYTHING)), header)
    assert dict(zip(columns.fields, columns.positions, strict=True)) == {
        "email": 7,
        "firstName": 6,
        "lastName": 5,
        "name": 4,
        "phone": 3,
        "country": 2,
        "language": 1,
        "customFields.plan": 0,
    }
    assert columns.fields[0] == "email"
    assert columns.width == 9


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("{", "it must be JSON"),
        ("", "it must be JSON"),
        ("[]", "it must be a JSON object"),
        ('"Email"', "it must be a JSON object"),
        ("{}", "email is missing"),
        ({"firstName": "F"}, "email is missing"),
        ({"email": ""}, "email: string should have at least 1 character"),
        ({"email": "  "}, "email: string should have at least 1 character"),
        ({"email": 7}, "email: input should be a valid string"),
        ({"email": None}, "email: input should be a valid string"),
        ({"email": "E", "firstname": "F"}, "firstname is not a field of a contact"),
        ({"email": "E", "firstName": None}, "firstName must be a CSV header's name, not null"),
        ({"email": "E", "firstName": ["F"]}, "firstName: input should be a valid string"),
        ({"email": "E", "customFields": "plan"}, "customFields: input should be an object"),
        (
            {"email": "E", "customFields": {"plan": 1}},
            "customFields.plan: input should be a valid string",
        ),
        ({"email": "E", "customFields": {"": "P"}}, "customFields"),
        ({"email": "E", "customFields": {"k" * 129: "P"}}, "at most 128 characters"),
        ({"email": "E", "customFields": {f"k{n}": "P" for n in range(1001)}}, "at most 1000 items"),
    ],
)
def test_a_wrong_column_map_is_explained(sent: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        parse_column_map(sent if isinstance(sent, str) else json.dumps(sent))
    assert said in str(refused.value)


def test_an_explanation_does_not_quote_what_was_sent() -> None:
    with pytest.raises(ValueError, match="email") as refused:
        parse_column_map('{"email": {"secret": "value"}}')
    assert "value" not in str(refused.value).replace("valid", "")


@pytest.mark.parametrize("header", [["Email"], [" Email "], ["EMAIL"], ["email", "Email"]])
def test_blanks_and_case_of_a_header_do_not_matter(header: list[str]) -> None:
    columns = find_columns(ColumnMap(email="Email"), header)
    assert columns == Columns(("email",), (len(header) - 1,), len(header))


def test_a_missing_header_names_those_that_are_there_and_the_nearest() -> None:
    with pytest.raises(FileError) as refused:
        find_columns(ColumnMap(email="Emial"), ["Name", "Email", "Phone"])
    assert refused.value.code == "COLUMN_NOT_FOUND"
    assert "Did you mean 'Email'?" in refused.value.message
    assert "'Name', 'Email', 'Phone'" in refused.value.message
    assert refused.value.data == {
        "field": "email",
        "header": "Emial",
        "headers": ["Name", "Email", "Phone"],
        "nearest": "Email",
    }


def test_a_file_with_another_delimiter_is_recognised() -> None:
    with pytest.raises(FileError, match="separated by semicolons") as refused:
        find_columns(ColumnMap(email="Email"), ["Email;Name"])
    # A header that was not separated is no name that was meant.
    assert "Did you mean" not in refused.value.message
    assert (refused.value.data or {})["nearest"] is None


def test_an_error_shows_only_the_beginning_of_a_long_name() -> None:
    long = "x" * 1_000_000
    for column_map, header in (
        (ColumnMap(email=long), [long + "y", "Email"]),
        (ColumnMap(email=long), [long, long]),
        (ColumnMap(email="Email"), [long] * 30),
        (ColumnMap(email=long), ["Email"]),
    ):
        with pytest.raises(FileError) as refused:
            find_columns(column_map, header)
        assert len(refused.value.message) + len(json.dumps(refused.value.data)) < 10_000


@pytest.mark.parametrize("header", [["Email", "x", "Email"], ["EMAIL", "x", "email"]])
def test_a_header_that_stands_twice_is_ambiguous(header: list[str]) -> None:
    with pytest.raises(FileError, match="columns 1, 3") as refused:
        find_columns(ColumnMap(email="Email"), header)
    assert refused.value.code == "AMBIGUOUS_COLUMN"


@pytest.mark.parametrize(
    ("wanted", "header", "position"),
    [
        ("Note (column 2)", ["Email", "Note", "note"], 1),
        ("note (Column 3)", ["Email", "Note", "note"], 2),
        ("(column 2)", ["Email", "", ""], 1),
        ("Note (column 3)", ["Note (column 3)", "Note", "Note"], 0),
        ("Pre\u0301nom", ["Email", "Pr\u00e9nom"], 1),
        ("First\u00a0 Name", ["First\nName"], 0),
        ("Email\u200b", ["\ufeffEmail"], 0),
    ],
)
def test_a_column_is_found_by_what_can_be_seen_of_its_name(
    wanted: str, header: list[str], position: int
) -> None:
    assert find_columns(ColumnMap(email=wanted), header).positions == (position,)


@pytest.mark.parametrize("wanted", ["Note (column 4)", "Plan (column 2)", "(column 0)", "\u200b"])
def test_a_column_that_is_not_there(wanted: str) -> None:
    with pytest.raises(FileError) as refused:
        find_columns(ColumnMap(email=wanted), ["", "Note", "Note"])
    assert refused.value.code == "COLUMN_NOT_FOUND"


def test_a_long_header_is_shortened_in_a_message() -> None:
    with pytest.raises(FileError) as refused:
        find_columns(ColumnMap(email="Email"), ["x" * 1_000_000] * 30)
    assert len(refused.value.message) + len(str(refused.value.data)) < 5_000


def test_duplicate_headers_that_are_not_mapped_do_no_harm() -> None:
    assert find_columns(ColumnMap(email="Email"), ["x", "x", "Email"]).positions == (2,)


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(FileError, match="1001 columns; 1000 is the most"):
        find_columns(ColumnMap(email="c0"), [f"c{n}" for n in range(1001)])


@pytest.mark.parametrize(
    ("header", "mapped"),
    [
        (["Email"], {"email": "Email"}),
        (["E-mail Address", "First Name"], {"email": "E-mail Address", "firstName": "First Name"}),
        (["first_name", "EMAIL"], {"email": "EMAIL", "firstName": "first_name"}),
        (["email", "Mobile phone"], {"email": "email", "phone": "Mobile phone"}),
        (["email", "surname", "Given Name"], {"lastName": "surname", "firstName": "Given Name"}),
        (["email", "Country/Region", "locale"], {"country": "Country/Region", "language": "locale"}),
        (["email", "Full Name"], {"name": "Full Name"}),
        # The likelier name wins, the other is a custom field like any other.
        (["email", "Mobile", "Phone"], {"phone": "Phone", "customFields": {"Mobile": "Mobile"}}),
        (["email", "Plan", ""], {"customFields": {"Plan": "Plan"}}),
        (["email", "x", "import_row", "import_error"], {"customFields": {"x": "x"}}),
    ],
)  # fmt: skip
def test_a_header_speaks_for_itself(header: list[str], mapped: dict[str, Any]) -> None:
    found = match_columns(header).column_map.as_dict()
    assert mapped.items() <= found.items()
    assert len(found.get("customFields", {})) == len(mapped.get("customFields", {}))


@pytest.mark.parametrize(
    ("header", "code", "said"),
    [
        (["Name", "Phone"], "COLUMN_NOT_FOUND", "Name one 'Email'"),
        (["Name;Phone"], "COLUMN_NOT_FOUND", "separated by semicolons"),
        (["Email", "E-Mail"], "AMBIGUOUS_COLUMN", "columns 1, 2"),
    ],
)
def test_a_header_that_does_not(header: list[str], code: str, said: str) -> None:
    with pytest.raises(FileError) as refused:
        match_columns(header)
    assert refused.value.code == code
    assert said in refused.value.message


def test_as_many_columns_as_a_file_may_have_can_be_matched() -> None:
    header = ["Email", *(f"c{n}" for n in range(999))]
    assert len(match_columns(header).column_map.custom_fields) == 999


def test_the_columns_of_a_report_are_nobodys() -> None:
    header = ["Email", "Name", "import_row", "import_error", ""]
    assert find_columns(ColumnMap(email="Email"), header) == Columns(("email",), (0,), 2, True)
    with pytest.raises(FileError, match="no column 'x'"):
        find_columns(ColumnMap(email="x"), header)
    # Unless the file says otherwise.
    own = find_columns(ColumnMap(email="Email", name="import_error"), header)
    assert own == Columns(("email", "name"), (0, 3), 5)
    assert not find_columns(
        ColumnMap(email="Email"), ["import_row", "import_error", "Email"]
    ).is_report
