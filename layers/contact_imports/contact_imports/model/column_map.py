"""Which CSV column is which field of a contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from contact_imports.model.errors import FileError
from contact_imports.model.limits import MAX_COLUMNS, MAX_CUSTOM_FIELD_KEY_CHARS, MAX_CUSTOM_FIELDS

STANDARD_FIELDS = ("firstName", "lastName", "name", "phone", "country", "language")
CUSTOM_FIELD_PREFIX = "customFields."
REPORT_COLUMNS = ("import_row", "import_error")
"""What the failed-rows report adds after a file's own columns; they are ignored when it is sent again."""
SPREADSHEET_COLUMNS = ("import_row", "import_error_spreadsheet")
"""The same for the report that is made for spreadsheets, whose cells are escaped."""

_NAMES = {
    "email": (
        *("email", "emailaddress", "mail", "mailaddress", "emailid", "primaryemail", "email1"),
        *("emailaddress1", "contactemail", "useremail", "workemail", "businessemail", "personalemail"),
    ),
    "firstName": ("firstname", "givenname", "forename", "first", "fname"),
    "lastName": ("lastname", "surname", "familyname", "last", "lname"),
    "name": ("name", "fullname", "displayname", "contactname", "contact"),
    "phone": (
        *("phone", "phonenumber", "telephone", "telephonenumber", "tel", "mobile", "mobilephone"),
        *("mobilenumber", "cell", "cellphone", "phone1", "primaryphone", "workphone", "businessphone"),
        *("homephone",),
    ),
    "country": ("country", "countryname", "countryregion", "countrycode", "homecountry"),
    "language": ("language", "lang", "locale", "preferredlanguage", "languagecode"),
}  # fmt: skip
"""Usual names of a field's column, the likeliest first: letters and digits alone, in lower case."""

_HEADERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The API's `columnMap`: each field of a contact with the name of its CSV header."""

    email: str
    firstName: str | None = None
    lastName: str | None = None
    name: str | None = None
    phone: str | None = None
    country: str | None = None
    language: str | None = None
    customFields: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The fields that are mapped, as the API has them."""
        return {name: value for name, value in asdict(self).items() if value}

    def headers(self) -> dict[str, str]:
        """Field to CSV header, email first; a custom field `plan` is called `customFields.plan`."""
        named = {name: getattr(self, name) for name in ("email", *STANDARD_FIELDS)}
        return {name: header for name, header in named.items() if header is not None} | {
            CUSTOM_FIELD_PREFIX + key: header for key, header in self.customFields.items()
        }


@dataclass(frozen=True, slots=True)
class Columns:
    """A column map that was found in a file: `positions[i]` is the column of `fields[i]`; fields[0] is email.

    `width` is the number of columns without those of a report, which `is_report` says there are.
    """

    fields: tuple[str, ...]
    positions: tuple[int, ...]
    width: int
    is_report: bool = False


def find_columns(column_map: ColumnMap, header: Sequence[str]) -> Columns:
    """Where in a file's header the mapped columns are; blanks around a name and its case do not matter.

    An exact match goes before one that differs in case. Raises FileError where a mapped header is missing
    or stands more than once.
    """
    width, is_report = _own_columns(header, column_map)
    names = [cell.strip() for cell in header[:width]]
    folded = [name.casefold() for name in names]
    mapped = column_map.headers()
    positions = tuple(_find(field, wanted, names, folded) for field, wanted in mapped.items())
    return Columns(tuple(mapped), positions, width, is_report)


def match_columns(header: Sequence[str]) -> ColumnMap:
    """The column map that a header speaks for itself; what is no standard field becomes a custom field.

    Case, blanks, punctuation and usual synonyms do not matter. Raises FileError where no column is the
    email, or names are too long or the same.
    """
    width, _ = _own_columns(header, None)
    names = [cell.strip() for cell in header[:width]]
    plain = ["".join(filter(str.isalnum, name.casefold())) for name in names]
    mapped: dict[str, int] = {}
    for standard, usual in _NAMES.items():
        for name in usual:
            found = [position for position, one in enumerate(plain) if one == name]
            if len(found) > 1:
                raise _ambiguous(standard, names[found[0]], found)
            if found:
                mapped[standard] = found[0]
                break
    if "email" not in mapped:
        raise _no_email(names)
    custom: dict[str, int] = {}
    taken = set(mapped.values())
    for position, name in enumerate(names):
        if not name or position in taken:
            continue
        if len(name) > MAX_CUSTOM_FIELD_KEY_CHARS:
            raise FileError(
                "INVALID_HEADER",
                f"The name of column {position + 1} has {len(name):,} characters; "
                f"{MAX_CUSTOM_FIELD_KEY_CHARS} is the most without a column map. Make it shorter.",
                data={"columns": [position + 1]},
            )
        same = [other for other, one in enumerate(names) if one.casefold() == name.casefold()]
        if len(same) > 1:
            raise _ambiguous(CUSTOM_FIELD_PREFIX + name, name, same)
        custom[name] = position
    if len(custom) > MAX_CUSTOM_FIELDS:
        raise _too_wide(len(custom))
    of_standard = {name: names[position] for name, position in mapped.items()}
    return ColumnMap(**of_standard, customFields={name: name for name in custom})


def _own_columns(header: Sequence[str], column_map: ColumnMap | None) -> tuple[int, bool]:
    """How many columns are the file's own, and whether those of a report follow them.

    A file that maps a column of such a name has it for itself.
    """
    if len(header) > MAX_COLUMNS:
        raise _too_wide(len(header))
    names = [cell.strip() for cell in header]
    while names and not names[-1]:
        names.pop()
    added = len(REPORT_COLUMNS)
    mapped = set(column_map.headers().values()) if column_map else set()
    last = tuple(names[-added:])
    if last in (REPORT_COLUMNS, SPREADSHEET_COLUMNS) and mapped.isdisjoint(last):
        return len(names) - added, True
    return len(header), False


def _find(field: str, wanted: str, names: list[str], folded: list[str]) -> int:
    for candidates, target in ((names, wanted), (folded, wanted.casefold())):
        found = [position for position, name in enumerate(candidates) if name == target]
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(field, wanted, found)
    raise _not_found(field, wanted, names)


def _ambiguous(field: str, name: str, positions: Sequence[int]) -> FileError:
    numbers = [position + 1 for position in positions]
    columns = ", ".join(map(str, numbers))
    return FileError(
        "AMBIGUOUS_COLUMN",
        f"The file has {len(numbers)} columns named {name!r} (columns {columns}), so {field} could be "
        "any of them. Rename them so that each name stands once.",
        data={"field": field, "header": name, "columns": numbers},
    )


def _too_wide(columns: int) -> FileError:
    return FileError(
        "UNREADABLE_FILE",
        f"The file has {columns} columns; {MAX_COLUMNS} is the most. Remove columns that are not mapped.",
    )


def _not_found(field: str, wanted: str, names: list[str]) -> FileError:
    # Here, since only a refusal needs it.
    import difflib

    by_fold = {name.casefold(): name for name in names if name}
    close = difflib.get_close_matches(wanted.casefold(), by_fold, n=1)
    nearest = by_fold[close[0]] if close else None
    message = f"The file has no column {wanted!r}, which {field} is mapped to."
    if nearest:
        message += f" Did you mean {nearest!r}?"
    return FileError(
        "COLUMN_NOT_FOUND",
        message + _shown(names),
        data={
            "field": field,
            "header": wanted,
            "headers": names[:_HEADERS_SHOWN],
            "nearest": nearest,
        },
    )


def _no_email(names: list[str]) -> FileError:
    message = (
        "No column has a name that an email's usually has. Name one 'Email', or send a column map."
    )
    data = {"field": "email", "headers": names[:_HEADERS_SHOWN]}
    return FileError("COLUMN_NOT_FOUND", message + _shown(names), data=data)


def _shown(names: list[str]) -> str:
    """The columns that there are, in a sentence, and what else a person may want to look at."""
    shown = ", ".join(repr(name) for name in names[:_HEADERS_SHOWN])
    if len(names) > _HEADERS_SHOWN:
        shown += f" and {len(names) - _HEADERS_SHOWN} more"
    sentence = f" The columns are: {shown}."
    other = _other_delimiter(names)
    if other:
        sentence += f" If the file is separated by {other}, send that as delimiter."
    return sentence


def _other_delimiter(names: list[str]) -> Literal["semicolons", "tabs", "commas", "pipes"] | None:
    """A file read with the wrong delimiter has one column, whose name holds the right one."""
    if len(names) != 1:
        return None
    if ";" in names[0]:
        return "semicolons"
    if "\t" in names[0]:
        return "tabs"
    if "," in names[0]:
        return "commas"
    return "pipes" if "|" in names[0] else None
