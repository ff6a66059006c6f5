"""Notes on what was found, chosen or left out while a file was read. They are shown to the sender."""

from __future__ import annotations

from typing import Literal

import msgspec

NoteCode = Literal[
    "lines_skipped",
    "footer_skipped",
    "column_chosen",
    "column_not_used",
    "column_renamed",
    "column_left_out",
]


class Note(msgspec.Struct, frozen=True):
    """One note: a code for programs, one or two sentences for people."""

    code: NoteCode
    message: str

    def as_api(self) -> dict[str, str]:
        """One entry of the `notes` of an import."""
        return {"code": self.code, "message": self.message}


MAX_LISTED = 20
"""How many columns or lines a message names. For the others it says how many there are."""


def listed(names: list[str]) -> str:
    """Names as a sentence lists them, at most MAX_LISTED of them."""
    shown = ", ".join(names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED:,} more"
