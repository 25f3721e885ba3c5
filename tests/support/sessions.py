"""Sessions of the real client with a fake receiver, for tests of the client."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from mta.core.outcome import Accepted, Ambiguous, Outcome, Refused, Stage, Unreachable
from mta.core.route import Credentials, Hop, Route, TlsMode
from mta.core.transaction import SpooledBody, Transaction, TransactionRecipient
from mta.routing import HostMemory
from mta.smtp_client import Connector, NotOpened, Session, Timeouts
from mta.tls_policy import TlsPolicy
from tests.support.receiver import EXTENSIONS, Act, Answer, Bye, Drip, Receiver

HEADER = b"Subject: test\r\nMessage-ID: <1@sender.test>\r\n\r\n"
BODY = b"Hello\r\n"

LONG = Timeouts()
"""As in production, so that a test that relies on a timeout by mistake fails."""
SHORT = Timeouts(
    connect=timedelta(seconds=1),
    tls=timedelta(seconds=0.4),
    greeting=timedelta(seconds=0.4),
    command=timedelta(seconds=0.4),
    data=timedelta(seconds=0.4),
    final=timedelta(seconds=0.4),
    reset=timedelta(seconds=0.4),
    quit=timedelta(seconds=0.4),
)

TRUST = ssl.create_default_context()
"""Of the system's authorities; made once because reading them takes long."""


def timeouts_for(*answers: Answer | Sequence[Answer]) -> Timeouts:
    """Return short timeouts where one of the answers never comes to an end, else long ones."""
    each: list[Answer] = []
    for answer in answers:
        each += [answer] if isinstance(answer, str | bytes | Act | Bye | Drip) else answer
    slow = (answer for answer in each if isinstance(answer, Drip) and answer.pause >= 0.1)
    return SHORT if Act.HANG in each or any(slow) else LONG


STEPWISE = tuple(each for each in EXTENSIONS if each != "PIPELINING")

both_ways = pytest.mark.parametrize(
    "extensions", [EXTENSIONS, STEPWISE], ids=["pipelined", "stepwise"]
)

SESSION_BROKE = "session broke"
"""Unreachable at stage SESSION: nothing was delivered."""
LOST = "lost after the dot"
"""Ambiguous."""


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def connector(
    *,
    timeouts: Timeouts = LONG,
    verified: ssl.SSLContext | None = None,
    clock: Callable[[], float] | None = None,
    memory: HostMemory | None = None,
) -> Connector:
    """Return a connector that calls itself sender.test."""
    clock = clock or Clock()
    return Connector(
        ehlo_name="sender.test",
        timeouts=timeouts,
        tls=TlsPolicy(clock=clock, verified=verified or TRUST),
        memory=memory or HostMemory(clock=clock),
    )


def outcome_of(opened: Session | NotOpened) -> Refused | Unreachable:
    """Return why no session was opened; fails when one was."""
    assert isinstance(opened, NotOpened)
    return opened.outcome


def route_to(
    *receivers: Receiver,
    host: str = "mx.test",
    tls: TlsMode = TlsMode.OPPORTUNISTIC,
    credentials: Credentials | None = None,
) -> Route:
    """Return a route with one hop for each receiver."""
    hops = tuple(Hop(host, receiver.address, receiver.port) for receiver in receivers)
    return Route("mx.test", hops, tls, credentials)


def transaction(
    *recipients: str,
    mail_from: str = "a@sender.test",
    header: bytes = HEADER,
    body: bytes | SpooledBody = BODY,
    size: int | None = None,
    is_8bit: bool = False,
) -> Transaction:
    """Return a transaction, by default a small one to b@receiver.test."""
    if size is None:
        assert isinstance(body, bytes)
        size = len(header) + len(body)
    return Transaction(
        mail_from,
        tuple(TransactionRecipient(each) for each in recipients or ("b@receiver.test",)),
        header,
        body,
        size,
        is_8bit=is_8bit,
    )


@asynccontextmanager
async def session_with(receiver: Receiver, timeouts: Timeouts = LONG) -> AsyncIterator[Session]:
    """Give a session with the receiver, which is started; close both at the end."""
    async with receiver:
        session = await connector(timeouts=timeouts).connect(route_to(receiver))
        assert isinstance(session, Session), session
        try:
            yield session
        finally:
            await session.close()


def brief(outcome: Outcome) -> object:
    """An outcome as a table can state it."""
    match outcome:
        case Accepted(reply):
            return reply.code
        case Refused(reply, command):
            return (reply.code, command)
        case Unreachable(Stage.SESSION, error):
            assert error.isprintable()
            return SESSION_BROKE
        case Ambiguous(error):
            assert error.isprintable()
            return LOST
    raise AssertionError(outcome)
