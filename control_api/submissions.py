"""An email of the API as a submission: composed, hashed and, when it is large, spooled.

The message is built once, here; nothing of it changes until it is delivered, signatures apart. Not
here: reading the request (payload.py) and the transaction (storage/submissions.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import datetime

from control_api.errors import FieldError
from control_api.payload import Email
from mta.core.address import Address, parse_address
from mta.core.canonical import body_hash
from mta.core.envelope import Envelope, Recipient
from mta.core.frozen import frozen
from mta.core.header import MAX_HEADER_SIZE, MAX_SUBJECT, received_field, split_header
from mta.core.message import HeaderFacts, Message
from mta.core.mime import ComposeError, Draft, Mailbox, compose
from mta.core.submission import Door, Submission
from mta.core.tracking import Places, track
from storage.errors import StorageError
from storage.spool import INLINE_LIMIT, Spool


@frozen
class Origin:
    """Where emails come from and what holds for all of them.

    Attributes:
        tenant_id, tenant: whose they are; the name goes into Received.
        hostname: our own.
        bounce_domain: reports about API mail go to bounces@ this domain; "" sends them to From.
        max_size: bytes that a message may have.
        at: time of arrival (aware, UTC).
        is_test: they go to the sandbox.
        can_unsubscribe: whether there is a page of ours, or an address, to unsubscribe at.
        tracking_url: returns where tracked links of a sender domain lead, "" for nowhere.
        entropy: returns that many random bytes.
        campaign: row number of the campaign that they are of; 0: of none.
    """

    tenant_id: int
    tenant: str
    hostname: str
    bounce_domain: str
    max_size: int
    at: datetime
    is_test: bool = False
    can_unsubscribe: bool = False
    tracking_url: Callable[[str], str] = lambda domain: ""
    entropy: Callable[[int], bytes] = secrets.token_bytes
    campaign: int = 0

    def return_path(self, sender: Address) -> Address:
        """Return the address that undeliverable mail is reported to."""
        return parse_address(f"bounces@{self.bounce_domain}") if self.bounce_domain else sender


@frozen
class Marked:
    """HTML, and text, in pieces with places for tokens, as core.tracking.track cuts it.

    Nothing of all where there are no places.
    """

    pieces: tuple[str, ...] = ()
    places: Places | None = None
    text_pieces: tuple[str, ...] = ()


def build(
    email: Email,
    origin: Origin,
    spool: Spool,
    *,
    public_id: str,
    batch_id: str = "",
    marked: Marked | None = None,
) -> Submission | FieldError:
    """Return the submission for an email, or what keeps it from becoming a message.

    Blocks for large emails: composing takes a while, and those above INLINE_LIMIT are written to
    the spool. Discard submissions that are not accepted.

    Args:
        email: what to say to whom.
        origin: where it comes from.
        spool: where large messages go.
        public_id: of the message.
        batch_id: "bt_..." when it came in a batch.
        marked: the HTML with its places, where that was seen to before.

    Raises:
        StorageError: the spool cannot be written.
    """
    if problem := _unsubscribe_problem(email, origin):
        return problem
    message_id = f"<{public_id}@{email.from_.address.domain}>"
    found = _tracked(email, origin) if marked is None else marked
    if isinstance(found, FieldError):
        return found
    draft = _draft(email, message_id, origin.at, found)
    try:
        composed = compose(draft, boundary_seed=public_id)
    except ComposeError as error:
        return FieldError(error.field, "invalid_value", _problem(error))
    data = trace_field(origin, public_id) + composed
    header_size = split_header(data)[1]
    if header_size > MAX_HEADER_SIZE:
        return FieldError("headers", "too_large", f"At most {MAX_HEADER_SIZE} bytes are allowed.")
    if problem := _size_problem(len(data), origin, is_tracked=found.places is not None):
        return problem
    return Submission(
        public_id=public_id,
        tenant_id=origin.tenant_id,
        door=Door.API,
        envelope=_envelope(email, origin),
        message=kept_message(data, header_size, spool),
        header=_facts(email, message_id, has_8bit=not data[:header_size].isascii()),
        priority=email.priority,
        send_at=email.send_at,
        tags=email.tags,
        metadata=email.metadata,
        batch_id=batch_id,
        is_test=origin.is_test or email.is_test,
        unsubscribe=email.unsubscribe,
        tracking=found.places,
        campaign=origin.campaign,
    )


def _size_problem(size: int, origin: Origin, *, is_tracked: bool) -> FieldError | None:
    if size > origin.max_size:
        return FieldError("", "too_large", f"A message may have {origin.max_size} bytes at most.")
    if is_tracked and size > INLINE_LIMIT:
        message = f"A tracked message may have {INLINE_LIMIT} bytes at most."
        return FieldError("tracking", "too_large", message)
    return None


def _tracked(email: Email, origin: Origin) -> Marked | FieldError:
    if not email.tracking or email.html is None:
        return Marked()
    base_url = origin.tracking_url(email.from_.address.domain)
    if not base_url:
        message = "This server has no host for that: its operator must set api.public_url."
        return FieldError("tracking", "not_configured", message)
    pieces, places = track(
        email.html, email.tracking, base_url=base_url, entropy=origin.entropy(24)
    )
    return Marked(tuple(pieces), places)


def _unsubscribe_problem(email: Email, origin: Origin) -> FieldError | None:
    if email.unsubscribe is None:
        return None
    if any(name.lower().startswith("list-unsubscribe") for name, _ in email.headers):
        message = "Give unsubscribe, or a List-Unsubscribe header of your own, not both."
        return FieldError("unsubscribe", "conflict", message)
    if not email.unsubscribe.url and not origin.can_unsubscribe:
        message = "This server has no page for that: its operator must set api.public_url."
        return FieldError("unsubscribe", "not_configured", message)
    return None


def kept_message(data: bytes, header_size: int, spool: Spool) -> Message:
    """Return a message as it goes into the queue; above INLINE_LIMIT its bytes go to the spool.

    Raises:
        StorageError: the spool cannot be written.
    """
    is_large = len(data) > INLINE_LIMIT
    return Message(
        data=None if is_large else data,
        file=_spooled(data, spool) if is_large else None,
        size=len(data),
        header_size=header_size,
        body_hash=body_hash(data[header_size:]),
        is_8bit=not data.isascii(),
    )


def discard(submissions: Iterable[Submission], spool: Spool) -> None:
    """Remove what `build` left in the spool for submissions that were not accepted. Blocks."""
    for submission in submissions:
        if submission.message.file is not None:
            spool.remove(submission.message.file)


def _draft(email: Email, message_id: str, at: datetime, marked: Marked) -> Draft:
    return Draft(
        from_=email.from_,
        to=email.to,
        cc=email.cc,
        bcc=email.bcc,
        reply_to=email.reply_to,
        subject=email.subject,
        text=email.text,
        html=email.html,
        headers=email.headers,
        attachments=email.attachments,
        message_id=message_id,
        date=at,
        html_pieces=marked.pieces,
        text_pieces=marked.text_pieces,
    )


def _problem(error: ComposeError) -> str:
    text = str(error).removeprefix(f"{error.field}: ")
    return f"{text[:1].upper()}{text[1:]}."


def trace_field(origin: Origin, public_id: str) -> bytes:
    """Return our trace field; it names no client address, which recipients have no use for."""
    return received_field(
        helo="",
        peer="",
        hostname=origin.hostname,
        protocol="HTTP",
        identifier=public_id,
        tenant=origin.tenant,
        at=origin.at,
    )


def _envelope(email: Email, origin: Origin) -> Envelope:
    recipients = tuple(Recipient(mailbox.address) for mailbox in email.recipients)
    return Envelope(origin.return_path(email.from_.address), recipients)


def _facts(email: Email, message_id: str, *, has_8bit: bool) -> HeaderFacts:
    return HeaderFacts(
        from_address=str(email.from_.address),
        sender_domain=email.from_.address.domain,
        subject=email.subject[:MAX_SUBJECT],
        message_id=message_id,
        to=_shown(email.to),
        cc=_shown(email.cc),
        bcc=_shown(email.bcc),
        reply_to=_shown(email.reply_to),
        has_8bit_header=has_8bit,
    )


def _shown(mailboxes: Iterable[Mailbox]) -> tuple[str, ...]:
    return tuple(
        [f"{one.name} <{one.address}>" if one.name else str(one.address) for one in mailboxes]
    )


def _spooled(data: bytes, spool: Spool) -> str:
    file = spool.begin()
    try:
        file.write(data)
    except StorageError:
        file.abort()
        raise
    return file.commit()
