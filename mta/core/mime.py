"""Composing a message from a draft: what the API and `mta send` hand over becomes bytes.

    compose -> _body        text, HTML and files as one MIME entity        mime_parts.py
            -> _fields      the header fields as text pieces               header_writer.py
            -> header_block folds them and proves that nothing was injected

Not here: stamping and signing (header.py, mta/signing.py). Mail that comes in by SMTP is never
composed, it passes through as it is. Follows RFC 5322 3.6 and RFC 2045 to 2047.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from mta.core.frozen import frozen
from mta.core.header import MAX_HEADER_FIELDS, MAX_HEADER_SIZE, rfc5322_date
from mta.core.header_writer import (
    MAX_PIECE,
    ComposeError,
    FieldText,
    Mailbox,
    check_text,
    header_block,
    mailboxes,
    plain,
    unstructured,
)
from mta.core.mime_parts import Attachment, Part, attachment_part, multipart, pieced_part, text_part

__all__ = ["Attachment", "ComposeError", "Draft", "Mailbox", "compose"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,75}")
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_PROTECTED = frozenset(
    {"from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version"}
    | {"received", "return-path", "dkim-signature", "domainkey-signature"}
    | {"authentication-results"}
)
_PROTECTED_FAMILIES = ("content-", "resent-", "arc-", "x-mta-")
_STRUCTURED = frozenset(
    {"sender", "in-reply-to", "references", "auto-submitted", "precedence", "feedback-id"}
    | {"cfbl-address"}
)
"""Fields (and the list- family) in which an encoded word would be taken literally."""


@frozen
class Draft:
    """What a client wants to say, before it has any bytes.

    Attributes:
        from_: the author.
        to, cc, reply_to: as they appear in the header; each may be empty.
        bcc: recipients that the header never names; they count for the envelope only.
        subject: one line of text, may be "".
        text: the plain text body, None for none; at least one of text and html is given.
        html: the HTML body, None for none.
        headers: further fields (name, value), each name once, in this order.
        attachments: files in this order.
        message_id: with its angle brackets.
        date: when it was written (aware).
        html_pieces, text_pieces: html and text again, in pieces as pieced_part takes them; () when
            they are sent as they are.
    """

    from_: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str | None
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    message_id: str
    date: datetime
    html_pieces: tuple[str, ...] = ()
    text_pieces: tuple[str, ...] = ()


def compose(draft: Draft, *, boundary_seed: str) -> bytes:
    """Return the whole message with CRLF line ends.

    It is ASCII, but for UTF-8 local parts of addresses in the header: those need SMTPUTF8.

    Args:
        draft: what to say.
        boundary_seed: any text; the same draft and seed give the same bytes.

    Raises:
        ComposeError: naming the part of the draft that cannot be sent.
    """
    body = _body(draft, boundary_seed)
    fields = [*_fields(draft), ("MIME-Version", [" 1.0"]), *body.fields]
    header = header_block(fields)
    if len(header) > MAX_HEADER_SIZE:
        raise ComposeError("headers", f"the header is larger than {MAX_HEADER_SIZE} octets")
    if len(fields) > MAX_HEADER_FIELDS:
        raise ComposeError("headers", f"the header has more than {MAX_HEADER_FIELDS} fields")
    return header + b"\r\n" + body.body


def _fields(draft: Draft) -> Iterator[FieldText]:
    check_text(draft.subject, "subject")
    if len(draft.message_id) > MAX_PIECE or not _MESSAGE_ID.fullmatch(draft.message_id):
        raise ComposeError("message_id", "is not a message id such as <name@example.com>")
    check_text(draft.from_.name, "from")
    yield "From", mailboxes([draft.from_])
    for name, boxes in (("To", draft.to), ("Cc", draft.cc), ("Reply-To", draft.reply_to)):
        for index, box in enumerate(boxes):
            check_text(box.name, f"{name.lower().replace('-', '_')}[{index}]")
        if boxes:
            yield name, mailboxes(boxes)
    yield "Subject", unstructured(draft.subject)
    yield "Date", [f" {rfc5322_date(draft.date)}"]
    yield "Message-ID", plain(draft.message_id)
    yield from _custom_fields(draft.headers)


def _custom_fields(headers: Sequence[tuple[str, str]]) -> Iterator[FieldText]:
    seen: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise ComposeError("headers", f"{name[:80]!a} is not a header name")
        field = f"headers.{name}"
        if lower in _PROTECTED or lower.startswith(_PROTECTED_FAMILIES):
            raise ComposeError(field, "is set by the engine and cannot be given")
        if lower in seen:
            raise ComposeError(field, "is given twice")
        seen.add(lower)
        check_text(value, field)
        yield name, _value(lower, value, field)


def _value(lower: str, value: str, field: str) -> list[str]:
    if lower not in _STRUCTURED and not lower.startswith("list-"):
        return unstructured(value)
    pieces = plain(value)
    if not value.isascii() or any(len(piece) > MAX_PIECE for piece in pieces):
        raise ComposeError(field, f"must be ASCII in words of at most {MAX_PIECE - 1} characters")
    return pieces


def _body(draft: Draft, seed: str) -> Part:
    """Return mixed(alternative(text, related(html, inline files)), files), or less of it."""
    related: list[Part] = []
    files: list[Part] = []
    for index, attachment in enumerate(draft.attachments):
        is_related = draft.html is not None and attachment.content_id != ""
        part = attachment_part(attachment, f"attachments[{index}]", is_related=is_related)
        (related if is_related else files).append(part)
    versions: list[Part] = []
    if draft.text is not None:
        pieces = draft.text_pieces
        versions.append(
            pieced_part("plain", pieces, "text")
            if pieces
            else text_part("plain", draft.text, "text")
        )
    if draft.html is not None:
        if draft.html_pieces:
            html = pieced_part("html", draft.html_pieces, "html")
        else:
            html = text_part("html", draft.html, "html")
        if related:
            html = multipart("related", [html, *related], seed, 'type="text/html"')
        versions.append(html)
    if not versions:
        raise ComposeError("text", "is missing, and html too")
    body = versions[0] if len(versions) == 1 else multipart("alternative", versions, seed)
    return multipart("mixed", [body, *files], seed) if files else body
