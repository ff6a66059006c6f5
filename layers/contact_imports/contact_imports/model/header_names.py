"""Looks up what a column's name means, in the known names of header_names.toml."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from contact_imports.model.column_map import STANDARD_FIELDS
from contact_imports.model.text import clean_header

FIELDS = ("email", *STANDARD_FIELDS)
_PERSONS_NAMES = ("firstName", "lastName", "name")

NAMES_FILE = Path(__file__).with_name("header_names.toml")

MAX_NAME_CHARS = 120
"""A longer header is a question or a sentence. No known name is as long."""

OTHER_RANK = 10
"""Of a name among words that say which of several it is."""

_WORD_RANKS = {"first": 0, "other": OTHER_RANK, "second": 20}
_SECOND_RANK = 5
"""The rank of names in a `second` table, such as a mobile phone's: after a field's own names, before their variants."""

_MAX_TOKENS = 8
_MIN_AFFIX_CHARS = 4  # a shorter word is part of too many others: "no", "my"
_MIN_LOOSE_CHARS = 5
_REMEMBERED = 10_000

_DOTLESS = {ord("ı"): "i"}
"""In Turkish, the lower case of "ADI" has a dotless i, which is taken for an i."""

_GROUP = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_DELIMITER = re.compile(r"[,;|\t]")


class Named(msgspec.Struct, frozen=True):
    """The field that a column's name means. The column with the lowest `rank` is the contact's first choice.

    If it is not `certain`, there are unknown words around the known name, and the values decide.
    """

    field: str
    rank: int
    certain: bool


class KnownNames(msgspec.Struct, frozen=True):
    """The content of header_names.toml, with every name and word in its plain form (see `plain`).

    `together` has names, other names, and the field that the first mean in a file that also has one of the others.
    """

    fields: Mapping[str, tuple[str, int]]
    alone: frozenset[str]
    words: Mapping[str, int]
    words_not_of_names: Mapping[str, int]
    parts_of_names: frozenset[str]
    somebody_else: frozenset[str]
    answers: frozenset[str]
    together: tuple[tuple[frozenset[str], frozenset[str], str], ...]

    def rank_with(self, core: str, around: Iterable[str]) -> Named | None:
        """What a name means with these words around it; None if the name or one of the words is unknown."""
        if core not in self.fields or core in self.alone or len(core) == 1:
            return None
        field, rank = self.fields[core]
        words = self.words if field in _PERSONS_NAMES else self.words_not_of_names
        ranks = [words.get(word) for word in around]
        if None in ranks:
            return None
        return Named(field, rank + max(filter(None, ranks), default=0), certain=True)


def plain(text: str) -> str:
    """A name's letters and digits in lower case without accents, so that all spellings of it are equal."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(str.isalnum, decomposed)).translate(_DOTLESS)


@cache
def known_names() -> KnownNames:
    """The data file. It is read once, and only if a column is looked for by its name."""
    data = tomllib.loads(NAMES_FILE.read_text(encoding="utf-8"))
    words = _ranks(data["words"])
    return KnownNames(
        fields={plain(name): (field, rank) for field, name, rank in listed_names(data)},
        alone=frozenset(map(plain, data["alone"]["names"])),
        words=words,
        words_not_of_names=words | _ranks(data["words_not_of_names"]),
        parts_of_names=frozenset(map(plain, data["parts_of_names"]["words"])),
        somebody_else=frozenset(map(plain, data["somebody_else"]["words"])),
        answers=frozenset(plain(word) or word for word in data["answers"]["words"]),
        together=tuple(
            (frozenset(map(plain, one["names"])), frozenset(map(plain, one["with"])), one["means"])
            for one in data["together"]
        ),
    )


def _ranks(table: Mapping[str, list[str]]) -> dict[str, int]:
    return {plain(word): rank for kind, rank in _WORD_RANKS.items() for word in table[kind]}


def listed_names(data: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Every field, name and rank of the data file."""
    for field, table in data.items():
        if field not in FIELDS:
            continue
        for language, names in table.items():
            if language == "second":
                for of_language in names.values():
                    yield from ((field, name, _SECOND_RANK) for name in of_language)
            else:
                yield from ((field, name, 0) for name in names)


@lru_cache(_REMEMBERED)
def named(header: str) -> Named | None:
    """The field that a header means, or None if there is no known name in it. The header need not be cleaned."""
    if len(header) > MAX_NAME_CHARS or not header:
        return None
    known = known_names()
    text = plain(header)
    if text in known.fields:
        return Named(*known.fields[text], certain=True)
    outside = _GROUP.sub(" ", header)
    if _DELIMITER.search(outside):
        # Columns that were not separated: "Email;Contact".
        return None
    found = _look_up(header, known)
    if found is not None:
        return found
    if outside != header:
        found = _look_up(outside, known)
        if found is not None:
            groups = _GROUP.findall(header)
            if found.field in _PERSONS_NAMES and known.parts_of_names.intersection(
                map(plain, groups)
            ):
                return None
            words = [token for group in groups for token in _tokens(group)]
            rank = max((known.words_not_of_names.get(word, 0) for word in words), default=0)
            return Named(found.field, found.rank + rank, certain=False)
    if "/" in header:
        found = _in_two_languages(header)
        if found is not None:
            return found
    return _loosely(header)


def of_somebody_else(header: str) -> bool:
    """Whether a header says that a column is about a person other than the contact, such as an owner."""
    other = known_names().somebody_else
    return any(token in other for token in _tokens(header[:MAX_NAME_CHARS]))


def together(names: Iterable[str]) -> dict[str, str]:
    """The headers that mean another field because of another header in the file, and that field."""
    plains = {name: plain(name) for name in names if len(name) <= MAX_NAME_CHARS}
    there = set(plains.values())
    return {
        name: means
        for name, text in plains.items()
        for of_names, others, means in known_names().together
        if text in of_names and not there.isdisjoint(others)
    }


def _look_up(header: str, known: KnownNames) -> Named | None:
    """The meaning of a known name, with or without known words around it."""
    text = plain(header)
    if text in known.fields:
        return Named(*known.fields[text], certain=True)
    tokens = _tokens(header)
    if not 1 < len(tokens) <= _MAX_TOKENS:
        return _with_affix(text, known)
    # The longest name first: "Work Phone Number" is no "Phone" with an unknown word.
    for length in range(len(tokens) - 1, 0, -1):
        for start in range(len(tokens) - length + 1):
            core = "".join(tokens[start : start + length])
            found = known.rank_with(core, tokens[:start] + tokens[start + length :])
            if found:
                return found
    return _with_affix(text, known)


def _with_affix(text: str, known: KnownNames) -> Named | None:
    """The meaning of a name that is joined to one word, as in German and Japanese: Kundenemail."""
    for cut in range(1, len(text)):
        for core, word in ((text[cut:], text[:cut]), (text[:cut], text[cut:])):
            if (len(word) >= _MIN_AFFIX_CHARS or not word.isascii()) and core in known.fields:
                found = known.rank_with(core, (word,))
                if found:
                    return found
    return None


def _in_two_languages(header: str) -> Named | None:
    """The meaning of a header such as "Name / Nombre", whose parts all mean the same."""
    parts = [named(part.strip()) for part in header.split("/")]
    first = parts[0]
    if first is None or any(part is None or part.field != first.field for part in parts):
        return None
    return first


LOOSE_RANK = 30
"""The rank of an email's name among unknown words."""


@cache
def _email_names() -> re.Pattern[str]:
    """A pattern of all names of an email that are long enough not to be part of another word."""
    names = [name for name, (field, _) in known_names().fields.items() if field == "email"]
    long = [name for name in names if len(name) >= _MIN_LOOSE_CHARS or not name.isascii()]
    return re.compile("|".join(map(re.escape, long)))


def _loosely(header: str) -> Named | None:
    """The meaning of a header that has an email's name somewhere in it."""
    if not _email_names().search(plain(header)):
        return None
    return Named("email", LOOSE_RANK, certain=False)


def _tokens(header: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", header))
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    return [plain(token) for token in _TOKEN.findall(clean_header(bare))]
