"""What a row of the file says of a contact: its cells checked, and made values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from contact_imports.model.column_map import CUSTOM_FIELD_PREFIX
from contact_imports.model.contact import Contact, OnBlank, Row, normalise_email
from contact_imports.model.errors import RowError
from contact_imports.model.limits import MAX_CUSTOM_VALUE_CHARS, MAX_EMAIL_CHARS, MAX_VALUE_CHARS

_DOMAINS_REMEMBERED = 10_000
_MAX_LOCAL_CHARS = 64  # RFC 5321, 4.5.3.1.1
_PLAIN_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A dot-atom in lower case (RFC 5322, 3.2.3), which any email may have before the @."""


def is_email(email: str) -> bool:
    """Whether a normalised email is a valid address, as email-validator sees it.

    What is before the @ is mostly plain, and what is after it mostly what was there before: then the library
    is asked once a domain. It takes longer than everything else that is done with a row.
    """
    local, _, domain = email.rpartition("@")
    if (
        len(email) <= MAX_EMAIL_CHARS
        and len(local) <= _MAX_LOCAL_CHARS
        and domain.isascii()
        and _PLAIN_LOCAL.fullmatch(local)
    ):
        return _is_domain(domain)
    return _is_email(email)


@lru_cache(maxsize=_DOMAINS_REMEMBERED)
def _is_domain(domain: str) -> bool:
    return _is_email(f"a@{domain}")


def _is_email(email: str) -> bool:
    try:
        validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


class RowReader:
    """Reads the rows of one import; what is the same for all of them is looked up once.

    `fields` names a row's cells; fields[0] is email.
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

    def read(self, number: int, cells: Sequence[str]) -> Row | RowError:
        """The row that the mapped cells make, or why it is none.

        Values lose the blanks around them; what is then empty is no value.
        """
        email = normalise_email(cells[0])
        if not email:
            return RowError(number, "invalid_email", "The email is blank.", "email")
        if not is_email(email):
            # Without the library's message, which quotes the address: it is somebody's data.
            return RowError(number, "invalid_email", "The email is not a valid address.", "email")
        standard: dict[str, str] = {}
        custom: dict[str, str] = {}
        cleared = []
        for (name, key, is_custom, limit), cell in zip(self._columns, cells[1:], strict=True):
            value = cell.strip()
            if not value:
                if self._clears:
                    cleared.append(name)
            elif len(value) > limit:
                message = f"The value has {len(value):,} characters; {limit:,} is the most."
                return RowError(number, "value_too_long", message, name)
            elif is_custom:
                custom[key] = value
            else:
                standard[key] = value
        return Row(number, Contact(email, standard, custom, self._tags), frozenset(cleared))
