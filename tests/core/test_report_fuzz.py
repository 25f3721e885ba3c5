"""Hostile mail: the readers of reports always give a value, in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.bounce_rules import shipped
from mta.core.report import Report, read_report
from tests.core import report_mails as mails

GOOD = [
    mails.dsn("Final-Recipient: rfc822; ant@there.test\nAction: failed\nStatus: 5.1.1"),
    mails.feedback("Feedback-Type: abuse", "To: ant@there.test"),
    mails.notice(mails.EXIM),
    mails.notice(mails.SENDMAIL),
    mails.notice(mails.GROUPWISE),
    mails.notice('{"notificationType": "Bounce", "bounce": {}}'),
]
PIECES = [
    b"\n",
    b"\n\n",
    b"--b=1\n",
    b"Content-Type: multipart/mixed; boundary=b=1\n",
    b"Content-Type: message/delivery-status\n",
    b"Content-Type: message/rfc822\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Type: text/html\n",
    b"Final-Recipient: rfc822; ant@there.test\n",
    b"Action: failed\n",
    b"Feedback-Type: abuse\n",
    b"From: MAILER-DAEMON@there.test\n",
    b"could not be delivered to the following recipients:\n",
    b"<ant@there.test>: 550 5.1.1 user unknown\n",
    b"----- Original message -----\n",
    b"\x1b$B\xff\x00=?utf-8?q?=\n",
]


def read(data: bytes) -> Report:
    report = read_report(data, shipped())
    for recipient in report.recipients:
        assert recipient.address.isprintable()
        assert "@" in recipient.address
        assert not set(recipient.diagnostic) & set("\x00\x1b\x7f\u2028\u202e")
    return report


@given(st.binary(max_size=2000))
def test_any_octets(data: bytes) -> None:
    read(data)


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_order_of_pieces(pieces: list[bytes]) -> None:
    read(b"".join(pieces))


@given(st.sampled_from(GOOD), st.integers(0, 2000), st.binary(max_size=4))
def test_truncated_and_damaged_mails(mail: bytes, place: int, damage: bytes) -> None:
    read(mail[:place])
    read(mail[:place] + damage + mail[place:])


@settings(max_examples=30)
@given(st.sampled_from(GOOD), st.sampled_from(PIECES), st.integers(0, 2000))
def test_pieces_repeated_within_a_mail(mail: bytes, piece: bytes, place: int) -> None:
    read(mail[:place] + piece * 500 + mail[place:])


HEADER = b"From: MAILER-DAEMON@a.test\nSubject: failure notice\n"
REPORT = HEADER + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
HOSTILE = {
    "addresses": HEADER + b"\nFailed:\n" + b"<a@b.test>: 550 x\n" * 60_000,
    "different addresses": HEADER
    + b"\nFailed:\n"
    + b"".join(b"<u%d@b.test>: x\n" % n for n in range(60_000)),
    "one line of addresses": HEADER + b"\nFailed: " + b"a@b.test " * 110_000,
    "at signs": HEADER + b"\n" + b"@" * 1_000_000,
    "half an address": HEADER + b"\n" + b"a" * 500_000 + b"@" + b"b" * 500_000,
    "brackets": HEADER + b"\n" + b"<" * 1_000_000,
    "status groups": REPORT
    + b"--b\nContent-Type: message/delivery-status\n\n"
    + b"".join(b"Final-Recipient: rfc822; u%d@b.test\n\n" % n for n in range(25_000)),
    "blank lines": REPORT + b"--b\nContent-Type: message/delivery-status\n\n" + b"\n \n" * 300_000,
    "parts": REPORT + b"--b\nContent-Type: message/delivery-status\n\nAction: failed\n" * 15_000,
    "nested parts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(15_000)
    ),
    "nested mails": b"Content-Type: message/rfc822\n\n" * 33_000,
    "recipients in the header": HEADER
    + b"X-Failed-Recipients: "
    + b",\n a@b.test" * 8_000
    + b"\n\nFailed.",
    "feedback": b"Content-Type: message/feedback-report\n\n" + b"Feedback-Type: abuse\n\n" * 45_000,
    "json": b"From: a@b.test\n\n{" + b'"notificationType":{' * 50_000,
    "encoded words": HEADER + b"Subject: " + b"=?utf-8?b?QUFB?= " * 60_000 + b"\n\nx",
    "marks over marks": HEADER + "\nFailed: é".encode() + "\u0301".encode() * 400_000,
    "wide letters": HEADER + b"\nFailed:\n" + "ﷺ".encode() * 330_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_takes_little_time(name: str) -> None:
    started = time.process_time()
    report = read(HOSTILE[name])
    assert time.process_time() - started < 3
    assert len(report.recipients) <= 1000


def test_twice_the_size_takes_about_twice_the_time() -> None:
    def seconds(count: int) -> float:
        data = HEADER + b"\nFailed:\n" + b"some words of a reason, a@b.test, 550 5.1.1\n" * count
        started = time.process_time()
        read(data)
        return time.process_time() - started

    assert seconds(40_000) < 5 * max(seconds(20_000), 0.02)
