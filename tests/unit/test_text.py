from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contact_imports.model.text import BLANKS, clean_header, clean_value, fold_header

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1)]
# Format characters that are seen, or that change how their neighbours are drawn: Arabic and Syriac number and
# verse signs, hieroglyphs, shorthand, music. https://www.unicode.org/reports/tr44/#Prepended_Concatenation_Mark
SEEN_FORMATS = {
    *"\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd",
    *map(chr, range(0x13430, 0x13440)),
    *map(chr, range(0x1BCA0, 0x1BCA4)),
    *map(chr, range(0x1D173, 0x1D17B)),
}
LINE_BREAKS_AND_TABS = "\t\n\r"
texts = st.text(
    st.one_of(
        st.sampled_from(
            "ab \u00e9e\u0301\u200b\u200c\u200d\ufeff\u202e\xad\0\x92\x0b\n\t\xa0\u3000\u3164"
        ),
        st.sampled_from(
            "\u094d\u0d4d\ufe0f\u034f\U0001f3f4\U000e0067\U000e007f\u1160\u0344\u212a\u0130"
        ),
        st.characters(),
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\ufeffAnn", "Ann"),
        ("A\u200bn\u2060n", "Ann"),
        ("\u202aAnn\u202c", "Ann"),
        ("\u200fשרה\u200e", "שרה"),
        ("Han\xadna", "Hanna"),
        ("A\0nn", "Ann"),
        ("A\x01n\x1bn\x7f", "Ann"),
        ("\u200b", ""),
        ("\ufeff \u200b\u200d", ""),
        ("\ufe0f", ""),
        ("\u3164", ""),
        ("\u2800 \u00a0", ""),
        ("\u00a0Ann\u2009", "Ann"),
        ("\u3000山田\u3000太郎\u3000", "山田\u3000太郎"),
        ("Rene\u0301", "Ren\u00e9"),
        ("Rene\u200b\u0301", "Ren\u00e9"),
        ("line 1\nline 2\tx\r\ny", "line 1\nline 2\tx\r\ny"),
        ("line 1\x0bline 2", "line 1\nline 2"),
        ("O\x92Brien\x81", "O\u2019Brien"),
        ("\x93Ann\x94", "\u201cAnn\u201d"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u200cمی\u200c", "می"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", None),
        ("A\U000e0067\U000e007fnn", "Ann"),
        ("രാജന\u0d4d\u200d ", "രാജന\u0d4d\u200d"),
        ("葛\U000e0100城", "葛\U000e0100城"),
    ],
)
def test_what_nobody_sees_goes_and_what_is_spelling_stays(text: str, clean: str | None) -> None:
    assert clean_value(text) == (text if clean is None else clean)


@pytest.mark.parametrize("category", ["Cc", "Cf"])
def test_every_control_and_format_character_goes_but_those_that_are_seen(category: str) -> None:
    stay = {
        "Cc": {*LINE_BREAKS_AND_TABS},
        "Cf": {*SEEN_FORMATS, "\u200c", "\u200d"},
    }[category]
    for char in EVERY_CHARACTER:
        if unicodedata.category(char) == category:
            clean = clean_value(f"a{char}b")
            assert (char in clean) == (char in stay), hex(ord(char))


def test_blanks_of_any_kind_around_a_value_go() -> None:
    for char in EVERY_CHARACTER:
        if char.isspace():
            assert char in BLANKS
            if unicodedata.category(char) != "Cc" or char in "\t\n\x0b\x0c\r":
                assert clean_value(f"{char}a{char}") == "a", hex(ord(char))


@given(texts)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    clean = clean_value(text)
    assert clean_value(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    header = clean_header(text)
    assert clean_header(header) == clean_value(header) == header


@given(texts)
def test_canonically_equivalent_texts_are_one(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert clean_value(decomposed) == clean_value(text)
    assert fold_header(decomposed) == fold_header(text)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)))
def test_plain_text_loses_the_blanks_around_it_alone(text: str) -> None:
    assert clean_value(text) == text.strip(" ")


@pytest.mark.parametrize(
    ("header", "clean"),
    [
        ("First\u00a0 Name", "First Name"),
        (" First  Name\r\n(required)", "First Name (required)"),
        ("\ufeff\ufeffEmail", "Email"),
        ("Pre\u0301nom", "Pr\u00e9nom"),
        ("\u3000メール\u3000アドレス", "メール アドレス"),
    ],
)
def test_blanks_in_a_header_are_one_space(header: str, clean: str) -> None:
    assert clean_header(header) == clean
    assert fold_header(header.upper()) == fold_header(clean)
