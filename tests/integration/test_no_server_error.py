"""Nothing that is sent makes a 5xx or an import that fails without its reason; every record has room to end."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contact_imports.aws.api_keys_table import ApiKeyTable, Scope
from contact_imports.messages.option_fields import OptionFields, parse_fields
from contact_imports.model import limits
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.import_job import Import, ImportOptions, Status, Upload, new_import_id
from tests.events import Context, handler
from tests.integration.test_drop_bucket import run
from tests.multipart import CONTENT_TYPE, FIELDS, body
from tests.pipeline import Pipeline, imports_of

MAX_ITEM_BYTES = 400 * 1024
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_ANSWER_BYTES = 6 * 1024 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

hostile = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api_key(pipeline: Pipeline) -> str:
    keys = ApiKeyTable(pipeline.dynamodb, "ApiKeysTable")
    return keys.create(list(Scope), ["demo"], datetime.now(UTC))


def post(key: str, content_type: str, content: bytes | str, **headers: str) -> tuple[int, Any]:
    """What the API answers to a body: bytes as API Gateway passes a form, text as it passes JSON."""
    event = {
        "httpMethod": "POST",
        "path": "/v1/contacts/imports",
        "headers": {"Authorization": f"Bearer {key}", "Content-Type": content_type, **headers},
        "body": base64.b64encode(content).decode() if isinstance(content, bytes) else content,
        "isBase64Encoded": isinstance(content, bytes),
        "requestContext": {},
    }
    answer = handler("api").lambda_handler(event, Context())
    assert len(answer["body"]) < MAX_ANSWER_BYTES / 2
    return answer["statusCode"], json.loads(answer["body"])


def item_bytes(pipeline: Pipeline, import_id: str) -> int:
    """The size of an import's record; as JSON of DynamoDB's types it is a bit larger than DynamoDB counts."""
    key = {"importId": {"S": import_id}, "record": {"S": "import"}}
    item = pipeline.dynamodb.get_item(TableName="ImportsTable", Key=key)["Item"]
    return len(json.dumps(item, ensure_ascii=False, default=str).encode())


texts = st.one_of(
    st.text(min_size=1, max_size=8),
    st.sampled_from(["x", "я", "😀", '"', "\\", "\u200b", "Email", "email", "a@example.com"]),
)
# Short and very long, of one byte a character and of four.
words = st.builds(str.__mul__, texts, st.sampled_from([1, 1, 1, 3, 130, 5_000, 70_000]))
names_of_columns = st.builds(str.__mul__, texts, st.sampled_from([1, 1, 1, 3, 130, 3_000]))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
column_maps = st.one_of(
    json_values,
    st.builds(
        lambda email, custom: {"email": email, "customFields": custom},
        words,
        st.dictionaries(words, words, max_size=20),
    ),
    st.builds(
        lambda count, letter: {
            "email": "Email",
            "customFields": {f"{n}": letter * 100 for n in range(count)},
        },
        st.sampled_from([10, 500, 999, 1_001]),
        st.sampled_from("xя漢"),
    ),
)


@hostile
@given(
    st.fixed_dictionaries(
        {"projectId": st.just("demo"), "columnMap": column_maps},
        optional=dict.fromkeys(
            ("onConflict", "onBlank", "delimiter", "tags", "dryRun", "encoding", "x"), json_values
        ),
    )
)
def test_whatever_json_is_sent(pipeline: Pipeline, api_key: str, fields: dict[str, Any]) -> None:
    status, answer = post(api_key, "application/json", json.dumps(fields))
    assert status in (200, 400, 413), answer
    if status == 200:
        assert item_bytes(pipeline, answer["data"]["id"]) < MAX_ITEM_BYTES / 2
    else:
        assert len(answer["error"]) > 20


@hostile
@given(st.lists(names_of_columns, min_size=1, max_size=20), st.sampled_from([1, 40]), words)
def test_whatever_header_is_posted(
    pipeline: Pipeline, api_key: str, names: list[str], times: int, wanted: str
) -> None:
    header = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in names * times)
    content = (header + "\na@example.com\n").encode("utf-8", "replace")[:4_000_000]
    column_map = json.dumps({"email": wanted}, ensure_ascii=False)
    form = body({**FIELDS, "file": content, "columnMap": column_map.encode("utf-8", "replace")})
    status, answer = post(api_key, CONTENT_TYPE, form)
    assert status in (200, 400), answer


@pytest.mark.parametrize("name", ["x", "я", "\u200b", "😀"])
def test_the_name_of_a_column_may_be_as_long_as_a_file(
    pipeline: Pipeline, api_key: str, project: str, name: str
) -> None:
    content = (name * 900_000 + ",Email\na@example.com,x\n").encode()
    form = body({**FIELDS, "file": content, "columnMap": '{"email":"E-Mail"}'})
    assert len(form) < limits.MAX_UPLOAD_BYTES
    status, answer = post(api_key, CONTENT_TYPE, form)
    assert status == 400
    assert len(json.dumps(answer)) < 20_000
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/c.csv", content))
    assert job.ended
    assert item_bytes(pipeline, job.id) < MAX_ITEM_BYTES / 2


@pytest.mark.parametrize("text", ['{"projectId":"\udcff"}', "\udcff"])
def test_json_that_is_not_utf8(pipeline: Pipeline, api_key: str, text: str) -> None:
    for content in (text, text.encode("utf-8", "surrogatepass")):
        status, answer = post(api_key, "application/json", content)
        assert (status, answer["code"]) == (400, "INVALID_JSON")


def test_a_compressed_body(pipeline: Pipeline, api_key: str) -> None:
    status, answer = post(api_key, CONTENT_TYPE, b"x", **{"Content-Encoding": "gzip"})
    assert (status, answer["code"]) == (400, "INVALID_MULTIPART")
    assert "compressed" in answer["error"]


# A file that is refused is not read to its end, and its connection is closed by the garbage collector.
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning")
@hostile
@given(st.lists(names_of_columns, max_size=20), st.sampled_from([1, 40]), st.sampled_from(",;\t"))
def test_whatever_header_is_dropped(
    pipeline: Pipeline, names: list[str], times: int, delimiter: str
) -> None:
    project = f"p-{new_import_id(datetime.now(UTC))}"
    columns = [f"{n}{name}" if times > 1 else name for n, name in enumerate(names * times)]
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in ["Email", *columns]]
    content = delimiter.join(quoted) + "\na@example.com\n"
    # The processor raises nothing, so that the first try is the last.
    job = run(
        pipeline,
        project,
        pipeline.drop(f"drop/{project}/c.csv", content.encode("utf-8", "replace")),
    )
    assert job.ended
    assert (job.status is Status.FAILED) == bool(job.error)
    assert item_bytes(pipeline, job.id) < MAX_ITEM_BYTES / 2


@pytest.mark.parametrize(("letter", "chars"), [("ж", 120), ("ж", 128), ("漢", 128), ("x", 10)])
def test_a_thousand_long_headers_are_imported_or_refused_with_the_reason(
    pipeline: Pipeline, project: str, letter: str, chars: int
) -> None:
    names = [f"{n:03}".ljust(chars, letter) for n in range(limits.MAX_COLUMNS - 1)]
    content = ",".join(["Email", *names]) + "\na@example.com\n"
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/c.csv", content.encode()))
    if job.status is Status.FAILED:
        assert "names of the columns are too long" in (job.error or "")
        assert "65,536 is the most" in (job.error or "")
        assert pipeline.contacts_of(project) == {}
    else:
        assert job.counts.created == 1
    assert item_bytes(pipeline, job.id) < MAX_ITEM_BYTES / 2
    assert len(imports_of(pipeline, project)) == 1


def test_a_record_with_the_most_of_everything_has_room_to_end(pipeline: Pipeline) -> None:
    """Every attribute at its limit, in characters of four bytes where they may be."""
    now = datetime.now(UTC)
    size = limits.MAX_COLUMN_MAP_BYTES - len('{"email":"Email","name":""}')
    column_map = ColumnMap(email="Email", name="x" * size)
    tags = [f"{n:02}".ljust(limits.MAX_TAG_CHARS, "😀") for n in range(limits.MAX_TAGS)]
    options = parse_fields(
        OptionFields,
        {"columnMap": column_map.as_dict(), "tags": tags, "encoding": "iso-8859-15"},
    ).options
    key = "drop/demo/".ljust(1024, "k")
    job = Import(new_import_id(now), "p" * 64, Status.PROCESSING, options, now, dropped_key=key)
    assert pipeline.imports.create(job, now)
    upload = Upload(key, "e" * 32, limits.MAX_FILE_BYTES, "v" * 1024)
    claimed = pipeline.imports.claim(job.id, upload, now)
    assert claimed is not None
    assert claimed.options == options
    assert pipeline.imports.fail(job.id, "😀" * 1_000_000, now)
    ended = pipeline.get(job)
    assert ended.error is not None
    assert ended.error.startswith("😀" * 1_000)
    assert item_bytes(pipeline, job.id) < MAX_ITEM_BYTES / 2


def test_the_encoding_that_was_asked_for_is_kept(pipeline: Pipeline) -> None:
    now = datetime.now(UTC)
    for encoding in (None, "cp1251"):
        options = ImportOptions(ColumnMap(email="Email"), encoding=encoding)
        job = Import(new_import_id(now), "demo", Status.PENDING, options, now)
        pipeline.imports.create(job, now)
        assert pipeline.get(job).options == options
