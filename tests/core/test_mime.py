"""Composed messages, read back with the standard library's parser."""

from __future__ import annotations

import email
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import parse_address
from mta.core.mime import Attachment, Draft, Mailbox, compose
from mta.core.mime_parts import base64_lines

ANT = Mailbox("Ant", parse_address("ant@example.com"))
BEE = Mailbox("", parse_address("bee@there.example"))
DRAFT = Draft(
    from_=ANT,
    to=(BEE,),
    cc=(),
    bcc=(),
    reply_to=(),
    subject="Lunch",
    text="Hello Bee",
    html=None,
    headers=(),
    attachments=(),
    message_id="<1@example.com>",
    date=datetime(2026, 3, 1, 14, 0, 5, tzinfo=timezone(timedelta(hours=2))),
)
PDF = Attachment("a.pdf", b"%PDF\0\xff", "application/pdf")
LOGO = Attachment("logo.png", b"\x89PNG", "image/png", content_id="logo@example.com")

LINE_SAFE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def composed(**changes: object) -> bytes:
    return compose(replace(DRAFT, **changes), boundary_seed="seed")  # type: ignore[arg-type]


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=SMTPUTF8)
    assert isinstance(message, EmailMessage)
    assert [child.defects for child in message.walk() if child.defects] == []
    return message


def part(message: EmailMessage, index: int) -> EmailMessage:
    child = message.get_payload(index)
    assert isinstance(child, EmailMessage)
    return child


def shape(message: EmailMessage) -> object:
    """Return content types, nested as the parts are."""
    if message.get_content_maintype() != "multipart":
        return message.get_content_type()
    children = [shape(part(message, index)) for index in range(len(message.get_payload()))]
    return message.get_content_subtype(), children


def test_the_smallest_message_byte_for_byte() -> None:
    assert composed() == (
        b"From: Ant <ant@example.com>\r\n"
        b"To: bee@there.example\r\n"
        b"Subject: Lunch\r\n"
        b"Date: Sun, 01 Mar 2026 12:00:05 +0000\r\n"
        b"Message-ID: <1@example.com>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello Bee\r\n"
    )


def test_everything_at_once() -> None:
    zoe = Mailbox("Zoë, Ltd.", parse_address("zoe@exämple.com"))
    message = parsed(
        composed(
            from_=zoe,
            to=(ANT, BEE),
            cc=(zoe,),
            bcc=(Mailbox("Secret", parse_address("secret@there.example")),),
            reply_to=(BEE, ANT),
            subject="Grüße",
            html="<p>Hello</p>",
            headers=(("X-Campaign", "Frühling"), ("List-Unsubscribe", "<https://example.com/u>")),
            attachments=(PDF, LOGO),
        )
    )
    assert message.keys() == [
        *("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID"),
        *("X-Campaign", "List-Unsubscribe", "MIME-Version", "Content-Type"),
    ]
    sender = message["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == ("Zoë, Ltd.", "zoe@xn--exmple-cua.com")
    assert str(message["To"]) == "Ant <ant@example.com>, bee@there.example"
    assert str(message["Reply-To"]) == "bee@there.example, Ant <ant@example.com>"
    assert message["Subject"] == "Grüße"
    assert message["Date"].datetime == DRAFT.date.astimezone(UTC)
    assert message["X-Campaign"] == "Frühling"
    assert b"secret" not in message.as_bytes().lower()


@pytest.mark.parametrize(
    ("text", "html", "attachments", "expected"),
    [
        ("a", None, (), "text/plain"),
        (None, "a", (), "text/html"),
        ("a", "b", (), ("alternative", ["text/plain", "text/html"])),
        ("a", None, (PDF,), ("mixed", ["text/plain", "application/pdf"])),
        ("a", None, (LOGO,), ("mixed", ["text/plain", "image/png"])),
        (None, "a", (LOGO,), ("related", ["text/html", "image/png"])),
        (
            "a",
            "b",
            (LOGO,),
            ("alternative", ["text/plain", ("related", ["text/html", "image/png"])]),
        ),
        (
            "a",
            "b",
            (PDF, LOGO, PDF),
            (
                "mixed",
                [
                    ("alternative", ["text/plain", ("related", ["text/html", "image/png"])]),
                    "application/pdf",
                    "application/pdf",
                ],
            ),
        ),
    ],
)
def test_the_tree_has_no_needless_layer(
    text: str | None, html: str | None, attachments: tuple[Attachment, ...], expected: object
) -> None:
    message = parsed(composed(text=text, html=html, attachments=attachments))
    assert shape(message) == expected


def test_what_an_html_reader_needs_of_an_inline_file() -> None:
    message = parsed(
        composed(text=None, html="<img src=cid:logo@example.com>", attachments=(LOGO,))
    )
    logo = part(message, 1)
    assert message.get_param("type") == "text/html"
    assert logo["Content-ID"] == "<logo@example.com>"
    assert logo.get_content_disposition() == "inline"
    assert logo.get_filename() == "logo.png"
    assert logo.get_content() == LOGO.content


@pytest.mark.parametrize(
    ("text", "encoding", "body"),
    [
        ("", b"7bit", b""),
        ("a\n\nb\n", b"7bit", b"a\r\n\r\nb\r\n"),
        ("a\rb\r\nc", b"7bit", b"a\r\nb\r\nc\r\n"),
        (".\n..\nFrom me\n", b"7bit", b".\r\n..\r\nFrom me\r\n"),
        ("a" * 78, b"7bit", b"a" * 78 + b"\r\n"),
        ("a" * 79, b"quoted-printable", b"a" * 75 + b"=\r\naaaa\r\n"),
        ("café, tea \n\n", b"quoted-printable", b"caf=C3=A9, tea=20\r\n\r\n"),
        ("a\0b\x1bc and more words", b"quoted-printable", b"a=00b=1Bc and more words\r\n"),
        ("日本", b"base64", b"5pel5pysDQo=\r\n"),
    ],
)
def test_text_is_encoded_as_little_as_possible(text: str, encoding: bytes, body: bytes) -> None:
    head, _, rest = composed(text=text).partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Transfer-Encoding: " + encoding)
    assert rest == body


@given(ANY_TEXT, ANY_TEXT)
def test_text_and_html_come_back(text: str, html: str) -> None:
    data = composed(text=text, html=html)
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 78
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert b"\n" not in data.replace(b"\r\n", b"")
    for index, given_text in enumerate((text, html)):
        payload = part(parsed(data), index).get_payload(decode=True)
        assert isinstance(payload, bytes)
        lines = re.sub("\r\n|\r|\n", "\n", given_text)
        expected = lines if not lines or lines.endswith("\n") else lines + "\n"
        assert payload.decode().replace("\r\n", "\n").removesuffix("\n") == expected.removesuffix(
            "\n"
        )


@given(LINE_SAFE)
def test_subjects_come_back(subject: str) -> None:
    data = composed(subject=subject)
    header = data.partition(b"\r\n\r\n")[0]
    assert header.isascii()
    assert max(map(len, header.split(b"\r\n"))) <= 998
    assert parsed(data)["Subject"] == subject.strip(" ")


@given(LINE_SAFE)
def test_display_names_come_back(name: str) -> None:
    data = composed(from_=replace(ANT, name=name))
    assert data.isascii()
    sender = parsed(data)["From"]
    assert isinstance(sender, AddressHeader)
    assert [address.addr_spec for address in sender.addresses] == ["ant@example.com"]
    phrase, _ = parseaddr(email.message_from_bytes(data)["From"].replace("\r\n", ""))
    assert str(make_header(decode_header(phrase))) == name.strip(" ")


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=255)
)
def test_filenames_come_back(filename: str) -> None:
    data = composed(attachments=(replace(PDF, filename=filename),))
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    attachment = part(parsed(data), 1)
    assert attachment["Content-Disposition"].params["filename"] == filename


@given(st.binary(max_size=500))
def test_files_come_back(content: bytes) -> None:
    attachment = part(parsed(composed(attachments=(replace(PDF, content=content),))), 1)
    assert attachment.get_payload(decode=True) == content


def test_base64_lines_are_full() -> None:
    assert [len(line) for line in base64_lines(bytes(120)).split(b"\r\n")] == [76, 76, 8, 0]


def test_utf8_local_parts_stay_and_nothing_else_does() -> None:
    data = composed(to=(Mailbox("Почта", parse_address("почта@exämple.com")),), subject="Ü")
    lines = [line for line in data.split(b"\r\n") if not line.isascii()]
    assert lines == [" <почта@xn--exmple-cua.com>".encode()] or lines == [
        "To: =?utf-8?b?0J/QvtGH0YLQsA==?= <почта@xn--exmple-cua.com>".encode()
    ]


def test_boundaries_come_from_the_seed() -> None:
    draft = replace(DRAFT, html="<p>")
    assert compose(draft, boundary_seed="a") == compose(draft, boundary_seed="a")
    assert compose(draft, boundary_seed="a") != compose(draft, boundary_seed="b")


def test_a_body_that_contains_the_boundary_gets_another() -> None:
    first = re.findall(rb'boundary="([^"]+)"', composed(attachments=(PDF,)))[0]
    message = composed(text=f"--{first.decode()}--\n", attachments=(PDF,))
    [second] = re.findall(rb'boundary="([^"]+)"', message)
    assert second != first
    assert shape(parsed(message)) == ("mixed", ["text/plain", "application/pdf"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: x\r\n\r\nbody\r\n", ("message/rfc822", "7bit")),
        (b"Subject: x\n\nbody", ("message/rfc822", "7bit")),
        (b"Subject: \xff\r\n\r\n", ("application/octet-stream", "base64")),
        (b"Subject: x\r\n\r\n" + b"a" * 999 + b"\r\n", ("application/octet-stream", "base64")),
        (b"Subject: x\r\n\r\na\rb\r\n", ("application/octet-stream", "base64")),
        (b"Subject: x\r\n\r\n\0\r\n", ("application/octet-stream", "base64")),
    ],
    ids=["CRLF", "LF", "8-bit", "long line", "bare CR", "NUL"],
)
def test_a_message_inside_the_message(content: bytes, expected: tuple[str, str]) -> None:
    message = parsed(
        composed(attachments=(Attachment("mail.eml", content, "message/rfc822; x=y"),))
    )
    inner = part(message, 1)
    assert (inner.get_content_type(), inner["Content-Transfer-Encoding"]) == expected
    if expected[1] == "base64":
        assert inner.get_payload(decode=True) == content
    else:
        assert part(inner, 0)["Subject"] == "x"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", "application/octet-stream"),
        ("IMAGE/PNG", "image/png"),
        (
            "text/calendar; method=REQUEST;charset=utf-8",
            "text/calendar; method=REQUEST; charset=utf-8",
        ),
        ('a/b; name="x; y=\\"z"', 'a/b; name="x; y=\\"z"'),
    ],
)
def test_content_types(content_type: str, expected: str) -> None:
    data = composed(attachments=(replace(PDF, content_type=content_type),))
    assert f"\r\nContent-Type: {expected}\r\nContent-Transfer-Encoding:".encode() in data


def test_a_file_without_a_name() -> None:
    data = composed(attachments=(replace(PDF, filename="", disposition="inline"),))
    assert b"\r\nContent-Disposition: inline\r\n" in data
