"""Mails read as reports: what they are, whom they are about, what it means."""

from __future__ import annotations

import pytest

from config.bounce_rules import shipped
from mta.core.dsn import Action
from mta.core.report import Report, ReportKind, read_report
from mta.core.reported import ReportedRecipient
from tests.core import report_mails as mails
from tests.core.report_mails import DAEMON, dsn, feedback, notice

ANT = "ant@there.test"
FAILED = f"Final-Recipient: rfc822; {ANT}\nAction: failed\nStatus: 5.0.0\n"


def read(data: bytes) -> Report:
    return read_report(data, shipped())


def only(data: bytes) -> ReportedRecipient:
    report = read(data)
    assert report.kind is ReportKind.BOUNCE
    [recipient] = report.recipients
    return recipient


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        (mails.POSTFIX, "bad_mailbox", "5.1.1"),
        (mails.QMAIL, "bad_mailbox", ""),
        (mails.SENDMAIL, "bad_mailbox", "5.1.1"),
        (mails.EXCHANGE, "bad_mailbox", ""),
        (mails.DOMINO, "bad_mailbox", ""),
        (mails.GROUPWISE, "mailbox_full", ""),
        (mails.YAHOO, "policy", "5.7.9"),
        (mails.IMAIL, "bad_mailbox", ""),
        (mails.GMAIL, "auth", "5.7.26"),
        (mails.JAPANESE, "bad_mailbox", "5.1.1"),
    ],
)
def test_notices_of_many_systems(text: str, kind: str, status: str) -> None:
    recipient = only(notice(text))
    assert (recipient.address, recipient.status) == (ANT, status)
    assert recipient.bounce_class.value == kind
    assert recipient.is_permanent
    assert recipient.is_hard is (kind == "bad_mailbox")


def test_each_recipient_of_a_notice_has_its_own_reason() -> None:
    found = {r.address: r.bounce_class.value for r in read(notice(mails.EXIM)).recipients}
    assert found == {ANT: "mailbox_full", "bee@there.test": "bad_domain"}


def test_a_transcript_names_its_recipients() -> None:
    found = {r.address: r.bounce_class.value for r in read(notice(mails.OLD_SENDMAIL)).recipients}
    assert found == {ANT: "bad_mailbox", "bee@nowhere.test": "bad_domain"}


def test_a_notice_within_html() -> None:
    html = f"<html><p>Delivery failed to</p><p>&lt;{ANT}&gt;: 550 5.1.1 user unknown</p></html>"
    data = notice(html, header=f"{DAEMON}Content-Type: text/html\n")
    assert only(data).address == ANT


def test_whom_to_ask_for_help_did_not_bounce_unless_it_did() -> None:
    text = "Ask postmaster@mx.relay.test or call.\n\n<support@there.test>: 550 5.1.1 user unknown"
    assert only(notice(f"It could not be delivered.\n{text}")).address == "support@there.test"


def test_failed_recipients_in_the_header_count_first() -> None:
    data = notice("It failed.", header=f"{DAEMON}X-Failed-Recipients: {ANT}, bee@there.test\n")
    assert [r.address for r in read(data).recipients] == [ANT, "bee@there.test"]


def test_the_returned_mail_names_the_recipient_where_the_notice_does_not() -> None:
    text = f"Your mail could not be delivered.\n\n--- Original message follows\n\nTo: {ANT}\n\nhi"
    assert only(notice(text)).address == ANT
    assert read(notice(text.replace("To:", "List-Id: x\nTo:"))).kind is ReportKind.NONE


def test_a_local_name_is_of_the_domain_that_reports() -> None:
    text = (
        "Your mail to the following recipients could not be delivered because of recipients:\n\tant"
    )
    assert only(notice(text)).address == "ant@mx.relay.test"


def test_a_delay_is_temporary_and_never_hard() -> None:
    recipient = only(notice(mails.EXIM_WARNING, subject="Warning: message delayed 24 hours"))
    assert recipient.bounce_class.value == "greylist"
    assert recipient.is_permanent is False
    assert recipient.is_hard is False


def test_a_delayed_unknown_user_is_not_hard() -> None:
    group = FAILED.replace("failed", "delayed").replace("5.0.0", "4.1.1")
    recipient = only(dsn(f"{group}Diagnostic-Code: smtp; 450 4.1.1 user unknown"))
    assert recipient.action is Action.DELAYED
    assert recipient.is_permanent is False
    assert recipient.is_hard is False


def test_a_failure_that_was_tried_for_long_is_hard_where_the_mailbox_is_at_fault() -> None:
    group = FAILED.replace("5.0.0", "4.1.1")
    recipient = only(dsn(f"{group}Diagnostic-Code: smtp; 450 4.1.1 user unknown"))
    assert recipient.is_permanent is False
    assert recipient.is_hard is True


@pytest.mark.parametrize(
    ("diagnostic", "kind", "status"),
    [
        ("smtp; 550 5.1.1 no such user here", "bad_mailbox", "5.1.1"),
        ("smtp; 550 5.7.1 listed at zen.spamhaus.org", "ip_reputation", "5.7.1"),
        ("smtp; 552 5.3.4 message too big", "too_large", "5.3.4"),
        ("smtp; 550 5.7.26 DMARC check failed", "auth", "5.7.26"),
        ("smtp; 554 5.7.1 relay access denied", "relay_denied", "5.7.1"),
        ("smtp; 554 5.7.1 message rejected as spam", "spam_content", "5.7.1"),
        ("X-Postfix; Host or domain name not found. Name service error", "bad_domain", "5.0.0"),
    ],
)
def test_delivery_status(diagnostic: str, kind: str, status: str) -> None:
    recipient = only(dsn(f"{FAILED}Diagnostic-Code: {diagnostic}"))
    assert (recipient.bounce_class.value, recipient.status) == (kind, status)


def test_the_text_for_people_helps_where_the_fields_say_nothing() -> None:
    recipient = only(dsn(FAILED, text=f"<{ANT}>: 552 5.2.2 mailbox full"))
    assert (recipient.bounce_class.value, recipient.status) == ("mailbox_full", "5.2.2")


def test_the_reply_behind_the_address_counts_where_the_fields_have_none() -> None:
    found = only(
        dsn(
            "Final-Recipient: rfc822; ant@there.test\nAction: failed\nStatus: 5.0.0",
            text="The following failed:\n\nant@there.test: 550 5.1.1 nobody has that name\n",
        )
    )
    assert (found.bounce_class.value, found.status, found.is_hard) == ("bad_mailbox", "5.1.1", True)
    assert found.diagnostic == "550 5.1.1 nobody has that name"


def test_the_transcript_has_the_rest_of_a_reply() -> None:
    found = only(
        dsn(
            "Final-Recipient: rfc822; ant@there.test\nAction: failed\nStatus: 5.1.1\n"
            "Diagnostic-Code: SMTP; 550-5.1.1 Dear sender,",
            text=">>> RCPT\n<<< 550-5.1.1 Dear sender,\n<<< 550 5.1.1 there is no mailbox\n"
            "<<< 452 4.2.2 mailbox full\n",
        )
    )
    assert (found.bounce_class.value, found.is_hard) == ("bad_mailbox", True)
    assert found.diagnostic == "550-5.1.1 Dear sender, 550 5.1.1 there is no mailbox"


def test_the_answer_to_another_recipient_says_nothing_about_this_one() -> None:
    found = only(
        dsn(
            "Final-Recipient: rfc822; ant@there.test\nAction: failed\nStatus: 5.1.1\n"
            "Diagnostic-Code: SMTP; 550 5.1.1 qwertz",
            text="<ant@there.test>\n<<< 550 5.1.1 qwertz\n<<< 452 4.2.2 mailbox full\n",
        )
    )
    assert (found.bounce_class.value, found.is_hard) == ("bad_mailbox", True)


def test_a_retry_time_that_ran_out_is_temporary_whatever_the_reporter_calls_it() -> None:
    found = only(
        dsn(
            "Final-Recipient: rfc822; ant@there.test\nAction: failed\nStatus: 5.0.0",
            text="ant@there.test\n  retry timeout exceeded\n",
        )
    )
    assert (found.bounce_class.value, found.is_permanent) == ("expired", False)


def test_the_failed_recipient_may_stand_in_the_header_of_the_notice() -> None:
    text = (
        "There was an error delivering your mail to <ant@there.test>.\n\n"
        "mx.there.test did not like our RCPT TO:\n550 5.1.1 no such user\n\n"
        "Message headers follow.\n\nTo: readers@sender.test\n"
    )
    found = only(notice(text, header=f"X-Original-To: <ant@there.test>\n{DAEMON}"))
    assert (found.address, found.is_hard) == ("ant@there.test", True)


def test_an_unknown_user_after_the_data_is_no_reason_to_suppress() -> None:
    text = f"<{ANT}>: 550 user unknown (in reply to end of DATA command)"
    recipient = only(dsn(f"{FAILED}Diagnostic-Code: smtp; 550 user unknown", text=text))
    assert recipient.bounce_class.value == "filtered"
    assert recipient.is_hard is False


def test_recipients_that_were_reached_are_left_out() -> None:
    reached = "Final-Recipient: rfc822; bee@there.test\nAction: delivered\nStatus: 2.0.0\n"
    assert only(dsn(FAILED, reached)).address == ANT
    assert read(dsn(reached)).kind is ReportKind.NONE


def test_the_returned_mail_is_named() -> None:
    report = read(dsn(FAILED))
    assert report.original_id == "<1@sender.test>"
    assert report.returned.get("from") == "list@sender.test"


def test_a_complaint() -> None:
    report = read(feedback("Feedback-Type: abuse\nVersion: 1", f"To: <{ANT}>"))
    assert (report.kind, report.feedback_type) == (ReportKind.ARF, "abuse")
    [recipient] = report.recipients
    assert (recipient.address, recipient.bounce_class.value) == (ANT, "feedback")
    assert recipient.is_hard is None


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("From: ant@there.test\nSubject: Out of office: hello\n", "I am away."),
        ("From: ant@there.test\nSubject: Abwesenheitsnotiz\n", "Ich bin nicht im Büro."),
        ("From: ant@there.test\nSubject: Re: hello\nX-Autoreply: yes\n", "Could not be delivered"),
        ("From: ant@there.test\nSubject: x\nAuto-Submitted: auto-replied\n", "Thank you"),
        ("From: ant@there.test\nSubject: =?utf-8?q?R=C3=A9ponse_automatique?=\n", "x"),
        (
            "From: Boxbe <noreply@boxbe.test>\nSubject: hello (Action Required)\n",
            "on my guest list",
        ),
        ("From: ant@there.test\nSubject: Please confirm your message\n", "Click to deliver"),
    ],
)
def test_automatic_replies_are_no_bounces(header: str, text: str) -> None:
    report = read(f"{header}To: list@sender.test\n\n{text}\n".encode())
    assert report.kind is ReportKind.AUTOREPLY
    assert not report.recipients


def test_a_challenge_sent_as_a_delivery_status_is_no_bounce() -> None:
    group = f"Final-Recipient: rfc822; {ANT}\nAction: failed\nStatus: 5.7.1\n"
    data = dsn(group, text="x", subject="Boxbe: add yourself to my guest list")
    assert read(data).kind is ReportKind.AUTOREPLY


REFUSED = f"Final-Recipient: rfc822; {ANT}\nAction: failed\nStatus: 5.1.1\n"


@pytest.mark.parametrize(
    ("group", "subject"),
    [
        (
            f"{REFUSED}Diagnostic-Code: smtp; 550 unknown",
            "Undeliverable: Please confirm your email",
        ),
        (f"{REFUSED}Diagnostic-Code: smtp; 550 unknown", "Confirm your email"),
        (REFUSED, "Non remis : Confirm your email address"),
        (REFUSED, "Undeliverable: Your message awaits"),
    ],
)
def test_a_bounce_that_quotes_a_subject_is_no_challenge(group: str, subject: str) -> None:
    quoted = subject.partition(": ")[2] or subject
    data = dsn(group, subject=subject).replace(
        b"Message-ID: <1@", f"Subject: {quoted}\nMessage-ID: <1@".encode()
    )
    report = read(data)
    assert report.kind is ReportKind.BOUNCE
    assert [recipient.is_hard for recipient in report.recipients] == [True]


@pytest.mark.parametrize("subject", ["unsubscribe request", "Spam report for May", "Opt out"])
def test_a_bounce_that_quotes_a_subject_is_no_complaint(subject: str) -> None:
    data = (
        f"From: MAILER-DAEMON@mx.relay.test\nSubject: failure notice: {subject}\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nIt could not be delivered:\n\n"
        f"<{ANT}>: host mx.there.test said: 550 5.1.1 unknown (in reply to RCPT TO command)\n"
        f"--b\nContent-Type: message/rfc822\n\nTo: {ANT}\nSubject: {subject}\n\nx\n--b--\n"
    )
    report = read(data.encode())
    assert report.kind is ReportKind.BOUNCE
    assert [recipient.is_hard for recipient in report.recipients] == [True]


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Your parcel", "Your parcel could not be delivered to ant@there.test. Call us."),
        ("Re: Undelivered Mail", "I read that your mail was returned. Mine is ant@there.test."),
        ("hello", "550 5.1.1 is what ant@there.test told me: user unknown"),
        ("Newsletter", "Read about bounces, spam and failure notices <news@there.test>"),
        ("", ""),
    ],
)
def test_ordinary_mail_is_nothing(subject: str, text: str) -> None:
    header = "From: Elk <elk@there.test>\nTo: list@sender.test\nIn-Reply-To: <1@x.test>\n"
    report = read(notice(text, subject=subject, header=header))
    assert report.kind is ReportKind.NONE
    assert not report.recipients


def test_a_forwarded_bounce_is_not_a_bounce() -> None:
    inner = dsn(FAILED).decode()
    data = (
        "From: elk@there.test\nTo: list@sender.test\nSubject: Fwd: look at this\n"
        f"Content-Type: multipart/mixed; boundary=o\n\n--o\n\nsee\n--o\n"
        f"Content-Type: message/rfc822\n\n{inner}\n--o--\n"
    )
    assert read(data.encode()).kind is ReportKind.NONE


def test_addresses_never_hold_control_characters() -> None:
    group = "Final-Recipient: rfc822; an\x1bn\u202e@there.test\nAction: failed\nStatus: 5.1.1"
    for recipient in read(dsn(group)).recipients:
        assert recipient.address.isprintable()


def test_a_vacation_note_that_the_mail_system_signs() -> None:
    header = "From: Mail System <postmaster@there.test>\nTo: list@sender.test\n"
    text = f"{ANT} is on vacation. This was not delivered to anybody else."
    assert read(notice(text, subject="Vacation: News", header=header)).kind is ReportKind.AUTOREPLY


def test_a_rejection_sent_as_a_disposition() -> None:
    """As Dovecot did; RFC 8098 knows no such disposition."""
    data = (
        "From: Mail Delivery Subsystem <postmaster@there.test>\nSubject: Rejected: News\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n"
        f"--b\n\nYour message to <{ANT}> was automatically rejected:\nQuota exceeded\n"
        "--b\nContent-Type: message/disposition-notification\n\n"
        f"Final-Recipient: rfc822; {ANT}\nDisposition: automatic-action/sent; deleted\n"
        f"--b\nContent-Type: message/rfc822\n\nTo: {ANT}\nSubject: News\n\nx\n--b--\n"
    )
    [recipient] = read(data.encode()).recipients
    assert (recipient.address, recipient.bounce_class.value) == (ANT, "mailbox_full")
    assert read(data.replace("rejected", "read").replace("Rejected", "Read").encode()).kind in {
        ReportKind.NONE,
        ReportKind.AUTOREPLY,
    }


NOT_BOUNCES = [
    (
        "Re: Undeliverable",
        "X-A: b",
        "Mine, ant@there.test, does not exist now: 550 user unknown. Use elk@there.test.",
    ),
    (
        "Re: News",
        "Return-Path: <>",
        "I have left. The address does not exist any more; not delivered.",
    ),
    (
        "Ant has gone",
        "Return-Path: <>",
        "Your message was not delivered. Resend to elk@there.test.",
    ),
    (
        "Delivery failed: your parcel",
        "X-A: b",
        "It could not be delivered. Write to elk@there.test.",
    ),
    (
        "Account disabled",
        "From: System Administrator <a@b.test>",
        "Its owner elk@b.test does not exist.",
    ),
    (
        "Re: your question",
        "From: postmaster@b.test",
        "It could not be delivered to elk@b.test once.",
    ),
]


@pytest.mark.parametrize(("subject", "field", "text"), NOT_BOUNCES)
def test_words_alone_are_no_bounce(subject: str, field: str, text: str) -> None:
    sender = "" if field.startswith("From:") else "From: Ant <ant@there.test>\n"
    head = f"{field}\n{sender}To: b@sender.test\nAuto-Submitted: auto-replied\n"
    assert not read(notice(text, subject=subject, header=head)).recipients


def test_a_list_of_statuses_needs_no_introduction() -> None:
    text = f"Processed:\n{ANT}; Failed; 5.1.1 (mailbox)\nbee@there.test; Failed; 5.2.2 (full)"
    found = {r.address: r.bounce_class.value for r in read(notice(text)).recipients}
    assert found == {ANT: "bad_mailbox", "bee@there.test": "mailbox_full"}
