"""The identity of an email: one person is one contact, however the address is written.

The processor uses it to choose a row's partition, and the row batch to choose the contact. `docs/files.md` has the
rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from contact_imports.model.text import BLANKS, JOINERS, clean_value, normalise, without_joiners

_CONTACT_ID_BYTES = 12

_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789@._+-"
_ODD = 0
_PLAIN_BYTES = bytes(byte if byte in _PLAIN else _ODD for byte in bytes(range(256)).lower())
"""A table for `bytes.translate`: lower case for the characters that nearly all addresses are of, 0 for others."""
_ODD_BYTE = bytes([_ODD])
_LINE_END = b"\n"
_PLAIN_LINES = _PLAIN_BYTES[:10] + _LINE_END + _PLAIN_BYTES[11:]
"""The same, for many of them: a line each."""

_DOMAINS_REMEMBERED = 10_000
_MAX_DOMAIN_CHARS = 253  # RFC 1035, 2.3.4, without the root's dot

_MAX_WRAPPED_CHARS = 2_000
"""A longer cell is not unwrapped, since it cannot be one address: the longest has 254 characters."""

_AROUND = BLANKS + JOINERS + ",;，；、"
_QUOTES = ('""', "''", "``", "“”", "„“", "„”", "””", "‘’", "‚‘", "‚’", "’’", "«»", "»«", "‹›", "›‹")
_BRACKETS = ("<>", "()", "[]", "「」", "『』", "＜＞", "（）")
_PAIRS = frozenset(_QUOTES + _BRACKETS)
"""What an address may be between, each as an opening and a closing character."""
_ONLY_OPENING = frozenset('"“”„«»‹›<')
_ONLY_CLOSING = frozenset("'`\"“”‘’«»‹›>")
"""Where one of these is without its counterpart, what is left is an address only without it. An apostrophe may
begin one."""
# Patterns as text, since few cells need them: re compiles them when it must, and remembers them.
_FINAL_DOT = r"(?<=[^.。．｡])[.。．｡]\Z"
"""One dot after a domain: the end of a sentence, or DNS's root."""
_NAMED = r"([^<>]*)<([^<>]*)>"
_MAILTO = "mailto:"

_BETWEEN = r"[\s,;，；、:|/<>()\[\]\"]+"


def email_identity(cell: str) -> str:
    """The identity of an email cell. Two cells mean the same contact if and only if their identities are equal.

    A wrapped address (`Ann <ann@example.org>`, `mailto:`, quotes, a comma after it) is unwrapped, and invisible
    characters are removed. The local part is in lower case and NFC. The domain is an IDNA A-label (UTS 46), or in lower
    case if it is not a domain. The identity of an identity is itself. It may be an invalid address: `row_validation`
    checks that.
    """
    plain = cell.strip().encode().translate(_PLAIN_BYTES)
    if _ODD_BYTE in plain or plain.endswith(b"."):
        return _identity(cell)
    return plain.decode()


def identity_bytes(cells: Sequence[str]) -> list[bytes]:
    """The identity that each of these email cells means, in UTF-8: quicker than one by one."""
    lines = "\n".join(cells).encode().translate(_PLAIN_LINES)
    plain = lines.split(_LINE_END)
    if len(plain) != len(cells):
        return [email_identity(cell).encode() for cell in cells]
    if _ODD_BYTE in lines or b".\n" in lines or lines.endswith(b"."):
        return [
            email_identity(cell).encode() if _ODD_BYTE in one or one.endswith(b".") else one
            for one, cell in zip(plain, cells, strict=True)
        ]
    return plain


def readable_email(identity: str) -> str:
    """An identity as people read it: with the domain's own letters instead of `xn--`."""
    local, at, domain = identity.rpartition("@")
    return f"{local}@{_readable_domain(domain)}" if at and "xn--" in domain else identity


def contact_id(project_id: str, identity: str) -> str:
    """A contact's id, 24 hex digits, which needs no look-up and does not show the address.

    These are the first digits of SHA-256 of the project's id, a line feed and the identity, in UTF-8.
    """
    return sha256(f"{project_id}\n{identity}".encode()).digest()[:_CONTACT_ID_BYTES].hex()


def addresses_in(text: str) -> int:
    """How many parts of a text look like an address, with something on both sides of an @."""
    return sum("@" in part.strip("@") for part in re.split(_BETWEEN, text))


def _identity(cell: str) -> str:
    text = cell.strip()
    if len(text) <= _MAX_WRAPPED_CHARS:
        text = _unwrap(clean_value(text))
    local, at, domain = text.rpartition("@")
    if not at:
        return _lower(text)
    return f"{_lower(without_joiners(local))}@{_domain(_lower(domain))}"


def _lower(text: str) -> str:
    return normalise(text.lower())


def _unwrap(text: str) -> str:
    """The address in a text without what is around it, or the text if it is uncertain which address is meant."""
    while True:
        before = text
        text = re.sub(_FINAL_DOT, "", text.strip(_AROUND))
        if len(text) > 1 and text[0] + text[-1] in _PAIRS:
            text = text[1:-1]
        elif text[:1] in _ONLY_OPENING and text.count(text[0]) == 1 and ">" not in text:
            text = text[1:]
        elif text[-1:] in _ONLY_CLOSING and text.count(text[-1]) == 1 and "<" not in text:
            text = text[:-1]
        elif text[: len(_MAILTO)].lower() == _MAILTO:
            text = clean_value(_unquote(text[len(_MAILTO) :].partition("?")[0]))
        elif named := re.fullmatch(_NAMED, text):
            text = _named(text, *named.groups())
        if text == before:
            return text


def _named(text: str, name: str, address: str) -> str:
    """The address of `Ann <ann@example.org>`, or the text if the name is another address."""
    if addresses_in(name) and _identity(name) != _identity(address):
        return text
    return address


def _unquote(text: str) -> str:
    """A mailto URI's address (RFC 6068), which may have escapes such as %2B."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _domain(domain: str) -> str:
    """A domain's A-label, or the text without joiners if it is not a domain."""
    return domain if domain.isascii() or len(domain) > _MAX_DOMAIN_CHARS else _a_label(domain)


@lru_cache(_DOMAINS_REMEMBERED)
def _a_label(domain: str) -> str:
    # Imported here, since few files have such a domain.
    import idna

    try:
        return idna.encode(domain, uts46=True).decode()
    except ValueError:
        # Joiners are letters of some domains (RFC 5892, appendix A), and debris in all others.
        bare = without_joiners(domain)
        return bare if bare == domain else _domain(bare)


@lru_cache(_DOMAINS_REMEMBERED)
def _readable_domain(domain: str) -> str:
    import idna

    try:
        readable = idna.decode(domain)
    except ValueError:
        return domain
    return readable if _domain(readable) == domain else domain
