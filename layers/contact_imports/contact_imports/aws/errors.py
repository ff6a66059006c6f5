"""What AWS says when it refuses a call."""

from __future__ import annotations

from botocore.exceptions import ClientError

_SSE_C = {"400", "InvalidRequest"}
_GONE = {"404", "412", "NoSuchKey", "NoSuchVersion", "PreconditionFailed"}


def error_code(error: Exception) -> str:
    """AWS's code of an error, such as `ThrottlingException`; the error's type where it is not AWS's."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "")
    return type(error).__name__


def is_gone(error: ClientError) -> bool:
    """Whether S3 says that an object was deleted or replaced."""
    return error_code(error) in _GONE


def is_encrypted_by_its_owner(error: ClientError) -> bool:
    """Whether S3 refuses an object that needs a key which only its owner has (SSE-C).

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html: HEAD has no code but the status, 400.
    """
    return error_code(error) in _SSE_C


def is_refused(error: ClientError) -> bool:
    """Whether AWS refuses a call as it is: it will again, unless permissions change."""
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status in (400, 403)


def is_item_too_large(error: ClientError) -> bool:
    """Whether DynamoDB refused a write because the item would be over 400 KB.

    It has no code of its own for that, only this message:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    message = error.response.get("Error", {}).get("Message", "")
    return error_code(error) == "ValidationException" and "size" in message.lower()
