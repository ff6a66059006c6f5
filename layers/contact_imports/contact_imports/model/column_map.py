"""Column maps: which CSV column is which field of a contact."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_COLUMN_MAP_BYTES, MAX_COLUMNS
from contact_imports.model.text import clean_header, fold_header

STANDARD_FIELDS = ("firstName", "lastName", "name", "phone", "country", "language")
CUSTOM_FIELD_PREFIX = "customFields."
REPORT_COLUMNS = ("import_row", "import_error")
"""The columns that a report of failed rows adds to a file's own. They are ignored when the report is sent again."""
SPREADSHEET_COLUMNS = ("import_row", "import_error_spreadsheet")
"""The same columns in a report for spreadsheets, whose cells are escaped."""

_HEADERS_SHOWN = 20
_SHOWN_CHARS = 80

MAX_REFERENCE_CHARS = 60
"""How much of a long header a reference to its column has."""

_REFERENCE = re.compile(r"(.*)\(column ([1-9][0-9]{0,3})\)", re.DOTALL)


class ColumnMap(msgspec.Struct, frozen=True, rename="camel"):
    """The API's `columnMap`: each field of a contact with the name of its CSV header. On the wire, and in an import's
    record, the names are camelCase."""

    email: str
    first_name: str | None = None
    last_name: str | None = None
    name: str | None = None
    phone: str | None = None
    country: str | None = None
    language: str | None = None
    custom_fields: Mapping[str, str] = {}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ColumnMap:
        """The column map of values as the API has them; the opposite of `as_dict`."""
        return msgspec.convert(values, cls)

    def as_dict(self) -> dict[str, Any]:
        """The fields that are mapped, as the API has them."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}

    def headers(self) -> dict[str, str]:
        """Field to CSV header, email first; a custom field `plan` is called `customFields.plan`."""
        named: dict[str, Any] = msgspec.to_builtins(self)
        del named["customFields"]
        return {name: header for name, header in named.items() if header is not None} | {
            CUSTOM_FIELD_PREFIX + key: header for key, header in self.custom_fields.items()
        }


class Columns(msgspec.Struct, frozen=True):
    """Where the fields of a column map are in a file: `fields[i]` is in column `positions[i]`; `fields[0]` is the email.

    `width` is the number of the file's own columns. `is_report` is whether the columns of a report follow them.
    """

    fields: tuple[str, ...]
    positions: tuple[int, ...]
    width: int
    is_report: bool = False


def find_columns(column_map: ColumnMap, header: Sequence[str]) -> Columns:
    """Where in a file's header the mapped columns are.

    Blanks, invisible characters, Unicode's ways to write a letter, and case do not matter; an exact match goes
    before one that differs in case. `Note (column 3)` is the third column, if its name begins with `Note`.
    Raises FileError where a mapped header is missing or several columns have it.
    """
    width, is_report = own_columns(header, column_map)
    names = [clean_header(cell) for cell in header[:width]]
    exact, folded = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for position, name in enumerate(names):
        if not name:
            continue
        exact[name].append(position)
        folded[fold_header(name)].append(position)
    mapped = column_map.headers()
    positions = tuple(
        _find(field, wanted, names, exact, folded) for field, wanted in mapped.items()
    )
    return Columns(tuple(mapped), positions, width, is_report)


def column_reference(name: str, position: int) -> str:
    """How a column map names a column if other columns have the same name, or if it has no name."""
    short = name if len(name) <= MAX_REFERENCE_CHARS else name[:MAX_REFERENCE_CHARS].rstrip()
    return f"{short} (column {position + 1})".lstrip()


def stored_bytes(column_map: ColumnMap) -> int:
    """The size of a column map in an import's record: its JSON in UTF-8, without blanks."""
    return len(json.dumps(column_map.as_dict(), ensure_ascii=False, separators=(",", ":")).encode())


def check_stored_size(column_map: ColumnMap) -> None:
    """Raises FileError if a column map that was matched from a file's header is too large to be stored."""
    size = stored_bytes(column_map)
    if size > MAX_COLUMN_MAP_BYTES:
        raise FileError(
            "INVALID_HEADER",
            f"The names of the columns are too long: mapping them takes {size:,} bytes; "
            f"{MAX_COLUMN_MAP_BYTES:,} is the most. Make them shorter, remove columns, or send a column map "
            "of those that you need.",
        )


def own_columns(header: Sequence[str], column_map: ColumnMap | None) -> tuple[int, bool]:
    """How many columns are the file's own, and whether the columns of a report follow them.

    A column that the column map names is the file's own. Raises FileError if there are too many columns.
    """
    if len(header) > MAX_COLUMNS:
        raise too_many_columns(len(header))
    names = [clean_header(cell) for cell in header]
    while names and not names[-1]:
        names.pop()
    added = len(REPORT_COLUMNS)
    mapped = set(column_map.headers().values()) if column_map else set()
    last = tuple(names[-added:])
    # A file can have columns of these names and be reported: then the map means the file's own.
    if last in (REPORT_COLUMNS, SPREADSHEET_COLUMNS) and mapped.intersection(last) <= {
        *names[:-added]
    }:
        return len(names) - added, True
    return len(header), False


def _find(
    field: str,
    wanted: str,
    names: list[str],
    exact: Mapping[str, list[int]],
    folded: Mapping[str, list[int]],
) -> int:
    fold = fold_header(wanted)
    found = exact.get(clean_header(wanted)) or folded.get(fold)
    if found:
        if len(found) > 1:
            raise _ambiguous(field, wanted, found)
        return found[0]
    reference = _REFERENCE.fullmatch(fold)
    if reference:
        start, number = reference[1].rstrip(), int(reference[2])
        if number <= len(names) and fold_header(names[number - 1]).startswith(start):
            return number - 1
    raise _not_found(field, wanted, names)


def _ambiguous(field: str, name: str, positions: Sequence[int]) -> FileError:
    numbers = [position + 1 for position in positions]
    columns = ", ".join(map(str, numbers))
    return FileError(
        "AMBIGUOUS_COLUMN",
        f"The file has {len(numbers)} columns named {shortened(name)!r} (columns {columns}), so "
        f"{shortened(field)} could "
        "be any of them. Rename them so that no two names are the same, or send "
        f"{column_reference(shortened(name), positions[0])!r} in the column map.",
        data={"field": shortened(field), "header": shortened(name), "columns": numbers},
    )


def too_many_columns(columns: int) -> FileError:
    """The refusal of a file with more than MAX_COLUMNS."""
    return FileError(
        "UNREADABLE_FILE",
        f"The file has {columns} columns; {MAX_COLUMNS} is the most. Remove columns that are not mapped.",
    )


def _not_found(field: str, wanted: str, names: list[str]) -> FileError:
    # Here, since only a refusal needs it.
    import difflib

    # Not of very long names, which take long to compare, nor of a header that was not separated.
    short = [name for name in (wanted, *names) if name and shortened(name) == name]
    by_fold = {name.casefold(): name for name in short[1:]}
    comparable = short[:1] == [wanted] and _other_delimiter(names) is None
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=1) if comparable else []
    nearest = by_fold[close[0]] if close else None
    message = f"The file has no column {shortened(wanted)!r}, which {field} is mapped to."
    if nearest:
        message += f" Did you mean {nearest!r}?"
    return FileError(
        "COLUMN_NOT_FOUND",
        message + sentence_of_columns(names),
        data={
            "field": field,
            "header": shortened(wanted),
            "headers": [shortened(name) for name in names[:_HEADERS_SHOWN]],
            "nearest": nearest,
        },
    )


def sentence_of_columns(names: Sequence[str]) -> str:
    """A sentence that lists the columns, and another if the delimiter seems to be wrong."""
    some = ", ".join(repr(shortened(name)) for name in names[:_HEADERS_SHOWN])
    if len(names) > _HEADERS_SHOWN:
        some += f" and {len(names) - _HEADERS_SHOWN} more"
    sentence = f" The columns are: {some}."
    other = _other_delimiter(names)
    if other:
        sentence += f" If the file is separated by {other}, send that as delimiter."
    return sentence


def shortened(name: str) -> str:
    """A header as messages show it: at most 80 characters."""
    return name if len(name) <= _SHOWN_CHARS else name[: _SHOWN_CHARS - 1] + "…"


def _other_delimiter(
    names: Sequence[str],
) -> Literal["semicolons", "tabs", "commas", "pipes"] | None:
    """The delimiter that a file probably has, if its header has one column with a delimiter in its name."""
    if len(names) != 1:
        return None
    if ";" in names[0]:
        return "semicolons"
    if "\t" in names[0]:
        return "tabs"
    if "," in names[0]:
        return "commas"
    return "pipes" if "|" in names[0] else None
