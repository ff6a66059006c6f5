"""The rule of quoting, applied to one character at a time: slow and plain, for comparison in tests.

A cell is quoted if a quote is the first thing in it after blanks. In it two quotes are one, and after the closing
quote only blanks, a delimiter or a line end may follow. Everything else is data.
"""

from __future__ import annotations


class MalformedError(Exception):
    """The text breaks the rule."""


def read_by_the_rule(text: str, delimiter: str) -> list[list[str]]:
    """All records of a text, blank lines as records without cells; raises MalformedError."""
    records: list[list[str]] = []
    position = 0

    def peek() -> str:
        return text[position] if position < len(text) else ""

    def skip_blanks() -> None:
        nonlocal position
        while peek().isspace() and peek() not in f"\r\n{delimiter}":
            position += 1

    while position < len(text):
        cells: list[str] = []
        while True:
            start = position
            skip_blanks()
            cell = ""
            if peek() == '"':
                position += 1
                while True:
                    if not peek():
                        raise MalformedError("never closed")
                    if peek() == '"':
                        position += 1
                        if peek() != '"':
                            break
                    cell += peek()
                    position += 1
                skip_blanks()
                if peek() not in ("", "\r", "\n", delimiter):
                    raise MalformedError("text after a closing quote")
            else:
                while peek() not in ("", "\r", "\n", delimiter):
                    position += 1
                cell = text[start:position]
            cells.append(cell)
            if peek() != delimiter:
                break
            position += 1
        if cells == [""] and start == position:
            cells = []
        records.append(cells)
        position += 2 if text.startswith("\r\n", position) else 1
    return records
