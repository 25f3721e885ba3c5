"""Mail from anyone: parts, encodings, careless writers, caps."""

from __future__ import annotations

import base64
import time

import pytest

from mta.core.mime_reader import (
    MAX_PARTS,
    plain_of_html,
    printable_text,
    read_mail,
    split_entity,
)

MULTIPART = b"""From: a@b.test
Content-Type: multipart/report; report-type="Delivery-Status";
 boundary="x y"

preamble
--x y
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9
--x y
Content-Type: message/delivery-status

Action: failed
--x y--
epilogue
"""


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_parts_with_any_line_ends(newline: bytes) -> None:
    mail = read_mail(MULTIPART.replace(b"\n", newline))
    assert mail.report_type == "delivery-status"
    assert [part.content_type for part in mail.parts] == [
        "text/plain",
        "message/delivery-status",
    ]
    assert mail.parts[0].text == "café"
    assert mail.parts[1].octets == b"Action: failed"


def test_nested_parts_are_leaves_in_order() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\n\ntwo\n--i--\n"
    mail = read_mail(b"Content-Type: multipart/mixed; boundary=o\n\n--o\n" + inner + b"--o--\n")
    assert [part.text for part in mail.parts] == ["one", "two"]


def test_an_enclosed_message_stays_whole() -> None:
    data = b"Content-Type: message/rfc822\n\nFrom: x@y.test\n\nbody\n"
    assert read_mail(data).parts[0].body == b"From: x@y.test\n\nbody\n"


def test_a_boundary_that_the_header_does_not_name_is_guessed() -> None:
    data = b"Content-Type: multipart/mixed\n\n--=_12345678\n\none\n--=_12345678--\n"
    assert [part.text for part in read_mail(data).parts] == ["one"]


def test_a_missing_boundary_leaves_text() -> None:
    data = b"Content-Type: multipart/mixed; boundary=zzz\n\njust text\n"
    assert read_mail(data).parts[0].text == "just text\n"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"A: 1\nB: 2\n folded\n\nbody", b"body"),
        (b"From x Thu Jan 1\nA: 1\n\nbody", b"body"),
        (b"A: 1\nno field here\nmore", b"no field here\nmore"),
        (b"no header at all", b"no header at all"),
        (b"A: 1", b""),
        (b"", b""),
    ],
)
def test_where_a_body_begins(data: bytes, body: bytes) -> None:
    assert split_entity(data)[1] == body


def test_fields_are_unfolded_and_found_in_any_case() -> None:
    fields, _ = split_entity(b"X-Long : one\n\ttwo\nx-long: three\n\n")
    assert fields.get("x-long") == "one two"
    assert fields.all("x-long") == ("one two", "three")
    assert not fields.has("x-other")


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("utf-8", "日本".encode(), "日本"),
        ("iso-2022-jp", "日本".encode("iso-2022-jp"), "日本"),
        ("", "日本".encode("iso-2022-jp"), "日本"),
        ("us-ascii", "é".encode("latin-1"), "é"),
        ("no-such-charset", "é".encode(), "é"),
        ("unicode_escape", b"\\x41", "\\x41"),
        ("utf-8", b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_charsets(charset: str, octets: bytes, text: str) -> None:
    header = b"Content-Type: text/plain; charset=" + charset.encode() + b"\n"
    body = b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(octets)
    assert read_mail(header + body).parts[0].text == text


def test_broken_base64_is_left_as_it_is() -> None:
    data = b"Content-Transfer-Encoding: base64\n\nA"
    assert read_mail(data).parts[0].octets == b"A"


def test_html_shows_what_a_reader_sees() -> None:
    html = "<style>p{x:y}</style><p>To &lt;a@b.test&gt;<br>or <c@d.test></p>"
    assert plain_of_html(html).split() == ["To", "<a@b.test>", "or", "<c@d.test>"]


def test_printable_text_keeps_lines_only() -> None:
    assert printable_text("a\x00b\x1b[31m\nc\u202ed\u2028e") == "a b [31m\nc d e"


def test_caps() -> None:
    boundary = b"--b\n\nx\n"
    mail = read_mail(b"Content-Type: multipart/mixed; boundary=b\n\n" + boundary * 5000)
    assert len(mail.parts) == MAX_PARTS
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000)
    )
    assert len(read_mail(nested + b"\nend").parts) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"A: b\n" * 200_000,
        b"A: b\n" + b" folded\n" * 130_000,
        b"Content-Type: text/plain" + b'; a="' * 200_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n--b" * 250_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\nA: b\n\nx\n" * 90_000,
        b"Content-Type: text/html\n\n" + b"<" * 1_000_000,
        b"Content-Type: text/html\n\n" + b"<style" * 170_000,
        b"Content-Type: text/html\n\n" + b"&" * 1_000_000,
        b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\n\nx",
        b"\n" * 1_000_000,
    ],
)
def test_a_hostile_megabyte_takes_no_time(data: bytes) -> None:
    started = time.process_time()
    assert all(isinstance(part.text, str) for part in read_mail(data).parts)
    assert time.process_time() - started < 2
