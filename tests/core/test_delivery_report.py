"""Whole delivery reports, read back with the standard library's parser."""

from __future__ import annotations

import email
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import parse_address
from mta.core.delivery_report import Action, RecipientReport, Report, compose_report
from mta.core.envelope import Recipient
from mta.core.header import HeaderBlock, split_header
from mta.core.header_writer import ComposeError
from mta.core.loops import may_answer
from mta.core.reply import Reply

NOW = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
HEADER = b"From: ant@example.com\r\nMessage-ID: <m@example.com>\r\nSubject: Lunch\r\n"
FAILED = RecipientReport(
    recipient=Recipient(parse_address("bee@there.example"), orcpt="rfc822;bee@there.example"),
    action=Action.FAILED,
    status="5.1.1",
    reply=Reply(550, "5.1.1", "No such user"),
    host="mx.there.example",
    attempted_at=NOW,
)
REPORT = Report(
    hostname="mail.example.com",
    to=parse_address("ant@example.com"),
    date=NOW,
    message_id="<1@mail.example.com>",
    recipients=(FAILED,),
    arrived_at=NOW - timedelta(hours=1),
    header=HEADER,
    body=b"Hello Bee\r\n",
    ret="FULL",
    envid="QQ314",
)


def composed(max_returned: int = 10_000, **changes: object) -> bytes:
    report = replace(REPORT, **changes)  # type: ignore[arg-type]
    data = compose_report(report, max_returned=max_returned)
    assert data.replace(b"\r\n", b"").count(b"\r") == 0
    assert data.replace(b"\r\n", b"").count(b"\n") == 0
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    return data


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=SMTPUTF8)
    assert isinstance(message, EmailMessage)
    assert [child.defects for child in message.walk() if child.defects] == []
    return message


def part(message: EmailMessage, index: int) -> EmailMessage:
    child = message.get_payload(index)
    assert isinstance(child, EmailMessage)
    return child


def returned(data: bytes) -> tuple[bytes, bytes]:
    """Content type and body of the third part as they stand in the bytes."""
    boundary = re.search(rb'boundary="([^"]+)"', data)
    assert boundary is not None
    third = data.split(b"--" + boundary[1])[3].removeprefix(b"\r\n").removesuffix(b"\r\n")
    header, offset = split_header(third)
    return header, third[offset:]


def test_header() -> None:
    header, _ = split_header(composed())
    assert header.startswith(
        b"From: Mail Delivery System <postmaster@mail.example.com>\r\n"
        b"To: ant@example.com\r\n"
        b"Subject: Your mail could not be delivered\r\n"
        b"Date: Tue, 01 Jan 2030 09:30:00 +0000\r\n"
        b"Message-ID: <1@mail.example.com>\r\n"
        b"In-Reply-To: <m@example.com>\r\n"
        b"References: <m@example.com>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n"
    )


def test_the_three_parts() -> None:
    message = parsed(composed())
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    kinds = [part(message, index).get_content_type() for index in range(3)]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert "550 5.1.1 No such user" in part(message, 0).get_content()
    mail, recipient = part(message, 1).get_payload()
    assert mail["Original-Envelope-Id"] == "QQ314"
    assert recipient["Final-Recipient"] == "rfc822; bee@there.example"
    assert recipient["Original-Recipient"] == "rfc822; bee@there.example"
    assert part(part(message, 2), 0)["Subject"] == "Lunch"


def test_the_same_report_gives_the_same_bytes() -> None:
    assert composed() == composed()


def test_an_ordinary_report_is_plain_text_throughout() -> None:
    data = composed()
    assert data.isascii()
    assert re.findall(rb"Content-Transfer-Encoding: (.*)\r\n", data) == [b"7bit"]


def test_m06_a_report_is_never_answered() -> None:
    header, _ = split_header(composed())
    assert not may_answer(HeaderBlock.parse(header), REPORT.to)


@pytest.mark.parametrize(
    ("changes", "is_whole"),
    [
        ({}, True),
        ({"ret": "HDRS"}, False),
        ({"ret": ""}, False),
        ({"body": None}, False),  # larger than the caller cared to read
        ({"body": b""}, True),
        ({"recipients": (replace(FAILED, action=Action.DELAYED),)}, False),
        ({"recipients": (replace(FAILED, action=Action.RELAYED),)}, False),
        ({"recipients": (replace(FAILED, action=Action.RELAYED), FAILED)}, True),
        ({"max_returned": len(HEADER) + 2 + 11}, True),
        ({"max_returned": len(HEADER) + 2 + 10}, False),
        ({"body": b"x" * 999 + b"\r\n"}, False),  # no transfer encoding allows the line
        ({"body": b"\0\r\n"}, False),
        ({"body": b"no line end"}, False),
        ({"body": b"bare\nline end\r\n"}, False),
    ],
)
def test_what_is_returned(changes: dict[str, object], is_whole: bool) -> None:
    body = changes.get("body", REPORT.body)
    data = composed(**changes)  # type: ignore[arg-type]
    content, text = returned(data)
    if is_whole:
        assert isinstance(body, bytes)
        assert content == b"Content-Type: message/rfc822\r\n"
        assert text == HEADER + b"\r\n" + body
        assert b"and your mail, which" in data
    else:
        assert content == b"Content-Type: text/rfc822-headers\r\n"
        assert text == HEADER
        assert b"the header of your mail" in data


UTF8_HEADER = HEADER + "X-Name: Zoë\r\n".encode()
LATIN_HEADER = HEADER + b"X-Name: Zo\xeb\r\n"


@pytest.mark.parametrize(
    ("header", "body", "ret", "kind", "encoding"),
    [
        (HEADER, b"a\r\n", "FULL", "message/rfc822", None),
        (HEADER, b"\xe9\r\n", "FULL", "message/rfc822", "8bit"),
        (LATIN_HEADER, b"a\r\n", "FULL", "message/rfc822", "8bit"),
        (UTF8_HEADER, b"a\r\n", "FULL", "message/global", "8bit"),
        (HEADER, b"\xe9\r\n", "HDRS", "text/rfc822-headers", None),
        (UTF8_HEADER, b"a\r\n", "HDRS", "message/global-headers", "8bit"),
        (LATIN_HEADER, b"a\r\n", "HDRS", "text/rfc822-headers", "quoted-printable"),
        (b"X: " + b"y" * 2000 + b"\r\n", b"", "FULL", "text/rfc822-headers", "quoted-printable"),
        (
            b"X: " + "é".encode() * 999 + b"\r\n",
            b"",
            "FULL",
            "text/rfc822-headers",
            "quoted-printable",
        ),
    ],
)
def test_eight_bit_text_is_declared(
    header: bytes, body: bytes, ret: str, kind: str, encoding: str | None
) -> None:
    data = composed(header=header, body=body, ret=ret)
    message = parsed(data)
    third = part(message, 2)
    assert third.get_content_type() == kind
    assert third["Content-Transfer-Encoding"] == encoding
    assert message["Content-Transfer-Encoding"] == (None if data.isascii() else "8bit")
    assert data.isascii() == (encoding != "8bit")
    if encoding == "quoted-printable":
        assert third.get_payload(decode=True) == header


@pytest.mark.parametrize(
    ("field", "is_taken"),
    [
        (b"Message-ID: <a@b.example>", True),
        (b"message-id:<a@b.example>  ", True),
        (b"Message-ID:\r\n <a@b.example>", True),
        (b"Message-ID: <a@b.example> <c@d.example>", False),
        (b"Message-ID: a@b.example", False),
        (b"Message-ID: <a b@c.example>", False),
        (b"Message-ID: <a\xe9@b.example>", False),
        (b"Message-ID: <" + b"a" * 900 + b"@b.example>", False),
        (b"X-Message-ID: <a@b.example>", False),
        (b"Subject: x\r\n Message-ID: <a@b.example>", False),
    ],
)
def test_the_report_answers_the_mail(field: bytes, is_taken: bool) -> None:
    message = parsed(composed(header=field + b"\r\n"))
    expected = "<a@b.example>" if is_taken else None
    assert message["In-Reply-To"] == message["References"] == expected


def test_an_address_in_utf8() -> None:
    zoe = parse_address("zoë@example.com")
    data = composed(to=zoe, recipients=(replace(FAILED, recipient=Recipient(zoe)),))
    message = parsed(data)
    assert "\r\nTo: zoë@example.com\r\n".encode() in data
    assert part(message, 1).get_payload(1)["Final-Recipient"] == "utf-8; zo\\x{EB}@example.com"
    assert "<zoë@example.com>" in part(message, 0).get_content()


@given(st.text(st.characters()), st.text(st.characters()), st.binary(max_size=300))
def test_nothing_that_strangers_say_breaks_the_report(said: str, error: str, junk: bytes) -> None:
    recipients = (replace(FAILED, reply=Reply.of(550, said)), replace(FAILED, error=error))
    header = b"X: " + junk.translate(None, b"\r\n\0") + b"\r\n"
    message = parsed(composed(recipients=recipients, header=header))
    assert message.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
        *("Content-Type", *(["Content-Transfer-Encoding"] if not header.isascii() else [])),
    ]
    kinds = [child.get_content_type() for child in message.iter_parts()]
    assert kinds[:2] == ["text/plain", "message/delivery-status"]
    assert len(kinds) == 3


@pytest.mark.parametrize("said", ["\u4fe1" * 300, "x" * 5000, "\u4fe1 " * 300])
def test_a_reply_of_many_characters_without_a_break(said: str) -> None:
    recipients = (replace(FAILED, reply=Reply.of(550, said)),)
    block = part(parsed(composed(recipients=recipients)), 1).get_payload(1)
    assert len(block["Diagnostic-Code"]) > 500


def test_a_mail_that_quotes_the_report_cannot_end_a_part() -> None:
    data = composed()
    again = composed(body=split_header(data)[0] + data[split_header(data)[1] :])
    assert len(list(parsed(again).iter_parts())) == 3


@pytest.mark.parametrize(
    "changes",
    [{"hostname": "a\r\nBcc: x"}, {"message_id": "<a>\r\nBcc: <b>"}, {"hostname": "h" * 2000}],
)
def test_our_own_mistakes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ComposeError):
        composed(**changes)
