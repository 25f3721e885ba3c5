"""A receiving server for trying things out: takes every message, or misbehaves as it is told.

The far side of `mta sink` and of the demo. Nothing is relayed or queued. Not here: the dialogue
(smtp_server.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from mta.core.address import Address
from mta.core.envelope import Envelope
from mta.core.frozen import frozen
from mta.core.json_text import encode
from mta.core.message import Message
from mta.core.reply import Reply
from mta.smtp_session import Arrival, Identity, Session


@frozen
class SinkRules:
    """How a sink misbehaves; by default it does not.

    Attributes:
        defer_first: how many RCPTs of each address get 451 before one is taken.
        refuse: addresses that get 550, as shell patterns in lower case: "*@full.example".
        delay: wait before the final dot is answered.
        directory: where to write each message as NAME.eml, with its envelope in NAME.json; None
            writes nothing.
        keep: how many messages stay in memory, the newest.
    """

    defer_first: int = 0
    refuse: tuple[str, ...] = ()
    delay: timedelta = timedelta(0)
    directory: Path | None = None
    keep: int = 1000


@frozen
class SinkMessage:
    """A message that arrived.

    Attributes:
        number: from 1.
        received_at: aware, UTC.
        session: facts about the client.
        data: the message as it came, dots undone.
    """

    number: int
    received_at: datetime
    session: Session
    envelope: Envelope
    data: bytes


class Sink:
    """Handler for a Service without spool or AUTH.

    Attributes:
        messages: those still in memory, oldest first.
        received: how many came in all.
    """

    def __init__(
        self,
        rules: SinkRules,
        *,
        now: Callable[[], datetime],
        on_message: Callable[[SinkMessage], None] = lambda _: None,
    ) -> None:
        """Take the rules, and what to call with each message that was taken."""
        self.messages: deque[SinkMessage] = deque(maxlen=rules.keep)
        self.received = 0
        self._rules = rules
        self._now = now
        self._on_message = on_message
        self._attempts: Counter[str] = Counter()

    async def authenticate(self, session: Session, user: str, password: bytes) -> Identity | None:
        """Know nobody."""
        return None

    async def may_send(self, session: Session) -> Reply | None:
        """Take anybody's mail."""
        return None

    async def recipient(self, session: Session, address: Address) -> Reply | None:
        """Take the recipient unless a rule says otherwise."""
        text = str(address).lower()
        if any(fnmatchcase(text, pattern) for pattern in self._rules.refuse):
            return Reply(550, "5.1.1", "No such user here (a rule of this sink)")
        if self._rules.defer_first:
            self._attempts[text] += 1
            if self._attempts[text] <= self._rules.defer_first:
                return Reply(451, "4.7.1", "Not now, try again (a rule of this sink)")
        return None

    def begin(self, session: Session, envelope: Envelope, header: bytes) -> Arrival | Reply:
        """Keep the header as it is."""
        return _SinkArrival(self, replace(session), envelope, header + b"\r\n")

    async def take(self, session: Session, envelope: Envelope, data: bytes) -> Reply:
        """Keep a whole message."""
        await asyncio.sleep(self._rules.delay.total_seconds())
        self.received += 1
        message = SinkMessage(self.received, self._now(), session, envelope, data)
        self.messages.append(message)
        if self._rules.directory:
            await asyncio.to_thread(_write, self._rules.directory, message)
        self._on_message(message)
        return Reply(250, "2.0.0", f"Ok: message {message.number}")


@frozen
class _SinkArrival:
    """A message on its way into the sink; see smtp_session.Arrival."""

    sink: Sink
    session: Session
    envelope: Envelope
    header: bytes

    async def complete(self, message: Message) -> Reply:
        """Keep the message."""
        return await self.sink.take(self.session, self.envelope, message.data or b"")


def _write(directory: Path, message: SinkMessage) -> None:
    """Write a message under a name that no sender has any part in."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{message.received_at:%Y%m%dT%H%M%S}-{message.number:06}"
    envelope = message.envelope
    description = {
        "received_at": message.received_at,
        "client": message.session.address,
        "helo": message.session.helo,
        "tls": message.session.tls,
        "mail_from": str(envelope.mail_from or ""),
        "recipients": [str(recipient.address) for recipient in envelope.recipients],
        "size": len(message.data),
    }
    (directory / f"{name}.json").write_bytes(encode(description) + b"\n")
    (directory / f"{name}.eml").write_bytes(message.data)
