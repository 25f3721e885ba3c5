"""The connection of an SMTP session: command lines in, replies out, and how errors are answered.

aiosmtpd brings the protocol class and the table of commands. Replaced is what an open port must not
have: unbounded input, lenient addresses, limits shared between sessions, errors as permanent
replies, and handlers cancelled in the middle of a commit because the client left. Here a session
ends between two steps only; what was begun is finished, whether or not anybody hears the reply.

Not here: the commands (smtp_commands.py), accepting connections (smtp_listener.py), octets and
timeouts (smtp_stream.py). Follows RFC 5321 and RFC 2920. Owner of aiosmtpd.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from ipaddress import ip_address
from typing import AnyStr, Protocol, cast

from aiosmtpd.smtp import SMTP

from mta.core.esmtp import MAX_COMMAND_LINE, Refusal, parse_command, reply_lines
from mta.core.reply import Reply
from mta.smtp_session import Service
from mta.smtp_stream import PeerGone, SmtpStream
from storage.errors import StorageError, StorageFull

logger = logging.getLogger(__name__)
logging.getLogger("mail.log").disabled = True  # aiosmtpd's, which prints commands and addresses

_STOPPING = Reply(421, "4.3.2", "Service shutting down")
_TIMED_OUT = Reply(421, "4.4.2", "Timed out waiting for the client")
_JUNK = frozenset({"NOOP", "RSET", "VRFY", "EXPN", "HELP", "HELO", "EHLO"})
_HTTP = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})


class Registry(Protocol):
    """Who counts the connections."""

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of all that there may be are open."""

    def enter(self, connection: SmtpServer, address: str) -> Reply | None:
        """Count a new connection; a Reply says why it may not stay."""

    def leave(self, connection: SmtpServer) -> None:
        """Forget one that is closed and done with, whatever enter said."""


class SmtpServer(SMTP):
    """One connection; its commands are the smtp_ methods of aiosmtpd and of the class below.

    Attributes:
        client: facts about the session; a new value once TLS has begun.
    """

    def __init__(self, service: Service, registry: Registry) -> None:
        """Take what sessions share, and who counts them."""
        super().__init__(None, hostname=service.hostname, loop=asyncio.get_running_loop())
        self.client = service.new_session("")
        self._service = service
        self._limits = service.limits
        self._registry = registry
        self._patience = service.limits.command_timeout.total_seconds()
        self._ends_at = self.loop.time() + service.limits.session_time.total_seconds()
        self._errors = self._junk = 0
        self._is_idle = self._is_stopping = self._is_ending = False

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The session; None when it was not let in."""
        return self._handler_coroutine

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session, unless there are too many."""
        self.transport = transport
        farewell = reply_lines(_TIMED_OUT)
        self._stream = SmtpStream(cast("asyncio.Transport", transport), self, farewell=farewell)
        self.client = self._service.new_session(_address(transport), self._stream.tls)
        if refusal := self._registry.enter(self, self.client.address):
            self._reply(refusal)
            self._stream.close()
        else:
            self._handler_coroutine = self.loop.create_task(self._handle_client())

    def data_received(self, data: bytes) -> None:
        """Pass octets on."""
        self._stream.feed(data)

    def pause_writing(self) -> None:
        """Pass on that the client takes no more for now."""
        self._stream.choke(is_full=True)

    def resume_writing(self) -> None:
        """Pass on that it takes more."""
        self._stream.choke(is_full=False)

    def eof_received(self) -> bool | None:
        """Answer what came before the end of input, where aiosmtpd cancels the session."""
        self._stream.end()
        return not self.client.tls  # TLS cannot be half closed

    def connection_lost(self, error: Exception | None) -> None:
        """Let the session notice by itself, where aiosmtpd cancels it."""
        self.transport = None
        self._stream.lost(str(error) if error else "closed by the client")
        if self.task and not self.task.done():
            self.task.add_done_callback(lambda _: self._registry.leave(self))
        else:
            self._registry.leave(self)

    def stop(self) -> None:
        """End the session: at once when it waits for a line, else after the present command."""
        self._is_stopping = True
        if self._is_idle:
            self._stream.write(reply_lines(_STOPPING))
            self._stream.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._stream.abort()

    async def push(self, status: AnyStr) -> None:
        """Take a reply of a command that aiosmtpd implements; give it the status it lacks."""
        code, _, text = (status if isinstance(status, str) else status.decode()).partition(" ")
        if code != "250":
            raise Refusal(int(code), "5.5.1", text)
        self._reply(Reply(250, "2.0.0", text))

    async def _handle_client(self) -> None:
        try:
            self._reply(Reply(220, "", f"{self.hostname} ESMTP"))
            while not self._is_ending and not self._stream.is_closing:
                refusal = self._last_words() or await self._outcome(self._serve_command())
                if refusal:
                    self._refuse(refusal)
        except PeerGone as reason:
            logger.debug("%s: session ended: %s", self.client.address, reason)
        finally:
            self._stream.close()

    def _last_words(self) -> Refusal | None:
        """Return why the session has to end before its next command, if it has to."""
        if self._is_stopping:
            return Refusal(421, "4.3.2", _STOPPING.text)
        if self._errors >= self._limits.errors:
            return Refusal(421, "4.7.0", "Too many errors")
        if self._junk > self._limits.junk_commands:
            return Refusal(421, "4.7.0", "Too many commands without a message")
        if self.loop.time() > self._ends_at:
            return Refusal(421, "4.7.0", "Session too long")
        return None

    async def _serve_command(self) -> None:
        verb, argument = parse_command(await self._line(MAX_COMMAND_LINE))
        if verb in _HTTP:
            raise Refusal(421, "4.7.0", "This port speaks SMTP")
        command = self._smtp_methods.get(verb)
        if command is None:
            raise Refusal(500, "5.5.1", "Unknown command")
        self._junk += verb in _JUNK
        await command(argument)

    async def _line(self, limit: int) -> bytes:
        self._is_idle = True
        hurry = self._limits.crowded_timeout.total_seconds()
        patience = min(hurry, self._patience) if self._registry.is_crowded else self._patience
        line = await self._stream.line(limit, patience)
        self._is_idle = False
        return line

    async def _outcome(self, step: Awaitable[None]) -> Refusal | None:
        """Run one step of the dialogue; return what to answer when it did not succeed."""
        try:
            await step
        except Refusal as refusal:
            return refusal
        except PeerGone:
            raise
        except StorageFull as error:
            logger.warning("%s: %s", self.client.address, error)
            return Refusal(452, "4.3.1", "Out of storage, try again later")
        except StorageError as error:
            logger.warning("%s: %s", self.client.address, error)
            return Refusal(451, "4.3.0", "Storage is not available, try again later")
        except Exception:
            logger.exception("%s: a command failed", self.client.address)
            return Refusal(451, "4.3.0", "Local error, try again later")
        return None

    def _refuse(self, refusal: Refusal) -> None:
        is_error = refusal.reply.is_permanent
        level = logging.INFO if is_error else logging.DEBUG
        logger.log(level, "%s: refused: %s", self.client.address, refusal.reply)
        self._errors += is_error
        self._is_ending = refusal.ends_session
        self._reply(refusal.reply)

    def _reply(self, reply: Reply) -> None:
        self._stream.write(reply_lines(reply))


def _address(transport: asyncio.BaseTransport) -> str:
    """Return the client's IP address without its zone, IPv4 inside IPv6 as IPv4; "" when gone."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    address = ip_address(peer[0].partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)
