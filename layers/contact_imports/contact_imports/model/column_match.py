"""Matches a file's columns to a contact's fields, by their names and their values, if there is no column map.

A name proposes a field, and the values decide. So the email is the column with addresses even if a consent column is
called "Email", and a `Country Code` of +44 is not a country. The names are in header_names.toml.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from contact_imports.model.column_map import (
    MAX_REFERENCE_CHARS,
    STANDARD_FIELDS,
    ColumnMap,
    column_reference,
    own_columns,
    sentence_of_columns,
    shortened,
    too_many_columns,
)
from contact_imports.model.errors import FileError
from contact_imports.model.header_names import (
    LOOSE_RANK,
    OTHER_RANK,
    Named,
    known_names,
    named,
    of_somebody_else,
    plain,
    together,
)
from contact_imports.model.limits import MAX_CUSTOM_FIELD_KEY_CHARS, MAX_CUSTOM_FIELDS
from contact_imports.model.notes import MAX_LISTED, Note, NoteCode, listed
from contact_imports.model.text import clean_header, clean_value, fold_header

MAX_MATCHED_CHARS = 60_000
"""Characters in the names of all matched columns, since they are recorded: a DynamoDB item has at most 400 KB, and a
character up to 4 bytes. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

_VALUE_CHARS = 300
"""How much of a value is looked at: an address has at most 254 characters."""

_UNNAMED_RANK = LOOSE_RANK + 10
"""The rank of a column with addresses whose name is not an email's."""

_MOSTLY = 0.5
_SOME = 0.2
"""The share of values that must be addresses if a column is called email. The others may be mistakes."""

_MIN_DIGITS = 3  # a phone number's, without the country's and the town's
_MIN_PHONE_DIGITS = 5  # of a number that is nothing else
_MAX_LANGUAGE_CHARS = 40

_ADDRESS = r"""[^\s@<>()\[\]{},;:|/\\"'=]+@[\w-]+(?:[.．。][\w-]+)+\.?"""
_HAS_ADDRESS = re.compile(_ADDRESS)
_IS_ADDRESS = re.compile(
    rf"""["'<]?(?:mailto:)?{_ADDRESS}["'>]?[,;]?|[^@<>]*<(?:mailto:)?{_ADDRESS}>[,;]?""", re.I
)
_NORWEGIAN = {"no"}
"""An answer that is also a language and a country code."""

_ROUNDED = re.compile(r"[\d.,]+E\+\d+", re.IGNORECASE)
_KEY = re.compile(r"\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?", re.IGNORECASE)
"""A UUID: a record's key, no person's name."""

_SURE_ANSWERS = frozenset(("yes", "true", "false", "nein", "oui", "subscribed", "unsubscribed"))
"""Answers that cannot be a person's name."""


class SampleRow(msgspec.Struct, frozen=True):
    """A record after the header. `addresses` has the positions of cells with an address: True if the whole cell is
    one, False if there is other text in it."""

    cells: Sequence[str]
    addresses: Mapping[int, bool]


class MatchedColumns(msgspec.Struct, frozen=True):
    """The column map that was found. `email` is the position of the email column.

    `is_named` is whether that column is called email, `has_addresses` whether its values are addresses. `known` is the
    number of standard fields that were found.
    """

    column_map: ColumnMap
    email: int
    is_named: bool
    has_addresses: bool
    known: int
    notes: tuple[Note, ...]


def is_one_address(cell: str) -> bool:
    """Whether a cell is one email address, possibly with a name around it."""
    return "@" in cell and _IS_ADDRESS.fullmatch(clean_value(cell[:_VALUE_CHARS])) is not None


def sample_row(cells: Sequence[str]) -> SampleRow:
    """A record as `match_columns` needs it. It is made once and used for every record that may be the header."""
    return SampleRow(
        cells,
        {
            position: is_one_address(cell)
            for position, cell in enumerate(cells)
            if "@" in cell and _HAS_ADDRESS.search(cell[:_VALUE_CHARS])
        },
    )


def match_columns(header: Sequence[str], rows: Sequence[SampleRow] = ()) -> MatchedColumns:
    """The column map that fits a header and the first rows after it. Other columns become custom fields.

    Raises FileError if no column is the email (COLUMN_NOT_FOUND) or several may be (AMBIGUOUS_COLUMN).
    """
    return _Match(header, rows).result()


class _Candidate(msgspec.Struct, frozen=True):
    """A column that may be a field. `fits` is whether its values are right for it, or None if it has no values."""

    position: int
    named: Named
    fits: bool | None


class _Match:
    """Matches one header and its rows."""

    def __init__(self, header: Sequence[str], rows: Sequence[SampleRow]) -> None:
        width, self._is_report = own_columns(header, None)
        self._names = [clean_header(cell) for cell in header[:width]]
        self._rows = rows
        self._values: dict[int, list[str]] = {}
        self._folds = [fold_header(name) for name in self._names]
        self._times = Counter(self._folds)
        self._notes: dict[NoteCode, list[str]] = {}
        self._named = self._find_named()

    def result(self) -> MatchedColumns:
        email = self._email()
        mapped = {"email": email.position}
        for field in STANDARD_FIELDS:
            position = self._standard(field, email.position)
            if position is not None:
                mapped[field] = position
        custom = self._custom(mapped)
        return MatchedColumns(
            ColumnMap.of(
                {field: self._reference(position) for field, position in mapped.items()}
                | {"customFields": custom}
            ),
            email=email.position,
            is_named=email.named.rank < _UNNAMED_RANK,
            has_addresses=bool(email.fits),
            known=len(mapped),
            notes=tuple(
                Note(code, " ".join((*islice(messages, MAX_LISTED), *_more(messages))))
                for code, messages in self._notes.items()
            ),
        )

    def _find_named(self) -> dict[int, Named]:
        others = together(self._names)
        found = {}
        for position, name in enumerate(self._names):
            one = named(name)
            if one is not None:
                found[position] = replace(one, field=others.get(name, one.field))
        return found

    # The email

    def _email(self) -> _Candidate:
        candidates = [
            _Candidate(position, one, self._holds_addresses(position, one))
            for position, one in self._named.items()
            if one.field == "email"
        ]
        own = [one for one in candidates if not of_somebody_else(self._names[one.position])]
        certain = [one for one in own if one.named.certain]
        not_answers = [one for one in certain if not self._are_answers(one.position)]
        if self._is_report and not_answers:
            # Its rows failed, many of them for their email: what is in them says nothing.
            return self._one_email(not_answers)
        fitting = [one for one in own if one.fits] or self._unnamed(candidates)
        if fitting:
            others = [one for one in candidates if one not in own and one.fits]
            return self._one_email(fitting, others)
        # No column has addresses: then each row says so.
        if not certain:
            raise self._no_email()
        return self._one_email(not_answers or certain)

    def _one_email(
        self, candidates: list[_Candidate], of_others: Sequence[_Candidate] = ()
    ) -> _Candidate:
        """The candidate of the lowest rank. `of_others` are columns of addresses that are named as somebody else's."""
        rank = min(one.named.rank for one in candidates)
        first = [one for one in candidates if one.named.rank == rank]
        if rank >= OTHER_RANK:
            # "User Email" next to "Invitee Email": of a word that nobody knows, it is uncertain whose address it is.
            first += [one for one in candidates if one.fits and rank < LOOSE_RANK <= one.named.rank]
        if rank == LOOSE_RANK:
            # "To Email Address" next to "From Email Address".
            first = sorted([*first, *of_others], key=lambda one: one.position)
        if len(first) > 1:
            raise self._several_emails([one.position for one in first])
        (email,) = first
        passed_over = [
            self._shown(position)
            for position, one in self._named.items()
            if one.field == "email"
            and one.certain
            and one.rank < rank
            and position != email.position
        ]
        if passed_over:
            self._note(
                "column_chosen",
                f"The email is read from {self._shown(email.position)}, since {listed(passed_over)} "
                "has no addresses in the first rows.",
            )
        others = [
            self._shown(one.position) for one in candidates if one.fits and one.named.rank > rank
        ]
        if others and not passed_over:
            self._note(
                "column_chosen",
                f"The email is read from {self._shown(email.position)}; {listed(others)} has addresses too.",
            )
        elif rank >= LOOSE_RANK and not passed_over:
            self._note(
                "column_chosen",
                f"The email is read from {self._shown(email.position)}, since it has addresses.",
            )
        return email

    def _holds_addresses(self, position: int, name: Named) -> bool | None:
        values = self._column(position)
        if not values:
            return None
        rows = [row.addresses[position] for row in self._rows if position in row.addresses]
        if name.certain:
            return len(rows) > len(values) * _SOME
        return sum(rows) >= len(values) * _MOSTLY

    def _unnamed(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Columns whose values are addresses but whose names are not clearly an email's."""
        counts = Counter(
            position for row in self._rows for position, whole in row.addresses.items() if whole
        )
        known = {one.position for one in candidates}
        return [
            _Candidate(position, Named("email", _UNNAMED_RANK, certain=False), fits=True)
            for position, count in counts.items()
            if position < len(self._names)
            and position not in known
            and not of_somebody_else(self._names[position])
            and count >= len(self._column(position)) * _MOSTLY
        ]

    # The other fields

    def _standard(self, field: str, email: int) -> int | None:
        candidates = sorted(
            (
                _Candidate(position, one, self._fits(field, position))
                for position, one in self._named.items()
                if one.field == field and position != email
            ),
            key=lambda one: (one.named.rank, not one.named.certain, one.position),
        )
        fitting = [one for one in candidates if one.fits]
        blank = [one for one in candidates if one.fits is None and one.named.certain]
        chosen = next(iter(fitting or blank), None)
        for one in candidates:
            if one.fits is False and one.named.certain:
                self._note(
                    "column_not_used",
                    f"{self._shown(one.position)} is not used as the {field}: most of its values in the "
                    "first rows are something else.",
                )
        if chosen is None:
            return None
        empty = [one for one in blank if one.named.rank < chosen.named.rank]
        if empty and chosen.fits:
            self._note(
                "column_chosen",
                f"The {field} is read from {self._shown(chosen.position)}, since "
                f"{self._shown(empty[0].position)} is blank in the first rows.",
            )
        elif len(fitting) > 1:
            others = listed([self._shown(one.position) for one in fitting[1:]])
            self._note(
                "column_chosen",
                f"The {field} is read from {self._shown(chosen.position)}, not from {others}.",
            )
        return chosen.position

    def _fits(self, field: str, position: int) -> bool | None:
        values = self._column(position)
        if not values:
            return None
        answers = known_names().answers
        if field in ("country", "language"):
            # "no" is also Norway and Norwegian, unless other values are answers such as "yes".
            others = {plain(value) for value in values} & answers
            answers = answers if others - _NORWEGIAN else frozenset()
        else:
            # Many short answers are also names, unless another value shows that they are answers.
            is_question = any(plain(value) in _SURE_ANSWERS for value in values)
            answers = answers if is_question else frozenset()
        fitting = sum(_is_value(field, value, answers) for value in values)
        return fitting >= len(values) * _MOSTLY

    # What is left

    def _custom(self, mapped: Mapping[str, int]) -> dict[str, str]:
        """The custom fields: every other column that has a name, each with its own key."""
        taken = set(mapped.values())
        custom: dict[str, str] = {}
        nameless = []
        keys = _Keys()
        chars = 0
        for position, name in enumerate(self._names):
            if position in taken:
                continue
            if not name:
                nameless.append(f"{position + 1}")
                continue
            key = keys.add(name)
            reference = self._reference(position)
            chars += len(key) + len(reference)
            if chars > MAX_MATCHED_CHARS:
                self._note(
                    "column_left_out",
                    f"Column {position + 1} is left out: the names of the columns before it are "
                    f"{MAX_MATCHED_CHARS:,} characters, the most without a column map.",
                )
                continue
            if key != name:
                self._note(
                    "column_renamed",
                    f"The custom field of column {position + 1} is called {shortened(key)!r}.",
                )
            custom[key] = reference
        if nameless:
            self._note(
                "column_left_out", f"Without a name, and left out: column {listed(nameless)}."
            )
        if len(custom) > MAX_CUSTOM_FIELDS:
            raise too_many_columns(len(custom))
        return custom

    def _reference(self, position: int) -> str:
        name = self._names[position]
        if self._times[self._folds[position]] == 1 and 0 < len(name) <= MAX_CUSTOM_FIELD_KEY_CHARS:
            return name
        # Another column may already be called "Note (column 2)". Then a shorter part of the name is unique.
        for length in range(min(len(name), MAX_REFERENCE_CHARS), -1, -1):
            reference = column_reference(name[:length].rstrip(), position)
            if fold_header(reference) not in self._times:
                return reference
        raise FileError(
            "AMBIGUOUS_COLUMN",
            f"Column {position + 1} cannot be told from others by its name. Rename it.",
            data={"columns": [position + 1]},
        )

    # Helpers

    def _column(self, position: int) -> list[str]:
        """A column's values in the first rows, without the blank ones."""
        if position not in self._values:
            cells = (row.cells[position] for row in self._rows if position < len(row.cells))
            values = (clean_value(cell[:_VALUE_CHARS]) for cell in cells)
            self._values[position] = [value for value in values if value]
        return self._values[position]

    def _are_answers(self, position: int) -> bool:
        answers = known_names().answers
        values = self._column(position)
        return bool(values) and all((plain(value) or value) in answers for value in values)

    def _note(self, code: NoteCode, message: str) -> None:
        self._notes.setdefault(code, []).append(message)

    def _shown(self, position: int) -> str:
        name = self._names[position]
        if self._times[self._folds[position]] == 1 and name:
            return repr(shortened(name))
        return repr(column_reference(shortened(name), position))

    def _several_emails(self, positions: list[int]) -> FileError:
        some = positions[:MAX_LISTED]
        return FileError(
            "AMBIGUOUS_COLUMN",
            f"Several columns may be the email: {listed([self._shown(one) for one in positions])} (columns "
            f"{listed([str(one + 1) for one in positions])}). "
            "Say which one in a column map, or remove the others.",
            data={
                "field": "email",
                "headers": [shortened(self._names[position]) for position in some],
                "columns": [position + 1 for position in some],
            },
        )

    def _no_email(self) -> FileError:
        return FileError(
            "COLUMN_NOT_FOUND",
            "No column has an email's usual name or addresses in the first rows. Name one 'Email', or send a "
            "column map." + sentence_of_columns(self._names),
            data={
                "field": "email",
                "headers": [shortened(name) for name in self._names[:MAX_LISTED]],
            },
        )


def _is_value(field: str, value: str, answers: frozenset[str]) -> bool:
    """Whether a value is right for a standard field, and not an answer to a question."""
    letters = sum(map(str.isalpha, value))
    digits = sum(map(str.isdecimal, value))
    if field == "phone":
        # What a spreadsheet made of a long number: most of it is lost.
        is_rounded = _ROUNDED.fullmatch(value) is not None
        return digits >= _MIN_DIGITS and digits > letters and not is_rounded
    if "@" in value or plain(value) in answers:
        return False
    if field == "language":
        return value[0].isalpha() and len(value) <= _MAX_LANGUAGE_CHARS
    if field == "country":
        return letters > 0 and not digits
    if _KEY.fullmatch(value):
        return False
    # Some people are called by a number, but not by one as long as a phone number.
    return letters > 0 or digits < _MIN_PHONE_DIGITS


class _Keys:
    """Keys of custom fields. Any two of them differ in more than case."""

    def __init__(self) -> None:
        self._taken = set[str]()
        self._last: dict[str, int] = {}

    def add(self, name: str) -> str:
        """A key for a column with this name: shortened, and with a number after it if it is taken."""
        key = unique = name[:MAX_CUSTOM_FIELD_KEY_CHARS].rstrip()
        fold = fold_header(key)
        number = self._last.get(fold, 1)
        while fold_header(unique) in self._taken:
            number += 1
            end = f" ({number})"
            unique = key[: MAX_CUSTOM_FIELD_KEY_CHARS - len(end)].rstrip() + end
        self._last[fold] = number
        self._taken.add(fold_header(unique))
        return unique


def _more(messages: Iterable[str]) -> list[str]:
    left = len(list(messages)) - MAX_LISTED
    return [f"And {left:,} more."] if left > 0 else []
