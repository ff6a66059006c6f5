"""Makes the table by which legacy encodings are told apart: which letter follows which in a language's names.

    pip install faker babel && python -m bench.name_letters [measure]

Names of people, towns and streets come from Faker's lists, names of countries, languages, months and days
from Unicode's CLDR. A line a language: its code, its weight, its letters (a blank is the word's edge),
then a character for each pair of letters, row after row: what `files/legacy_encoding.py` reads.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from contact_imports.files.encoding import CLEARLY

TARGET = (
    Path(__file__).parent.parent / "layers/contact_imports/contact_imports/files/name_letters.tsv"
)

LANGUAGES: dict[str, tuple[float, list[str]]] = {
    "fr": (1, ["fr_FR", "fr_CA"]),
    "en": (1, ["en_US", "en_GB"]),
    "de": (1, ["de_DE", "de_AT", "de_CH"]),
    "es": (1, ["es_ES", "es_MX", "es_AR"]),
    "pt": (0.8, ["pt_PT", "pt_BR"]),
    "it": (0.7, ["it_IT"]),
    "nl": (0.6, ["nl_NL", "nl_BE"]),
    "sv": (0.6, ["sv_SE"]),
    "da": (0.6, ["da_DK"]),
    "no": (0.6, ["no_NO"]),
    "fi": (0.6, ["fi_FI"]),
    "is": (0.15, ["is_IS"]),
    "ga": (0.15, ["ga_IE"]),
    "et": (0.2, ["et_EE"]),
    "pl": (0.6, ["pl_PL"]),
    "cs": (0.6, ["cs_CZ"]),
    "hu": (0.5, ["hu_HU"]),
    "sk": (0.3, ["sk_SK"]),
    "sl": (0.3, ["sl_SI"]),
    "hr": (0.3, ["hr_HR"]),
    "ro": (0.3, ["ro_RO"]),
    "tr": (0.6, ["tr_TR"]),
    "lt": (0.2, ["lt_LT"]),
    "lv": (0.2, ["lv_LV"]),
    "ru": (0.6, ["ru_RU"]),
    "uk": (0.3, ["uk_UA"]),
    "bg": (0.3, ["bg_BG"]),
    "el": (0.4, ["el_GR"]),
    "he": (0.3, ["he_IL"]),
    "ar": (0.3, ["ar_AA", "ar_SA"]),
    "fa": (0.2, ["fa_IR"]),
    "vi": (0.2, ["vi_VN"]),
    "th": (0.3, ["th_TH"]),
}
"""By language: how usual it is in files that are not UTF-8 (an estimate), and Faker's lists."""

PEOPLE_ONLY = {"tr", "lt", "lv", "et", "is", "ga", "bg", "ar", "he", "el"}
"""Languages in which Faker's towns and streets are half English."""

MORE = {
    "fr": "à là où œuvre sœur cœur bœuf lætitia maëlys noël gaël anaïs loïc garçon maître août château forêt "
    "fiancée société prénom téléphone numéro côté dû haÿ ex-æquo",
    "de": "straße größe grüße geschäftlich",
    "es": "lingüística teléfono dirección compañía",
    "pt": "à às avô pães corações cônjuge também endereço",
    "it": "perché città più così però là già caffè niccolò università società papà lunedì tiramisù cantù",
    "nl": "raphaël ruïne coördinator geïnteresseerd één ideeën",
    "da": "ærø øre øst ønske ærlig næss øivind bøe søe",
    "no": "ærlig øst øvre øystein øyvind øivind bøe næss sæther",
    "sv": "ärende åtgärd översten",
}
"""Words with letters that the lists have too few of."""

SAMPLES = 4_000
ALPHABETS = {
    "en": "éèêëïöüñç",
    "fr": "àâçèéêëîïôùûü",
    "de": "äöüßé",
    "es": "áéíñóúü",
    "pt": "áâãàçéêíóôõúü",
    "it": "àèéìíòóùú",
    "nl": "áéèëïöüóç",
    "sv": "åäöéü",
    "da": "æøåéöü",
    "no": "æøåéòôü",
    "fi": "åäöéšž",
    "is": "áðéíóúýþæö",
    "ga": "áéíóú",
    "et": "äöõüšž",
    "ro": "ăâîşţ",
    "tr": "âçğıîöşüû",
}
"""Letters that a language has, however few of the words have them."""

SMOOTHING = 8.0
"""How many pairs' worth of what is usual of the letters without their marks each row begins with."""
ALPHABET_SHARE = 0.02
"""How often, at least, a letter stands with its mark instead of without."""
BASES = dict(zip("øæłđðþßıœå", "oelddtsiea", strict=True))
STEPS, LAST = 4, 93
"""Steps a unit of the natural logarithm, and the last of the 94 printable ASCII characters."""
TONES = "\u0300\u0301\u0303\u0309\u0323"
LATIN_1 = 0xFF
WORDS = re.compile(r"(?:[^\W\d_\u02bc]|[\u0e31-\u0e4e])+")  # Thai vowels are marks


def words(language: str) -> dict[str, float]:
    """Words in lower case, each with its weight: one that is usual counts more, but not much."""
    from babel import Locale  # type: ignore[import-not-found]
    from faker import Faker  # type: ignore[import-not-found]

    counts: Counter[str] = Counter()
    _, lists = LANGUAGES[language]
    for name in lists:
        fake = Faker(name)
        fake.seed_instance(1)
        makers = [fake.first_name, fake.last_name]
        if language not in PEOPLE_ONLY:
            makers += [fake.city, fake.street_name]
        for _ in range(SAMPLES // len(lists)):
            for make in makers:
                counts.update(word.lower() for word in WORDS.findall(make()))
    counts.update(MORE.get(language, "").split())
    locale: Any = Locale.parse(language)
    for names in (locale.territories, locale.languages, locale.months["format"]["wide"]):
        for text in names.values():
            for word in WORDS.findall(str(text)):
                counts[word.lower()] += 0
    spell = _vietnamese if language == "vi" else _simple
    return {spell(word): 1 + math.log1p(count) for word, count in counts.items()}


def _simple(word: str) -> str:
    """As legacy encodings have it: Romanian with cedillas, and Turkish i without a second dot."""
    return word.translate(str.maketrans("șț", "şţ", "\u0307"))


def _vietnamese(word: str) -> str:
    """As windows-1258 spells: the tone is a character of its own where there is no letter with it."""
    spelled = ""
    for letter in word:
        marks = unicodedata.normalize("NFD", letter)
        tone = "".join(mark for mark in marks if mark in TONES)
        bare = unicodedata.normalize("NFC", "".join(mark for mark in marks if mark not in TONES))
        spelled += bare + tone if tone and ord(letter) > LATIN_1 else letter
    return spelled


def line(language: str) -> str:
    """The table's line of one language."""
    letters: Counter[str] = Counter()
    pairs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    bases: Counter[str] = Counter()
    base_pairs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word, weight in words(language).items():
        for first, second in pairwise(f" {word} "):
            letters[second] += weight  # type: ignore[assignment]
            pairs[first][second] += weight  # type: ignore[assignment]
            bases[base(second)] += weight  # type: ignore[assignment]
            base_pairs[base(first)][base(second)] += weight  # type: ignore[assignment]
    alphabet = sorted({*letters, *ALPHABETS.get(language, "")})
    total = sum(bases.values())

    def usual(first: str, second: str) -> float:
        """How usual a pair is by its letters without marks, of which few words are enough."""
        row, plain = base_pairs[base(first)], base(second)
        of_base = (row[plain] + 2 * bases[plain] / total) / (sum(row.values()) + 2)
        return of_base * max(letters[second] / max(bases[plain], 1), ALPHABET_SHARE)

    cells = ""
    for first in alphabet:
        row = pairs[first]
        count = sum(row.values())
        for second in alphabet:
            share = (row[second] + SMOOTHING * usual(first, second)) / (count + SMOOTHING)
            cells += chr(33 + min(LAST, round(-math.log(max(share, 1e-9)) * STEPS)))
    return "\t".join([language, str(LANGUAGES[language][0]), "".join(alphabet), cells])


def base(letter: str) -> str:
    """A letter without its mark."""
    return BASES.get(letter) or unicodedata.normalize("NFD", letter)[0]


def measure(files: int = 5) -> None:
    """Prints how often files of names are decided wrongly, by their number of rows."""
    from faker import Faker

    from contact_imports.files.legacy_encoding import ENCODINGS, likely_readings

    for rows in (1, 2, 5, 10, 30):
        western, other = Counter[bool](), Counter[bool]()
        for encoding, (_, languages) in ENCODINGS.items():
            for language in languages:
                for number in range(files if language in LANGUAGES else 0):
                    fake = Faker(LANGUAGES[language][1][0])
                    fake.seed_instance(number)
                    names = [f"{fake.first_name()},{fake.last_name()}" for _ in range(rows)]
                    text = "\n".join(["Email,First,Last", *names])
                    content = text.encode(encoding, "ignore")
                    if content.isascii() or content.decode(encoding) != text:
                        continue
                    best, *others = likely_readings(content)
                    taken = "cp1252" in best.encodings and (
                        not others or best.likelihood - others[0].likelihood > CLEARLY
                    )
                    is_western = content.decode("cp1252", "replace") == text
                    (western if is_western else other)[taken == is_western] += 1
        print(
            f"{rows} rows: {western[False]} of {western.total()} in Windows-1252 refused, "
            f"{other[False]} of {other.total()} in others taken for it"
        )


def main() -> None:
    """Writes the table, or measures what it is worth."""
    if sys.argv[1:] == ["measure"]:
        measure()
        return
    lines = [line(language) for language in LANGUAGES]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
