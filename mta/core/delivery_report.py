"""Delivery status notifications that we send: the bytes of a report.

    compose_report   -> explain             the part for people       delivery_words.py
                     -> delivery_status     the part for programs     delivery_status.py
                     -> _returned           the mail it is about, or its header

A report goes out with the null return path and NOTIFY=NEVER (RFC 3461 6.1), so nothing answers it.
Not here: when one is due (delivery_status.py), whether a tenant wants any, and reading the reports
of others. Follows RFC 3461 6, RFC 6522, RFC 3464 2, RFC 3834 5, and RFC 6533 for UTF-8.
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from collections.abc import Iterator

from mta.core.address import Address
from mta.core.delivery_status import (
    RecipientReport,
    Report,
    action_on_acceptance,
    delivery_status,
    is_report_due,
)
from mta.core.delivery_words import explain, subject
from mta.core.dsn import Action
from mta.core.header import rfc5322_date
from mta.core.header_writer import FieldText, Mailbox, header_block, mailboxes, plain
from mta.core.mime_parts import Part, are_lines, multipart, text_part

__all__ = [
    "Action",
    "RecipientReport",
    "Report",
    "action_on_acceptance",
    "compose_report",
    "is_report_due",
]

_MESSAGE_ID = re.compile(
    rb"^message-id[ \t]*+:(?:\r\n)?[ \t]*+(<[!-;=?-~]{1,800}>)[ \t]*+\r$",
    re.IGNORECASE | re.MULTILINE,
)


def compose_report(report: Report, *, max_returned: int) -> bytes:
    """Return the whole report as a message, with CRLF line ends.

    It is ASCII unless it returns 8-bit text, which it then declares as such; its own header is
    ASCII unless the address it goes to is not. The same report gives the same bytes.

    Args:
        report: what to tell.
        max_returned: octets of the longest mail that is returned whole; of longer ones, as of those
            that RET=FULL was not asked for, only the header is.

    Raises:
        ComposeError: a host name or message id that no header field can hold.
    """
    is_whole = _may_return_whole(report, max_returned)
    parts = [
        text_part("plain", explain(report, is_whole=is_whole), "text"),
        Part((_content_type("message/delivery-status"),), delivery_status(report)),
        _whole(report) if is_whole else _header_only(report.header),
    ]
    body = multipart("report", parts, report.message_id, "report-type=delivery-status")
    fields = [*_fields(report), ("MIME-Version", [" 1.0"]), *body.fields, *_encoding(body.body)]
    return header_block(fields) + b"\r\n" + body.body


def _fields(report: Report) -> Iterator[FieldText]:
    sender = Mailbox("Mail Delivery System", Address("postmaster", report.hostname))
    yield "From", mailboxes([sender])
    yield "To", mailboxes([Mailbox("", report.to)])
    yield "Subject", plain(subject(report))
    yield "Date", plain(rfc5322_date(report.date))
    yield "Message-ID", plain(report.message_id)
    if original := _MESSAGE_ID.search(report.header):
        yield "In-Reply-To", plain(original[1].decode("ascii"))
        yield "References", plain(original[1].decode("ascii"))
    yield "Auto-Submitted", [" auto-replied"]


def _may_return_whole(report: Report, max_returned: int) -> bool:
    """Tell whether the mail itself goes back: asked for, on a failure, and fit for it.

    A report without any failure has no use for it (RFC 3461 4.3).
    """
    if report.ret != "FULL" or report.body is None or not report.tells_of(Action.FAILED):
        return False
    size = len(report.header) + len(b"\r\n") + len(report.body)
    return size <= max_returned and _is_safe(report.header) and _is_safe(report.body)


def _is_safe(text: bytes) -> bool:
    """Tell whether text, of lines that all end, need not be encoded."""
    return not text or (text.endswith(b"\r\n") and are_lines(text))


def _whole(report: Report) -> Part:
    """Return the mail as a part, which nothing may encode (RFC 2046 5.2.1)."""
    data = report.header + b"\r\n" + (report.body or b"")
    kind = "message/global" if _is_international(report.header) else "message/rfc822"
    return Part((_content_type(kind), *_encoding(data)), data)


def _header_only(header: bytes) -> Part:
    """Return the header as a part: as it is, or quoted-printable where it is no proper text."""
    is_safe = _is_safe(header)
    if is_safe and _is_international(header):
        return Part((_content_type("message/global-headers"), *_encoding(header)), header)
    kind = _content_type("text/rfc822-headers")
    if is_safe and header.isascii():
        return Part((kind,), header)
    quoted = ("Content-Transfer-Encoding", [" quoted-printable"])
    return Part((kind, quoted), b2a_qp(header))


def _is_international(header: bytes) -> bool:
    """Tell whether a header has UTF-8 in it (RFC 6532); other 8-bit text has no name."""
    try:
        return not header.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False


def _content_type(kind: str) -> FieldText:
    return "Content-Type", [f" {kind}"]


def _encoding(body: bytes) -> list[FieldText]:
    """Return what declares 8-bit text, nothing for ASCII."""
    return [] if body.isascii() else [("Content-Transfer-Encoding", [" 8bit"])]
