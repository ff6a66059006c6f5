"""Finds the encoding of a whole file, so that no name silently turns into other letters.

Where a file is UTF-8 or UTF-16, its bytes prove it. Where it is not, it is Windows-1252 if that is clearly
the likeliest reading of its names (`files/legacy_encoding.py`), or it is refused with what it may be.
`docs/files.md` has the rules as a table.
"""

from __future__ import annotations

import codecs
import re
import zlib
from functools import cache
from typing import Protocol

from contact_imports.model.errors import FileError

HEAD_BYTES = 4096
"""How many of a file's first bytes `first_encoding` gets."""

UTF_8 = "utf-8-sig"
WESTERN = "cp1252"

_NAMES: dict[str, tuple[str, ...]] = {
    "utf-8": ("utf-8", "utf-8-sig", "unicode"),
    "utf-16": ("utf-16", "ucs-2"),
    "utf-16-le": ("utf-16le", "unicodelittle"),
    "utf-16-be": ("utf-16be", "unicodebig"),
    "utf-32": ("utf-32", "ucs-4"),
    "utf-32-le": ("utf-32le",),
    "utf-32-be": ("utf-32be",),
    # Latin-1 has control characters where windows-1252 has letters and signs, and is the same otherwise:
    # what is called Latin-1 is read as windows-1252, as browsers do (https://encoding.spec.whatwg.org/).
    "cp1252": (
        "windows-1252",
        "iso-8859-1",
        "latin-1",
        "l1",
        "ansi",
        "western",
        "us-ascii",
        "ascii",
    ),
    "cp1250": ("windows-1250",),
    "cp1251": ("windows-1251",),
    "cp1253": ("windows-1253",),
    "cp1254": ("windows-1254",),
    "cp1255": ("windows-1255",),
    "cp1256": ("windows-1256",),
    "cp1257": ("windows-1257",),
    "cp1258": ("windows-1258",),
    "cp874": ("windows-874", "tis-620", "iso-8859-11"),
    "iso8859_2": ("iso-8859-2", "latin-2", "l2"),
    "iso8859_3": ("iso-8859-3", "latin-3", "l3"),
    "iso8859_4": ("iso-8859-4", "latin-4", "l4"),
    "iso8859_5": ("iso-8859-5", "cyrillic"),
    "iso8859_6": ("iso-8859-6", "arabic"),
    "iso8859_7": ("iso-8859-7", "greek"),
    "iso8859_8": ("iso-8859-8", "hebrew"),
    "iso8859_9": ("iso-8859-9", "latin-5", "l5"),
    "iso8859_10": ("iso-8859-10", "latin-6", "l6"),
    "iso8859_13": ("iso-8859-13", "latin-7", "l7"),
    "iso8859_14": ("iso-8859-14", "latin-8", "l8"),
    "iso8859_15": ("iso-8859-15", "latin-9", "l9"),
    "iso8859_16": ("iso-8859-16", "latin-10", "l10"),
    # Of each pair of standards, the one that has the other in it.
    "cp932": ("shift_jis", "sjis", "x-sjis", "ms932", "windows-31j", "ms_kanji"),
    "euc_jp": ("euc-jp", "ujis", "x-euc-jp"),
    "iso2022_jp": ("iso-2022-jp",),
    "gb18030": ("gb18030", "gbk", "gb2312", "gb-2312-80", "cp936", "ms936", "euc-cn", "hz-free-gb"),
    "cp950": ("big5", "big5-tw", "ms950"),
    "big5hkscs": ("big5-hkscs",),
    "cp949": ("euc-kr", "ks_c_5601-1987", "ksc5601", "uhc", "ms949", "korean"),
    "koi8_r": ("koi8-r", "koi8"),
    "koi8_u": ("koi8-u",),
    "mac_roman": ("mac-roman", "macintosh", "mac", "x-mac-roman"),
    "mac_latin2": ("mac-latin2", "mac-centraleurope", "x-mac-ce"),
    "mac_cyrillic": ("mac-cyrillic", "x-mac-cyrillic"),
    "mac_greek": ("mac-greek", "x-mac-greek"),
    "mac_turkish": ("mac-turkish", "x-mac-turkish"),
    "mac_iceland": ("mac-iceland", "x-mac-icelandic"),
    **{
        f"cp{page}": (f"cp{page}", f"ibm{page}", f"dos-{page}")
        for page in (437, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 865, 866, 869)
    },
}
"""Python's codecs that we read: for each one its usual name, then other names."""

_USUAL_NAMES = (
    "utf-8, utf-16, windows-1250 to windows-1258, iso-8859-1 to iso-8859-16, shift_jis, euc-jp, "
    "iso-2022-jp, gb18030, big5, euc-kr, koi8-r, koi8-u, mac-roman, cp437, cp850, cp852 or cp866"
)

_BOMS = {
    # The longer first: UTF-32's begins with UTF-16's.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What a byte order mark of UTF-8 is when it was read in another encoding and then written in UTF-8:
# windows-1252 (once and twice), 1250 and 1251, Mac Roman, cp437, cp850.
_MISREAD_MARKS = ("ï»¿", "Ã¯Â»Â¿", "ď»ż", "п»ї", "Ôªø", "∩╗┐", "´╗┐")
_UTF_8_MARKS = re.compile(
    b"(?:"
    + b"|".join(map(re.escape, ("\ufeff".encode(), *map(str.encode, _MISREAD_MARKS))))
    + b")+"
)
_ASCII_CSV = re.compile(rb"[\t\n\r\x20-\x7e]")

_NOT_CSV = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF",
    b"{\\rtf": "a Rich Text document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
}
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<meta", b"<body", b"<table", b"<?xml")
# Every C0 control character but tab, line feed, vertical tab, form feed, return and escape.
_CONTROLS = bytes(set(range(32)) - {9, 10, 11, 12, 13, 27})
_BINARY_SHARE = 0.1
"""The share of control characters from which on a head is binary. Damaged text has a few."""
_WIDE_NUL_SHARE = 0.2
"""The share of NUL bytes in a head of UTF-16 or UTF-32: addresses and delimiters are ASCII in every language."""

_DAMAGED_SHARE = 0.6
"""If at least this share of the bytes that are not ASCII are valid UTF-8, a file is damaged UTF-8. We measured 0.67
and more in damaged files, 0.33 and less in files in other encodings."""
CLEARLY = 1.5
"""How much likelier, as a logarithm, Windows-1252 must be than any other text. bench/name_letters.py measures
what follows from it."""
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that Windows-1252 does not have."""
_OTHER_THAN_UNDEFINED = bytes(set(range(256)) - set(_UNDEFINED))
_C1 = bytes(range(0x80, 0xA0))
_OTHER_THAN_C1 = bytes(set(range(256)) - set(_C1))
_ASCII = bytes(range(128))
# What UTF-8 decodes to in a Windows-1252 file that has some: letters and marks of Western names.
_WESTERN_IN_UTF_8 = re.compile("[\u00c0-\u017f\u2013-\u2122]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


@cache
def _living() -> re.Pattern[str]:
    """Letters of living languages and usual marks: other encodings are valid UTF-8 by chance, but not this.

    It takes long to compile, and only a file that is not UTF-8 needs it.
    """
    return re.compile(
        "[\u00a0-\u017f\u0391-\u03af\u03b1-\u03ce\u0410-\u0457\u05d0-\u05ea\u0621-\u064a"
        "\u0900-\u0dff\u0e01-\u0e4e\u1e80-\u1ef9\u2010-\u2122\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3"
        "\uff00-\uffef\U0001f300-\U0001faff]"
    )


_LIVING_CHARACTERS = 1_000
"""How many characters of a file are looked at for that."""

_CHUNK_BYTES = 1024 * 1024
_SAMPLE_BYTES = 16 * 1024
_ASCII_SAMPLE_BYTES = 4 * 1024
_SAMPLE_LINE_BYTES = 4 * 1024
_CANDIDATES = 4
_UNLIKELY = 12.0
"""How much less likely, as a logarithm, than the first a candidate is not named any more."""


class EncodedFile(Protocol):
    """A file's bytes from its beginning. After reading, `has_iso_2022` says whether there were escape sequences of
    ISO 2022."""

    has_iso_2022: bool

    def head(self, size: int) -> bytes:
        """The next bytes, without reading past them."""
        ...

    def read(self, size: int = -1, /) -> bytes | None:
        """The next bytes; empty at the end."""
        ...


def canonical_encoding(name: str) -> str:
    """The name of Python's codec for an encoding, in any usual spelling.

    Raises ValueError, with a message that lists the usual names, for what is no encoding of text files.
    """
    codec = _CODECS.get(_folded(name))
    if codec is None:
        raise ValueError(f"is not an encoding that we know; use {_USUAL_NAMES}")
    return codec


def encoding_name(codec: str | None) -> str | None:
    """The usual name of a codec, which `canonical_encoding` accepts."""
    if codec is None:
        return None
    return _NAMES.get(codec, (codec,))[0] if codec != UTF_8 else "utf-8"


def _folded(name: str) -> str:
    folded = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(?:cswindows|windows|win|cp|ms|x?cp)(?=\d)", "cp", folded)


_CODECS = {_folded(name): codec for codec, names in _NAMES.items() for name in (codec, *names)}


def first_encoding(head: bytes, given: str | None = None) -> str:
    """The encoding to read a file in first: the one that was given, or the one that its beginning shows.

    `head` is the file's first HEAD_BYTES, gunzipped; `given` a codec of `canonical_encoding`. A file without
    a byte order mark may turn out to be in another encoding: reading raises UnicodeDecodeError then, and
    `find_encoding` decides. Raises FileError for what is no text.
    """
    for magic, name in _NOT_CSV.items():
        if head.startswith(magic):
            raise _no_csv(name)
    marked = next((encoding for bom, encoding in _BOMS.items() if head.startswith(bom)), None)
    wide = marked if marked in ("utf-16", "utf-32") else None
    wide = wide or (None if marked else _wide_without_mark(head))
    text = head.decode(wide, "ignore").encode() if wide else head
    if text[mark_bytes(text, UTF_8) :].lstrip().lower().startswith(_MARKUP):
        raise _no_csv("a web page or XML, even if its name ends in .xls or .csv")
    controls = len(text) - len(text.translate(None, _CONTROLS))
    if controls > len(text) * _BINARY_SHARE:
        raise _no_csv("binary data")
    if given is None:
        return wide or UTF_8
    found = wide or marked
    if found and not _agree(found, given):
        raise FileError(
            "UNREADABLE_FILE",
            f"The file is {encoding_name(found)}, as its first bytes show, not {encoding_name(given)}. "
            f"Send it without encoding, or with encoding={encoding_name(found)}.",
        )
    if given in ("utf-16", "utf-32") and not found:
        return f"{given}-le"  # what Windows writes
    return (found or given) if given in ("utf-16", "utf-32") else given


def mark_bytes(head: bytes, encoding: str) -> int:
    """How many bytes at a file's beginning are byte order marks to be skipped.

    There may be several marks, and a UTF-8 mark may have been read in another encoding and encoded again.
    """
    if encoding in ("utf-8", UTF_8):
        marks = _UTF_8_MARKS.match(head)
        return marks.end() if marks else 0
    if not encoding.startswith(("utf-16", "utf-32")):
        return 0
    at = 0
    for bom in (mark for mark in _BOMS if _agree(_BOMS[mark], encoding)):
        while head.startswith(bom, at):
            at += len(bom)
        if at:
            # These codecs take the byte order from the last mark.
            return at - len(bom) if encoding in ("utf-16", "utf-32") else at
    return at


def must_be_checked(encoding: str | None) -> bool:
    """Whether a file must be checked before it is read in this encoding, since reading finds no error: where Windows
    encodings have letters, ISO 8859 has control characters."""
    return encoding is not None and encoding.startswith("iso8859_")


def find_encoding(file: EncodedFile, given: str | None = None) -> str:
    """Reads a file to its end and returns its encoding. Memory does not grow with the file.

    `given` is the encoding that the sender named. Without it, the result is UTF-8, UTF-16 or UTF-32 if
    the bytes prove it, or Windows-1252 if that is clearly the likeliest. Raises FileError with the line if the file is damaged, or with the `candidates` if several encodings
    are possible (ENCODING_UNCERTAIN).
    """
    head = file.head(HEAD_BYTES)
    first = first_encoding(head, given)
    if given is not None or first != UTF_8:
        _check(file, first)
        return first
    scan = _Scan()
    while piece := file.read(_CHUNK_BYTES):
        scan.add(piece)
    scan.finish()
    if scan.bad_line is None:
        if file.has_iso_2022:
            raise iso_2022_error()
        return UTF_8
    if head.startswith(codecs.BOM_UTF8) or scan.is_damaged_utf_8:
        raise _damaged(scan.bad_line)
    return _legacy(scan)


def iso_2022_error() -> FileError:
    """The refusal of a file that is ASCII except for escape sequences of ISO 2022."""
    return _uncertain(1, ["iso-2022-jp"])


class _Scan:
    """Counts what in a file is valid UTF-8 and what is not, and keeps a sample of its lines."""

    def __init__(self) -> None:
        self.not_ascii = 0
        self.valid = 0
        self.undefined = 0
        self.western_in_utf_8 = False
        self._decoded = ""
        self.bad_line: int | None = None
        self._lines = 0
        self._rest = b""
        self._ascii = b""
        self._sample: dict[bytes, None] = {}
        self._sample_bytes = 0
        self._mask = 0

    def add(self, piece: bytes) -> None:
        """Takes the file's next bytes."""
        if self._rest:
            piece = self._rest + piece
        # Not a return at the end, which may be half of a line's end.
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
        self._rest = piece[end:]
        self._whole_lines(piece[:end])

    def finish(self) -> None:
        """Takes the end of the file."""
        self._whole_lines(self._rest)

    @property
    def is_damaged_utf_8(self) -> bool:
        """Whether the file is UTF-8 except for some bytes."""
        living = len(_living().findall(self._decoded)) * 2 > len(self._decoded)
        return living and self.valid >= self.not_ascii * _DAMAGED_SHARE

    @property
    def sample(self) -> bytes:
        """Lines from the whole file that are not ASCII, and some ASCII ones."""
        return b"\n".join((self._ascii, *self._sample))

    def _whole_lines(self, piece: bytes) -> None:
        if not self._ascii:
            lines = piece[: 4 * _ASCII_SAMPLE_BYTES].splitlines()
            self._ascii = b"\n".join(line for line in lines if line.isascii())[:_ASCII_SAMPLE_BYTES]
        if not piece.isascii():
            self._not_ascii(piece)
        if self.bad_line is None:
            self._lines += _line_ends(piece)

    def _not_ascii(self, piece: bytes) -> None:
        text = piece.decode("utf-8", "ignore")
        bad = len(piece) - len(text.encode())
        not_ascii = len(piece.translate(None, _ASCII))
        self.not_ascii += not_ascii
        self.valid += not_ascii - bad
        if not text.isascii():
            self.western_in_utf_8 = (
                self.western_in_utf_8 or _WESTERN_IN_UTF_8.search(text) is not None
            )
            if len(self._decoded) < _LIVING_CHARACTERS:
                self._decoded += "".join(_NOT_ASCII.findall(text))[:_LIVING_CHARACTERS]
        if not bad:
            return
        if self.bad_line is None:
            try:
                piece.decode()
            except UnicodeDecodeError as error:
                self.bad_line = self._lines + _line_ends(piece[: error.start]) + 1
        self.undefined += len(piece.translate(None, _OTHER_THAN_UNDEFINED))
        for line in piece.splitlines():
            if not line.isascii() and zlib.crc32(line) & self._mask == 0:
                self._add_to_sample(line)

    def _add_to_sample(self, line: bytes) -> None:
        if line in self._sample or (len(line) > _SAMPLE_LINE_BYTES and self._sample):
            return
        self._sample[line] = None
        self._sample_bytes += len(line)
        while self._sample_bytes > _SAMPLE_BYTES and len(self._sample) > 1:
            # Half of them, by chance but always the same, so that the sample is of the whole file.
            self._mask = self._mask * 2 + 1
            self._sample = {
                line: None for line in self._sample if zlib.crc32(line) & self._mask == 0
            }
            self._sample_bytes = sum(map(len, self._sample))


def _legacy(scan: _Scan) -> str:
    """Windows-1252, if that is clearly the encoding of a file that is not UTF-8."""
    from contact_imports.files.legacy_encoding import likely_readings

    line = scan.bad_line or 1
    readings = likely_readings(scan.sample)
    if not readings:
        raise FileError(
            "UNREADABLE_FILE",
            f"Line {line} is not text in UTF-8, nor the file in any other encoding that we know. "
            "Save it as UTF-8.",
        )
    best = readings[0]
    clear = len(readings) == 1 or best.likelihood - readings[1].likelihood > CLEARLY
    if WESTERN in best.encodings and clear and not scan.undefined:
        if scan.western_in_utf_8:
            raise _damaged(line)
        return WESTERN
    likely = [one for one in readings if best.likelihood - one.likelihood < _UNLIKELY]
    names = [
        str(encoding_name(encoding))
        for one in likely[:_CANDIDATES]
        for encoding in one.encodings[:2]
    ]
    raise _uncertain(line, names)


def _check(file: EncodedFile, encoding: str) -> None:
    """Reads a file to its end; raises FileError with the line of the first byte that is not in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    no_c1 = must_be_checked(encoding)
    lines = _LineCounter()
    while piece := file.read(_CHUNK_BYTES):
        state = decoder.getstate()
        try:
            if no_c1 and piece.translate(None, _OTHER_THAN_C1):
                raise ValueError
            lines.add(decoder.decode(piece))
        except ValueError:
            decoder.setstate(state)
            for byte in piece:
                one = bytes((byte,))
                if no_c1 and one in _C1:
                    raise _not_in(encoding, lines.line) from None
                try:
                    lines.add(decoder.decode(one))
                except UnicodeDecodeError:
                    raise _not_in(encoding, lines.line) from None
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_in(encoding, lines.line) from None


class _LineCounter:
    """Counts the lines of a text that comes in pieces. `line` is the next character's line, from 1."""

    def __init__(self) -> None:
        self.line = 1
        self._after_return = False

    def add(self, text: str) -> None:
        if text:
            self.line += text.count("\n") + text.count("\r") - text.count("\r\n")
            self.line -= self._after_return and text[0] == "\n"
            self._after_return = text[-1] == "\r"


def _line_ends(piece: bytes) -> int:
    return piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")


def _wide_without_mark(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, if the first bytes can be nothing else; otherwise None."""
    if head.count(b"\0") < max(1, len(head) * _WIDE_NUL_SHARE):
        return None
    for encoding, width in (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2)):
        if len(head) % width:
            continue
        text = head.decode(encoding, "ignore")
        usual = len(_ASCII_CSV.findall(text.encode("ascii", "ignore")))
        if usual >= len(head) / width * 2 * _WIDE_NUL_SHARE and "\0" not in text:
            return encoding
    return None


def _agree(found: str, given: str) -> bool:
    """Whether two encodings are the same, or one is the other with a byte order."""
    if {found, given} <= {"utf-8", UTF_8}:
        return True
    return (
        found == given
        or (given in ("utf-16", "utf-32") and found.startswith(given))
        or (found in ("utf-16", "utf-32") and given.startswith(found))
    )


def _damaged(line: int) -> FileError:
    return FileError(
        "UNREADABLE_FILE",
        f"Line {line} has bytes that are not UTF-8, which the rest of the file is: it is damaged, or was put "
        "together of files in different encodings. Mend that line, or save the file as UTF-8 again.",
        data={"line": line},
    )


def _not_in(encoding: str, line: int) -> FileError:
    name = encoding_name(encoding)
    return FileError(
        "UNREADABLE_FILE",
        f"Line {line} is not text in {name}: the file is damaged, or in another encoding. "
        "Save it as UTF-8.",
        data={"line": line},
    )


def _uncertain(line: int, names: list[str]) -> FileError:
    return FileError(
        "ENCODING_UNCERTAIN",
        f"Line {line} is not text in UTF-8, and the file's encoding is not certain: it may be "
        f"{' or '.join(names)}. Send the right one as encoding, such as encoding={names[0]}, "
        "or save the file as UTF-8.",
        data={"line": line, "candidates": names},
    )


def _no_csv(what: str) -> FileError:
    return FileError(
        "UNREADABLE_FILE", f"The file is {what}, not a CSV. Save it as CSV and send that."
    )
