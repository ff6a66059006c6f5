"""The list of checks, how one is run, and its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from botocore.exceptions import ClientError

from local.verification.deployment import Deployment

_NOT_ALLOWED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
}


class Verdict(StrEnum):
    """The result of a check. `KNOWN_DIFFERENCE` is one of the embedded AWS from AWS, which is no fault of ours."""

    HOLDS = "holds"
    FAILS = "FAILS"
    KNOWN_DIFFERENCE = "known difference"
    NOT_CHECKED = "not checked"


class CheckError(Exception):
    """What was to hold does not. The message says what was expected and what was found."""


class NotCheckedError(Exception):
    """The check could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise. `on_embedded` says why the embedded AWS cannot keep it, if it cannot."""

    promise: str
    run: Callable[[Deployment], None]
    on_embedded: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's result, with a reason unless the promise holds."""

    promise: str
    verdict: Verdict
    reason: str = ""


def finding_of(check: Check, deployment: Deployment) -> Finding:
    """Makes a check. Whatever it raises is a finding: one answer that nobody expected must not hide the other checks."""
    if deployment.is_embedded and check.on_embedded:
        return Finding(check.promise, Verdict.KNOWN_DIFFERENCE, check.on_embedded)
    try:
        check.run(deployment)
    except NotCheckedError as error:
        return Finding(check.promise, Verdict.NOT_CHECKED, str(error))
    except Exception as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in _NOT_ALLOWED:
            operation = error.operation_name
            reason = f"Your AWS credentials do not allow {operation}."
            return Finding(check.promise, Verdict.NOT_CHECKED, reason)
        # The text of an error that nobody foresaw, such as KeyError, says little without its type.
        name = "" if isinstance(error, CheckError) else type(error).__name__
        reason = ": ".join(filter(None, (name, str(error))))
        return Finding(check.promise, Verdict.FAILS, reason)
    return Finding(check.promise, Verdict.HOLDS)


def expect_equal(what: str, found: object, expected: object) -> None:
    """Raises CheckError where two values differ."""
    if found != expected:
        raise CheckError(f"{what}: expected {expected}, found {found}.")


def expect_none(what: str, missing: Sequence[str]) -> None:
    """Raises CheckError, with names, where a list that was to be empty is not."""
    if missing:
        raise CheckError(f"{what}: {', '.join(missing)}.")
