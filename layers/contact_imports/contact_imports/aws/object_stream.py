"""An S3 object's bytes, however often the connection breaks off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import IncompleteReadError as ShortReadError
from botocore.exceptions import ResponseStreamingError
from urllib3.exceptions import HTTPError

from contact_imports.aws.retry import StillUnprocessedError, attempts

if TYPE_CHECKING:
    from botocore.response import StreamingBody

CHUNK_BYTES = 1024 * 1024


def object_chunks(read_from: Callable[[int], StreamingBody], size: int) -> Iterator[bytes]:
    """The `size` bytes of an object, at most CHUNK_BYTES at a time.

    `read_from` opens the object at an offset. A read that breaks off continues from where it stopped. Raises
    StillUnprocessedError if that keeps failing, and what `read_from` raises.
    """
    offset = 0
    tries = attempts()
    while offset < size:
        if next(tries, None) is None:
            raise StillUnprocessedError("an object could not be read")
        try:
            with closing(read_from(offset)) as body:
                while chunk := body.read(CHUNK_BYTES):
                    offset += len(chunk)
                    tries = attempts()
                    yield chunk
        except (ResponseStreamingError, ShortReadError, HTTPError):
            continue
