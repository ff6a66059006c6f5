from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.api.requests import ImportRequest, parse_request
from contact_imports.api.responses import STATUSES
from contact_imports.messages.option_fields import OptionFields, parse_fields
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.errors import RequestError
from contact_imports.model.limits import MAX_UPLOAD_BYTES
from tests.multipart import BOUNDARY, CONTENT_TYPE, FIELDS, FILE, body


def parse(**changed: str | bytes | None) -> ImportRequest:
    fields = {k: v for k, v in {**FIELDS, **changed}.items() if v is not None}
    return parse_request(CONTENT_TYPE, body(fields))


def refusal(**changed: str | bytes | None) -> RequestError:
    with pytest.raises(RequestError) as refused:
        parse(**changed)
    return refused.value


def test_the_least_form() -> None:
    form = parse()
    assert form.file == FILE
    assert form.project_id == "demo"
    assert form.options.column_map is not None
    assert form.options.column_map.headers() == {"email": "Email", "firstName": "First Name"}
    assert form.options.on_conflict is OnConflict.UPSERT
    assert form.options.delimiter == ","
    assert form.options.tags == ()


@pytest.mark.parametrize("name", ["file", "projectId", "columnMap"])
def test_a_required_field_that_is_missing_is_named(name: str) -> None:
    error = refusal(**{name: None})
    assert (STATUSES[error.code], error.code, error.data) == (400, "MISSING_FIELD", {"field": name})


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (",", ","),
        (";", ";"),
        ("\t", "\t"),
        ("tab", "\t"),
        ("TAB", "\t"),
        ("\\t", "\t"),
        ("|", "|"),
        ("é", "é"),
    ],
)
def test_delimiters(sent: str, meant: str) -> None:
    assert parse(delimiter=sent).options.delimiter == meant


@pytest.mark.parametrize("sent", ["", ";;", ", ", '"', "\n", "\r", "\0", "comma"])
def test_what_is_no_delimiter(sent: str) -> None:
    error = refusal(delimiter=sent)
    assert (STATUSES[error.code], error.code, error.data) == (
        400,
        "INVALID_FIELD",
        {"field": "delimiter"},
    )
    # What curl makes of -F 'delimiter=;'.
    assert ("--form-string" in error.message) is (not sent)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("", ()),
        ("  ", ()),
        ("newsletter", ("newsletter",)),
        ("newsletter,launch", ("newsletter", "launch")),
        (" a , b ,a", ("a", "b")),
        ('["newsletter"]', ("newsletter",)),
        ('["a, b", " c "]', ("a, b", "c")),
        ("[]", ()),
        ("x" * 100, ("x" * 100,)),
    ],
)
def test_tags(sent: str, meant: tuple[str, ...]) -> None:
    assert parse(tags=sent).options.tags == meant


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("a,,b", "tag 2 is empty"),
        ("a,", "tag 2 is empty"),
        ('["a", " "]', "tag 2 is empty"),
        ("x" * 101, "tag 1 is longer than 100 characters"),
        ("[", "JSON array of strings"),
        ("[1]", "JSON array of strings"),
        ('[["a"]]', "JSON array of strings"),
        ("[" * 50_000, "JSON array of strings"),
        ('["\\ud800"]', "tag 1 is not valid Unicode text"),
        (json.dumps([f"t{n}" for n in range(51)]), "there are 51; 50 is the most"),
    ],
)
def test_wrong_tags(sent: str, said: str) -> None:
    error = refusal(tags=sent)
    assert (STATUSES[error.code], error.code, error.data) == (
        400,
        "INVALID_TAGS",
        {"field": "tags"},
    )
    assert said in error.message


@pytest.mark.parametrize("sent", ["", "update", "UPSERT", "upsert "])
def test_on_conflict_is_one_of_two(sent: str) -> None:
    assert parse(onConflict="skip").options.on_conflict is OnConflict.SKIP
    error = refusal(onConflict=sent)
    assert (STATUSES[error.code], error.code, error.data) == (
        400,
        "INVALID_FIELD",
        {"field": "onConflict"},
    )


@pytest.mark.parametrize("sent", ["", "a/b", "..", "a" * 65, "a#1", "ä", "a b"])
def test_a_malformed_project_id(sent: str) -> None:
    error = refusal(projectId=sent)
    assert (STATUSES[error.code], error.code, error.data) == (
        400,
        "INVALID_FIELD",
        {"field": "projectId"},
    )


def test_a_wrong_column_map() -> None:
    error = refusal(columnMap='{"firstName":"First Name"}')
    assert (STATUSES[error.code], error.code, error.data) == (
        400,
        "INVALID_COLUMN_MAP",
        {"field": "columnMap"},
    )
    assert error.message.startswith("columnMap: email is missing")


def test_an_empty_file() -> None:
    assert (STATUSES[refusal(file=b"").code], refusal(file=b"").code) == (400, "EMPTY_FILE")


def test_a_field_that_is_not_known() -> None:
    error = refusal(onconflict="skip")
    assert (STATUSES[error.code], error.code) == (400, "UNKNOWN_FIELD")
    assert "onConflict" in error.message


def test_a_field_that_comes_twice() -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(CONTENT_TYPE, body([*FIELDS.items(), ("projectId", "other")]))
    assert refused.value.code == "REPEATED_FIELD"


def test_text_that_is_not_utf8() -> None:
    assert refusal(projectId=b"\xff").code == "INVALID_FIELD"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/csv",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
    ],
)
def test_what_is_not_multipart(content_type: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(content_type, body(FIELDS))
    assert (STATUSES[refused.value.code], refused.value.code) == (400, "NOT_MULTIPART")


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        (CONTENT_TYPE, b""),
        (CONTENT_TYPE, b"nothing of the kind"),
        (CONTENT_TYPE, body(FIELDS)[:-40]),
        ("multipart/form-data; boundary=other", body(FIELDS)),
        ("multipart/form-data; boundary=\udcff", body(FIELDS)),
        (CONTENT_TYPE, body(FIELDS).replace(b"form-data; name", b"form-data; nam")),
        (CONTENT_TYPE, body(FIELDS).replace(b"projectId", b"\xff\xfe")),
    ],
)
def test_multipart_that_cannot_be_read(content_type: str, content: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(content_type, content)
    assert STATUSES[refused.value.code] == 400


def test_a_body_over_the_limit_says_the_limit() -> None:
    room = MAX_UPLOAD_BYTES - len(body({**FIELDS, "file": b""}))
    assert parse(file=b"x" * room).file == b"x" * room
    error = refusal(file=b"x" * (room + 1))
    assert "application/json" in error.message
    assert (STATUSES[error.code], error.code) == (413, "PAYLOAD_TOO_LARGE")
    assert "4,500,000" in error.message


def parse_json(fields: object) -> ImportRequest:
    return parse_request("application/json; charset=utf-8", json.dumps(fields).encode())


JSON_FIELDS = {"projectId": "demo", "columnMap": FIELDS["columnMap"]}


def test_json_has_the_forms_fields_but_for_the_file() -> None:
    form = parse_json(JSON_FIELDS)
    assert form == replace(parse(), file=None)


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": "a,b", "onBlank": "clear", "dryRun": "true", "delimiter": "tab"},
        {"tags": ["a", "b"], "onBlank": "clear", "dryRun": True, "delimiter": "\t"},
        {
            "tags": '["a","b"]',
            "onBlank": "clear",
            "dryRun": True,
            "delimiter": "\t",
            "columnMap": {"email": "Email", "firstName": "First Name"},
        },
    ],
)
def test_json_may_say_it_as_json_or_as_text(fields: dict[str, object]) -> None:
    options = parse_json({**JSON_FIELDS, **fields}).options
    form = parse(tags="a, b", onBlank="clear", dryRun="true", delimiter="tab")
    assert options == form.options
    assert (options.on_blank, options.dry_run, options.tags) == (OnBlank.CLEAR, True, ("a", "b"))


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ([], "INVALID_JSON", None),
        ("text", "INVALID_JSON", None),
        (None, "INVALID_JSON", None),
        ({}, "MISSING_FIELD", "projectId"),
        ({"projectId": "demo"}, "MISSING_FIELD", "columnMap"),
        ({**JSON_FIELDS, "file": "Email"}, "UNKNOWN_FIELD", "file"),
        ({**JSON_FIELDS, "colour": "red"}, "UNKNOWN_FIELD", None),
        ({**JSON_FIELDS, "projectId": 7}, "INVALID_FIELD", "projectId"),
        ({**JSON_FIELDS, "projectId": "a/b"}, "INVALID_FIELD", "projectId"),
        ({**JSON_FIELDS, "columnMap": []}, "INVALID_COLUMN_MAP", "columnMap"),
        ({**JSON_FIELDS, "columnMap": {"email": 1}}, "INVALID_COLUMN_MAP", "columnMap"),
        ({**JSON_FIELDS, "tags": [1]}, "INVALID_TAGS", "tags"),
        ({**JSON_FIELDS, "tags": ["\ud800"]}, "INVALID_JSON", None),
        ({**JSON_FIELDS, "onBlank": "erase"}, "INVALID_FIELD", "onBlank"),
        ({**JSON_FIELDS, "dryRun": "yes"}, "INVALID_FIELD", "dryRun"),
    ],
)
def test_json_that_is_wrong(sent: object, code: str, field: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        parse_json(sent)
    assert (STATUSES[refused.value.code], refused.value.code) == (400, code)
    assert (refused.value.data or {}).get("field") == field


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json(content: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request("application/json", content)
    assert refused.value.code == "INVALID_JSON"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"onBlank": "Keep"}, "onBlank"), ({"dryRun": "1"}, "dryRun"), ({"dryRun": ""}, "dryRun")],
)
def test_other_options_that_are_wrong(fields: dict[str, str], field: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.data) == ("INVALID_FIELD", {"field": field})


def test_without_a_column_map_and_a_delimiter_they_are_found_in_the_file() -> None:
    options = parse_fields(OptionFields, {}).options
    assert options.column_map is None
    assert options.delimiter is None


def test_a_request_is_the_same_however_its_body_is_written() -> None:
    parts = list(FIELDS.items())
    other = body(parts[::-1]).replace(BOUNDARY.encode(), b"another")
    again = parse_request("multipart/form-data; boundary=another", other)
    assert again.identity == parse().identity
    assert parse(file=FILE + b"x").identity != parse().identity
    assert parse(dryRun="true").identity != parse().identity
    assert parse(projectId="other").identity != parse().identity
    assert parse_json(JSON_FIELDS).identity != parse().identity


@given(st.binary(max_size=400), st.text(max_size=80))
def test_whatever_is_sent_is_read_or_refused(content: bytes, content_type: str) -> None:
    for kind in (content_type, CONTENT_TYPE, f"multipart/form-data; boundary={content_type}"):
        for sent in (content, f"--{BOUNDARY}\r\n".encode() + content):
            try:
                parse_request(kind, sent)
            except RequestError as error:
                assert STATUSES[error.code] in (400, 413)


@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "onConflict", "delimiter", "tags"]),
        st.one_of(st.text(max_size=40), st.binary(max_size=40)),
    )
)
def test_whatever_fields_are_sent_are_read_or_refused(changed: dict[str, str | bytes]) -> None:
    try:
        fields = {
            **FIELDS,
            **{
                k: v.encode("utf-8", "ignore") if isinstance(v, str) else v
                for k, v in changed.items()
            },
        }
        parse_request(CONTENT_TYPE, body(fields))
    except RequestError as error:
        assert STATUSES[error.code] == 400
