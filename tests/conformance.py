"""What we do with each file in tests/inputs: the one place that says it, for the tests and for docs/files.md.

`make conformance` writes the table in docs/files.md anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from contact_imports.jobs.create_dropped_import import read_metadata
from contact_imports.messages.option_fields import OptionFields, parse_fields
from contact_imports.model.errors import FileErrorCode, RowErrorCode
from contact_imports.model.import_job import ImportOptions
from contact_imports.model.notes import NoteCode
from contact_imports.model.row_validation import EmailProblem
from local.stack import ROOT

INPUTS = ROOT / "tests" / "inputs"
DOCUMENT = ROOT / "docs" / "files.md"
BEGIN = "<!-- made by: make conformance -->"
END = "<!-- end -->"

Kind = Literal[
    "Encoding",
    "Columns",
    "Where the table begins",
    "Emails and identity",
    "Invisible characters",
    "Quoting",
    "Formulas",
    "Options",
]
_SECTIONS: Mapping[Kind, str] = {"Options": "api.md#options-of-a-dropped-file"}
"""Where a kind is described that has no section of its own in the document."""

Contacts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Refused:
    """The whole file is refused: the code, a part of the message, and what `data` must have."""

    code: FileErrorCode
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def has(self, data: Mapping[str, Any]) -> bool:
        """Whether the `data` of a refusal is what it must be; `likeliest` is the first of its candidates."""
        likeliest = {"likeliest": data["candidates"][0]} if "candidates" in data else {}
        found = {**data, **likeliest}
        return all(found.get(name) == value for name, value in self.data.items())


@dataclass(frozen=True)
class Imported:
    """What a file makes. Contacts are those of the project afterwards, by email; failed rows by number, with
    code and a part of the message, of `invalid_email` all of it."""

    contacts: Contacts
    failed: Mapping[int, tuple[RowErrorCode, str]] = field(default_factory=dict)
    notes: tuple[NoteCode, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    updated: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Case:
    """One file, how it is sent, and what we do with it, in words and exactly.

    A file is dropped with `metadata`, or posted with `form` if there is one, after the file `before` was
    imported. Where an input is a report of a fault in words, `lines` are those of the file in it.
    """

    kind: Kind
    input: str
    does: str
    expected: Imported | Refused
    metadata: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    before: bytes | None = None
    lines: tuple[int, int | None] = (0, None)

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return b"".join(
            (INPUTS / self.input).read_bytes().splitlines(keepends=True)[slice(*self.lines)]
        )

    @property
    def options(self) -> ImportOptions:
        """What the sender's words mean. S3 gives metadata in lower case."""
        if self.form is not None:
            return parse_fields(PostedFields, self.form).options
        return read_metadata({key.lower(): value for key, value in self.metadata.items()}, "demo")

    def __str__(self) -> str:
        sent = "-".join([*(self.form or {}).values(), *self.metadata])
        return f"{self.input} {sent}".strip()


class PostedFields(OptionFields):
    """The options of a request, whose delimiter is a comma unless it says another."""

    delimiter: str | None = ","


def contact(custom: dict[str, str] | None = None, **standard: str) -> dict[str, Any]:
    """A contact's values, as the tests compare them."""
    return {**standard, "customFields": custom or {}}


def posted(
    kind: Kind, name: str, column_map: Mapping[str, str], first_name: str, does: str, **made: Any
) -> Case:
    """A file with one row, posted with a column map that has an email and a first name."""
    email = "ann@example.com" if name == "preamble-linkedin.csv" else "x@example.com"
    return Case(
        kind,
        name,
        does,
        Imported({email: contact(firstName=first_name)}, **made),
        form={"columnMap": json.dumps({"email": "Email", **column_map})},
    )


X_ANN = {"x@example.com": contact(name="Ann")}
BAD_QUOTES: RowErrorCode = "malformed_quoting"
NO_AT: tuple[RowErrorCode, str] = ("invalid_email", EmailProblem.NO_AT)
TWO_ADDRESSES: tuple[RowErrorCode, str] = ("invalid_email", EmailProblem.TWO_ADDRESSES)


CASES = (
    Case(
        "Encoding",
        "encoding-bom-encoded-twice.csv",
        "a byte order mark that was read as Windows-1252 and encoded again is removed",
        Imported(X_ANN),
    ),
    Case(
        "Encoding",
        "header-bom-twice.csv",
        "both byte order marks are removed",
        Imported(X_ANN),
    ),
    Case(
        "Encoding",
        "vendor-facebook-leads-utf16.csv",
        "UTF-16 with a byte order mark, as Facebook writes it, is read; so are its tabs",
        Imported(
            {
                "ann@example.com": contact(
                    {
                        "id": "l:1",
                        "created_time": "2024-01-01T00:00:00-05:00",
                        "ad_id": "ag:2",
                        "form_name": "f",
                        "platform": "fb",
                    },
                    name="Ann Lee",
                    phone="p:+15550100",
                )
            },
            delimiter="\t",
            encoding="utf-16",
        ),
    ),
    Case(
        "Encoding",
        "vendor-outlook-german-cp1252.csv",
        "Windows-1252, as Outlook writes it in German, is read; so are its names and semicolons",
        Imported(
            {
                "j@example.com": contact(
                    {"Anrede": "Frau", "Firma": "ACME"},
                    firstName="Jörg",
                    lastName="Müller",
                    phone="+49 555 0100",
                    country="Deutschland",
                )
            },
            delimiter=";",
            encoding="cp1252",
        ),
    ),
    Case(
        "Encoding",
        "vendor-outlook-french.csv",
        "Windows-1252, as Outlook writes it in French, is read; so are its names and semicolons",
        Imported(
            {"r@example.com": contact(firstName="Renée", lastName="Dupont", phone="+33 5 55 01")},
            delimiter=";",
            encoding="cp1252",
        ),
    ),
    Case(
        "Encoding",
        "encoding-one-cp1252-byte-in-utf8-file.csv",
        "one byte in 300 rows of UTF-8 that is not UTF-8 is damage; the message names its line",
        Refused("UNREADABLE_FILE", "Line 302 ", {"line": 302}),
    ),
    Case(
        "Encoding",
        "encoding-bom-then-bad-byte.csv",
        "after a byte order mark of UTF-8 any other byte is damage",
        Refused("UNREADABLE_FILE", "Line 302 ", {"line": 302}),
    ),
    Case(
        "Encoding",
        "encoding-utf8-and-cp1252-lines.csv",
        "a file with lines of UTF-8 and of Windows-1252 is damaged",
        Refused("UNREADABLE_FILE", "Line 3 ", {"line": 3}),
    ),
    Case(
        "Encoding",
        "encoding-cp1250.csv",
        "Polish in windows-1250 could be another encoding; the message names the candidates",
        Refused("ENCODING_UNCERTAIN", "Line 2 ", {"line": 2, "likeliest": "windows-1250"}),
    ),
    Case(
        "Encoding",
        "encoding-cp1251.csv",
        "Russian in windows-1251 could be another encoding",
        Refused("ENCODING_UNCERTAIN", "Line 2 ", {"line": 2, "likeliest": "windows-1251"}),
    ),
    Case(
        "Encoding",
        "encoding-shift-jis.csv",
        "Japanese in Shift-JIS could be another encoding",
        Refused("ENCODING_UNCERTAIN", "Line 2 ", {"line": 2, "likeliest": "shift_jis"}),
    ),
    Case(
        "Columns",
        "header-double-blank.csv",
        "two blanks in a header are one",
        Imported({"x@example.com": contact(firstName="Ann")}),
    ),
    Case(
        "Columns",
        "header-nbsp.csv",
        "a no-break space in a header is a blank",
        Imported({"x@example.com": contact(firstName="Ann")}),
    ),
    Case(
        "Columns",
        "header-line-break.csv",
        "a line break in a header is a blank; `(required)` is ignored",
        Imported(X_ANN),
    ),
    Case(
        "Columns",
        "header-nfd.csv",
        "`Prénom` with a decomposed `é` is the first name, and the values are composed",
        Imported({"x@example.com": contact(firstName="René", name="Z")}),
    ),
    posted(
        "Columns",
        "header-nfd.csv",
        {"firstName": "Pr\u00e9nom"},
        "René",
        "the column map may have `Prénom` composed or decomposed",
    ),
    posted(
        "Columns",
        "header-nfd.csv",
        {"firstName": "Pre\u0301nom"},
        "René",
        "the column map may have `Prénom` composed or decomposed",
    ),
    posted(
        "Columns",
        "header-double-blank.csv",
        {"firstName": "First Name"},
        "Ann",
        "the column map may have one blank",
    ),
    posted(
        "Columns",
        "header-nbsp.csv",
        {"firstName": "First\u00a0Name"},
        "Ann",
        "the column map may have either blank, and letters of either case",
    ),
    posted(
        "Columns",
        "header-nbsp.csv",
        {"firstName": "first name"},
        "Ann",
        "the column map may have either blank, and letters of either case",
    ),
    posted(
        "Columns",
        "header-line-break.csv",
        {"email": "Email (required)", "firstName": "Full name"},
        "Ann",
        "the column map may have a blank for the line break",
    ),
    Case(
        "Columns",
        "header-french.csv",
        "French names are known",
        Imported(
            {
                "r@example.com": contact(
                    firstName="Renée", lastName="Dupont", phone="+33 5 55 01", country="France"
                )
            }
        ),
    ),
    Case(
        "Columns",
        "header-german-partly-matched.csv",
        "German names are known",
        Imported(
            {
                "j@example.com": contact(
                    firstName="Jörg",
                    lastName="Müller",
                    phone="+49 555",
                    country="DE",
                    language="de",
                )
            },
            delimiter=";",
        ),
    ),
    Case(
        "Columns",
        "header-russian.csv",
        "Russian names are known",
        Imported({"ivan@example.com": contact(firstName="Иван")}, delimiter=";"),
    ),
    Case(
        "Columns",
        "header-duplicate.csv",
        "two columns called `Note` are two custom fields; columns without a name are left out",
        Imported(
            {"x@example.com": contact({"Note": "a", "Note (2)": "b"})},
            notes=("column_renamed", "column_left_out"),
        ),
    ),
    posted(
        "Columns",
        "header-duplicate.csv",
        {"firstName": "Note (column 3)"},
        "b",
        "the column map can name the second of them",
    ),
    Case(
        "Columns",
        "header-duplicate-in-case.csv",
        "`Note` and `note` are two custom fields as well",
        Imported(
            {"ann@example.com": contact({"Note": "a", "note (2)": "b"})},
            notes=("column_renamed",),
        ),
    ),
    Case(
        "Columns",
        "match-blank-phone-beats-mobile.csv",
        "where `Phone` is blank, the phone is the `Mobile Phone`",
        Imported({"ann@example.com": contact(phone="+1 555 0100")}, notes=("column_chosen",)),
    ),
    Case(
        "Columns",
        "match-country-code-is-phone-code.csv",
        "`Country Code` with `+44` is no country, but a custom field",
        Imported(
            {"ann@example.com": contact({"Country Code": "+44"}, phone="5550100")},
            notes=("column_not_used",),
        ),
    ),
    Case(
        "Columns",
        "match-email-is-consent-column.csv",
        "the email is the column with addresses; the consent column called `Email` is a custom field",
        Imported(
            {
                "ann@example.com": contact({"Email": "subscribed", "SMS": "no"}, firstName="Ann"),
                "bob@example.com": contact({"Email": "subscribed", "SMS": "no"}, firstName="Bob"),
            },
            notes=("column_not_used",),
        ),
    ),
    Case(
        "Columns",
        "vendor-eventbrite.csv",
        "`Buyer Email` and `Attendee Email` may both be the email; the message names them",
        Refused("AMBIGUOUS_COLUMN", "'Buyer Email', 'Attendee Email'"),
    ),
    Case(
        "Columns",
        "vendor-google-contacts.csv",
        "the first of the numbered columns is the email; two addresses in a cell fail the row",
        Imported(
            {
                "bob@example.com": contact(
                    {
                        "Labels": "* myContacts",
                        "E-mail 1 - Label": "* Work",
                        "E-mail 2 - Label": "Home",
                        "E-mail 2 - Value": "bob2@example.com",
                        "Phone 1 - Label": "Mobile",
                    },
                    firstName="Bob",
                    lastName="Ray",
                    phone="+1 555 0101 ::: +1 555 0102",
                )
            },
            failed={2: TWO_ADDRESSES},
            notes=("column_chosen",),
        ),
    ),
    Case(
        "Columns",
        "vendor-google-forms-long-question.csv",
        "a custom field's key is the first 128 characters of a long question",
        Imported(
            {
                "ann@example.com": contact(
                    {
                        "Timestamp": "1",
                        "Please tell us in a few words how you heard about our organisation and which of "
                        "the following topics you would like to receive n": "news",
                    }
                )
            },
            notes=("column_renamed",),
        ),
    ),
    Case(
        "Columns",
        "vendor-mailchimp-unsubscribed-duplicate-headers.csv",
        "columns that Mailchimp names twice are made unique",
        Imported(
            {"ann@example.com": contact({"LEID": "1"}, name="Ann")}, notes=("column_renamed",)
        ),
    ),
    Case(
        "Columns",
        "vendor-thunderbird-german.csv",
        "the first address is the email; the phone is the number that is there",
        Imported(
            {
                "j@example.com": contact(
                    firstName="Jörg", lastName="Müller", name="Jörg Müller", phone="+49 555"
                )
            }
        ),
    ),
    Case(
        "Columns",
        "vendor-woocommerce.csv",
        "names with `billing_` in front are known",
        Imported(
            {
                "ann@example.com": contact(
                    firstName="Ann", lastName="Lee", phone="+1 555", country="US"
                )
            }
        ),
    ),
    Case(
        "Where the table begins",
        "delimiter-semicolon-header-with-commas.csv",
        "commas in a header's quoted name do not make the comma the delimiter",
        Imported(
            {"x@example.com": contact({"Ort": "Bonn"}, name="Lee, Ann, B")},
            delimiter=";",
        ),
    ),
    Case(
        "Where the table begins",
        "preamble-sep-comma.csv",
        "`sep=,` is skipped",
        Imported(X_ANN, notes=("lines_skipped",)),
    ),
    Case(
        "Where the table begins",
        "preamble-sep-semicolon.csv",
        "`sep=;` is skipped and obeyed",
        Imported(X_ANN, notes=("lines_skipped",), delimiter=";"),
    ),
    posted(
        "Where the table begins",
        "preamble-sep-semicolon.csv",
        {"firstName": "Name"},
        "Ann",
        "the same, although the delimiter of a request is a comma",
        notes=("lines_skipped",),
        delimiter=";",
    ),
    Case(
        "Where the table begins",
        "preamble-linkedin.csv",
        "notes before the header are skipped",
        Imported(
            {
                "ann@example.com": contact(
                    {
                        "URL": "https://www.example.com/in/ann",
                        "Company": "Acme",
                        "Position": "CEO",
                        "Connected On": "01 Jan 2024",
                    },
                    firstName="Ann",
                    lastName="Lee",
                )
            },
            notes=("lines_skipped",),
        ),
    ),
    posted(
        "Where the table begins",
        "preamble-linkedin.csv",
        {"email": "Email Address", "firstName": "Last Name"},
        "Lee",
        "the same with a column map",
        notes=("lines_skipped",),
    ),
    Case(
        "Where the table begins",
        "headerless-one-email-a-line.csv",
        "a file without a header cannot be imported; the message says where to put one",
        Refused("HEADER_NOT_FOUND", "line 1 has an email address"),
    ),
    Case(
        "Where the table begins",
        "notcsv-json.csv",
        "JSON is not a CSV; the message says what it is",
        Refused("UNREADABLE_FILE", "The file is JSON"),
    ),
    Case(
        "Where the table begins",
        "footer-lines.csv",
        "a total and a notice of confidentiality at the end are no rows",
        Imported(X_ANN, notes=("footer_skipped",)),
    ),
    posted(
        "Where the table begins",
        "footer-lines.csv",
        {"firstName": "Name"},
        "Ann",
        "the same with a column map",
        notes=("footer_skipped",),
    ),
    Case(
        "Where the table begins",
        "end-ctrl-z.csv",
        "a Ctrl-Z at the end is no row",
        Imported(X_ANN),
    ),
    posted(
        "Where the table begins",
        "end-ctrl-z.csv",
        {"firstName": "Name"},
        "Ann",
        "the same with a column map",
    ),
    Case(
        "Emails and identity",
        "email-idn-nfc-nfd-punycode.csv",
        "a domain in three spellings is one contact",
        Imported({"info@xn--mnchen-3ya.example.com": contact(name="C")}, updated=2),
    ),
    Case(
        "Emails and identity",
        "email-local-part-nfd.csv",
        "`é` before the @ is the same letter composed and decomposed",
        Imported({"ren\u00e9@example.com": contact(name="B")}, updated=1),
    ),
    Case(
        "Emails and identity",
        "email-invisible-characters.csv",
        "invisible characters of an address are removed; a blank in it fails the row",
        Imported(
            {
                "feff@example.com": contact(name="A"),
                "zwsp@example.com": contact(name="B"),
                "zwsp2@example.com": contact(name="C"),
                "mdash@example.com": contact(name="D"),
                "nbsp@example.com": contact(name="E"),
                "wj@example.com": contact(name="G"),
                "shy@example.com": contact(name="H"),
            },
            failed={7: ("invalid_email", EmailProblem.BLANK_INSIDE)},
        ),
    ),
    Case(
        "Emails and identity",
        "email-shapes.csv",
        "names, brackets, quotes, `mailto:` and punctuation around an address are removed; what is no address, "
        "or two, fails the row and says why",
        Imported(
            {
                "user@company.example": contact(name="3"),
                "ann@example.com": contact(name="12"),
                "ann2@example.com": contact(name="7"),
                "ann3@example.com": contact(name="9"),
                "ann4@example.com": contact(name="10"),
                "ann5@example.com": contact(name="11"),
                "ann9@example.com": contact(name="15"),
            },
            failed={
                2: ("invalid_email", EmailProblem.TWO_DOTS),
                3: ("invalid_email", EmailProblem.DOT_AT_END),
                5: ("invalid_email", EmailProblem.NO_PUBLIC_DOMAIN),
                6: ("invalid_email", EmailProblem.CHARACTERS),
                9: TWO_ADDRESSES,
                14: TWO_ADDRESSES,
                15: TWO_ADDRESSES,
            },
            updated=1,
        ),
    ),
    Case(
        "Invisible characters",
        "value-nul.csv",
        "NUL characters are removed from values and addresses",
        Imported(
            {
                "x@example.com": contact(name="Ann"),
                "y@example.com": contact(name="Bob"),
            }
        ),
    ),
    Case(
        "Quoting",
        "quotes-space-before.csv",
        "blanks before an opening quote are no data",
        Imported(
            {
                "x@example.com": contact({"City": "Paris"}, name="Lee, Ann"),
                "y@example.com": contact({"City": "Rome"}, name="Bob"),
                "z@example.com": contact({"City": "Oslo"}, name='say "hi"'),
            }
        ),
    ),
    Case(
        "Quoting",
        "quotes-stray-open-swallows-rows.csv",
        "a quote that is never closed fails its row; the rows after it are imported",
        Imported(
            {
                "y@example.com": contact({"City": "Rome"}, name="Bob"),
                "z@example.com": contact({"City": "Oslo"}, name="Cy"),
                "w@example.com": contact({"City": "Bern"}, name="Di"),
            },
            failed={2: (BAD_QUOTES, "Cell 2 of line 2")},
        ),
    ),
    Case(
        "Quoting",
        "quotes-swallow-251-contacts.csv",
        "the same, with 250 rows up to the next quote",
        Imported(
            {
                **{
                    f"u{n}@example.com": contact({"City": "Rome"}, name=f"Bob {n}")
                    for n in range(250)
                },
                "z@example.com": contact({"City": "Oslo"}, name="Cy"),
                **{
                    f"v{n}@example.com": contact({"City": "Rome"}, name=f"Bob {n}")
                    for n in range(5)
                },
            },
            failed={2: (BAD_QUOTES, "Cell 2 of line 2")},
        ),
    ),
    Case(
        "Quoting",
        "quotes-doubled-around-cell.csv",
        "text after a closing quote fails its row",
        Imported(
            {},
            failed={
                2: (BAD_QUOTES, "Cell 2 of line 2"),
                3: (BAD_QUOTES, "Cell 2 of line 3"),
            },
        ),
    ),
    Case(
        "Quoting",
        "vendor-ses-contact-list.csv",
        "JSON in a cell without quotes around it is read where it cannot be misread, and fails its row otherwise",
        Imported(
            {
                "ann@example.com": contact(
                    {
                        "unsubscribeAll": "false",
                        "attributesData": '{"Name":"Ann"}',
                        "topicPreferences.Sports": "OPT_IN",
                    }
                )
            },
            failed={3: (BAD_QUOTES, "Cell 4 of line 3")},
        ),
    ),
    Case(
        "Quoting",
        "quotes-backslash-escaped.csv",
        "backslash and quote are a quote in a file that was written so",
        Imported(
            {
                "x@example.com": contact(
                    {"Id": "1", "Note": 'naka naka , "who\'s there?" shish'},
                ),
                "y@example.com": contact({"Id": "2", "Note": "plain"}),
            }
        ),
    ),
    Case(
        "Quoting",
        "quotes-backslash-shifts-short-row.csv",
        "the same in a row that is shorter than the header",
        Imported(
            {
                "x@example.com": contact({"Note": 'a "q", b', "City": "Paris"}),
                "y@example.com": contact({"Note": "ok", "City": "Rome", "Zip": "001"}),
            }
        ),
    ),
    Case(
        "Quoting",
        "quotes-backslash-and-inch.csv",
        "in such a file a quote without a backslash fails its row",
        Imported(
            {
                "x@example.com": contact({"Id": "1", "Note": 'a "quoted", word', "City": "Paris"}),
                "z@example.com": contact({"Id": "3", "Note": "ok", "City": "Oslo"}),
            },
            failed={3: (BAD_QUOTES, "Cell 3 of line 3")},
        ),
    ),
    Case(
        "Quoting",
        "quotes-whole-line.csv",
        "a file with quotes around whole lines has one column; the message says so",
        Refused("UNREADABLE_FILE", "Each line from line 1 on is in quotes as a whole", {"line": 1}),
    ),
    Case(
        "Quoting",
        "quotes-whole-rows.csv",
        "quotes around whole rows fail them; the report of failed rows has their values in cells of their own",
        Imported(
            {"z@example.com": contact({"City": "Oslo"}, name="Cy")},
            failed={
                2: (BAD_QUOTES, "Line 2 is in quotes as a whole"),
                3: (BAD_QUOTES, "Line 3 is in quotes as a whole"),
            },
        ),
    ),
    Case(
        "Formulas",
        "formula-in-failed-rows.csv",
        "a value that begins with `=` is stored as it is; the failed rows are reported as they were",
        Imported(
            {"ok@example.com": contact(name="=1+1")},
            failed=dict.fromkeys(range(2, 8), NO_AT),
        ),
    ),
    Case(
        "Options",
        "drop-metadata-api-spelling.txt",
        "metadata in the API's spelling, `onConflict` and `dryRun`, is obeyed: the existing contact stays as it was",
        Imported({"j@example.com": contact(name="Old")}, skipped=1),
        metadata={"onConflict": "skip", "dryRun": "true"},
        before=b"Email,Name\nj@example.com,Old\n",
        lines=(1, 3),
    ),
)


def table() -> str:
    """The table of docs/files.md, in Markdown."""
    lines = ["| kind | input | what we do | result |", "|---|---|---|---|"]
    lines += dict.fromkeys(map(_line, CASES))
    return "\n".join(lines)


def _line(case: Case) -> str:
    section = _SECTIONS.get(case.kind) or f"#{case.kind.lower().replace(' ', '-')}"
    kind = f"[{case.kind}]({section})"
    link = f"[{case.input.rpartition('.')[0]}](../tests/inputs/{case.input})"
    sent = ", posted" if case.form is not None else ""
    return f"| {kind} | {link}{sent} | {case.does} | {_result(case)} |"


def _result(case: Case) -> str:
    expected = case.expected
    if isinstance(expected, Refused):
        return f"refused: `{expected.code}`"
    parts = []
    made = len(expected.contacts) - (0 if case.before is None else 1)
    if made:
        parts.append(f"{made} contact{'s' * (made > 1)}")
    if expected.skipped:
        parts.append(f"{expected.skipped} row skipped")
    for code in dict.fromkeys(code for code, _ in expected.failed.values()):
        rows = [str(row) for row, (of_row, _) in expected.failed.items() if of_row == code]
        parts.append(f"row{'s' * (len(rows) > 1)} {', '.join(rows)} failed: `{code}`")
    parts += [f"note `{code}`" for code in expected.notes]
    return "; ".join(parts)


def with_table(document: str) -> str:
    """A document with the table as it must be between its two markers."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
