"""Writes contact files with realistic data; the same seed gives the same file.

python -m local.sample --rows 10000 --seed 1 --out sample.csv
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterator
from pathlib import Path

HEADER = (
    "Email",
    "First Name",
    "Last Name",
    "Phone",
    "Country",
    "Language",
    "Plan",
    "Company",
    "Notes",
)
COLUMN_MAP = {
    "email": "Email",
    "firstName": "First Name",
    "lastName": "Last Name",
    "phone": "Phone",
    "country": "Country",
    "language": "Language",
    "customFields": {"plan": "Plan", "company": "Company"},
}
"""All but Notes, which stays unmapped."""

_PEOPLE = (
    ("Anna", "Müller", "Germany", "de", "+49 30"),
    ("José", "García Núñez", "Spain", "es", "+34 91"),
    ("Мария", "Иванова", "Bulgaria", "bg", "+359 2"),
    ("美咲", "佐藤", "Japan", "ja", "+81 3"),
    ("ليلى", "حداد", "Jordan", "ar", "+962 6"),
    ("Priya", "शर्मा", "India", "hi", "+91 11"),
    ("Seán", "O'Brien", "Ireland", "en", "+353 1"),
    ("Ελένη", "Παππά", "Greece", "el", "+30 21"),
    ("지우", "김", "South Korea", "ko", "+82 2"),
    ("Emily", 'Smith "Em" Jones', "United States", "en", "+1 212"),
)
_DOMAINS = ("example.com", "example.org", "mail.example.net", "post.example.com")
_PLANS = ("free", "pro", "team", "")
_COMPANIES = ("Baker, Sons & Daughters", 'The "Real" Deal Ltd', "Ångström AB", "", "Acme")
_NOTES = ("", "met at the fair", "two\nlines", 'said "call me", twice', "prefers e-mail, not phone")
_BAD_EMAILS = (
    "",
    "no-at-sign.example.com",
    "two@@example.com",
    "blank in@example.com",
    "@example.com",
)

_BAD_SHARE = 0.004
_DUPLICATE_SHARE = 0.01
_FAR_APART = 1_000
_BLANK_CELL_SHARE = 0.1


def rows(count: int, seed: int, *, flawless: bool = False) -> Iterator[tuple[str, ...]]:
    """`count` rows under HEADER: a few with bad emails, a few with the email of a row far above.

    `flawless` ones have none of these.
    """
    chance = random.Random(seed)
    for index in range(count):
        first, last, country, language, area = chance.choice(_PEOPLE)
        cells = [
            first,
            last,
            f"{area} {chance.randrange(10**7):07}",
            country,
            language,
            chance.choice(_PLANS),
            chance.choice(_COMPANIES),
            chance.choice(_NOTES),
        ]
        cells = [cell if chance.random() >= _BLANK_CELL_SHARE else "" for cell in cells]
        email = _plain_email(index, seed) if flawless else _email(chance, index, seed)
        yield (email, *cells)


def write(path: Path, count: int, seed: int, *, flawless: bool = False) -> None:
    """Writes a UTF-8 CSV of `count` rows, as a spreadsheet does (RFC 4180: CRLF, quotes doubled)."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(count, seed, flawless=flawless))


def _email(chance: random.Random, index: int, seed: int) -> str:
    draw = chance.random()
    if draw < _BAD_SHARE:
        return chance.choice(_BAD_EMAILS)
    if draw < _BAD_SHARE + _DUPLICATE_SHARE and index > _FAR_APART:
        index = chance.randrange(index - _FAR_APART)
        return f" Contact.{seed}.{index}@{_DOMAINS[index % len(_DOMAINS)].upper()}"
    return _plain_email(index, seed)


def _plain_email(index: int, seed: int) -> str:
    return f"contact.{seed}.{index}@{_DOMAINS[index % len(_DOMAINS)]}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a CSV of invented contacts.")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("sample.csv"))
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, arguments.seed)
    print(f"{arguments.out}: {arguments.rows:,} rows, {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
