from __future__ import annotations

import codecs
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.api.requests import ImportRequest, parse_request
from contact_imports.api.responses import STATUSES
from contact_imports.jobs.create_dropped_import import read_metadata
from contact_imports.messages.option_fields import OptionFields, parse_fields
from contact_imports.model.column_map import ColumnMap
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


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("project_id", "projectId"),
        ("projectID", "projectId"),
        ("projctId", "projectId"),
        ("column-map", "columnMap"),
        ("onconflict", "onConflict"),
        ("on_blank", "onBlank"),
        ("delimeter", "delimiter"),
        ("tag", "tags"),
        ("dry_run", "dryRun"),
        ("Encoding", "encoding"),
    ],
)
def test_a_field_that_is_not_known_is_named_with_what_was_meant(sent: str, meant: str) -> None:
    in_form = refusal(**{sent: "x"})
    with pytest.raises(RequestError) as in_json:
        parse_json({**JSON_FIELDS, sent: "x"})
    for error in (in_form, in_json.value):
        assert error.code == "UNKNOWN_FIELD"
        assert f"'{sent}'" in error.message
        assert f"Did you mean '{meant}'?" in error.message
        assert error.data == {"nearest": meant}


def test_a_file_under_another_name_is_said() -> None:
    error = refusal(file=None, File=FILE)
    assert "Did you mean 'file'?" in error.message
    assert "'é'" in refusal(é="x").message


def test_what_is_no_name_is_not_repeated() -> None:
    key = "ci_0123456789ab_" + "x" * 43
    for name in (key, "a\tb", json.dumps({"email": "a@example.com"}) * 3):
        error = refusal(**{name.replace('"', "%22"): "x"})
        assert name not in error.message
        assert f"of {len(name)} characters" in error.message


GZIP_FORM = gzip.compress(body(FIELDS), mtime=0)
LF_FORM = body(FIELDS).replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    ("content_type", "content", "encoding", "said"),
    [
        ("multipart/form-data", body(FIELDS), None, "has no boundary"),
        ("application/octet-stream", body(FIELDS), None, "has no boundary"),
        ("multipart/form-data; boundary=other", body(FIELDS), None, "does not contain the boundary"),
        (CONTENT_TYPE, b"", None, "The body is empty"),
        (CONTENT_TYPE, LF_FORM, None, "end with LF"),
        (CONTENT_TYPE, body(FIELDS).replace(b'"\r\n', b'"\n'), None, "malformed"),
        (CONTENT_TYPE, body(FIELDS)[:-40], None, "truncated"),
        (CONTENT_TYPE, body(FIELDS)[:60], None, "truncated"),
        (CONTENT_TYPE, GZIP_FORM, None, "compressed (gzip)"),
        (CONTENT_TYPE, GZIP_FORM, "gzip", "compressed (gzip)"),
        (CONTENT_TYPE, b"\x8b\x05\x80", "br", "compressed (br)"),
        (CONTENT_TYPE, body(FIELDS), "rot13", "is compressed."),
        (CONTENT_TYPE, body(FIELDS).replace(b'; name="projectId"', b""), None, "no name"),
        (CONTENT_TYPE, body({**FIELDS, "": "x"}), None, "no name"),
        (CONTENT_TYPE, body([*FIELDS.items()] * 20), None, "more than once"),
        ("text/csv", FILE, None, "neither multipart/form-data nor application/json"),
        ("application/x-www-form-urlencoded", b"projectId=demo", None, "curl -F"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_read_says_which_fault_it_has(
    content_type: str, content: bytes, encoding: str | None, said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(content_type, content, encoding)
    assert STATUSES[refused.value.code] == 400
    assert said in refused.value.message
    # What to do comes after what is wrong.
    assert refused.value.message.count(". ") >= 1


@pytest.mark.parametrize(
    "file_name",
    [
        b'filename="J\xf6rg.csv"',
        b'filename="\xff\xfe"',
        'filename="Jörg 漢.csv"'.encode(),
        b'filename="a"b".csv"',
        b"filename=",
        b'filename="',
        b'filename=""',
        b"filename*=UTF-8''%ff%fe.csv",
        b"filename*=nonsense",
        b'filename="C:\\fakepath\\c.csv"',
        b'filename="' + b"n" * 60_000 + b'"',
        b'filename="a;name=b.csv"',
        b'filename="a\nb.csv"',
    ],
)
def test_the_name_of_the_file_refuses_nothing(file_name: bytes) -> None:
    content = body(FIELDS).replace(b'filename="contacts.csv"', file_name)
    assert content != body(FIELDS)
    assert parse_request(CONTENT_TYPE, content) == parse()


def test_an_identity_encoding_is_none() -> None:
    assert parse_request(CONTENT_TYPE, body(FIELDS), "identity") == parse()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1, column 1: expecting value"),
        (b'{\n  "projectId": demo\n}', "line 2, column 16: expecting value"),
        (b"{'projectId': 1}", "line 1, column 2: expecting property name enclosed in double quotes"),
        (b'{"projectId":"a"', "line 1, column 17: expecting ',' delimiter"),
        (b'{"tags":["a\nb"]}', "line 1, column 12: invalid control character"),
        (b'{"projectId":"a', "line 1, column 14: unterminated string"),
        (b'{"projectId":"demo"} {}', "line 1, column 22: extra data"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"projectId":"\xff"}', "byte 15 is not"),
        ('{"projectId":"é"}'.encode("latin-1"), "not UTF-8"),
        ('{"projectId":"demo"}'.encode("utf-16"), "not UTF-8"),
        ('{"projectId":"\ufffd"}'.encode(), "not UTF-8"),
        (b'{"projectId":"a","projectId":"b"}', "'projectId' is twice"),
        (b'{"columnMap":{"email":"a","email":"b"}}', "'email' is twice"),
        (gzip.compress(b"{}", mtime=0), "compressed (gzip)"),
    ],
)  # fmt: skip
def test_json_that_cannot_be_read_says_where(content: bytes, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request("application/json", content)
    assert refused.value.code == "INVALID_JSON"
    assert said in refused.value.message


def test_json_may_begin_with_a_byte_order_mark_and_have_a_number_of_any_length() -> None:
    assert parse_request(
        "application/json", json.dumps(JSON_FIELDS).encode("utf-8-sig")
    ) == replace(parse(), file=None)
    with pytest.raises(RequestError) as refused:
        parse_request("application/json", b'{"projectId":' + b"9" * 5_000 + b"}")
    assert refused.value.code in ("INVALID_FIELD", "MISSING_FIELD")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ('"newsletter"', "begins with \""),
        ('"a","b"', "begins with \""),
        ('{"name":"newsletter"}', "begins with {"),
        ("{}", "begins with {"),
        ('["a", 1]', "tag 2 is not text"),
        ('["a",', "line 1, column 6"),
    ],
)  # fmt: skip
def test_tags_that_are_json_but_no_list_of_names(sent: str, said: str) -> None:
    error = refusal(tags=sent)
    assert (error.code, error.data) == ("INVALID_TAGS", {"field": "tags"})
    assert said in error.message
    assert '["newsletter"]' in error.message


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"a": 1}, "neither a list nor text"),
        (7, "neither a list nor text"),
        (None, "neither a list nor text"),
        (["a", None], "tag 2 is not text"),
        (["a", ["b"]], "tag 2 is not text"),
    ],
)
def test_tags_of_json_that_are_no_names(sent: object, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_json({**JSON_FIELDS, "tags": sent})
    assert refused.value.code == "INVALID_TAGS"
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"Email": "email"}, "the wrong way round"),
        ({"E-Mail": "email", "First Name": "firstName"}, "the wrong way round"),
        ({"email": "Email", "first_name": "F"}, "did you mean 'firstName'?"),
        ({"Email": "Email"}, "did you mean 'email'?"),
        ({"email": "Email", "custom_fields": {}}, "did you mean 'customFields'?"),
        ({"email": "Email", "customFields.plan": "Plan"}, '"customFields":{"plan":"Plan"}'),
        ({"email": "Email", "plan": "Plan"}, "put it into customFields"),
        ('{"email":"Email",}', "line 1, column 18"),
        ('{"email":"a","email":"b"}', "'email' is twice"),
        ('{"email":"\\ud800"}', "not valid Unicode"),
        ("Email", "it must be JSON"),
    ],
)
def test_a_column_map_that_is_wrong_says_what_was_meant(sent: object, said: str) -> None:
    error = refusal(columnMap=sent if isinstance(sent, str) else json.dumps(sent))
    assert (error.code, error.data) == ("INVALID_COLUMN_MAP", {"field": "columnMap"})
    assert said in error.message
    assert not error.message.endswith("?.")


def test_a_header_may_be_called_like_a_field() -> None:
    sent = {"email": "name", "name": "email"}
    wanted = ColumnMap(email="name", name="email")
    assert parse_json({**JSON_FIELDS, "columnMap": sent}).options.column_map == wanted


@pytest.mark.parametrize(
    ("sent", "codec"),
    [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        ("Windows-1252", "cp1252"),
        ("windows 1251", "cp1251"),
        ("ISO-8859-15", "iso8859-15"),
        ("EUC-JP", "euc_jp"),
        ("koi8-r", "koi8-r"),
    ],
)
def test_an_encoding_has_a_usual_name(sent: str, codec: str) -> None:
    for request in (parse(encoding=sent), parse_json({**JSON_FIELDS, "encoding": sent})):
        assert request.options.encoding is not None
        assert codecs.lookup(request.options.encoding) == codecs.lookup(codec)
    assert parse(encoding=sent).identity != parse().identity


@pytest.mark.parametrize("sent", ["", "utf-9", "rot13", "zip", "\0", "x" * 1_000])
def test_an_encoding_that_is_not_known(sent: str) -> None:
    error = refusal(encoding=sent)
    assert (error.code, error.data) == ("INVALID_FIELD", {"field": "encoding"})
    assert "windows-1250 to windows-1258" in error.message


# Values that text and JSON can both have, and what they mean.
said_options = st.fixed_dictionaries(
    {"columnMap": st.just({"email": "Email"})},
    optional={
        "onConflict": st.sampled_from(["skip", "upsert"]),
        "onBlank": st.sampled_from(["keep", "clear"]),
        "delimiter": st.sampled_from([",", ";", "|", "tab"]),
        "dryRun": st.booleans(),
        "tags": st.lists(st.text("abc ,é", min_size=1).filter(str.strip), max_size=4),
        "encoding": st.sampled_from(["utf-8", "windows-1252", "gb18030"]),
    },
)


@given(said_options)
def test_options_mean_the_same_in_a_form_in_json_and_in_metadata(said: dict[str, Any]) -> None:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in said.items()}
    in_json = parse_json({"projectId": "demo", **said}).options
    assert parse(**texts).options == in_json
    # Without one, the delimiter of a dropped file is found.
    delimiter = in_json.delimiter if "delimiter" in said else None
    of_metadata = replace(in_json, delimiter=delimiter)
    dashed = {re.sub("([A-Z])", r"-\1", k).lower(): v for k, v in texts.items()}
    for metadata in (dashed, texts, {k.lower(): v for k, v in texts.items()}):
        assert read_metadata(metadata, "demo") == of_metadata


SECRET = "s3cr3t-Value-0815"


@given(
    st.sampled_from(["projectId", "onConflict", "onBlank", "delimiter", "tags", "dryRun", "encoding"]),
    st.sampled_from(["{}", '"{}', "[{}", '["a",{}]', '{{"x":"{}"', ",{},,"]),
)  # fmt: skip
def test_no_answer_repeats_a_value(field: str, shape: str) -> None:
    value = shape.format(SECRET)
    of_json: list[dict[str, object]] = [
        {field: value * 10},
        {field: {SECRET: value}},
        {"columnMap": {"email": [value]}},
        {"columnMap": {"email": {SECRET: value}}},
    ]
    bodies = [
        (CONTENT_TYPE, body({**FIELDS, field: value * 10})),
        (CONTENT_TYPE, body({**FIELDS, "columnMap": '{"email":' + value})),
        (CONTENT_TYPE, value.encode()),
        ("application/json", value.encode()),
        *(
            ("application/json", json.dumps({**JSON_FIELDS, **fields}).encode())
            for fields in of_json
        ),
    ]
    for content_type, content in bodies:
        try:
            parse_request(content_type, content)
        except RequestError as error:
            assert SECRET not in error.message
            assert SECRET not in json.dumps(error.data)
