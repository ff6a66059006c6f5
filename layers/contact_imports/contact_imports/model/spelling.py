"""Names that people write: what they meant by them, and how a message shows them."""

from __future__ import annotations

from collections.abc import Iterable

_NEAR = 0.8
"""Above it, difflib's ratio takes two names for the same word: 'delimeter' and 'delimiter' have 0.89, 'tag' and
'tags' 0.86, but 'etag' and 'tags' 0.75."""

_MAX_SHOWN_CHARS = 40


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a wrong one most likely means: `projectId` for `project_id` or `projctId`.

    Only letters count, in any case. None where no name is near.
    """
    by_letters = {_letters(one): one for one in known}
    letters = _letters(name)
    if letters in by_letters:
        return by_letters[letters]
    if len(letters) > _MAX_SHOWN_CHARS:
        return None
    # Here, since only a refusal needs it.
    import difflib

    near = difflib.get_close_matches(letters, by_letters, n=1, cutoff=_NEAR)
    return by_letters[near[0]] if near else None


def shown(name: str) -> str:
    """A name as a message shows it: in quotes, or its length where it is too long to be meant as a name.

    What is long may be a value, or a key, that was put in the wrong place: it is not repeated.
    """
    if len(name) > _MAX_SHOWN_CHARS or not name.isprintable():
        return f"of {len(name):,} characters"
    return f"'{name}'"


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name)).lower()
