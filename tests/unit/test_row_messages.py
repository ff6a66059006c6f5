from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.files.split import row_batches
from contact_imports.messages.row_messages import (
    VERSION,
    NewerMessageError,
    PartitionEnd,
    RowBatch,
    decode_message,
    encode_partition_end,
    encode_row_batch,
)
from contact_imports.model.column_map import ColumnMap, find_columns
from contact_imports.model.contact import OnConflict
from contact_imports.model.import_job import Import, ImportOptions, Status, new_import_id
from contact_imports.model.progress import MAX_BATCHES, MAX_PARTITIONS

NOW = datetime(2030, 1, 2, tzinfo=UTC)
COLUMNS = find_columns(ColumnMap(email="E", name="N"), ["E", "N"])
JOB = Import(
    new_import_id(NOW),
    "demo",
    Status.PROCESSING,
    ImportOptions(ColumnMap(email="E", name="N"), OnConflict.SKIP, tags=("a", "b")),
    NOW,
)

ROWS = (
    '{"kind":"rows","seq":%s,"partition":%s,"importId":"%s","projectId":"demo","last":true,"fields":["email"],'
    '"onConflict":"skip","tags":[],"rows":[],"rejected":[]}'
)


@given(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=5))
def test_rows_come_out_as_they_went_in(names: list[str]) -> None:
    records = [(n, ["a@example.com", name]) for n, name in enumerate(names, 2)]
    (batch,) = row_batches([(number, [record]) for number, record in records], COLUMNS, 1)
    body = encode_row_batch(JOB, COLUMNS.fields, batch).decode()
    message = decode_message(body)
    assert isinstance(message, RowBatch)
    assert message.rows == records
    assert (message.import_id, message.project_id) == (JOB.id, "demo")
    assert (message.partition, message.seq, message.last) == (0, 0, True)
    assert (message.on_conflict, message.tags) == (OnConflict.SKIP, ("a", "b"))
    # What SQS takes: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    assert all(
        c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"
        for c in body
    )


def test_rows_that_are_rejected_keep_their_reason() -> None:
    (batch,) = row_batches([(2, [["a@example.com", "n", "shifted"]])], COLUMNS, 1)
    message = decode_message(encode_row_batch(JOB, COLUMNS.fields, batch).decode())
    assert isinstance(message, RowBatch)
    assert [(number, code) for number, code, _ in message.rejected] == [(2, "too_many_cells")]


def test_the_end_of_a_partition() -> None:
    end = PartitionEnd(JOB.id, "demo", 3)
    assert decode_message(encode_partition_end(end)) == end


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"kind":"other"}', '{"kind":"rows","importId":"x"}']
)
def test_what_is_no_message(body: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_message(body)


def test_an_error_about_a_message_quotes_no_value() -> None:
    with pytest.raises(msgspec.DecodeError) as refused:
        decode_message(
            '{"kind":"end","importId":"i","projectId":"p","partition":"ada@example.com"}'
        )
    assert "ada@example.com" not in str(refused.value)


END = encode_partition_end(PartitionEnd(JOB.id, "demo", 3))


def changed(**fields: object) -> str:
    return msgspec.json.encode(msgspec.json.decode(END) | fields).decode()


def test_a_field_that_an_older_version_does_not_know_is_ignored() -> None:
    assert decode_message(changed(later="x")) == decode_message(END)


@pytest.mark.parametrize(
    "fields", [{}, {"kind": "later"}, {"partition": "later"}, {"importId": None}]
)
def test_a_message_of_a_newer_version_is_refused_whatever_it_has(fields: dict[str, object]) -> None:
    with pytest.raises(NewerMessageError):
        decode_message(changed(version=VERSION + 1, **fields))


def test_messages_have_a_version_only_if_functions_without_versions_would_mishandle_them() -> None:
    (batch,) = row_batches([(2, [["a@example.com", "n"]])], COLUMNS, 1)
    for body in (END, encode_row_batch(JOB, COLUMNS.fields, batch).decode()):
        assert "version" not in msgspec.json.decode(body)
        assert decode_message(body).version == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("importId", '"70dbd880aabbccddeeff001"'),
        ("importId", '"project#demo"'),
        ("importId", '"70DBD880AABBCCDDEEFF0011"'),
        ("partition", "-1"),
        ("partition", str(MAX_PARTITIONS)),
        ("seq", "-1"),
        ("seq", str(MAX_BATCHES)),
    ],
)
def test_a_number_that_no_import_has_makes_no_message(field: str, value: str) -> None:
    assert isinstance(decode_message(ROWS % ("0", "0", JOB.id)), RowBatch)
    highest = (str(MAX_BATCHES - 1), str(MAX_PARTITIONS - 1), JOB.id)
    assert isinstance(decode_message(ROWS % highest), RowBatch)
    values = {"seq": "0", "partition": "0", "importId": f'"{JOB.id}"', field: value}
    body = ROWS % (values["seq"], values["partition"], values["importId"].strip('"'))
    with pytest.raises(msgspec.ValidationError, match=field):
        decode_message(body)


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\ufffd", "\uff00"])
def test_a_character_that_sqs_refuses_is_sent_as_an_escape(character: str) -> None:
    (batch,) = row_batches([(2, [["a@example.com", character]])], COLUMNS, 1)
    body = encode_row_batch(JOB, COLUMNS.fields, batch).decode()
    message = decode_message(body)
    assert isinstance(message, RowBatch)
    assert message.rows == [(2, ["a@example.com", character])]
    assert (character in body) is (character not in "\ufffe\uffff")
