"""Complaints of any form (RFC 5965, RFC 6591)."""

from __future__ import annotations

import pytest

from mta.core.arf import Feedback, read_feedback
from mta.core.mime_reader import read_mail
from tests.core.report_mails import feedback

ANT = "ant@there.test"
ABUSE = "Feedback-Type: abuse\nUser-Agent: X/1\nVersion: 1"


def read(data: bytes) -> Feedback | None:
    return read_feedback(read_mail(data))


@pytest.mark.parametrize(
    ("machine", "original", "expected"),
    [
        (ABUSE, f"To: Ant <{ANT}>", Feedback("abuse", (ANT,))),
        (f"{ABUSE}\nOriginal-Rcpt-To: <{ANT}>", "To: x@y.test", Feedback("abuse", (ANT,))),
        (f"{ABUSE}\nRemoval-Recipient: {ANT}", "To: x@y.test", Feedback("abuse", (ANT,))),
        (ABUSE, f"X-HmXmrOriginalRecipient: {ANT}\nTo: x@y.test", Feedback("abuse", (ANT,))),
        (ABUSE, f"To: <undisclosed>\nDelivered-To: {ANT}", Feedback("abuse", (ANT,))),
        (ABUSE, "To: undisclosed-recipients:;", Feedback("abuse", ())),
        ("Feedback-Type: Auth-Failure", "To: a", Feedback("auth-failure", ())),
        ("Feedback-Type: not-spam", "To: a", Feedback("not-spam", ())),
        ("Feedback-Type: new_kind\x1b", "To: a", Feedback("new_kind", ())),
        ("User-Agent: X", "To: a", Feedback("abuse", ())),
    ],
)
def test_feedback_reports(machine: str, original: str, expected: Feedback) -> None:
    assert read(feedback(machine, original)) == expected


def test_a_report_without_the_feedback_part() -> None:
    data = feedback(ABUSE, f"X-HmXmrOriginalRecipient: {ANT}").replace(
        b"multipart/report; report-type=feedback-report", b"multipart/mixed"
    )
    cut = data.replace(b"Content-Type: message/feedback-report", b"Content-Type: x/y")
    assert read(cut) == Feedback("abuse", (ANT,))


def test_feedback_fields_in_plain_text() -> None:
    data = feedback(ABUSE, f"To: {ANT}").replace(b"message/feedback-report", b"text/plain")
    assert read(data) == Feedback("abuse", (ANT,))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("This is an email abuse report for an email message from 192.0.2.1", "abuse"),
        ("A message has failed the published DMARC policy for your domain.", "auth-failure"),
    ],
)
def test_reports_in_words_only(text: str, kind: str) -> None:
    data = f"From: x@there.test\nSubject: a report\n\n{text}\n".encode()
    assert read(data) == Feedback(kind, ())


def test_an_opt_out_in_the_subject() -> None:
    report = read(feedback("Version: 1", f"To: {ANT}", subject="Opt-out request"))
    assert report == Feedback("opt-out", (ANT,))


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: hello\n\nI want no more of this spam.\n",
        b"Subject: Abuse report for 2030\n\nAttached.\n",
        b"",
    ],
)
def test_other_mail_is_no_complaint(data: bytes) -> None:
    assert read(data) is None
