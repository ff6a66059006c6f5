"""Escapes cells that a spreadsheet would run as formulas, and unescapes them.

A cell that begins like a formula, also after apostrophes, gets one more apostrophe in front. So different cells stay
different, and unescaping gives back what was there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from contact_imports.model.column_map import SPREADSHEET_COLUMNS

# Spreadsheets skip blanks in front of a formula, and take the full-width signs for the others.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def escape_formulas(cells: Iterable[str]) -> list[str]:
    """The cells with formulas escaped, safe to open in a spreadsheet."""
    return ["'" + cell if _FORMULA.match(cell) else cell for cell in cells]


def restore_formulas(cells: Iterable[str]) -> list[str]:
    """The cells as they were before `escape_formulas`."""
    return [
        cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell for cell in cells
    ]


def is_spreadsheet_report(header: Sequence[str]) -> bool:
    """Whether this is the header of a report that was made for spreadsheets, whose cells are escaped."""
    names = [cell.strip() for cell in header if cell.strip()]
    return tuple(names[-len(SPREADSHEET_COLUMNS) :]) == SPREADSHEET_COLUMNS
