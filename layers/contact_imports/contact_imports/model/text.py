"""Removes what is invisible in a text: one rule for cells, headers and the names in a column map.

`docs/files.md` has the table of what is removed and what is kept.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

JOINERS = "\u200c\u200d"
"""Persian and Indic spelling and emoji need them inside a value."""

_NO_JOINERS = dict.fromkeys(map(ord, JOINERS))

_ZERO_WIDTH_JOINER = "\u200d"
_VIRAMA_CLASS = 9
"""The canonical combining class of viramas: a joiner after one is spelling also at the end of a value
(Malayalam), as in RFC 5892, appendix A.2."""

BLANKS = (
    "\t\n\v\f\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u2800\u3164\uffa0"
)
"""What Python takes for a blank, and what looks like one: the blank Braille pattern and the Hangul fillers."""

_EDGES = BLANKS + JOINERS


_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
"""An emoji flag of a region, such as Scotland's, is a black flag and invisible letters (UTS #51)."""

# Patterns that few texts need are compiled when they are: it takes milliseconds of a cold start.
_INVISIBLE = (
    f"({_FLAG})|"
    "[\x00-\x08\x0e-\x1f\x7f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f]"
)

_SPECIAL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    "\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e01ef]"
)
"""What `clean_value` may change, except for usual blanks and for text that is not in NFC."""

_NOTHING = (
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef"
    f"{BLANKS}]*"
)
"""Characters that only change how others look (Unicode's Default_Ignorable_Code_Point)."""


_MISREAD = "\u00c3[\u00a1-\u00aa\u00ac\u00ae-\u00ba\u00bc-\u00bf]"
"""The letters \u00e1 to \u00ff in UTF-8, read as Windows-1252, less what may follow a capital A with a tilde in Portuguese
(an angle quote). No language has the others together."""

_MAX_NORMALISED_CHARS = 10_000
"""More than any value or header may have. Normalising takes time that grows with the square of a text's
combining marks: 0.15 seconds for so many, half an hour for the largest cell."""


def clean_value(text: str) -> str:
    """A text in NFC without invisible characters and without the blanks around it.

    Zero-width and bidirectional marks, byte order marks, soft hyphens and control characters are removed. Blanks, tabs,
    line breaks and joiners inside the text are kept. A text with nothing visible becomes empty. Cleaning a clean text
    changes nothing. A text of over 10,000 characters, more than any value may have, is not put into NFC.
    """
    if is_plain(text):
        return text.strip()
    text = normalise(re.sub(_INVISIBLE, r"\1", text.translate(_replaced())))
    start = text.lstrip(_EDGES)
    stripped = start.rstrip(_EDGES)
    if (
        start.startswith(_ZERO_WIDTH_JOINER, len(stripped))
        and stripped
        and unicodedata.combining(stripped[-1]) == _VIRAMA_CLASS
    ):
        stripped += _ZERO_WIDTH_JOINER
    return "" if re.fullmatch(_NOTHING, stripped) else stripped


def is_plain(text: str) -> bool:
    """Whether cleaning a text, or any part of it, only removes blanks around it; False if that is uncertain."""
    if text.isascii() and text.isprintable():
        return True
    if len(text) > _MAX_NORMALISED_CHARS or _SPECIAL.search(text):
        return False
    return unicodedata.is_normalized("NFC", text)


def is_damaged(text: str) -> bool:
    """Whether a text was damaged before it came here: it has a character that stands for one that was lost, or
    UTF-8 that somebody read as Windows-1252, such as two characters that begin with U+00C3 for one letter."""
    return not text.isascii() and ("\ufffd" in text or re.search(_MISREAD, text) is not None)


@cache
def _replaced() -> dict[int, str]:
    """Other line breaks (UAX #14, class BK), and the control characters U+0080 to U+009F: Windows-1252 that
    somebody took for ISO-8859-1. Browsers read them the same way. Made where it is needed, since Python has to load
    Windows-1252 for it.
    https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state
    """
    return {0x0B: "\n", 0x0C: "\n"} | {
        byte: bytes([byte]).decode("cp1252", errors="ignore") for byte in range(0x80, 0xA0)
    }


def clean_header(text: str) -> str:
    """A header, or its name in a column map: cleaned as a value, with one space for each run of blanks."""
    return " ".join(clean_value(text).split())


def fold_header(text: str) -> str:
    """A header in a form that is equal for headers that differ only in case, blanks or invisible characters."""
    folded = without_joiners(clean_header(text)).casefold()
    return normalise(folded)


def without_joiners(text: str) -> str:
    """A text without U+200C and U+200D."""
    return text.translate(_NO_JOINERS)


def normalise(text: str) -> str:
    """A text in NFC, or unchanged if it has over 10,000 characters."""
    return unicodedata.normalize("NFC", text) if len(text) <= _MAX_NORMALISED_CHARS else text
