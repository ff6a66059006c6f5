"""The objects of an S3 event."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote_plus

from aws_lambda_powertools.utilities.data_classes import S3Event

from contact_imports.model.import_job import Upload


def uploads_of(event: S3Event) -> Iterator[Upload]:
    """The objects of an event. S3 encodes their keys like form data; here they are decoded.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    for record in event.records:
        s3_object = record.s3.get_object
        yield Upload(
            unquote_plus(s3_object.key), s3_object.etag, s3_object.size, s3_object.version_id
        )
