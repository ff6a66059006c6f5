"""The messages from the processor to the row-batch function.

They cross upgrades: while a new version is deployed, or taken back, functions get messages of the other one. So:

- A field that older functions may ignore is added with a default. They ignore fields that they do not know.
- What older functions would handle wrongly carries a higher `version`. They refuse such a message and count nothing, so it
  waits for the newer version. A message carries the lowest version whose functions handle it as meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from contact_imports.model.contact import OnBlank, OnConflict
from contact_imports.model.errors import RowErrorCode
from contact_imports.model.progress import MAX_BATCHES, MAX_PARTITIONS

if TYPE_CHECKING:
    # The readers of messages do not need the code that splits files.
    from contact_imports.files.split import EncodedBatch
    from contact_imports.model.import_job import Import

VERSION = 1
"""The highest version of messages that these functions handle, and the version of a message that names none."""

# SQS refuses U+FFFE and U+FFFF, which JSON allows; as escapes they are ASCII.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_COMMON_PREFIX = b"\xef\xbf"
_REFUSED_BY_SQS = ((b"\xef\xbf\xbe", b"\\ufffe"), (b"\xef\xbf\xbf", b"\\uffff"))


# Handlers trust these numbers: an absurd one would make as many gaps, or a record that is never found.
ImportId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")]
PartitionNumber = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTITIONS)]
Seq = Annotated[int, msgspec.Meta(ge=0, lt=MAX_BATCHES)]


class SentRow(NamedTuple):
    """A row's number and its mapped cells, email first."""

    number: int
    cells: list[str]


class RejectedRow(NamedTuple):
    """A row that the processor rejected, and the reason."""

    number: int
    code: RowErrorCode
    message: str


class NewerMessageError(Exception):
    """A message that only a newer version of the functions can handle."""


class _Versioned(msgspec.Struct, frozen=True):
    version: int = 1


class _Message(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", tag_field="kind"):
    import_id: ImportId
    project_id: str
    partition: PartitionNumber
    version: int = 1


class RowBatch(_Message, frozen=True, kw_only=True, tag="rows"):
    """Rows of one partition, in file order; see `EncodedBatch` for what the numbers mean."""

    seq: Seq
    last: bool
    fields: tuple[str, ...]
    on_conflict: OnConflict
    on_blank: OnBlank = OnBlank.KEEP
    tags: tuple[str, ...]
    dry_run: bool = False
    repeated: frozenset[int] = frozenset()
    rows: list[SentRow]
    rejected: list[RejectedRow]


class PartitionEnd(_Message, frozen=True, tag="end"):
    """Ends a partition whose last row batch will not be sent. It follows all batches that were sent."""


RowMessage = RowBatch | PartitionEnd

_decoder: msgspec.json.Decoder[RowMessage] = msgspec.json.Decoder(RowMessage)
_version_decoder = msgspec.json.Decoder(_Versioned)


def decode_message(body: str) -> RowMessage:
    """A message of the row queue.

    Raises NewerMessageError for a message of a newer version, whatever else it has, so that it is delivered again; and
    msgspec.DecodeError, which quotes no value, for what is no message.
    """
    try:
        message = _decoder.decode(body)
    except msgspec.ValidationError:
        _refuse_newer(_version_decoder.decode(body))
        raise
    _refuse_newer(message)
    return message


def _refuse_newer(message: _Versioned | _Message) -> None:
    if message.version > VERSION:
        raise NewerMessageError(f"version {message.version} is newer than {VERSION}")


def with_repeated(body: bytes, numbers: Sequence[int]) -> bytes:
    """A row batch's body with the numbers of its rows whose email occurs elsewhere in the file."""
    return b'%s,"repeated":%s}' % (body[:-1], msgspec.json.encode(numbers))


def encode_partition_end(end: PartitionEnd) -> str:
    """The message's body."""
    return msgspec.json.encode(end).decode()


def encode_row_batch(job: Import, fields: tuple[str, ...], batch: EncodedBatch) -> bytes:
    """The message's body, one line of UTF-8. The rows are JSON already, so no cell is serialised twice."""
    envelope = msgspec.json.encode(
        {
            "kind": "rows",
            "importId": job.id,
            "projectId": job.project_id,
            "partition": batch.partition,
            "seq": batch.seq,
            "last": batch.last,
            "fields": fields,
            "onConflict": job.options.on_conflict,
            "onBlank": job.options.on_blank,
            "tags": job.options.tags,
            "dryRun": job.options.dry_run,
        }
    )
    body = b'%s,"rows":%s,"rejected":%s}' % (envelope[:-1], batch.rows, batch.rejected)
    # One search is enough for nearly every body.
    if _COMMON_PREFIX in body:
        for character, escape in _REFUSED_BY_SQS:
            body = body.replace(character, escape)
    return body
