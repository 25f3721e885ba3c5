"""A Handler for the SMTP server that keeps what it gets and misbehaves as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from mta.core.address import Address
from mta.core.envelope import Envelope
from mta.core.message import Message
from mta.core.reply import Reply
from mta.smtp_listener import SmtpListener
from mta.smtp_session import Arrival, Identity, Limits, Service, Session

FAST = Limits(auth_delay=timedelta(0))


@dataclass
class FakeHandler:
    """Takes everything, unless one of its fields says otherwise."""

    password: bytes = b"secret"
    mail_reply: Reply | None = None
    refused: str = ""
    error: Exception | None = None
    data_reply: Reply = field(default_factory=lambda: Reply(250, "2.0.0", "Ok: queued"))
    gate: asyncio.Event | None = None
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: list[Session] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    headers: list[bytes] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    async def authenticate(self, session: Session, user: str, password: bytes) -> Identity | None:
        return Identity(1, user, b"", 0.0) if password == self.password else None

    async def may_send(self, session: Session) -> Reply | None:
        return self.mail_reply

    async def recipient(self, session: Session, address: Address) -> Reply | None:
        if self.refused and str(address) == self.refused:
            return Reply(550, "5.1.1", "No such user")
        return None

    def begin(self, session: Session, envelope: Envelope, header: bytes) -> Arrival | Reply:
        self.sessions.append(replace(session))
        self.envelopes.append(envelope)
        self.headers.append(header)
        return FakeArrival(self, header + b"\r\n")


@dataclass
class FakeArrival:
    handler: FakeHandler
    header: bytes

    async def complete(self, message: Message) -> Reply:
        self.handler.waiting.set()
        if self.handler.gate:
            await self.handler.gate.wait()
        if self.handler.error:
            raise self.handler.error
        self.handler.messages.append(message)
        return self.handler.data_reply


@asynccontextmanager
async def listening(service: Service, *, implicit_tls: bool = False) -> AsyncIterator[int]:
    """Give the port of a running listener."""
    listener = SmtpListener(service)
    [(_, port)] = await listener.start([("127.0.0.1", 0)], implicit_tls=implicit_tls)
    try:
        yield port
    finally:
        await listener.stop(timedelta(seconds=1))


def service(handler: FakeHandler, limits: Limits = FAST, **others: object) -> Service:
    return Service("mx.test", handler, limits, **others)  # type: ignore[arg-type]
