"""The objects of an S3 event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from contact_imports.model.import_job import Upload

_MAX_NAME_BYTES = 1024
"""Of a key, and of a version: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


class _Object(msgspec.Struct, frozen=True, rename="camel"):
    key: str
    e_tag: str
    size: int
    version_id: str | None = None


class _S3(msgspec.Struct, frozen=True):
    object: _Object


class _Record(msgspec.Struct, frozen=True):
    s3: _S3


class _S3Event(msgspec.Struct, frozen=True, rename="pascal"):
    records: list[_Record]


def uploads_of(event: Mapping[str, Any]) -> list[Upload]:
    """The objects of an event, with their keys as they are: S3 sends them encoded as in a form.

    Raises ValueError, without a value, where it is no event that S3 sends.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    try:
        records = msgspec.convert(event, _S3Event).records
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    return [_upload(record.s3.object) for record in records]


def _upload(found: _Object) -> Upload:
    key = unquote_plus(found.key)
    # Halves of surrogate pairs raise UnicodeEncodeError, which is a ValueError.
    longest = max(len(text.encode()) for text in (key, found.e_tag, found.version_id or ""))
    if longest > _MAX_NAME_BYTES:
        raise ValueError(f"an object's key, ETag or version has more than {_MAX_NAME_BYTES} bytes")
    return Upload(key, found.e_tag, found.size, found.version_id)
