"""Where a file's table ends: leaves out the totals, notes and rules that programs write around the rows.

Only what is certainly not a row is left out. Anything else is a row, which fails with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from contact_imports.files.records import Block, is_blank
from contact_imports.model.column_map import Columns
from contact_imports.model.errors import FileError
from contact_imports.model.header_names import MAX_NAME_CHARS, known_names, plain
from contact_imports.model.notes import Note
from contact_imports.model.text import clean_value, fold_header

MAX_FOOTER_RECORDS = 20
"""How many records at a file's end may be a footer."""

_SENTENCE_WORDS = 5
"""A single text with this many words, after a blank line, is a sentence and not a name."""

_HEADER_FIELDS = 2
"""Fields that a record names, which make it a header: the email and another one."""

_RULE = re.compile(r"[-=_*+|:.~# ]{2,}")
_COUNTED = (
    r"contacts?|rows?|row\(s\)|records?|entries|entry|items?|lines?|results?|members?|subscribers?|people|users?|Zeilen?|"
    r"Datensatz|Datensätze|Kontakte?|Eintrag|Einträge|lignes?|enregistrements?|filas?|registros?|righe|record|linhas?|rijen|wierszy|rekordów|строк[аи]?|записей"
)
_TOTALS = (
    r"(?:grand |sub-?)?totals?|sum|count|number|Summe|Gesamt|Gesamtsumme|Insgesamt|Anzahl|total(?:e|es)?|nombre|suma|razem|totaal|"
    r"aantal|итого|всего|разом|celkem|összesen|toplam|yhteensä|summa|合計|総計|合计|总计|總計|합계|المجموع|סה\"כ"
)
_DONE = r"(?:affected|selected|exported|returned|found|listed|processed|written)"


# These take long to compile, and few files have a footer, so each is compiled when it is first used.
@cache
def _number() -> re.Pattern[str]:
    return re.compile(rf"[\d.,:/ %+-]*(?:{_COUNTED})?", re.IGNORECASE)


@cache
def _with_number() -> re.Pattern[str]:
    """A total or an end mark that cannot be a person's name."""
    return re.compile(
        rf"[#*/ -]*(?:{_TOTALS})(?: (?:of |number of )?(?:{_COUNTED}))?(?: {_DONE})?\s*[:=：]?\s*[\d][\d.,' ]*(?: ?(?:{_COUNTED}))?\.?"
        rf"|[#*/ -]*(?:{_COUNTED})(?: count| {_DONE})?\s*[:=：]\s*[\d][\d.,' ]*\.?"
        rf"|\(?\s*[\d][\d.,' ]*\s*(?:{_COUNTED})(?: (?:in set|total|{_DONE}))*(?: \([\d., a-z]*\))?\s*\)?\.?"
        r"|[-=*# ]*(?:end|end of (?:file|report|list|data|export|table)|eof|ende|fin|fine|fim|einde|koniec|конец)[-=*#. ]*(?<=[-=*#.])"
        r"|(?:page|seite|página|pagina|strona|страница) \d+(?: ?(?:of|von|de|di|van|z|из|/) ?\d+)?",
        re.IGNORECASE,
    )


@cache
def _total() -> re.Pattern[str]:
    """A total whose number is in another cell."""
    return re.compile(
        rf"(?:{_TOTALS})(?: (?:of |number of )?(?:{_COUNTED}))?\s*[:=：]?", re.IGNORECASE
    )


@cache
def _worded() -> re.Pattern[str]:
    """A footer's words, which may also be values of a row."""
    return re.compile(
        r"(?:confidential|copyright|\(c\)|©|all rights reserved|disclaimer|vertraulich|confidentiel|confidencial|riservato).*"
        r"|(?:this )?(?:report|file|list|data|export)?\s*(?:was |is )?(?:generated|exported|created|printed|downloaded|produced|prepared|"
        r"erstellt|exportiert|généré|exporté|generado|exportado|generato|esportato|gerado)\b.*"
        r"|(?:source|quelle|fuente|fonte|bron|note|notes|nota|hinweis|as of|stand|date|run date|export date|datum|fecha|report|filter|filters|filtered by)\s*:.*"
        r"|end of (?:file|report|list|data|export|table)\b.*|eof",
        re.IGNORECASE | re.DOTALL,
    )


class TableRows:
    """The records after a header in blocks, without the footer and the rule under the header.

    It can be iterated once. After that, `notes` says what was left out.
    """

    def __init__(self, blocks: Iterable[Block], columns: Columns) -> None:
        self._blocks = blocks
        self._columns = columns
        self._left_out: list[int] = []

    def __iter__(self) -> Iterator[Block]:
        email = self._columns.positions[0]
        is_first = True
        held_first, held = 1, list[list[str]]()
        for first, records in self._blocks:
            if is_first:
                if is_rule(records[0]):
                    self._left_out.append(first)
                    first, records = first + 1, records[1:]
                is_first = False
            # What comes after the last record with an address may be a footer.
            start = len(records)
            while start and not (
                len(records[start - 1]) > email and "@" in records[start - 1][email]
            ):
                start -= 1
            if start:
                if held:
                    yield held_first, held
                yield first, records[:start] if start < len(records) else records
                held_first, held = first + start, records[start:]
            elif held:
                held += records
            else:
                held_first, held = first, list(records)
            surplus = len(held) - MAX_FOOTER_RECORDS
            if surplus > MAX_FOOTER_RECORDS:
                yield held_first, held[:surplus]
                held_first, held = held_first + surplus, held[surplus:]
        end = rows_end(held, self._columns)
        self._left_out += [
            held_first + index
            for index, record in enumerate(held[end:], end)
            if not is_blank(record)
        ]
        if end:
            yield held_first, held[:end]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was left out; complete after the last record was read."""
        if not self._left_out:
            return ()
        numbers = ", ".join(map(str, self._left_out))
        one = len(self._left_out) == 1
        return (
            Note(
                "footer_skipped",
                f"Row{'' if one else 's'} {numbers} of the file {'was' if one else 'were'} skipped: a rule, a total or a "
                "note around the table, not a contact.",
            ),
        )


def check_same_table(
    number: int, record: Sequence[str], header: Sequence[str], columns: Columns
) -> None:
    """Raises FileError where a record after the header names columns again, and others than the header does.

    A file of several tables, one below another, has the values of the later ones in other columns. `number` is
    the record's in the file. It is a header if its cell in the email's column is a known name of an email, and another
    cell one of another field.
    """
    email = columns.positions[0]
    # The rows of a report failed, maybe since they are such a header.
    if not header or columns.is_report or email >= len(record) or "@" in record[email]:
        return
    # Exactly a known name: "no email" is a value.
    known = known_names().fields
    if known.get(plain(record[email][:MAX_NAME_CHARS]), ("", 0))[0] != "email":
        return
    fields = {known[name][0] for cell in record if (name := plain(cell[:MAX_NAME_CHARS])) in known}
    if len(fields) < _HEADER_FIELDS:
        return
    width = columns.width
    if list(map(fold_header, record[:width])) == list(map(fold_header, header[:width])):
        return
    raise FileError(
        "UNREADABLE_FILE",
        f"Row {number} of the file names the columns of another table. Keep one table, or send each in a file of "
        "its own.",
    )


def rows_end(records: Sequence[Sequence[str]], columns: Columns) -> int:
    """How many of these records, a file's last ones, come before its footer."""
    start = max(0, len(records) - MAX_FOOTER_RECORDS)
    end = start
    after_blank = after_footer = False
    for index in range(start, len(records)):
        record = records[index]
        if is_blank(list(record)):
            after_blank = True
        elif _is_footer(record, columns, after_blank=after_blank, after_footer=after_footer):
            after_footer = True
        else:
            end, after_blank, after_footer = index + 1, False, False
    return min(end, _notes_start(records, start, columns))


def _notes_start(records: Sequence[Sequence[str]], start: int, columns: Columns) -> int:
    """Where the notes after the last blank line before the end begin: short lines of one text without an address,
    of which one is worded as a footer. All records if that is no such block."""
    is_note = False
    for index in range(len(records) - 1, start - 1, -1):
        record = records[index]
        if is_blank(list(record)):
            if is_note:
                return index
            continue
        texts = [text for text in map(clean_value, record) if text]
        if len(record) >= columns.width or len(texts) != 1 or "@" in texts[0]:
            break
        is_note = is_note or _worded().fullmatch(texts[0]) is not None
    return len(records)


def is_rule(record: Sequence[str]) -> bool:
    """Whether a record is a drawn line, such as `----,----`."""
    cells = [cell for cell in map(clean_value, record) if cell]
    return bool(cells) and all(map(_RULE.fullmatch, cells))


def _is_footer(
    record: Sequence[str], columns: Columns, *, after_blank: bool, after_footer: bool
) -> bool:
    cells = [(position, clean_value(cell)) for position, cell in enumerate(record)]
    cells = [(position, cell) for position, cell in cells if cell]
    if any("@" in cell for _, cell in cells):
        return False
    if is_rule(record):
        return True
    position, text = cells[0]
    numbers = all(_number().fullmatch(cell) for _, cell in cells[1:])
    if numbers and (
        _with_number().fullmatch(text) or (len(cells) > 1 and _total().fullmatch(text))
    ):
        return True
    is_short = len(record) < columns.width
    if not (after_blank or is_short or position == columns.positions[0]):
        return False
    if _worded().fullmatch(text) or (numbers and _total().fullmatch(text)):
        return True
    # A single text in a short line is a footer if it is long or comes after one, and a blank line is before it.
    is_long = len(text.split()) >= _SENTENCE_WORDS
    return len(cells) == 1 and is_short and after_blank and (is_long or after_footer)
