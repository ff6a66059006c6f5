"""Access control: the API key of a request, its scopes and its projects."""

from __future__ import annotations

import re

from contact_imports.aws.api_keys_table import ApiKey, ApiKeyTable, Scope
from contact_imports.aws.imports_table import ImportTable
from contact_imports.model.errors import RequestError
from contact_imports.model.import_job import Import

_SCHEMES = ("bearer", "apikey")
_IMPORT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SEND_A_KEY = "Send 'Authorization: Bearer YOUR_API_KEY'."
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


class UnauthenticatedError(RequestError):
    """A request without a valid key. `key_sent`: whether it had a key that is unknown or revoked."""

    def __init__(self, message: str, *, key_sent: bool) -> None:
        super().__init__("UNAUTHENTICATED", message)
        self.key_sent = key_sent


def authenticate(
    authorization: str | None, x_api_key: str | None, scope: Scope, keys: ApiKeyTable
) -> ApiKey:
    """The key of a request, from `Authorization: Bearer KEY`, `Authorization: ApiKey KEY` or `X-API-Key: KEY`.

    If there are two keys, the one in Authorization counts. Raises RequestError: UNAUTHENTICATED without a valid
    key, MISSING_SCOPE if the key lacks the scope.
    """
    sent = _sent_key(authorization, x_api_key)
    key = keys.find(sent)
    if key is None:
        raise UnauthenticatedError(_why_unknown(sent), key_sent=True)
    if scope not in key.scopes:
        raise RequestError(
            "MISSING_SCOPE",
            f"The API key lacks the scope {scope.value}. Use one that has it.",
            data={"scope": scope.value},
        )
    return key


def check_project(key: ApiKey, project_id: str) -> None:
    """Raises RequestError if the key may not use a project."""
    if project_id not in key.projects:
        raise RequestError(
            "PROJECT_FORBIDDEN",
            "The API key may not use this project. Use a key of the project.",
            data={"projectId": project_id},
        )


def find_import(key: ApiKey, import_id: str, imports: ImportTable) -> Import:
    """The import with this id, in upper or lower case; raises RequestError if there is none among the key's
    projects."""
    job = imports.get(import_id.lower()) if _IMPORT_ID.fullmatch(import_id) else None
    if job is None or job.project_id not in key.projects:
        raise import_not_found()
    return job


def import_not_found() -> RequestError:
    """The refusal for an import that does not exist, belongs to another project, or has a malformed id."""
    message = "There is no such import among this key's projects. Check the id."
    return RequestError("IMPORT_NOT_FOUND", message)


def _sent_key(authorization: str | None, x_api_key: str | None) -> str:
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    if scheme.lower() in _SCHEMES and credentials.strip():
        return credentials.strip()
    if x_api_key and x_api_key.strip():
        return x_api_key.strip()
    if scheme.lower() in _SCHEMES:
        message = f"The header Authorization has no key after '{scheme}'. {_SEND_A_KEY}"
    elif scheme.strip(_QUOTES).startswith("ci_"):
        message = f"The header Authorization has a key without 'Bearer' before it. {_SEND_A_KEY}"
    elif scheme:
        message = f"The scheme of the header Authorization is not Bearer. {_SEND_A_KEY}"
    else:
        message = f"The request has no API key. {_SEND_A_KEY}"
    raise UnauthenticatedError(message, key_sent=False)


def _why_unknown(sent: str) -> str:
    """The likely reason why a key is unknown. It reveals nothing about the keys that exist."""
    if sent.strip(_QUOTES) != sent:
        return f"The API key is in quotes. Send it without them: {_SEND_A_KEY}"
    if sent.startswith("$"):
        return "The API key is the name of a variable. Use double quotes, so that the shell replaces the name by its value."
    return "The API key is unknown or revoked. Use another one."
