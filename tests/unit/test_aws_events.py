"""The events of S3 and SQS, as far as we read them."""

from __future__ import annotations

import pytest

from contact_imports.messages.s3_event import uploads_of
from contact_imports.messages.sqs_event import SqsRecord, failures_of, handle_each, records_of
from contact_imports.model.import_job import Upload


def s3_event(**of_object: object) -> dict[str, object]:
    return {"Records": [{"s3": {"object": {"eTag": "e", "size": 5, **of_object}}}]}


def test_an_object_has_its_own_key_and_version() -> None:
    assert uploads_of(s3_event(key="drop/p/a+b%2Bc.csv", versionId="v1")) == [
        Upload("drop/p/a b+c.csv", "e", 5, "v1")
    ]
    assert uploads_of(s3_event(key="k")) == [Upload("k", "e", 5, None)]


@pytest.mark.parametrize("name", ["key", "eTag", "versionId"])
def test_a_name_has_as_many_bytes_as_s3_allows(name: str) -> None:
    assert uploads_of(s3_event(**{"key": "k", name: "\u00e9" * 512}))
    with pytest.raises(ValueError, match="1024"):
        uploads_of(s3_event(**{"key": "k", name: "\u00e9" * 512 + "x"}))


def records_of_two_groups(count: int) -> list[SqsRecord]:
    return records_of(
        {
            "Records": [
                {
                    "messageId": f"m{n}",
                    "receiptHandle": f"r{n}",
                    "body": "",
                    "attributes": {
                        "MessageGroupId": f"g{n % 2}",
                        "ApproximateReceiveCount": f"{n + 1}",
                    },
                }
                for n in range(count)
            ]
        }
    )


def test_every_message_that_failed_is_delivered_again() -> None:
    records = records_of_two_groups(3)
    assert [record.receives for record in records] == [1, 2, 3]
    assert [record.group for record in records] == ["g0", "g1", "g0"]
    assert failures_of(records) == {
        "batchItemFailures": [{"itemIdentifier": f"m{n}"} for n in range(3)]
    }


def test_a_message_behind_a_failed_one_is_not_handled_and_comes_again_too() -> None:
    handled: list[str] = []
    put_off: list[tuple[str, str]] = []

    def handle(record: SqsRecord) -> None:
        handled.append(record.message_id)
        if record.message_id == "m2":
            raise ValueError("m2")

    answer = handle_each(
        records_of_two_groups(7),
        handle,
        lambda record, error: put_off.append((record.message_id, str(error))),
    )
    # m2, m4 and m6 are of one group.
    assert handled == ["m0", "m1", "m2", "m3", "m5"]
    assert put_off == [("m2", "m2"), ("m4", "m2"), ("m6", "m2")]
    assert answer == {
        "batchItemFailures": [{"itemIdentifier": name} for name in ("m2", "m4", "m6")]
    }
