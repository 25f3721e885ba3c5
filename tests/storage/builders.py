"""Makes submissions, attempts and databases for the tests of storage."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mta.core import ids
from mta.core.address import parse_address
from mta.core.bounce import HARD, BounceClass
from mta.core.disposition import Bounced, Deferred, Delivered, Disposition, Expired, Why
from mta.core.envelope import Envelope, Priority, Recipient
from mta.core.message import HeaderFacts, Message
from mta.core.outcome import (
    Accepted,
    Attempt,
    Command,
    Outcome,
    Peer,
    Refused,
    Stage,
    Unreachable,
)
from mta.core.reply import Reply
from mta.core.submission import Door, Submission
from storage import queue, submissions
from storage.database import Connection

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ANY_SENDER = submissions.AcceptPolicy(require_verified_domain=False)

_numbers = itertools.count(1)


def message(data: bytes = b"Subject: x\r\n\r\nbody\r\n") -> Message:
    header_size = data.index(b"\r\n\r\n") + 4
    digest = hashlib.sha256(data[header_size:]).digest()
    return Message(data, None, len(data), header_size, digest, is_8bit=False)


def submission(*recipients: str, **changes: object) -> Submission:
    """A submission to the recipients (one by default) with its own "em_..." id."""
    number = next(_numbers)
    addresses = [parse_address(text) for text in recipients or ("ant@example.net",)]
    made = Submission(
        public_id=ids.new_id("em", ids.milliseconds(NOW), os.urandom(10)),
        tenant_id=1,
        door=Door.API,
        envelope=Envelope(
            parse_address("bounces@sender.example"), tuple(Recipient(a) for a in addresses)
        ),
        message=message(),
        header=HeaderFacts(
            from_address="news@sender.example",
            sender_domain="sender.example",
            subject=f"Message {number}",
            message_id=f"<{number}@sender.example>",
            to=tuple(map(str, addresses)),
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def accept(
    connection: Connection, *recipients: str, at: datetime = NOW, **changes: object
) -> submissions.AcceptedEmail:
    """Accept a submission and return what storage says."""
    made = submission(*recipients, **changes)
    accepted = submissions.accept(connection, made, policy=ANY_SENDER, now=at)
    assert isinstance(accepted, submissions.AcceptedEmail)
    return accepted


def claim_messages(
    connection: Connection, domain: str = "example.net", limit: int = 100, at: datetime = NOW
) -> tuple[queue.ClaimedMessage, ...]:
    """Claim the domain's due entries."""
    request = queue.ClaimRequest(domain, limit)
    return queue.claim(connection, [request], now=at, owner="test").messages


def claim(
    connection: Connection, domain: str = "example.net", limit: int = 100, at: datetime = NOW
) -> list[queue.QueuedEntry]:
    """Claim the domain's due entries and return them in order."""
    claimed = claim_messages(connection, domain, limit, at)
    return [entry for message in claimed for entry in message.entries]


PEER = Peer("mx.example.net", "192.0.2.25", "TLSv1.3 TLS_AES_256_GCM_SHA384")
OUTCOMES: dict[str, tuple[Outcome, Disposition]] = {
    "delivered": (Accepted(Reply(250, "2.0.0", "queued as 1")), Delivered()),
    "bounced": (
        Refused(Reply(550, "5.1.1", "no such user"), Command.RCPT),
        Bounced(BounceClass.BAD_MAILBOX),
    ),
    "deferred": (
        Refused(Reply(451, "4.7.1", "try later"), Command.RCPT),
        Deferred(LATER, Why.REPLY, BounceClass.GREYLIST),
    ),
    "expired": (
        Unreachable(Stage.CONNECT, "connection refused"),
        Expired(Why.UNREACHABLE, BounceClass.NETWORK),
    ),
}


def settlement(entry: queue.QueuedEntry, result: str = "delivered") -> queue.Settlement:
    """What settles a claimed entry after an attempt of 1.5 s that ended so (see OUTCOMES)."""
    outcome, disposition = OUTCOMES[result]
    attempt = Attempt(outcome, PEER, NOW, NOW + timedelta(milliseconds=1500))
    is_hard = isinstance(disposition, Bounced) and disposition.bounce_class in HARD
    return queue.Settlement(entry.id, entry.attempts + 1, disposition, attempt, is_hard=is_hard)


def settle_all(
    connection: Connection, entries: Sequence[queue.QueuedEntry], result: str = "delivered"
) -> None:
    queue.settle(connection, [settlement(entry, result) for entry in entries])


BULK = Priority.BULK
