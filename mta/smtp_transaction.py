"""A session with one server, and the mail transactions it carries one after the other.

Opening a session is smtp_client.py. Every reply is read in the phase it belongs to, because what a
break means depends on it: before the final dot nothing was delivered, after it nobody knows.
Follows RFC 5321 3.3, 4.2 and 4.5.3.2, and RFC 2920 for pipelining.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import BinaryIO

from mta.core.dot import DotEncoder, dot_encoded
from mta.core.extensions import Extensions
from mta.core.frozen import frozen
from mta.core.outcome import (
    Accepted,
    Ambiguous,
    Command,
    Outcome,
    Peer,
    Refused,
    Stage,
    Unreachable,
)
from mta.core.reply import Reply
from mta.core.transaction import (
    SpooledBody,
    Transaction,
    mail_command,
    objection,
    rcpt_command,
    recipient_objection,
)
from mta.smtp_wire import SmtpWire, WireError

CHUNK = 131_072
"""Octets of a spooled body read at a time; some three times as much is in memory at once."""


@frozen
class Timeouts:
    """How long to wait for the peer in each phase (minima of RFC 5321 4.5.3.2).

    Attributes:
        connect: TCP connection, for each address.
        tls: TLS handshake.
        greeting: the 220 after connecting.
        command: the reply to any command.
        data: progress while the message is being sent, not the whole of it.
        final: the reply to the final dot; a shorter wait makes duplicates (RFC 1047).
        reset: the reply to RSET before a session is used again.
        quit: the farewell.
    """

    connect: timedelta = timedelta(seconds=30)
    tls: timedelta = timedelta(seconds=60)
    greeting: timedelta = timedelta(minutes=5)
    command: timedelta = timedelta(minutes=5)
    data: timedelta = timedelta(minutes=3)
    final: timedelta = timedelta(minutes=10)
    reset: timedelta = timedelta(seconds=20)
    quit: timedelta = timedelta(seconds=2)


Following = Callable[[], Awaitable[Transaction | None]]
"""Gives the transaction that a session will be given next; None: nobody knows yet."""
Ahead = Callable[[], Awaitable[bytes]]


async def nothing_follows() -> None:
    """Give no transaction: the Following of who looks at one at a time."""


@frozen
class Stale:
    """A reused session had ended before it took anything of the transaction.

    That is no attempt: the transaction goes to another session as if nothing had been.
    """

    error: str


class Session:
    """A greeted, perhaps encrypted connection, used by one task at a time.

    Attributes:
        peer: whom it is with.
        extensions: what the peer offers.
        transactions: how many it was given.
    """

    def __init__(
        self, wire: SmtpWire, peer: Peer, extensions: Extensions, timeouts: Timeouts
    ) -> None:
        self.peer = peer
        self.extensions = extensions
        self.transactions = 0
        self._wire = wire
        self._timeouts = timeouts
        self._is_idle = True
        self._needs_reset = False
        self._ahead: _Delivery | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be given another transaction, as far as is known without asking."""
        is_silent = self._ahead is not None or not self._wire.unread
        return self._is_idle and self._wire.is_open and is_silent

    async def deliver(
        self, transaction: Transaction, following: Following = nothing_follows
    ) -> tuple[Outcome, ...] | Stale:
        """Carry out one transaction; return an outcome for each recipient, in the same order.

        Whatever the peer does is an outcome; Stale comes only from a session that was given a
        transaction before. A cancelled call leaves the session closed.

        Args:
            transaction: what to deliver; when `following` has given one, that one.
            following: asked, where the peer offers PIPELINING, for the transaction after this one,
                whose commands then travel with the message (RFC 2920 3.1); its message never does.
        """
        delivery, self._ahead = self._ahead, None
        if delivery is None:
            if refusal := objection(transaction, self.extensions):
                return (Refused(refusal, Command.MAIL),) * len(transaction.recipients)
            delivery = _Delivery(self._wire, self.extensions, self._timeouts, transaction)
            if delivery.is_decided:
                return delivery.result()
        try:
            body = await _opened(transaction.body)
        except OSError as error:
            delivery.decide(Unreachable(Stage.LOCAL, f"cannot read the message: {error}"))
            return delivery.result()
        try:
            return await self._carry(delivery, body, following)
        finally:
            if not isinstance(body, bytes):
                body.close()

    async def close(self) -> None:
        """Take leave, within some seconds, and close. Never fails."""
        if self.is_open and self._ahead is None:
            await self._wire.quit(self._timeouts.quit.total_seconds())
        else:
            self._wire.abort()

    async def _carry(
        self, delivery: _Delivery, body: bytes | BinaryIO, following: Following
    ) -> tuple[Outcome, ...] | Stale:
        is_reused = self.transactions > 0
        self.transactions += 1
        self._is_idle = False
        end = ""
        try:
            reset = self._needs_reset
            await delivery.run(body, reset=reset, ahead=partial(self._go_ahead, following))
            self._is_idle = True
        except WireError as error:
            end = str(error)
            delivery.break_off(end)
        except _OverError as over:
            end = str(over)
            delivery.decide(over.outcome)
        finally:
            if not self._is_idle:
                self._wire.abort()
        if is_reused and not delivery.is_begun:
            return Stale(end)
        outcomes = delivery.result()
        self._needs_reset = not any(isinstance(outcome, Accepted) for outcome in outcomes)
        return outcomes

    async def _go_ahead(self, following: Following) -> bytes:
        """Return the commands of the following transaction, if they may be sent by now."""
        transaction = await following()
        if transaction is None or objection(transaction, self.extensions):
            return b""
        delivery = _Delivery(self._wire, self.extensions, self._timeouts, transaction)
        if delivery.is_decided:
            return b""
        self._ahead = delivery
        return delivery.go_ahead()


class _OverError(Exception):
    """The session is over; the outcome is for every recipient that has none yet."""

    def __init__(self, outcome: Refused | Unreachable) -> None:
        super().__init__(str(outcome.reply) if isinstance(outcome, Refused) else outcome.error)
        self.outcome = outcome


class _Delivery:
    """One transaction on its way.

    Attributes:
        is_begun: the peer has answered MAIL, so this is an attempt whatever follows.
    """

    def __init__(
        self, wire: SmtpWire, offered: Extensions, timeouts: Timeouts, transaction: Transaction
    ) -> None:
        self.is_begun = False
        self._wire = wire
        self._offered = offered
        self._timeouts = timeouts
        self._transaction = transaction
        self._goes_ahead = offered.pipelining
        self._is_ahead = False
        self._is_dot_sent = False
        self._outcomes: list[Outcome | None] = []
        for recipient in transaction.recipients:
            refusal = recipient_objection(recipient, offered)
            self._outcomes.append(Refused(refusal, Command.RCPT) if refusal else None)
        self._mail = mail_command(transaction, offered)
        self._rcpts = {
            index: rcpt_command(recipient, offered)
            for index, recipient in enumerate(transaction.recipients)
            if self._outcomes[index] is None
        }

    @property
    def is_decided(self) -> bool:
        """Whether every recipient has an outcome."""
        return all(outcome is not None for outcome in self._outcomes)

    def result(self) -> tuple[Outcome, ...]:
        """Return the outcomes of all recipients."""
        return tuple(outcome for outcome in self._outcomes if outcome is not None)

    def decide(self, outcome: Outcome) -> None:
        """Give the outcome to every recipient that has none yet."""
        self._outcomes = [outcome if each is None else each for each in self._outcomes]

    def break_off(self, error: str) -> None:
        """Decide what a break at this moment means: after the dot, nobody knows (RFC 1047).

        Before the dot, what went ahead may have met one answer too many to the message before: it
        has not begun then, whatever seems to have been said about it.
        """
        if self._is_ahead and not self._is_dot_sent:
            self.is_begun = False
        lost = Ambiguous(error) if self._is_dot_sent else Unreachable(Stage.SESSION, error)
        self.decide(lost)

    def go_ahead(self) -> bytes:
        """Return all commands, for somebody to send before run()."""
        self._is_ahead = True
        return self._commands()

    async def run(self, body: bytes | BinaryIO, *, reset: bool, ahead: Ahead) -> None:
        """Speak the transaction to its end; at a normal return the session may carry another.

        Args:
            body: as bytes, or open at its first byte.
            reset: begin with RSET, because the transaction before was not taken.
            ahead: gives what to send right behind the message.

        Raises:
            WireError: broken off.
            _OverError: ended by the peer with 421, or because the body cannot be read.
        """
        if not self._is_ahead:
            await self._begin(reset=reset)
        reply = await self._ask(Command.MAIL, self._mail)
        if self._is_ahead and reply.code == 503:
            raise WireError(f"{reply} in answer to MAIL without RSET")
        self.is_begun = True
        if not reply.is_positive:
            self.decide(Refused(reply, Command.MAIL))
        for index, rcpt in self._rcpts.items():
            await self._recipient(index, rcpt)
        if self._goes_ahead or not self.is_decided:
            await self._data(body, ahead)

    def _commands(self) -> bytes:
        return b"".join((self._mail, *self._rcpts.values(), b"DATA\r\n"))

    async def _begin(self, *, reset: bool) -> None:
        if unasked := self._wire.unread:  # replies would shift from here on
            raise WireError(f"unasked for: {unasked[:80]!r}")
        if self._goes_ahead:
            self._wire.send((b"RSET\r\n" if reset else b"") + self._commands())
        if reset:
            await self._reset()

    async def _reset(self) -> None:
        if not self._goes_ahead:
            self._wire.send(b"RSET\r\n")
        reply = await self._wire.reply(self._timeouts.reset.total_seconds())
        if not reply.is_positive:
            raise WireError(f"{reply} in answer to RSET")

    async def _recipient(self, index: int, line: bytes) -> None:
        is_decided = self._outcomes[index] is not None
        if is_decided and not self._goes_ahead:
            return
        reply = await self._ask(Command.RCPT, line)
        if not is_decided and not reply.is_positive:
            self._outcomes[index] = Refused(reply, Command.RCPT)

    async def _data(self, body: bytes | BinaryIO, ahead: Ahead) -> None:
        reply = await self._ask(Command.DATA, b"DATA\r\n")
        if reply.code >= 400:
            self.decide(Refused(reply, Command.DATA))
        elif self.is_decided:  # a lone dot, and whatever it says to that (RFC 2920 3.1)
            self._wire.send(b".\r\n")
            await self._reply(Command.END_OF_DATA)
        else:
            # With a recipient refused, there may be more to say about this message first.
            may_go_ahead = self._goes_ahead and not any(self._outcomes)
            await self._message(body, await ahead() if may_go_ahead else b"")

    async def _message(self, body: bytes | BinaryIO, ahead: bytes) -> None:
        try:
            await self._send(body, ahead)
        except WireError:
            if not self._wire.unread:  # else the peer has said why it closed
                raise
        reply = await self._reply(Command.END_OF_DATA)
        if not self._is_dot_sent:
            if reply.is_positive:
                raise WireError(f"out of step: {reply} before the end of the message")
            raise _OverError(Refused(reply, Command.END_OF_DATA))
        further = self._wire.unread
        if further and not ahead and not further.startswith(b"421"):
            raise WireError(f"more than one reply to a message, the first {reply}")
        self.decide(Accepted(reply) if reply.is_positive else Refused(reply, Command.END_OF_DATA))

    async def _send(self, body: bytes | BinaryIO, ahead: bytes) -> None:
        """Send header, body and what follows; stop short of the final dot when the peer answers
        before it.
        """
        within = self._timeouts.data.total_seconds()
        if self._wire.unread:
            return
        if isinstance(body, bytes):
            self._wire.send(dot_encoded(self._transaction.header, body) + ahead)
        else:
            encoder = DotEncoder()
            self._wire.send(encoder.feed(self._transaction.header))
            while chunk := await _read(body):
                self._wire.send(encoder.feed(chunk))
                await self._wire.drain(within)
                if self._wire.unread:
                    return
            self._wire.send(encoder.finish() + ahead)
        self._is_dot_sent = True
        await self._wire.drain(within)

    async def _ask(self, command: Command, line: bytes) -> Reply:
        """Send a command, unless it has gone ahead, and return a reply that may follow it."""
        if not self._goes_ahead:
            self._wire.send(line)
        return await self._reply(command)

    async def _reply(self, command: Command) -> Reply:
        is_last = command is Command.END_OF_DATA
        wait = self._timeouts.final if is_last else self._timeouts.command
        reply = await self._wire.reply(wait.total_seconds())
        if reply.code == 421:
            raise _OverError(Refused(reply, command))
        if reply.code < 400 and reply.is_positive is (command is Command.DATA):
            raise WireError(f"out of step: {reply} in answer to {command.value}")
        return reply


async def _opened(body: bytes | SpooledBody) -> bytes | BinaryIO:
    if isinstance(body, bytes):
        return body
    return await asyncio.to_thread(_open_at, body)


def _open_at(body: SpooledBody) -> BinaryIO:
    file = body.path.open("rb")
    file.seek(body.offset)
    return file


async def _read(file: BinaryIO) -> bytes:
    try:
        return await asyncio.to_thread(file.read, CHUNK)
    except OSError as error:
        raise _OverError(Unreachable(Stage.LOCAL, f"cannot read the message: {error}")) from None
