"""Reads JSON that people write, and refuses it with the place where it is wrong."""

from __future__ import annotations

import json
from typing import Any

from contact_imports.model.spelling import shown


def read_json(text: str) -> Any:
    """The value of JSON text; numbers are floats.

    Raises ValueError with a message that says what is wrong, if possible with line and column (from 1), and does not
    repeat the text. An object that has a name twice is refused, since one of the two would be ignored.
    """
    try:
        # Integers of any length: Python's int refuses those of more than 4,300 digits.
        return json.loads(text, object_pairs_hook=_object, parse_int=float)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:].removesuffix(" starting at").removesuffix(
            " at"
        )
        raise ValueError(f"line {error.lineno}, column {error.colno}: {what}") from None
    except RecursionError:
        raise ValueError("its objects and lists are nested too deeply") from None


def is_unicode(value: object) -> bool:
    """Whether a JSON value can be stored. JSON can escape half of a surrogate pair, which UTF-8 cannot encode."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the name {shown(name)} is twice in one object; remove one")
        values[name] = value
    return values
