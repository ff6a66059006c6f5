"""Cells that a spreadsheet would take for formulas: made harmless, and made again what they were.

A cell that begins like a formula gets an apostrophe in front, and so does one that begins with apostrophes and then
like a formula: so each cell can be told from every other, and nothing is lost on the way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from contact_imports.model.column_map import SPREADSHEET_COLUMNS

# Spreadsheets skip blanks in front of a formula, and take the full-width signs for the others.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def escape_formulas(cells: Iterable[str]) -> list[str]:
    """The cells as they can be opened in a spreadsheet."""
    return ["'" + cell if _FORMULA.match(cell) else cell for cell in cells]


def restore_formulas(cells: Iterable[str]) -> list[str]:
    """What the cells were before `escape_formulas`."""
    return [
        cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell for cell in cells
    ]


def is_spreadsheet_report(header: Sequence[str]) -> bool:
    """Whether a file is a report of failed rows that was made for spreadsheets, so that its cells are escaped."""
    names = [cell.strip() for cell in header if cell.strip()]
    return tuple(names[-len(SPREADSHEET_COLUMNS) :]) == SPREADSHEET_COLUMNS
