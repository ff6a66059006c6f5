from __future__ import annotations

import msgspec
import pytest

from contact_imports.messages.stream_event import ChangedRecord, changed_record
from tests.events import ended_event


def test_the_key_of_a_changed_item_is_read() -> None:
    (record,) = ended_event("70dbd880aabbccddeeff0011")["Records"]
    assert changed_record(record) == ChangedRecord("70dbd880aabbccddeeff0011", "import")


@pytest.mark.parametrize(
    "record",
    [{}, None, {"dynamodb": {}}, {"dynamodb": {"Keys": {"importId": {"S": "secret"}, "record": {"N": "1"}}}}],
)  # fmt: skip
def test_a_record_of_another_form_is_refused_without_its_values(record: object) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        changed_record(record)
    assert "secret" not in str(refused.value)
