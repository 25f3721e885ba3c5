"""Reports as other servers write them, about mail that one of our receivers got."""

from __future__ import annotations

CRLF = b"\r\n"


def header_of(mail: bytes) -> bytes:
    """Return the header block of a mail, with its last CRLF."""
    return mail.partition(b"\r\n\r\n")[0] + CRLF


def dsn(
    mail: bytes,
    recipient: str,
    *,
    status: str = "5.1.1",
    said: str = "550 5.1.1 <%s>: Recipient address rejected: User unknown",
    action: str = "failed",
) -> bytes:
    """Return a delivery status notification (RFC 3464) that returns the header of the mail."""
    diagnostic = said % recipient if "%s" in said else said
    head = (
        "From: MAILER-DAEMON@mx.dest.test\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\r\n\r\n'
        "--B\r\nContent-Type: text/plain\r\n\r\n"
        "I'm sorry to have to inform you that your message could not be delivered.\r\n"
        f"<{recipient}>: host mx.dest.test said: {diagnostic}\r\n\r\n"
        "--B\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.dest.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Remote-MTA: dns; mx.dest.test\r\nDiagnostic-Code: smtp; {diagnostic}\r\n\r\n"
        "--B\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    )
    return head.encode() + header_of(mail) + b"\r\n--B--\r\n"


def arf(mail: bytes, *, feedback_type: str = "abuse", extra: str = "") -> bytes:
    """Return a complaint (RFC 5965) that names no recipient, with the mail in it."""
    head = (
        "From: feedback@provider.test\r\nSubject: FW: complaint\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="B"\r\n\r\n'
        "--B\r\nContent-Type: text/plain\r\n\r\n"
        "This is an email abuse report for an email message.\r\n\r\n"
        "--B\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {feedback_type}\r\nUser-Agent: Provider/1.0\r\nVersion: 1\r\n{extra}\r\n"
        "--B\r\nContent-Type: message/rfc822\r\n\r\n"
    )
    return head.encode() + mail + b"\r\n--B--\r\n"


VACATION = (
    b"From: bee@dest.test\r\nSubject: Out of office: Hello\r\nAuto-Submitted: auto-replied\r\n"
    b"\r\nI am on vacation until Monday.\r\n"
)
