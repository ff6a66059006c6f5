"""Guesses the encoding of text that is not Unicode by the letters that names are made of.

A legacy file does not say its encoding, and nearly every encoding decodes nearly every file. The right one is the one
in which names come out. So each encoding is tried with each language that is written in it. The likelihood of a reading
comes from three things: how often its letters follow each other in the language's names (`name_letters.tsv`, made by
`bench/name_letters.py`), whether capitals begin words, and whether symbols are outside of words. The ASCII words of the
file show the language. `docs/files.md` has how often this is wrong, beside libraries: those know prose, and a file of
names is too short for them.

This module is imported only when a file is not UTF-8.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_WESTERN = ("en", "fr", "de", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "is", "ga", "et")
_CENTRAL = ("pl", "cs", "hu", "sk", "sl", "hr", "ro", "de")
_TURKISH = ("tr",)
_BALTIC = ("lt", "lv", "et")
_CYRILLIC = ("ru", "uk", "bg")
_IDEOGRAPHS = ("ideographs",)

ENCODINGS: dict[str, tuple[float, Sequence[str]]] = {
    "cp1252": (1, _WESTERN),
    "iso8859_15": (0.2, _WESTERN),
    "mac_roman": (0.15, _WESTERN),
    "cp437": (0.15, _WESTERN),
    "cp850": (0.15, _WESTERN),
    "cp1250": (1, _CENTRAL),
    "iso8859_2": (0.4, _CENTRAL),
    "cp852": (0.15, _CENTRAL),
    "mac_latin2": (0.05, _CENTRAL),
    "iso8859_16": (0.05, ("ro",)),
    "cp1254": (1, _TURKISH),
    "iso8859_9": (0.3, _TURKISH),
    "cp857": (0.1, _TURKISH),
    "cp1257": (1, _BALTIC),
    "iso8859_13": (0.1, _BALTIC),
    "cp1251": (1, _CYRILLIC),
    "koi8_r": (0.4, ("ru",)),
    "koi8_u": (0.3, ("uk", "ru")),
    "cp866": (0.2, _CYRILLIC),
    "iso8859_5": (0.05, _CYRILLIC),
    "mac_cyrillic": (0.1, _CYRILLIC),
    "cp1253": (1, ("el",)),
    "iso8859_7": (0.4, ("el",)),
    "cp1255": (1, ("he",)),
    "cp1256": (1, ("ar", "fa", "fr")),
    "iso8859_6": (0.1, ("ar",)),
    "cp1258": (0.3, ("vi",)),
    "cp874": (1, ("th",)),
    "cp932": (0.6, _IDEOGRAPHS),
    "euc_jp": (0.3, _IDEOGRAPHS),
    "gb18030": (0.6, _IDEOGRAPHS),
    "cp950": (0.5, _IDEOGRAPHS),
    "cp949": (0.5, _IDEOGRAPHS),
}
"""For each of Python's codecs: how common it is (an estimate), and the languages that are written in it."""

_TABLE = Path(__file__).with_name("name_letters.tsv")
_FIRST_STEP, _STEPS = 33, 4  # of the table's characters

# The probabilities below are estimates that the corpus of bench/name_letters.py was tried with; most of
# them could be ten times more or less.
_UNKNOWN_LETTER = math.log(1e-6)
_IDEOGRAPHS_WEIGHT = 0.5
_LATIN_SHARE = 0.1
"""The share of a file's words that are names from any language in Latin letters."""
_ASCII_WEIGHT = 0.4
_LEAST_BY_ASCII = -5.0
"""How much an ASCII word counts, and how much all of them can count: they show the language, not the encoding."""
_CAPITAL = {"start": math.log(0.75), "small": math.log(1e-4), "capital": math.log(0.2)}
_SMALL = {"start": math.log(0.25), "small": 0.0, "capital": math.log(0.8)}
_CONTROL = math.log(1e-7)
_SYMBOL_IN_WORD = math.log(3e-6)
_SYMBOL_OUTSIDE = math.log(1e-3)
_APOSTROPHE, _APOSTROPHE_AT_EDGE = math.log(1e-3), math.log(3e-4)
_CONTRACTION = math.log(0.05)
_SPACE_IN_WORD = math.log(1e-4)
_AFTER_NUMBER = math.log(0.02)
_OTHER_SCRIPT = math.log(0.03)
_IDEOGRAPH_BESIDE_ASCII = math.log(1e-3)
_ASCII_BESIDE_IDEOGRAPH = math.log(0.03)

_CONTRACTED = frozenset(("s", "t", "re", "ll", "ve", "S", "T"))
_ELIDED = frozenset(("d", "l", "o", "qu", "dell", "all", "nell", "sant"))
_OF_NUMBERS = "°ªº²³€£½"
_AFTER_WORDS, _BEFORE_WORDS = "”»®™", "“«„¿¡"
_USUAL_SYMBOLS = frozenset("€“”–—•®©°§«»¿¡…’‘„‚™²³½£·\xa0ºª")
# Words, one symbol, one ASCII character. Marks of tone are part of a word.
_ASCII_WORDS = re.compile(rb"(?<![\x80-\xff])\b[A-Za-z]+\b(?![\x80-\xff])")
_PARTS = re.compile(
    r"(?:[^\W\d_ªº¹²³¼½¾]|(?<=\w)[\u0300-\u036f\u0e31-\u0e4e])+|[^\x00-\x7f]|[\x00-\x7f]"
)
_INSIDE_CELL = " .'-&/"
_SIMPLER = str.maketrans("șț", "şţ", "\u0307")


@dataclass(frozen=True, slots=True)
class Reading:
    """Encodings in which a sample is the same text, likeliest first, and the logarithm of the text's likelihood."""

    encodings: tuple[str, ...]
    likelihood: float


def likely_readings(sample: bytes) -> list[Reading]:
    """The texts that a sample may be, likeliest first; empty if it is not text in any of ENCODINGS.

    `sample` has whole lines of a file, at most 32 KiB, since every letter is looked up in each encoding.
    """
    same: dict[str, list[tuple[float, str]]] = {}
    by_ascii = _languages_by_ascii(sample)
    for encoding, (weight, languages) in ENCODINGS.items():
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        likelihood = math.log(weight) + _likelihood(text, languages, by_ascii)
        same.setdefault(text, []).append((likelihood, encoding))
    readings = [
        Reading(
            tuple(encoding for _, encoding in sorted(of_text, reverse=True)),
            _sum(likelihood for likelihood, _ in of_text),
        )
        for of_text in same.values()
    ]
    return sorted(readings, key=lambda reading: -reading.likelihood)


class _Language:
    """How likely a word is in the names of one language."""

    def __init__(self, weight: float, letters: str, cells: str) -> None:
        self.weight = weight
        self._places = {letter: place for place, letter in enumerate(letters)}
        self._cells = cells

    def likelihood(self, word: str) -> float:
        total = 0.0
        before: int | None = self._places[" "]
        for letter in word + " ":
            place = self._places.get(letter)
            if place is None or before is None:
                total += _UNKNOWN_LETTER
            else:
                cell = self._cells[before * len(self._places) + place]
                total -= (ord(cell) - _FIRST_STEP) / _STEPS
            before = place
        return total


class _Ideographs:
    """How likely a word is in Chinese, Japanese or Korean: by how usual its characters are."""

    weight = _IDEOGRAPHS_WEIGHT

    def likelihood(self, word: str) -> float:
        total, was_ascii = 0.0, word[0].isascii()
        for character in word:
            if character.isascii() != was_ascii:
                total += _IDEOGRAPH_BESIDE_ASCII
                was_ascii = not was_ascii
            total += _ideograph(character)
        return total


@cache
def _languages() -> dict[str, _Language | _Ideographs]:
    found: dict[str, _Language | _Ideographs] = {"ideographs": _Ideographs()}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        code, weight, letters, cells = line.split("\t")
        found[code] = _Language(float(weight), letters, cells)
    return found


@cache
def _latin_languages() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_WESTERN, *_CENTRAL, *_TURKISH, *_BALTIC)))


def _languages_by_ascii(sample: bytes) -> dict[str, float]:
    """How likely each language is, by its code, judged by the words that are the same in every encoding."""
    words = {word.decode().lower() for word in _ASCII_WORDS.findall(sample)}
    found = dict.fromkeys(_latin_languages(), 0.0)
    for word in words:
        of_language = {code: _languages()[code].likelihood(word) for code in found}
        anywhere = _mean(of_language.values()) + math.log(_LATIN_SHARE)
        for code, likelihood in of_language.items():
            found[code] += _ASCII_WEIGHT * _sum((likelihood + math.log(1 - _LATIN_SHARE), anywhere))
    most = max(found.values())
    return {code: max(likelihood - most, _LEAST_BY_ASCII) for code, likelihood in found.items()}


def _likelihood(text: str, languages: Sequence[str], by_ascii: Mapping[str, float]) -> float:
    """How likely a text is if it is in one of these languages, except for some words."""
    of_language = [
        math.log(_languages()[code].weight) + by_ascii.get(code, _LEAST_BY_ASCII / 2)
        for code in languages
    ]
    symbols = 0.0
    script: bool | None = None
    before = last = " "
    parts = _PARTS.findall(text)
    for part, after in zip(parts, [*parts[1:], " "], strict=True):
        if len(part) > 1 or (part.isalpha() and part not in _OF_NUMBERS):
            if not (part.isascii() and before.isascii() and after.isascii()):
                words = _word(part, tuple(languages))
                of_language = [one + word for one, word in zip(of_language, words, strict=True)]
            latin = unicodedata.name(part[0], "").startswith("LATIN")
            if script is not None and script != latin:
                symbols += _OTHER_SCRIPT
            script = latin
        elif part == "’" and (
            after in _CONTRACTED or (last.lower() in _ELIDED and after[0].isupper())
        ):
            symbols += _CONTRACTION
        elif not part.isascii():
            symbols += _symbol(part, before, after[0])
        elif part not in _INSIDE_CELL:
            script = None
        before, last = part[-1], part
    return symbols + _sum(of_language)


@cache
def _word(word: str, languages: tuple[str, ...]) -> list[float]:
    """How likely a word is in a file of each language, which may also have names from the others."""
    simple = word.lower().translate(_SIMPLER)
    if word.isascii():
        anywhere = _mean(_languages()[code].likelihood(simple) for code in _latin_languages())
        own = [
            _languages()[code].likelihood(simple) if code in _latin_languages() else anywhere
            for code in languages
        ]
        case = 0.0
    else:
        own = [_languages()[code].likelihood(simple) for code in languages]
        anywhere, case = _mean(own), _case(word)
    return [
        case + _sum((one + math.log(1 - _LATIN_SHARE), anywhere + math.log(_LATIN_SHARE)))
        for one in own
    ]


def _case(word: str) -> float:
    """How likely a word's capitals are where they are."""
    total, before = 0.0, "start"
    for letter in word:
        if letter.isupper():
            total += _CAPITAL[before]
            before = "capital"
        elif letter.islower():
            total += _SMALL[before]
            before = "small"
        elif before == "start":
            before = "small"
    return total


def _symbol(symbol: str, before: str, after: str) -> float:
    follows_letter, leads_letter = before.isalpha(), after.isalpha()
    if symbol in _OF_NUMBERS and (
        before.isdigit()
        or (before in "mMnN" and not leads_letter)
        or (symbol == "°" and not follows_letter and after in "CF")
    ):
        return _AFTER_NUMBER
    if unicodedata.category(symbol) in ("Cc", "Cn", "Co"):
        return _CONTROL
    if symbol == "’":
        return _APOSTROPHE if follows_letter and leads_letter else _APOSTROPHE_AT_EDGE
    if symbol == "\xa0" and follows_letter and leads_letter:
        return _SPACE_IN_WORD
    if (
        symbol == "\xa0"
        or (symbol in _AFTER_WORDS and not leads_letter)
        or (symbol in _BEFORE_WORDS and not follows_letter)
        or (symbol in _USUAL_SYMBOLS and not follows_letter and not leads_letter)
    ):
        return _SYMBOL_OUTSIDE
    return _SYMBOL_IN_WORD


@cache
def _ideograph(character: str) -> float:
    """How likely a character is, by the size of its set: kana, syllables, common ideographs, the others."""
    if character.isascii():
        return _ASCII_BESIDE_IDEOGRAPH
    if "\u3040" <= character < "\u3100":
        return -math.log(120)
    if "\uac00" <= character < "\ud7a4":
        return -math.log(1_500 if _is_usual(character) else 100_000)
    if "\uff61" <= character <= "\uff9f":
        return -math.log(400)
    if "\u4e00" <= character < "\ua000":
        return -math.log(3_000 if _is_usual(character) else 100_000)
    return _UNKNOWN_LETTER


def _is_usual(ideograph: str) -> bool:
    """Whether a character is in the first level of a standard, or a Korean syllable."""
    for encoding, second_level in (("gb2312", 0xD8), ("big5", 0xC9), ("euc_kr", 0xC9)):
        try:
            code = ideograph.encode(encoding)
        except UnicodeEncodeError:
            continue
        # More than two bytes are a syllable that is written as its letters.
        return len(code) == 2 and code[0] < second_level
    return False


def _sum(logarithms: Iterable[float]) -> float:
    """The logarithm of the sum of the numbers whose logarithms these are."""
    values = list(logarithms)
    most = max(values)
    return most + math.log(sum(math.exp(value - most) for value in values))


def _mean(logarithms: Iterable[float]) -> float:
    values = list(logarithms)
    return _sum(values) - math.log(len(values))
