"""Encodings: a file comes out as it went in, or is refused with what to do."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from contact_imports.files import encoding as encoding_module
from contact_imports.files.contact_file import ContactFile, check_contact_file, read_contact_file
from contact_imports.files.encoding import (
    HEAD_BYTES,
    canonical_encoding,
    encoding_name,
    find_encoding,
    first_encoding,
)
from contact_imports.files.plain_file import PlainFile
from contact_imports.model.column_map import ColumnMap
from contact_imports.model.errors import FileError
from contact_imports.model.import_job import ImportOptions

HEADER = "Email,Name"
COLUMN_MAP = ColumnMap(email="Email", name="Name")


def stream(content: bytes) -> PlainFile:
    return PlainFile(io.BufferedReader(io.BytesIO(content)), len(content))


def read(content: bytes, encoding: str | None = None) -> list[list[str]]:
    """A file's header and rows; the API's check of all of it must come to the same."""
    options = ImportOptions(COLUMN_MAP, encoding=encoding)

    def rows(file: ContactFile) -> list[list[str]]:
        return [file.header, *(record for _, record in file.reader)]

    try:
        found = read_contact_file(lambda: stream(content), options, rows)
    except FileError as error:
        with pytest.raises(FileError) as refused:
            check_contact_file(lambda: stream(content), options)
        assert (refused.value.code, refused.value.message) == (error.code, error.message)
        raise
    file = check_contact_file(lambda: stream(content), options)
    assert [file.header, *(record for _, record in file.reader)] == found
    return found


def refusal(content: bytes, encoding: str | None = None) -> FileError:
    with pytest.raises(FileError) as refused:
        read(content, encoding)
    return refused.value


def csv_of(*names: str, header: str = HEADER) -> str:
    rows = "".join(f"c{number}@example.com,{name}\n" for number, name in enumerate(names))
    return f"{header}\n{rows}"


def names_of(table: list[list[str]]) -> list[str]:
    return [row[1] for row in table[1:]]


WESTERN = {
    "French": ("François Lefèvre", "Élodie Noël", "Chloé d’Aubigné", "Benoît Hervé"),
    "French, one": ("René",),
    "French, marks": ("Zoë “Zazie” Dupré", "Prix : 100 €", "L’Haÿ-les-Roses"),
    "numbers": ("1ª planta nº 5", "paid £100"),
    "contraction": ("It’s Ann’s",),
    "square": ("5 m² at 20 °C",),
    "German": ("Jürgen Müller", "Sören Groß", "Bärbel Köhler"),
    "German, one": ("Müller",),
    "German, capitals": ("JÜRGEN MÜLLER", "BÄRBEL KÖHLER"),
    "Spanish": ("José Núñez", "María Peña", "Íñigo Martínez"),
    "Spanish, one": ("García",),
    "Portuguese": ("João Conceição", "Inês Magalhães", "Luís Simões"),
    "Portuguese, one": ("João",),
    "Italian": ("Niccolò Forlì", "Andrea Cantù", "Caffè Perché", "Marco Rossi"),
    "Dutch": ("Daniël de Vries", "Loïs Coëlho", "Zoë van den Berg"),
    "Danish": ("Søren Ærø", "Åse Østergaard", "Jørgen Kjær"),
    "Norwegian": ("Øyvind Sæther", "Bjørn Ødegård", "Kåre Bø"),
    "Swedish": ("Åsa Sjöström", "Göran Lindström", "Märta Ågren"),
    "Swedish, one": ("Sjöström",),
    "Finnish": ("Päivi Hämäläinen", "Väinö Mäkelä"),
    "Icelandic": ("Þórður Guðmundsson", "Sigríður Jónsdóttir", "Æsa Björk"),
}


@pytest.mark.parametrize("names", WESTERN.values(), ids=WESTERN)
def test_western_names_in_windows_1252_come_out(names: tuple[str, ...]) -> None:
    content = csv_of(*names).encode("cp1252")
    assert find_encoding(stream(content)) == "cp1252"
    assert names_of(read(content)) == list(names)


POLISH = ("Łukasz Żółć", "Małgorzata Wiśniewska", "Paweł Dąbrowski")
CZECH = ("Jiří Dvořák", "Kateřina Nováčková", "Zdeněk Šťastný")
HUNGARIAN = ("Kovács Győző", "Szűcs Gergő", "Erdős Pál")
RUSSIAN = ("Иван Петров", "Мария Кузнецова", "Сергей Ёлкин")
UKRAINIAN = ("Олександр Шевченко", "Їжак Євген", "Оксана Ґалаґан")
BULGARIAN = ("Георги Димитров", "Цветана Стоянова")
GREEK = ("Γιώργος Παπαδόπουλος", "Ελένη Νικολάου")
TURKISH = ("Ayşe Yılmaz", "Işıl Çağlar", "Oğuz Şahin")
HEBREW = ("דוד כהן", "שרה לוי")
ARABIC = ("محمد علي", "فاطمة حسن")
JAPANESE = ("山田太郎", "鈴木一郎", "ソニー表", "さくら商店")
SIMPLIFIED = ("王小明", "李丽华", "张伟")
TRADITIONAL = ("王小明", "陳淑芬", "功蓋許")
KOREAN = ("김철수", "이영희")
LITHUANIAN = ("Rūta Žukauskaitė", "Jurgis Šimkus", "Eglė Kęstutė")
THAI = ("สมชาย ใจดี", "วิภา ศรีสุข")
ROMANIAN = ("Ştefan Munteanu", "Ioana Crăciun", "Răzvan Ţurcanu")
MACINTOSH = ("José Núñez", "François Lefèvre", "Jürgen Groß")
OTHERS = [
    *((encoding, names) for encoding in ("cp1250", "iso8859_2", "cp852") for names in (POLISH, CZECH, HUNGARIAN)),
    *(("mac_latin2", names) for names in (POLISH, HUNGARIAN)),
    *((encoding, RUSSIAN) for encoding in ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")),
    *((encoding, UKRAINIAN) for encoding in ("cp1251", "koi8_u")),
    ("cp1251", BULGARIAN),
    ("cp1253", GREEK),
    ("iso8859_7", GREEK),
    ("cp1254", TURKISH),
    ("cp1255", HEBREW),
    ("cp1256", ARABIC),
    ("cp1250", ROMANIAN),
    ("cp1257", LITHUANIAN),
    ("cp874", THAI),
    ("cp932", JAPANESE),
    ("euc_jp", JAPANESE),
    ("gb18030", SIMPLIFIED),
    ("cp950", TRADITIONAL),
    ("cp949", KOREAN),
    ("mac_roman", MACINTOSH),
    ("cp437", ("José Núñez", "Hélène Lefèvre", "Jürgen Groß")),
    ("cp850", MACINTOSH),
]  # fmt: skip
SINGLE_NAMES = [(encoding, (name,)) for encoding, names in OTHERS for name in names]


@pytest.mark.parametrize(("encoding", "names"), [*OTHERS, *SINGLE_NAMES])
def test_other_encodings_are_refused_and_the_right_one_is_a_candidate(
    encoding: str, names: tuple[str, ...]
) -> None:
    content = csv_of(*names).encode(encoding)
    error = refusal(content)
    assert error.code == "ENCODING_UNCERTAIN"
    assert error.data is not None
    assert encoding_name(encoding) in error.data["candidates"]
    assert error.data["line"] == 2
    assert "Line 2 is not text in UTF-8" in error.message
    assert f"encoding={error.data['candidates'][0]}" in error.message


@pytest.mark.parametrize(("encoding", "names"), OTHERS)
def test_with_its_encoding_named_a_file_comes_out(encoding: str, names: tuple[str, ...]) -> None:
    content = csv_of(*names).encode(encoding)
    assert names_of(read(content, encoding_name(encoding))) == list(names)


def test_names_that_are_the_same_in_both_encodings_are_western() -> None:
    """In Hungarian and Slovene some letters have the same bytes in windows-1250 and windows-1252."""
    names = ["Kovács József", "Mészáros Ágnes", "Horváth Béla"]
    assert names_of(read(csv_of(*names).encode("cp1250"))) == names


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("rows", [3, 300, 50_000])
def test_one_bad_byte_in_utf_8_is_damage_with_its_line(mark: bytes, rows: int) -> None:
    good = csv_of(*["Jörg Müller"] * rows).encode()
    content = mark + good + b"z@example.com,Ren\xe9\n" + b"y@example.com,Ann\n"
    error = refusal(content)
    assert error.code == "UNREADABLE_FILE"
    assert error.data == {"line": rows + 2}
    assert f"Line {rows + 2} has bytes that are not UTF-8" in error.message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_counts_them(end: str) -> None:
    lines = csv_of(*["Jörg"] * 70_000).replace("\n", end).encode()
    assert len(lines) > 1024 * 1024
    assert refusal(lines + b"x@example.com,Ren\xe9").data == {"line": 70_002}


@pytest.mark.parametrize("western", range(1, 6))
def test_a_file_of_both_encodings_is_damaged(western: int) -> None:
    """However many lines of each: one that was UTF-8 would come out as mojibake."""
    lines = [f"w{n}@example.com,Jörg Müller\n".encode("cp1252") for n in range(western * 4)]
    content = b"Email,Name\n" + b"".join(lines) + "u@example.com,José Peña\n".encode()
    error = refusal(content)
    assert error.code == "UNREADABLE_FILE"
    assert error.data == {"line": 2}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"\xc0\xafx", id="overlong"),
        pytest.param(b"\xed\xa0\xbd\xed\xb8\x80", id="CESU-8"),
        pytest.param(b"\xf5\x80\x80\x80", id="beyond Unicode"),
        pytest.param("é".encode()[:1], id="cut"),
    ],
)
def test_malformed_utf_8_is_damage(bad: bytes) -> None:
    content = csv_of("Jörg Müller", "José Núñez", "Ærø Øst").encode() + b"x@example.com,A" + bad
    error = refusal(content)
    assert error.code == "UNREADABLE_FILE"
    assert error.data == {"line": 5}


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_file_that_ends_in_the_middle_of_a_character_is_refused(cut: int) -> None:
    content = csv_of("山田", "太郎").encode()[: -1 - cut] if cut < 3 else csv_of("😀").encode()[:-2]
    assert refusal(content).code in ("UNREADABLE_FILE", "ENCODING_UNCERTAIN")


def test_a_byte_that_windows_1252_does_not_have_is_not_windows_1252() -> None:
    for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D):
        content = csv_of("René", "Müller", "José").encode("cp1252") + b"x@example.com,A%c\n" % byte
        assert refusal(content).code == "ENCODING_UNCERTAIN"
        assert refusal(content, "windows-1252").data == {"line": 5}
        assert refusal(content, "latin-1").data == {"line": 5}


def test_control_characters_of_iso_8859_are_letters_of_another_encoding() -> None:
    content = csv_of("Jan", "Šárka").encode("cp1250")
    error = refusal(content, "iso-8859-2")
    assert error.code == "UNREADABLE_FILE"
    assert error.data == {"line": 3}
    assert "Line 3 is not text in iso-8859-2" in error.message
    assert names_of(read(csv_of("Jan", "Šárka").encode("iso8859_2"), "latin2")) == ["Jan", "Šárka"]


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("names", [("Zoë",), RUSSIAN, JAPANESE, ("😀",)], ids=str)
@pytest.mark.parametrize("marks", [0, 1, 2])
def test_wide_encodings_with_and_without_byte_order_marks(
    encoding: str, names: tuple[str, ...], marks: int
) -> None:
    content = ("\ufeff" * marks + csv_of(*names)).encode(encoding)
    assert read(content) == [["Email", "Name"], *read(csv_of(*names).encode())[1:]]
    assert names_of(read(content, encoding[:6])) == list(names)
    if not encoding[6:] or not marks:
        assert names_of(read(content, encoding)) == list(names)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_damage_of_wide_encodings_has_its_line(encoding: str) -> None:
    half = csv_of("Zoë", "x\ud800y").encode(encoding, "surrogatepass")
    assert refusal(half).data == {"line": 3}
    cut = csv_of("Zoë", "Zoë").encode(encoding)[:-1]
    assert refusal(cut).data == {"line": 3}


@pytest.mark.parametrize("read_as", ["cp1252", "mac_roman", "cp437", "cp850", "cp1250", "cp1251"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_that_was_encoded_again_is_no_text(read_as: str, before: bytes) -> None:
    mark = b"\xef\xbb\xbf".decode(read_as).encode()
    assert read(before + mark + csv_of("Zoë").encode()) == [
        ["Email", "Name"],
        ["c0@example.com", "Zoë"],
    ]


@pytest.mark.parametrize("marks", [1, 2, 3])
def test_byte_order_marks_are_no_text(marks: int) -> None:
    content = b"\xef\xbb\xbf" * marks + csv_of("Zoë").encode()
    assert read(content)[0] == ["Email", "Name"]
    assert read(content, "utf-8")[0] == ["Email", "Name"]


def test_an_encoding_that_the_byte_order_mark_contradicts_is_refused() -> None:
    error = refusal(b"\xef\xbb\xbf" + csv_of("Zoë").encode(), "windows-1252")
    assert "The file is utf-8, as its first bytes show, not windows-1252." in error.message


@pytest.mark.parametrize("at", ["head", "end"])
def test_iso_2022_jp_is_ascii_and_not_taken_for_it(at: str) -> None:
    many = [] if at == "head" else ["Ann"] * 200_000
    content = csv_of(*many, "山田太郎").encode("iso2022_jp")
    error = refusal(content)
    assert error.data is not None
    assert error.data["candidates"] == ["iso-2022-jp"]
    assert names_of(read(content, "ISO-2022-JP"))[-1] == "山田太郎"


def test_trailing_bytes_that_look_like_delimiters_are_part_of_their_character() -> None:
    # 表 ends with a backslash's byte in Shift-JIS, 渾 with a bar's; 餦 and 坢 in Big5 and GBK.
    names = ["表|渾", "ポ|ソ"]
    content = csv_of(*names).replace(",", "|").encode("cp932")
    options = ImportOptions(COLUMN_MAP, delimiter="|", encoding="sjis")
    file = check_contact_file(lambda: stream(content), options)
    assert [record[1:] for _, record in file.reader] == [name.split("|") for name in names]


def test_the_encoding_is_decided_for_all_of_a_large_file_in_flat_memory() -> None:
    """The last line alone tells; what is kept of the rest is a sample."""
    good = csv_of(*["Ann Lee"] * 100_000).encode()
    assert find_encoding(stream(good + "z@example.com,René\n".encode("cp1252"))) == "cp1252"
    assert refusal(good + "z@example.com,Żółć\n".encode("cp1250")).data is not None
    scan = encoding_module._Scan()
    rng = random.Random(1)
    for _ in range(20):
        scan.add(b"".join(b"%d,Ren\xe9\n" % rng.randrange(10**9) for _ in range(20_000)))
    scan.finish()
    assert len(scan.sample) < 32 * 1024


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_is_read_on_where_its_first_western_name_comes_late(pack: type[bytes]) -> None:
    rows = csv_of(*(f"Zoe {n}" for n in range(20_000)))
    content = pack(rows.encode() + "z@example.com,René\n".encode("cp1252"))
    reads: list[ContactFile] = []

    def rows_of(file: ContactFile) -> list[list[str]]:
        reads.append(file)
        return [record for _, record in file.reader]

    records = read_contact_file(lambda: stream(content), ImportOptions(COLUMN_MAP), rows_of)
    assert records[-1] == ["z@example.com", "René"]
    assert len(records) == 20_001
    (file,) = reads
    assert file.encoding == "cp1252"


def test_a_file_that_began_as_utf_8_is_read_in_another_encoding_from_its_beginning() -> None:
    # A degree sign in UTF-8, by chance; names in Windows-1252 come later.
    names = ["5 °C".encode().decode("cp1252"), *(f"Zoe {n}" for n in range(20_000))]
    names += ["René", "Müller", "José", "Zoë"]
    records = read(csv_of(*names).encode("cp1252"))
    assert [record[1] for record in records[1:]] == names


def test_a_late_western_name_in_a_file_that_is_marked_as_utf_8_is_damage() -> None:
    rows = csv_of(*(f"Zoe {n}" for n in range(20_000)))
    content = b"\xef\xbb\xbf" + rows.encode() + "z@example.com,René\n".encode("cp1252")
    assert "Line 20002 has bytes that are not UTF-8" in refusal(content).message


def test_a_sample_is_of_the_whole_file() -> None:
    western = csv_of(*(f"René {n}" for n in range(20_000))).encode("cp1252")
    polish = csv_of(*(f"Wiśniewska Żółć {n}" for n in range(20_000))).encode("cp1250")
    assert refusal(western + polish).code == "ENCODING_UNCERTAIN"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        (b"a,b", "utf-8-sig"),
        (b"", "utf-8-sig"),
        (b"\xef\xbb\xbfa,b", "utf-8-sig"),
        (b"\xff\xfea\0", "utf-16"),
        (b"\xfe\xff\0a", "utf-16"),
        (b"\xff\xfe\0\0a\0\0\0", "utf-32"),
        (b"a\0b\0", "utf-16-le"),
        (b"\0a\0b", "utf-16-be"),
        (b"a\0\0\0b\0\0\0", "utf-32-le"),
    ],
)
def test_the_first_encoding(head: bytes, encoding: str) -> None:
    assert first_encoding(head) == encoding


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"PK\x03\x04..", "Excel"),
        (b"\xd0\xcf\x11\xe0", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"a\0b", "binary"),
        (bytes(range(32)) + b"some text", "binary"),
        (b" <!DOCTYPE html><html>", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        ("<html>".encode("utf-16"), "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\x89PNG\r\n", "image"),
    ],
)
def test_what_is_no_text_is_named(head: bytes, named: str) -> None:
    with pytest.raises(FileError, match=named):
        first_encoding(head)
    with pytest.raises(FileError, match=named):
        first_encoding(head, "cp1252")


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("UTF-8", "utf-8"), ("utf8", "utf-8"), ("UTF_16", "utf-16"), ("utf-16LE", "utf-16-le")),
        *(("windows-1252", "cp1252"), ("Windows 1250", "cp1250"), ("CP1251", "cp1251")),
        *(("ANSI", "cp1252"), ("ISO-8859-1", "cp1252"), ("latin1", "cp1252"), ("l2", "iso8859_2")),
        *(("iso8859-15", "iso8859_15"), ("Latin-9", "iso8859_15"), ("Shift-JIS", "cp932")),
        *(("sjis", "cp932"), ("CP932", "cp932"), ("EUC_JP", "euc_jp"), ("gbk", "gb18030")),
        *(("GB2312", "gb18030"), ("big5", "cp950"), ("EUC-KR", "cp949"), ("cp949", "cp949")),
        *(("KOI8-R", "koi8_r"), ("koi8u", "koi8_u"), ("Mac Roman", "mac_roman")),
        *(("macintosh", "mac_roman"), ("CP437", "cp437"), ("IBM850", "cp850"), ("cp866", "cp866")),
    ],
)
def test_usual_names_of_encodings_are_known(name: str, codec: str) -> None:
    assert canonical_encoding(name) == codec
    shown = encoding_name(codec)
    assert shown is not None
    assert canonical_encoding(shown) == codec


def test_every_codec_is_pythons_and_its_own_name() -> None:
    for codec in encoding_module._NAMES:
        assert "a,b".encode(codec).decode(codec) == "a,b"
        assert canonical_encoding(codec) == codec


@pytest.mark.parametrize("name", ["", "klingon", "rot13", "base64", "hex", "idna", "utf-7", "zip"])
def test_what_is_no_encoding_of_text_is_refused_with_the_usual_names(name: str) -> None:
    with pytest.raises(ValueError, match="utf-8, utf-16, windows-1250"):
        canonical_encoding(name)


def test_the_head_is_enough_of_a_file() -> None:
    content = csv_of(*["Ann"] * 1000).encode("utf-16-le")
    assert len(content) > HEAD_BYTES
    assert len(read(content)) == 1001
