"""One person, one contact: which cells mean the same contact, and why a cell means none."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contact_imports.model import identity
from contact_imports.model.identity import (
    contact_id,
    email_identity,
    identity_bytes,
    readable_email,
)
from contact_imports.model.row_validation import EmailProblem, email_problem, is_email
from local.stack import ROOT

pieces = st.one_of(
    st.sampled_from(
        [
            *("ann", "Ann", "ANN", "rené", "rene\u0301", "İ", "Σ", "ΑΣ", "ß", "ẞ", "\u212a", "ﬁ", "Ⅎ", "ａ"),
            *("@", "@", "@", "＠", ".", ".", "。", "．", "-", "+", "_", "'", '"', "“", "”", "„", "«", "<", ">", "(", ")"),
            *(",", ";", ":", "/", "[", "]", " ", "\t", "\n", "\u00a0", "\u200b", "\u200c", "\u200d", "\ufeff", "\0"),
            *("example.org", "Example.ORG", "münchen.de", "mu\u0308nchen.de", "xn--mnchen-3ya.de", "XN--", "xn--"),
            *("mailto:", "MAILTO:", "?subject=x", "%40", "%2B", "%00", "%3C", "%", "\u092e\u094d", "\u0627"),
        ]
    ),
    st.text(max_size=2),
)  # fmt: skip
cells = st.lists(pieces, max_size=9).map("".join)

MUNICH = "info@xn--mnchen-3ya.de"


@pytest.mark.parametrize(
    "cell",
    [
        "info@münchen.de",
        "info@mu\u0308nchen.de",
        "INFO@MÜNCHEN.DE",
        "info@xn--mnchen-3ya.de",
        "info@XN--MNCHEN-3YA.de",
        "info@münchen。de",
        "info@münchen．ｄｅ",
        "\ufeffinfo@mün\u00adchen.de\u200b",
        "info@mün\u200dchen.de",
    ],
)
def test_one_domain_is_one_however_it_is_written(cell: str) -> None:
    assert email_identity(cell) == MUNICH
    assert readable_email(MUNICH) == "info@münchen.de"
    assert email_problem(MUNICH) is None


@pytest.mark.parametrize(
    ("cell", "email"),
    [
        ("rene\u0301@example.org", "ren\u00e9@example.org"),
        ("RENÉ@example.org", "rené@example.org"),
        ("İ@example.org", "i\u0307@example.org"),
        ("ΝΊΚΟΣ@example.org", "νίκος@example.org"),
        ("STRAẞE@example.org", "straße@example.org"),
        ("straße@straße.de", "straße@xn--strae-oqa.de"),
        ("ann@faß.de", "ann@xn--fa-hia.de"),
        ("ann@fass.de", "ann@fass.de"),
        ("ann@βόλος.com", "ann@xn--nxasmm1c.com"),
        ("ann@βόλοσ.com", "ann@xn--nxasmq6b.com"),
    ],
)
def test_case_and_composition_of_letters_do_not_matter(cell: str, email: str) -> None:
    # The domains are those of UTS 46's own table of deviations.
    assert email_identity(cell) == email


ANN = "ann@example.org"


@pytest.mark.parametrize(
    "cell",
    [
        " ann@example.org ",
        "ann@example.org\r\n",
        "Ann <ann@example.org>",
        "Ann Lee<Ann@Example.ORG>",
        '"Lee, Ann" <ann@example.org>',
        "Ann @ Work <ann@example.org>",
        "ann@example.org <ann@example.org>",
        "'Ann@example.org' <ann@example.org>",
        "ann@example.org<mailto:ann@example.org>",
        "<ann@example.org>",
        "<mailto:ann@example.org>",
        "mailto:ann@example.org",
        "MailTo:Ann%40example.org?subject=Hi%20there&body=x@y.org",
        "ann@example.org,",
        "ann@example.org ; ",
        ";ann@example.org",
        "ann@example.org.",
        "ann@example.org。",
        '"ann@example.org"',
        "'ann@example.org'",
        "“ann@example.org”",
        "„ann@example.org“",
        "‘ann@example.org’",
        "«ann@example.org»",
        '"ann@example.org',
        "ann@example.org'",
        "(ann@example.org)",
        "[ann@example.org]",
        '  "<ann@example.org>,"; ',
        "\u200b<\u200dann@example.org\u200d>\u202c",
        "a\0nn@exam\x01ple.org",
    ],
)
def test_what_is_around_an_address_goes(cell: str) -> None:
    assert email_identity(cell) == ANN


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        *((cell, EmailProblem.BLANK) for cell in ("", "  ", "\u200b", "\ufeff\u00a0", ",;", "Ann <>", '""')),
        *((cell, EmailProblem.NO_AT) for cell in ("ann", "ann.example.org", "n/a", "Ann <ann>", "-")),
        *(
            (cell, EmailProblem.TWO_ADDRESSES)
            for cell in (
                "a@example.org ::: b@example.org",
                "a@example.org; b@example.org",
                "a@example.org;b@example.org",
                "a@example.org, b@example.org",
                "a@example.org / b@example.org",
                "a@example.org/b@example.org",
                "a@example.org|b@example.org",
                "a@example.org b@example.org",
                "a@example.org\nb@example.org",
                "a@example.org and b@example.org",
                "a@example.org、b@example.org",
                "'a@example.org', 'b@example.org'",
                "A <a@example.org>, B <b@example.org>",
                "b@example.org <a@example.org>",
                "mailto:a@example.org,b@example.org",
            )
        ),
        *((cell, EmailProblem.SEVERAL_AT) for cell in ("a@@example.org", "a@b@example.org", "a@example.org@b.org")),
        *((cell, EmailProblem.NOTHING_BEFORE_AT) for cell in ("@example.org", " @example.org", "@", "<@example.org>")),
        *((cell, EmailProblem.NOTHING_AFTER_AT) for cell in ("ann@", "ann@ ", "Ann <ann@>")),
        *(
            (cell, EmailProblem.TEXT_AROUND)
            for cell in (
                "Ann: ann@example.org",
                "Ann (ann@example.org)",
                "ann@example.org (Ann)",
                "Ann [ann@example.org]",
                "Ann <ann@example.org",
                "Ann <ann@example.org> (work)",
                '"Ann" ann@example.org',
            )
        ),
        *(
            (cell, EmailProblem.BLANK_INSIDE)
            for cell in ("an n@example.org", "an\u00a0n@example.org", "ann @example.org", "ann@ example.org",
                         "ann@exam ple.org", "Ann ann@example.org", "ann@example.org Ann")
        ),
        *(
            (cell, EmailProblem.TOO_LONG)
            for cell in (f"{'a' * 243}@example.org", f"ann@{'d' * 64}.org", f"ann@{'d.' * 125}org")
        ),
        *((cell, EmailProblem.TWO_DOTS) for cell in ("a..b@example.org", "a@example..org", "a@example.org..")),
        *((cell, EmailProblem.DOT_AT_END) for cell in (".a@example.org", "a.@example.org", "a@.example.org")),
        *(
            (cell, EmailProblem.NO_PUBLIC_DOMAIN)
            for cell in (
                "ann@localhost", "ann@example", "ann@printer.local", "ann@LOCAL", "ann@a.test", "ann@a.invalid",
                "ann@a.onion", "ann@mail.localhost", "ann@localhost.localdomain", "ann@exchange.corp", "ann@nas.lan",
                "ann@db.internal", "ann@192.0.2.1", "ann@[192.0.2.1]",
            )
        ),
        *(
            (cell, EmailProblem.CHARACTERS)
            for cell in ('"quoted local"@example.org', "ann@exam_ple.org", "ann@-example.org", "ann@exam,ple.org",
                         "a\\nn@example.org", "ann@i❤.org", "ann@xn--abc-.org", "ann@xn--0.org")
        ),
    ],
)  # fmt: skip
def test_an_invalid_email_has_its_reason(cell: str, problem: EmailProblem) -> None:
    assert email_problem(email_identity(cell)) is problem


@pytest.mark.parametrize(
    "cell",
    [
        "o'neil@example.org",
        "'ann@example.org",
        "a/b@example.org",
        "a%b@example.org",
        "a+b@example.org",
    ],
)
def test_what_an_address_may_have_stays(cell: str) -> None:
    assert email_identity(cell) == cell
    assert email_problem(cell) is None


@settings(max_examples=500, deadline=None)
@given(cells)
@example("a@x,.")
@example("a@Ⅎ.com")
@example("a@b。")
@example("mailto:%00a@b")
@example('""a')
@example("\x85a@b.c")
def test_an_identity_is_its_own_identity(cell: str) -> None:
    email = email_identity(cell)
    assert email_identity(email) == email


@settings(max_examples=300, deadline=None)
@given(cells)
def test_an_identity_does_not_depend_on_how_letters_are_composed(cell: str) -> None:
    forms = {email_identity(unicodedata.normalize(form, cell)) for form in ("NFC", "NFD")}
    assert forms == {email_identity(cell)}


@settings(max_examples=500, deadline=None)
@given(st.one_of(cells, st.text("aZ9@._+- \t.;:'\"<>", max_size=12)))
def test_the_short_way_of_a_plain_email_gives_what_the_long_one_does(cell: str) -> None:
    assert email_identity(cell) == identity._identity(cell)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(cells, st.sampled_from(["ann@example.org", "Bo@EXAMPLE.org."]))))
def test_many_emails_at_a_time_have_the_identities_that_they_have_alone(cells: list[str]) -> None:
    assert identity_bytes(cells) == [email_identity(cell).encode() for cell in cells]


@given(cells)
def test_what_people_are_shown_means_the_same_contact(cell: str) -> None:
    email = email_identity(cell)
    shown = readable_email(email)
    assert email_identity(shown) == email
    assert readable_email(email_identity(shown)) == shown
    if not is_email(email):
        problem = email_problem(email)
        assert problem is not None
        assert not any(part in problem for part in email.split() if len(part) > 12)


@given(st.text("abc", min_size=1, max_size=9), st.integers(0, 12))
def test_wrapping_changes_nothing(local: str, depth: int) -> None:
    cell = f"{local}@example.org"
    for n in range(depth):
        cell = ["<{}>", "'{}'", "{},", "“{}”", "mailto:{}", " {}\t", "Ann <{}>"][
            (n * 3 + len(local)) % 7
        ].format(cell)
        if cell.count("<") > 1:
            break
        assert email_identity(cell) == f"{local}@example.org"


@pytest.mark.parametrize(
    "cell", ["a@" * 500_000, "<" * 1_000_000, '"' * 1_000_000, "e\u0301\u0316" * 300_000]
)
def test_a_cell_of_any_size_is_looked_at_in_little_time(cell: str) -> None:
    # In time that grows with the square of the size, this takes hours.
    assert email_problem(email_identity(cell)) is not None


def test_a_contacts_id_follows_from_its_project_and_email() -> None:
    # As README and docs say it: printf 'demo\nann@example.org' | sha256sum | cut -c-24
    assert contact_id("demo", ANN) == hashlib.sha256(b"demo\nann@example.org").hexdigest()[:24]
    assert contact_id("demo", ANN) != contact_id("demo2", ANN)
    assert contact_id("de", "mo\nx") != contact_id("demo", "x")


@pytest.mark.parametrize("problem", EmailProblem)
def test_every_reason_is_documented(problem: EmailProblem) -> None:
    assert f"| {problem} |" in (ROOT / "docs" / "files.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("chars", "is_unwrapped"), [(2_000, True), (2_001, False)])
def test_a_cell_that_cannot_be_one_address_is_not_unwrapped(chars: int, is_unwrapped: bool) -> None:
    address = "a" * (chars - len("<@example.org>")) + "@example.org"
    assert (email_identity(f"<{address}>") == address) is is_unwrapped


@pytest.mark.parametrize(
    "cell", ["<ann@example.org> ann", "ann <ann@example.org> >", "> ann@example.org <"]
)
def test_brackets_with_something_behind_them_are_kept(cell: str) -> None:
    assert email_identity(cell) == cell
