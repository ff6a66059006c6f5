"""How the text of a file is encoded: the names that people may send."""

from __future__ import annotations

ENCODINGS = {
    "utf8": "utf-8",
    "utf16": "utf-16",
    "latin1": "iso8859-1",
    "shiftjis": "shift_jis",
    "sjis": "shift_jis",
    "eucjp": "euc_jp",
    "gb18030": "gb18030",
    "gbk": "gbk",
    "big5": "big5",
    "euckr": "euc_kr",
    "koi8r": "koi8-r",
    "macroman": "mac-roman",
    "cp437": "cp437",
    "cp850": "cp850",
    **{f"windows125{n}": f"cp125{n}" for n in range(9)},
    **{f"cp125{n}": f"cp125{n}" for n in range(9)},
    **{f"iso8859{n}": f"iso8859-{n}" for n in range(1, 17) if n != 12},
}
"""Python's codec by the letters and digits of an encoding's usual name."""

_EXAMPLES = "utf-8, utf-16, windows-1252, iso-8859-1, shift_jis, gb18030, big5, euc-kr or koi8-r"


def canonical_encoding(name: str) -> str:
    """Python's codec of an encoding's usual name: `cp1252` for `Windows-1252`.

    Case and punctuation do not matter. Raises ValueError with a message for the sender where it is not known.
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    if plain not in ENCODINGS:
        raise ValueError(f"is not an encoding that we know; use {_EXAMPLES}")
    return ENCODINGS[plain]
