"""A message that a client has composed, as a submission: its bytes pass through as over SMTP.

What changes: a line end that is LF alone becomes CRLF (over SMTP it would be refused), and what
core/header.outgoing_header does. Not here: the request that brings it (raw_emails.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from control_api.errors import FieldError
from control_api.fields import sentence
from control_api.submissions import Origin, kept_message, trace_field
from mta.core.address import Address, AddressError, parse_address
from mta.core.dot import LineCheck
from mta.core.envelope import Envelope, Priority, Recipient
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.header import (
    Field,
    HeaderBlock,
    HeaderError,
    Stamp,
    facts,
    outgoing_header,
    rfc5322_date,
    split_header,
)
from mta.core.header_text import MAX_VALUE, read_mailboxes
from mta.core.loops import is_looping
from mta.core.message import HeaderFacts
from mta.core.submission import Door, Submission
from mta.core.unsubscribe import UnsubscribeOffer
from storage.spool import Spool

_BARE_LF = re.compile(rb"(?<!\r)\n")


@frozen
class RawEmail:
    """A request to send a message as it is, validated but for the message.

    Attributes:
        return_path: None is the null return path <>.
        has_return_path: whether one was given; otherwise the usual one is used.
        recipients: none: those in To, Cc and Bcc.
        data: the message, with CRLF or LF.
        tags, metadata, send_at: as in payload.Email.
        priority: None: as X-MTA-Priority says.
    """

    return_path: Address | None
    has_return_path: bool
    recipients: tuple[Address, ...]
    data: bytes
    tags: tuple[tuple[str, str], ...]
    metadata: Mapping[str, JsonValue]
    send_at: datetime | None
    priority: Priority | None


class _WrongError(Exception):
    """Something about the message is wrong; holds the FieldError."""

    def __init__(self, code: str, message: str, field: str = "raw") -> None:
        super().__init__(message)
        self.error = FieldError(field, code, message)


def build_raw(
    raw: RawEmail, origin: Origin, spool: Spool, *, public_id: str, max_recipients: int
) -> Submission | FieldError:
    """Return the submission for a message, or what is wrong with it. Blocks for large ones.

    Raises:
        StorageError: the spool cannot be written.
    """
    try:
        return _built(raw, origin, spool, public_id, max_recipients)
    except _WrongError as wrong:
        return wrong.error


def _built(
    raw: RawEmail, origin: Origin, spool: Spool, public_id: str, max_recipients: int
) -> Submission:
    data = _with_crlf(raw.data)
    header, body_at = split_header(data)
    block, said = _read_header(header, origin)
    recipients = _recipients(raw, block)
    if len(recipients) > max_recipients:
        raise _WrongError("too_many", f"At most {max_recipients} recipients.", "rcpt_to")
    sender = parse_address(said.from_address)
    stamp = Stamp(
        received=trace_field(origin, public_id),
        date=rfc5322_date(origin.at).encode(),
        message_id=f"<{public_id}@{sender.domain}>".encode(),
    )
    kept = outgoing_header(block, stamp=stamp)
    content = kept + data[body_at:]
    if len(content) > origin.max_size:
        raise _WrongError("too_large", f"A message may have {origin.max_size} bytes at most.")
    return Submission(
        public_id=public_id,
        tenant_id=origin.tenant_id,
        door=Door.API,
        envelope=Envelope(
            raw.return_path if raw.has_return_path else origin.return_path(sender),
            tuple(Recipient(address) for address in recipients),
        ),
        message=kept_message(content, len(kept), spool),
        header=replace(said, message_id=said.message_id or stamp.message_id.decode()),
        priority=raw.priority if raw.priority is not None else _wished_priority(block),
        send_at=raw.send_at,
        tags=raw.tags,
        metadata=raw.metadata,
        is_test=origin.is_test,
        unsubscribe=_offer(block, origin),
    )


def _with_crlf(data: bytes) -> bytes:
    """Return the message with CRLF at the end of each line, the last one included."""
    data = _BARE_LF.sub(b"\r\n", data)
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    check = LineCheck()
    check.feed(data)
    check.finish()
    if check.has_bare_line_end:
        raise _WrongError("invalid_line_end", "A line must end in CR LF, or LF alone.")
    if check.has_long_line:
        raise _WrongError("line_too_long", "A line may have 998 octets (RFC 5321 4.5.3.1.6).")
    return data


def _read_header(header: bytes, origin: Origin) -> tuple[HeaderBlock, HeaderFacts]:
    try:
        block = HeaderBlock.parse(header)
        said = facts(block)
    except HeaderError as error:
        raise _WrongError("invalid_header", sentence(error)) from None
    if not said.sender_domain:
        raise _WrongError("invalid_header", "The message needs one From field with an address.")
    if is_looping(block, origin.hostname):
        raise _WrongError("mail_loop", "The message has been through too many servers.")
    return block, said


def _recipients(raw: RawEmail, block: HeaderBlock) -> tuple[Address, ...]:
    """Return whom it is for: as the request says, else everybody in To, Cc and Bcc."""
    if raw.recipients:
        return raw.recipients
    fields = [field for name in (b"To", b"Cc", b"Bcc") for field in block.all(name)]
    found = tuple(address for field in fields for address in _addresses(field))
    if not found:
        raise _WrongError("required", "Name the recipients, here or in the message.", "rcpt_to")
    return found


def _addresses(field: Field) -> list[Address]:
    name = field.name.decode()
    if len(field.value) > MAX_VALUE:
        message = f"{name} is too long to be read; name the recipients here."
        raise _WrongError("too_long", message, "rcpt_to")
    try:
        return [parse_address(one) for _, one in read_mailboxes(field.value, limit=MAX_VALUE)]
    except AddressError as error:
        raise _WrongError("invalid_address", f"{name}: {error}.", "rcpt_to") from None


def _wished_priority(block: HeaderBlock) -> Priority:
    priority = Priority.named((block.get(b"X-MTA-Priority") or b"transactional").decode("latin-1"))
    if priority is None:
        raise _WrongError("invalid_value", "X-MTA-Priority is transactional or bulk.")
    return priority


def _offer(block: HeaderBlock, origin: Origin) -> UnsubscribeOffer | None:
    match (block.get(b"X-MTA-Unsubscribe") or b"no").lower():
        case b"no":
            return None
        case b"yes" if origin.can_unsubscribe:
            return UnsubscribeOffer()
        case b"yes":
            message = "X-MTA-Unsubscribe needs api.public_url, which is not set here."
            raise _WrongError("not_configured", message)
        case _:
            raise _WrongError("invalid_value", "X-MTA-Unsubscribe is yes or no.")
