"""Names that people write: what they probably meant, and how messages show them."""

from __future__ import annotations

from collections.abc import Iterable

_NEAR = 0.8
"""Above it, difflib's ratio takes two names for the same word: 'delimeter' and 'delimiter' have 0.89, 'tag' and
'tags' 0.86, but 'etag' and 'tags' 0.75."""

_MAX_SHOWN_CHARS = 40


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one most likely means, such as `projectId` for `project_id` or `projctId`; None if
    none is similar. Only letters are compared, without case."""
    by_letters = {_letters(one): one for one in known}
    letters = _letters(name)
    if letters in by_letters:
        return by_letters[letters]
    if len(letters) > _MAX_SHOWN_CHARS:
        return None
    # Imported here, since only refusals need it.
    import difflib

    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_NEAR)
    return by_letters[near[0]] if near else None


def shown(name: str) -> str:
    """A name as messages show it: in quotes, or only its length if it is too long for a name.

    A long one may be a value or a key in the wrong place, which must not be repeated.
    """
    if len(name) > _MAX_SHOWN_CHARS or not name.isprintable():
        return f"of {len(name):,} characters"
    return f"'{name}'"


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name)).lower()
