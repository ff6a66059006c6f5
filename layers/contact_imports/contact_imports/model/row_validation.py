"""Checks a row's cells and turns them into the values of a contact."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

from contact_imports.model.column_map import CUSTOM_FIELD_PREFIX
from contact_imports.model.contact import Contact, OnBlank, Row
from contact_imports.model.errors import RowError
from contact_imports.model.identity import addresses_in, email_identity
from contact_imports.model.limits import MAX_CUSTOM_VALUE_CHARS, MAX_EMAIL_CHARS, MAX_VALUE_CHARS
from contact_imports.model.text import clean_value, is_damaged, is_plain

_DOMAINS_REMEMBERED = 10_000
_MAX_LOCAL_CHARS = 64  # RFC 5321, 4.5.3.1.1
_MAX_LABEL_CHARS = 63  # RFC 1035, 2.3.1
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A dot-atom in lower case (RFC 5322, 3.2.3), which is always valid before the @."""
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,}")
"""Labels in lower case under a top-level domain of letters (RFC 1035, 2.3.1; RFC 3696, 2), none of them encoded."""
PRIVATE_DOMAINS = frozenset(
    (
        *("arpa", "invalid", "local", "localhost", "onion", "test"),
        *("corp", "home", "internal", "intranet", "lan", "localdomain", "private"),
    )
)
"""Top-level domains that are not public: reserved (the first row: email-validator's SPECIAL_USE_DOMAIN_NAMES), or used
inside networks (RFC 6762, appendix G)."""
_NOTHING = frozenset[str]()
_DAMAGED = (
    "The value lost characters before it came here: it has U+FFFD, or letters that were read in the wrong "
    "encoding. Correct it, or export the file again as UTF-8."
)
_AROUND_ADDRESS = frozenset('<>()[]":')


class EmailProblem(StrEnum):
    """The messages of `invalid_email`. None repeats the address, since it is personal data."""

    BLANK = "The email is blank."
    NO_AT = "The email has no @. Give an address such as ann@example.org."
    TWO_ADDRESSES = "The email has two or more addresses. Keep one, or give each a row of its own."
    SEVERAL_AT = "The email has more than one @. Correct the address."
    NOTHING_BEFORE_AT = "The email has nothing before the @. Complete the address."
    NOTHING_AFTER_AT = "The email has nothing after the @. Complete the address."
    TEXT_AROUND = "The email has a name or other text around the address. Keep only the address."
    BLANK_INSIDE = "The email has a blank in it, or a name next to it. Keep only the address."
    TOO_LONG = "The email is too long: 254 characters at most, 63 between two dots of the domain."
    TWO_DOTS = "The email has two dots in a row. Correct the address."
    DOT_AT_END = "The email has a dot at its beginning, or next to the @. Correct the address."
    NO_PUBLIC_DOMAIN = "The email's domain is not a public one, so no mail gets there. Give an address such as ann@example.org."
    CHARACTERS = "The email is not a valid address: it has a character that is not allowed where it is. Correct it."


def is_email(email: str) -> bool:
    """Whether an identity is an address that email-validator accepts, in a public domain.

    The library takes longer than all other work on a row, and long to import. So addresses that are plain before the @
    are looked at once for each domain, and the library is called only for domains that are not plain.
    """
    if len(email) > MAX_EMAIL_CHARS:
        return False
    local, _, domain = email.rpartition("@")
    if len(local) <= _MAX_LOCAL_CHARS and domain.isascii() and _PLAIN_LOCAL.fullmatch(local):
        return _is_domain(domain)
    return _is_email(email)


@lru_cache(maxsize=_DOMAINS_REMEMBERED)
def _is_domain(domain: str) -> bool:
    if len(domain) <= _MAX_LABEL_CHARS and _PLAIN_DOMAIN.fullmatch(domain):
        return domain.rpartition(".")[2] not in PRIVATE_DOMAINS
    return _is_email(f"a@{domain}")


def _is_email(email: str) -> bool:
    # Here, since few files have an address that needs it.
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return False
    return email.rpartition(".")[2] not in PRIVATE_DOMAINS


def email_problem(email: str) -> EmailProblem | None:
    """Why an identity is not a valid address; None if it is one."""
    if is_email(email):
        return None
    local, _, domain = email.rpartition("@")
    if not email:
        return EmailProblem.BLANK
    if "@" not in email:
        return EmailProblem.NO_AT
    if addresses_in(email) > 1:
        return EmailProblem.TWO_ADDRESSES
    if not local.strip():
        return EmailProblem.NOTHING_BEFORE_AT
    if not domain.strip():
        return EmailProblem.NOTHING_AFTER_AT
    if email.count("@") > 1:
        return EmailProblem.SEVERAL_AT
    if domain.startswith("[") and domain.endswith("]"):
        return EmailProblem.NO_PUBLIC_DOMAIN
    if local.startswith('"') and local.endswith('"'):
        return EmailProblem.CHARACTERS
    if not _AROUND_ADDRESS.isdisjoint(email):
        return EmailProblem.TEXT_AROUND
    if any(map(str.isspace, email)):
        return EmailProblem.BLANK_INSIDE
    if len(email) > MAX_EMAIL_CHARS or max(map(len, domain.split("."))) > _MAX_LABEL_CHARS:
        return EmailProblem.TOO_LONG
    if ".." in email:
        return EmailProblem.TWO_DOTS
    if local.startswith(".") or local.endswith(".") or domain.startswith("."):
        return EmailProblem.DOT_AT_END
    return EmailProblem.NO_PUBLIC_DOMAIN if _is_private(domain) else EmailProblem.CHARACTERS


def _is_private(domain: str) -> bool:
    """Whether a domain is known only to a network or a machine, or is an IP address."""
    top = domain.rpartition(".")[2]
    return "." not in domain or top[-1:].isdigit() or top in PRIVATE_DOMAINS


class RowReader:
    """Reads the rows of one import. What is the same for all rows is looked up once.

    `fields` are the fields of a row's cells; `fields[0]` is the email.
    """

    def __init__(
        self, fields: Sequence[str], tags: Iterable[str], on_blank: OnBlank = OnBlank.KEEP
    ) -> None:
        self._tags = frozenset(tags)
        self._clears = on_blank is OnBlank.CLEAR
        self._columns = [
            (
                name,
                name.removeprefix(CUSTOM_FIELD_PREFIX),
                name.startswith(CUSTOM_FIELD_PREFIX),
                MAX_VALUE_CHARS.get(name, MAX_CUSTOM_VALUE_CHARS),
            )
            for name in fields[1:]
        ]

    def read(
        self, number: int, cells: Sequence[str], identity: str | None = None
    ) -> Row | RowError:
        """The row that the mapped cells make, or why it is none. `identity` is the email's, where it is known.

        Values lose what is invisible and the blanks around them; what is then empty is no value.
        """
        email = email_identity(cells[0]) if identity is None else identity
        problem = email_problem(email)
        if problem:
            return RowError(number, "invalid_email", problem.value, "email")
        standard: dict[str, str] = {}
        custom: dict[str, str] = {}
        cleared = []
        # Looking at a row once takes a third of the time that looking at each of its cells takes.
        joined = "".join(cells)
        clean = str.strip if is_plain(joined) else clean_value
        if not joined.isascii() and is_damaged(joined):
            field = self._damaged_field(cells)
            if field is not None:
                return RowError(number, "damaged_value", _DAMAGED, field)
        for (name, key, is_custom, limit), cell in zip(self._columns, cells[1:], strict=True):
            value = clean(cell)
            if not value:
                if self._clears:
                    cleared.append(name)
            elif len(value) > limit:
                message = f"The value has {len(value):,} characters; {limit:,} is the most. Make it shorter."
                return RowError(number, "value_too_long", message, name)
            elif is_custom:
                custom[key] = value
            else:
                standard[key] = value
        contact = Contact(email, standard, custom, self._tags)
        return Row(number, contact, frozenset(cleared) if cleared else _NOTHING)

    def _damaged_field(self, cells: Sequence[str]) -> str | None:
        """The first field whose cell is damaged."""
        names = ["email", *(column[0] for column in self._columns)]
        return next(
            (name for name, cell in zip(names, cells, strict=True) if is_damaged(cell)), None
        )
