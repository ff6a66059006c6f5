"""Files that are dropped into the bucket: what names them, what describes them, what is left beside them."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from contact_imports.aws.imports_table import ImportTable
from contact_imports.aws.report_files import misplaced_result_key
from contact_imports.aws.uploads_bucket import Uploads, import_of_key
from contact_imports.jobs.list_imports import import_entry, list_imports
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.import_job import Import, ImportOptions, Status, Upload, import_time
from tests.events import Context, failure_event, handler, s3_event
from tests.oracle import counts_of, expected
from tests.pipeline import Pipeline, imports_of

HEADER_SPEAKS = ImportOptions(None, delimiter=None)
FILE = "E-mail Address;First Name;Plan\na@example.com;Zoë;pro\nno email;B;\na@example.com;;free\n"


def run(pipeline: Pipeline, project: str, event: dict[str, Any]) -> Import:
    """The one import that an event makes, until it has ended."""
    pipeline.process(event)
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    return pipeline.finish(job)


def text_of(pipeline: Pipeline, key: str) -> str:
    body = pipeline.s3.get_object(Bucket=pipeline.bucket, Key=key)["Body"].read()
    return str(body.decode("utf-8-sig"))


@pytest.mark.parametrize(
    "name", ["contacts.csv", "2030/july/contacts.csv", "an y+thing/cöntacts 漢.csv", "x"]
)
def test_a_dropped_file_is_imported_with_the_columns_that_its_header_names(
    pipeline: Pipeline, project: str, name: str
) -> None:
    key = f"drop/{project}/{name}"
    job = run(pipeline, project, pipeline.drop(key, FILE.encode()))
    reference = expected(FILE.encode(), HEADER_SPEAKS)
    assert job.status is Status.COMPLETED
    assert job.counts.as_dict() == counts_of(reference)
    assert pipeline.contacts_of(project) == reference.contacts
    assert job.dropped_key == key
    # What was matched is recorded.
    assert job.options.column_map == ColumnMap(
        email="E-mail Address", first_name="First Name", custom_fields={"Plan": "Plan"}
    )
    assert job.options.delimiter == ";"
    assert job.encoding == "utf-8-sig"


def test_the_result_and_the_failed_rows_are_left_beside_it(
    pipeline: Pipeline, project: str
) -> None:
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/a/c.csv", FILE.encode()))
    assert job.completed_at is not None
    result = json.loads(text_of(pipeline, f"results/{project}/a/c.csv.result.json"))
    assert result == import_entry(job, job.completed_at)
    assert result["status"] == "completed"
    assert text_of(pipeline, f"results/{project}/a/c.csv.errors.csv").splitlines() == [
        "E-mail Address;First Name;Plan;import_row;import_error",
        "no email;B;;3;invalid_email: The email has no @. Give an address such as ann@example.org.",
    ]


def test_what_was_skipped_and_chosen_is_told_and_the_report_can_be_sent_again(
    pipeline: Pipeline, project: str
) -> None:
    content = (
        "Kontakte, Stand 1.1.\n\n"
        "E-Mail;E-Mail-Adresse;Notiz;Notiz;Telefon;Handy\n"
        'ja;a@example.com;eins;zwei;;"0151\n5550100"\n'
        "nein;niemand;eins;;;0151 5550101\n"
        "\nSumme: 2;;;;;\n"
    )
    key = f"drop/{project}/c.csv"
    job = run(pipeline, project, pipeline.drop(key, content.encode()))
    assert job.counts.as_dict() == {
        "total": 2, "created": 1, "updated": 0, "skipped": 0, "failed": 1
    }  # fmt: skip
    contact = pipeline.contacts_of(project)["a@example.com"]
    assert contact.fields == {"phone": "0151\n5550100"}
    assert contact.custom_fields == {"E-Mail": "ja", "Notiz": "eins", "Notiz (2)": "zwei"}
    result = json.loads(text_of(pipeline, f"results/{project}/c.csv.result.json"))
    listed = list_imports(pipeline.imports, project, None, 10, None, datetime.now(UTC))["data"]
    assert listed == [result]
    codes = [note["code"] for note in result["notes"]]
    assert codes == ["lines_skipped", "column_chosen", "column_renamed", "footer_skipped"]
    assert result["options"]["delimiter"] == ";"
    assert result["options"]["columnMap"]["email"] == "E-Mail-Adresse"
    # Rows and lines are those of the file.
    (row,) = pipeline.report(job)
    assert (row["row"], row["line"]) == (5, 6)
    report = text_of(pipeline, f"results/{project}/c.csv.errors.csv")
    mended = report.replace("niemand", "b@example.com")
    second_key = f"drop/{project}/again.csv"
    pipeline.process(pipeline.drop(second_key, mended.encode()))
    pipeline.drain()
    (again,) = (one for one in imports_of(pipeline, project) if one.dropped_key == second_key)
    assert again.options.column_map == job.options.column_map
    assert again.counts.as_dict() == {
        "total": 1, "created": 1, "updated": 0, "skipped": 0, "failed": 0
    }  # fmt: skip


def test_a_report_of_the_file_before_under_the_same_key_does_not_stay(
    pipeline: Pipeline, project: str
) -> None:
    key = f"drop/{project}/c.csv"
    seen = set[str]()
    for content, left in ((FILE, True), ("Email\na@example.com\n", False), ("Email\nno\n", True)):
        pipeline.process(pipeline.drop(key, content.encode()))
        pipeline.drain()
        (job,) = (job for job in imports_of(pipeline, project) if job.id not in seen)
        seen.add(pipeline.finish(job).id)
        listed = pipeline.s3.list_objects_v2(Bucket=pipeline.bucket, Prefix=f"results/{project}/")
        found = {one["Key"].removeprefix(f"results/{project}/c.csv.") for one in listed["Contents"]}
        assert found == {"result.json", *(["errors.csv"] if left else [])}


def test_options_come_from_the_objects_metadata(pipeline: Pipeline, project: str) -> None:
    content = b"Mail|Phone|Other\na@example.com|1|x\n"
    pipeline.run(project, b"Email,Phone\na@example.com,2\n", ImportOptions(
        ColumnMap(email="Email", phone="Phone")
    ))  # fmt: skip
    event = pipeline.drop(
        f"drop/{project}/c.csv",
        content,
        column_map='{"email":"Mail","phone":"Phone"}',
        delimiter="|",
        on_conflict="skip",
        on_blank="clear",
        dry_run="false",
        tags="a, b",
        written_by="somebody's tool",
    )
    pipeline.process(event)
    pipeline.drain()
    (job,) = [job for job in imports_of(pipeline, project) if job.dropped_key]
    assert job.options == ImportOptions(
        ColumnMap(email="Mail", phone="Phone"),
        OnConflict.SKIP,
        "|",
        ("a", "b"),
        OnBlank.CLEAR,
        header_record=1,
    )
    assert job.counts.skipped == 1


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"column_map": "{"}, "columnMap: it must be JSON"),
        ({"on_conflict": "merge"}, "onConflict must be 'upsert' or 'skip'"),
        ({"delimiter": "::"}, "delimiter must be one character"),
        ({"tags": "a,,b"}, "tag 2 is empty"),
        ({"dry_run": "maybe"}, "dryRun must be"),
        ({"column_map": '{"email":"Mail"}'}, "no column 'Mail'"),
        ({"encoding": "utf-9"}, "encoding is not an encoding that we know"),
        ({"on_conflit": "skip"}, "'on-conflit' looks like an option, but is not one. Did you mean 'onConflict'?"),
        ({"dryruns": "true"}, "Did you mean 'dryRun'?"),
        ({"tag": "a"}, "Did you mean 'tags'?"),
        ({"x-amz-meta-onConflict": "skip"}, "Did you mean 'onConflict'?"),
        ({"import_dry_run": "true"}, "Did you mean 'dryRun'?"),
        ({"separator": ";"}, "Did you mean 'delimiter'?"),
        ({"charset": "latin-1"}, "Did you mean 'encoding'?"),
        ({"delimeter": ";"}, "Did you mean 'delimiter'?"),
        ({"onConflict": "skip", "on_conflict": "upsert"}, "two spellings with different values"),
        ({"projectId": "another"}, "projectId is not the project"),
        ({"tags": "=?foo?B?YQ==?="}, "tags cannot be read"),
        ({"column_map": "=?utf-8?B?a?="}, "columnMap cannot be read"),
        ({"delimiter": "=?unicode_escape?Q?\\ud800?="}, "delimiter cannot be read"),
        ({"dryRun": "=?UTF-8?Q?=ff?="}, "dryRun cannot be read"),
    ],
)  # fmt: skip
def test_metadata_that_is_wrong_fails_the_import_and_says_why(
    pipeline: Pipeline, project: str, metadata: dict[str, str], said: str
) -> None:
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/c.csv", FILE.encode(), **metadata))
    assert job.status is Status.FAILED
    assert said in (job.error or "")
    assert pipeline.contacts_of(project) == {}
    result = json.loads(text_of(pipeline, f"results/{project}/c.csv.result.json"))
    assert (result["status"], result["error"]) == ("failed", job.error)


def test_metadata_that_is_not_ascii_is_read(pipeline: Pipeline, project: str) -> None:
    # As S3 gives it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode(), tags="=?UTF-8?Q?caf=C3=A9,b?=")
    assert run(pipeline, project, event).options.tags == ("café", "b")


@pytest.mark.parametrize(
    "metadata",
    [
        {"onConflict": "skip", "dryRun": "true"},
        {"onconflict": "skip", "dryrun": "true"},
        {"on_conflict": "skip", "dry_run": "true"},
        {"on_conflict": "skip", "onConflict": "skip", "DryRun": "true"},
    ],
)
def test_options_are_obeyed_in_either_spelling(
    pipeline: Pipeline, project: str, metadata: dict[str, str]
) -> None:
    """A file that says to skip what exists, and to change nothing, in the API's words."""
    pipeline.run(project, b"Email,Name\nj@example.com,Old\n", ImportOptions(
        ColumnMap(email="Email", name="Name")
    ))  # fmt: skip
    before = pipeline.contacts_of(project)
    content = b"Email,Name\nj@example.com,New\nk@example.com,K\n"
    pipeline.process(pipeline.drop(f"drop/{project}/2.csv", content, **metadata))
    pipeline.drain()
    (job,) = [job for job in imports_of(pipeline, project) if job.dropped_key]
    assert (job.options.on_conflict, job.options.dry_run) == (OnConflict.SKIP, True)
    assert (job.counts.created, job.counts.skipped) == (1, 1)
    assert pipeline.contacts_of(project) == before


def test_metadata_that_is_no_option_is_left_alone(pipeline: Pipeline, project: str) -> None:
    metadata = {
        "mtime": "1700000000", "etag": "abc", "sha256": "0", "filename": "c.csv", "author": "x",
        "source": "=?foo?B?YQ==?=", "s3cmd_attrs": "md5:x", "stage": "test", "project": "x", "content_encoding": "x", "project_id": project,
    }  # fmt: skip
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/c.csv", FILE.encode(), **metadata))
    assert job.status is Status.COMPLETED


def test_an_encoding_is_recorded(pipeline: Pipeline, project: str) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", b"Email\na@example.com\n", encoding="UTF-8")
    assert run(pipeline, project, event).options.encoding == "utf-8"


def test_an_event_that_comes_twice_is_one_import(pipeline: Pipeline, project: str) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    pipeline.process(event)
    pipeline.process(event)
    pipeline.drain()
    pipeline.process(event)
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    assert job.counts.as_dict() == counts_of(expected(FILE.encode(), HEADER_SPEAKS))


def test_a_new_file_under_the_same_key_is_a_new_import(pipeline: Pipeline, project: str) -> None:
    key = f"drop/{project}/c.csv"
    run(pipeline, project, pipeline.drop(key, FILE.encode()))
    pipeline.process(pipeline.drop(key, FILE.replace("free", "other").encode()))
    pipeline.drain()
    jobs = imports_of(pipeline, project)
    assert len(jobs) == 2
    assert {job.counts.created for job in jobs} == {0, 1}


def test_a_file_that_was_replaced_before_its_event_came_is_no_import(
    pipeline: Pipeline, project: str
) -> None:
    key = f"drop/{project}/c.csv"
    first = pipeline.drop(key, FILE.encode())
    pipeline.drop(key, b"Email\nb@example.com\n")
    pipeline.process(first)
    assert imports_of(pipeline, project) == []


@pytest.fixture(scope="module")
def versioned(pipeline: Pipeline) -> Uploads:
    """A bucket with versions, as the template's is."""
    name = f"{pipeline.bucket}-versioned"
    pipeline.s3.create_bucket(Bucket=name)
    pipeline.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return Uploads(pipeline.s3, name)


def put_version(pipeline: Pipeline, uploads: Uploads, content: bytes) -> Upload:
    key = "drop/p/c.csv"
    put = pipeline.s3.put_object(Bucket=uploads.bucket, Key=key, Body=content)
    return Upload(key, put["ETag"].strip('"'), len(content), put["VersionId"])


def test_a_file_that_is_replaced_while_it_is_imported_is_read_as_it_was(
    pipeline: Pipeline, versioned: Uploads
) -> None:
    # Larger than what is read at a time, and known from its end.
    content = b"Email\n" + b"".join(b"c%d@example.com\n" % n for n in range(200_000))
    upload = put_version(pipeline, versioned, content)
    put_version(pipeline, versioned, b"Email\nb@example.com\n")
    assert versioned.open(upload).readall() == content
    assert versioned.open(upload).head(100) == content[:100]
    assert versioned.metadata(upload) == {}


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_file_that_breaks_off_is_read_on_from_there(
    pipeline: Pipeline, versioned: Uploads, monkeypatch: pytest.MonkeyPatch, has_ranges: bool
) -> None:
    content = b"".join(b"c%d@example.com\n" % n for n in range(200_000))
    upload = put_version(pipeline, versioned, content)
    if has_ranges:
        upload = replace(upload, version_id=None)
    cuts = iter([0, 1_500_000, 10, 0, 700_000])
    get = pipeline.s3.get_object

    def cut(**arguments: Any) -> Any:
        answer = get(**arguments)
        assert ("ContentRange" in answer) is has_ranges
        body = answer["Body"].read()
        left = body[: next(cuts, None)]
        return {**answer, "Body": StreamingBody(io.BytesIO(left), len(body))}

    monkeypatch.setattr("contact_imports.aws.retry._BASE_SECONDS", 0)
    monkeypatch.setattr(pipeline.s3, "get_object", cut)
    assert versioned.open(upload).readall() == content
    assert next(cuts, None) is None


@pytest.mark.parametrize("key", ["drop/{}/", "drop/{}/folder/", "drop/c.csv", "drop/a b/c.csv"])
def test_what_is_no_file_of_a_project_is_no_import(
    pipeline: Pipeline, project: str, key: str
) -> None:
    pipeline.process(pipeline.drop(key.format(project), FILE.encode()))
    assert imports_of(pipeline, project) == []
    assert pipeline.messages() == []


@pytest.mark.parametrize(
    "name", ["{}.csv", "an y/{}.csv", "/{}.csv", "münchen/{}", "x" * 65 + "/{}.csv", ".../{}/c.csv"]
)
def test_a_file_outside_of_every_project_leaves_a_result_that_says_so(
    pipeline: Pipeline, project: str, name: str
) -> None:
    key = name.format(project)
    event = pipeline.drop(f"drop/{key}", FILE.encode())
    for _ in range(2):
        pipeline.process(event)
    result = json.loads(text_of(pipeline, f"results/{key}.result.json"))
    assert result["status"] == "failed"
    assert "drop/PROJECT_ID/" in result["error"]
    assert set(result["counts"].values()) == {0}
    # It is no upload, and no project's: nothing follows from it.
    assert import_of_key(f"results/{key}.result.json") is None
    assert re.match(r"results/[A-Za-z0-9_-]{1,64}/", f"results/{key}.result.json") is None
    assert pipeline.messages() == []


def test_a_misplaced_file_with_the_longest_key_leaves_one_too(pipeline: Pipeline) -> None:
    key = "drop/".ljust(1024, "k")
    pipeline.process(pipeline.drop(key, FILE.encode()))
    found = misplaced_result_key(key)
    assert found is not None
    assert json.loads(text_of(pipeline, found))["status"] == "failed"


@pytest.mark.parametrize("key", ["drop/", "drop/{}/", "drop/{}/folder/", "drop/no project/"])
def test_the_marker_of_a_folder_leaves_nothing(pipeline: Pipeline, project: str, key: str) -> None:
    assert misplaced_result_key(key.format(project)) is None
    assert misplaced_result_key(f"imports/{project}/x") is None
    assert misplaced_result_key(f"drop/{project}/c.csv") is None


def test_a_packed_file(pipeline: Pipeline, project: str) -> None:
    packed = gzip.compress(FILE.encode())
    job = run(pipeline, project, pipeline.drop(f"drop/{project}/c.csv.gz", packed))
    assert job.counts.as_dict() == counts_of(expected(FILE.encode(), HEADER_SPEAKS))
    assert "no email;B;;3" in text_of(pipeline, f"results/{project}/c.csv.gz.errors.csv")


def test_metadata_that_cannot_be_read_does_not_stop_giving_up(
    pipeline: Pipeline, project: str
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode(), tags="=?foo?B?YQ==?=")
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED
    # What the processor failed by is not asked for again.
    assert "could not be processed" in (job.error or "")
    misplaced = pipeline.drop("drop/no project/c.csv", FILE.encode())
    answer = handler("dead_letter").lambda_handler(failure_event(misplaced), Context())
    assert answer["batchItemFailures"] == []


def test_a_processor_that_fails_for_good_fails_the_import(pipeline: Pipeline, project: str) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED
    assert "could not be processed" in (job.error or "")
    # It is final: the event has nothing to say any more.
    pipeline.process(event)
    assert pipeline.messages() == []


def test_a_key_as_long_as_keys_get_still_has_its_results(pipeline: Pipeline, project: str) -> None:
    key = f"drop/{project}/".ljust(1024, "k")
    job = run(pipeline, project, pipeline.drop(key, FILE.encode()))
    assert json.loads(text_of(pipeline, f"results/{project}/{job.id}.result.json"))["id"] == job.id


@pytest.mark.parametrize("size", [len(FILE), 0])
def test_a_file_encrypted_with_its_owners_key_fails_its_import_and_says_so(
    pipeline: Pipeline, project: str, size: int
) -> None:
    key = f"drop/{project}/c.csv"
    put = pipeline.s3.put_object(
        Bucket=pipeline.bucket,
        Key=key,
        Body=FILE.encode()[:size],
        SSECustomerAlgorithm="AES256",
        SSECustomerKey="0" * 32,
    )
    event = s3_event(pipeline.bucket, key, put["ETag"].strip('"'), size)
    job = run(pipeline, project, event)
    assert job.status is Status.FAILED
    assert "S3 refuses it" in (job.error or "")
    assert job.followed


@pytest.mark.parametrize(
    ("head", "get"),
    [
        ("403", "AccessDenied"),
        ("400", "InvalidRequest"),
        ("400", "KMS.DisabledException"),
        (None, "InvalidObjectState"),
        (None, "AccessDenied"),
    ],
)
def test_a_file_that_may_not_be_read_fails_its_import_and_says_so(
    pipeline: Pipeline,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    head: str | None,
    get: str,
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    s3 = handler("processor").s3
    if head:
        monkeypatch.setattr(s3, "head_object", _refusal(head))
    monkeypatch.setattr(s3, "get_object", _refusal(get))
    pipeline.process(event)
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED
    assert f"S3 refuses it ({get})" in (job.error or "")


@pytest.mark.parametrize(
    ("head", "get"), [("400", "ExpiredToken"), ("403", "RequestTimeTooSkewed")]
)
def test_what_another_try_may_read_fails_no_import(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch, head: str, get: str
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    with monkeypatch.context() as patch:
        patch.setattr(handler("processor").s3, "head_object", _refusal(head))
        patch.setattr(handler("processor").s3, "get_object", _refusal(get))
        with pytest.raises(ClientError):
            pipeline.process(event)
    assert run(pipeline, project, event).status is Status.COMPLETED


def test_a_file_that_is_gone_when_its_processor_is_given_up_is_recorded(
    pipeline: Pipeline, project: str
) -> None:
    key = f"drop/{project}/c.csv"
    event = pipeline.drop(key, FILE.encode())
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key)
    for _ in range(2):
        answer = handler("dead_letter").lambda_handler(failure_event(event), Context())
        assert answer["batchItemFailures"] == []
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED
    assert pipeline.finish(job).followed


def test_a_file_whose_processor_was_given_up_is_never_started_without_its_options(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode(), dry_run="true")
    create = ImportTable.create

    def create_and_process_again(imports: ImportTable, job: Import, now: datetime) -> bool:
        created = create(imports, job, now)
        monkeypatch.undo()
        # S3 tells of it twice, just then.
        pipeline.process(event)
        return created

    monkeypatch.setattr(ImportTable, "create", create_and_process_again)
    handler("dead_letter").lambda_handler(failure_event(event), Context())
    assert pipeline.messages() == []
    (job,) = imports_of(pipeline, project)
    assert job.status is Status.FAILED


def test_an_imports_id_has_the_time_at_which_it_was_recorded(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    head = pipeline.s3.head_object
    # Of an upload in parts, and of a replica, S3 says when it was begun, or when the original was made.
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    s3 = handler("processor").s3
    monkeypatch.setattr(
        s3, "head_object", lambda **names: head(**names) | {"LastModified": long_ago}
    )
    before = datetime.now(UTC).replace(microsecond=0)
    pipeline.process(event)
    pipeline.drain()
    (job,) = imports_of(pipeline, project)
    assert before <= import_time(job.id) <= datetime.now(UTC)
    items = pipeline.dynamodb.query(
        TableName="ImportsTable",
        KeyConditionExpression="importId = :id",
        ExpressionAttributeValues={":id": {"S": job.id}},
    )["Items"]
    assert all(int(item["expiresAt"]["N"]) > before.timestamp() for item in items)


def test_an_import_whose_recording_was_cut_off_is_recorded_once(
    pipeline: Pipeline, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = pipeline.drop(f"drop/{project}/c.csv", FILE.encode())
    asked = []

    def die(_: ImportTable, job: Import, __: datetime) -> None:
        asked.append(job.id)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ImportTable, "create", die)
        with pytest.raises(MemoryError):
            pipeline.process(event)
    assert imports_of(pipeline, project) == []
    for _ in range(2):
        pipeline.process(event)
    pipeline.drain()
    assert [job.id for job in imports_of(pipeline, project)] == asked


def _refusal(code: str) -> Callable[..., Any]:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "GetObject")

    return refuse
