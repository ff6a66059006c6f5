"""Reads the errors of AWS."""

from __future__ import annotations

from botocore.exceptions import ClientError

_REFUSED = {"AccessDenied", "InvalidObjectState", "InvalidRequest"}
_REFUSED_PREFIX = "KMS."
"""S3's codes for an object that cannot be read with our permissions: encrypted with a key of its owner (SSE-C), or
with a KMS key that we may not use, or archived.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_GONE = {"404", "412", "NoSuchKey", "NoSuchVersion", "PreconditionFailed"}


def error_code(error: Exception) -> str:
    """AWS's code of an error, such as `ThrottlingException`; the error's type if it is not AWS's."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "")
    return type(error).__name__


def is_gone(error: ClientError) -> bool:
    """Whether S3 answered that an object was deleted or replaced."""
    return error_code(error) in _GONE


def is_refused(error: ClientError) -> bool:
    """Whether S3 says that an object is there and cannot be read, which trying it again will not change."""
    code = error_code(error)
    return code in _REFUSED or code.startswith(_REFUSED_PREFIX)


def is_item_too_large(error: ClientError) -> bool:
    """Whether DynamoDB refused a write because the item would be over 400 KB.

    DynamoDB has no error code for this, only a message:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    message = error.response.get("Error", {}).get("Message", "")
    return error_code(error) == "ValidationException" and "size" in message.lower()
