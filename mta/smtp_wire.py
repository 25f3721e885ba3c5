"""One TCP connection to a server: bytes out, strictly parsed replies in. Owner of aiosmtplib.

aiosmtplib's protocol brings transport, flow control and STARTTLS. Its reply parser is replaced
(mta/core/reply_reader.py): it keeps one reply at a time, which rules out PIPELINING, and it reads
"2_5" as a code. What the dialogue says is the business of smtp_client.py and smtp_transaction.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import cast

from aiosmtplib import SMTPException, SMTPResponse, SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from mta.core.reply import Reply
from mta.core.reply_reader import ReplyError, ReplyReader

MAX_UNREAD = 262_144
"""Octets a peer may send ahead of being read; the replies to 100 pipelined RCPT are some 10 kB."""

_NO_NETWORK = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class WireError(Exception):
    """The connection is of no more use; the message is one printable line that says why."""


class NoNetworkError(WireError):
    """This machine reaches no address of that family (IPv6 without a route, mostly)."""


class TlsError(WireError):
    """STARTTLS was refused, or the handshake failed."""


class SmtpWire(SMTPProtocol):
    """A connection, used by one task at a time. `within` is seconds everywhere.

    After a WireError nothing can be read from it any more, and the caller aborts it.
    """

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._reader = ReplyReader()
        self._arrival: asyncio.Future[None] | None = None
        self._lost_reason = ""
        self._is_closed = asyncio.Event()
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """False as soon as either side has begun to close."""
        return self.is_connected and not self._lost_reason

    @property
    def unread(self) -> bytes:
        """What the peer sent and nobody has read: replies to come, or what it was not asked."""
        return self._reader.unread

    @property
    def tls(self) -> str:
        """Protocol and cipher such as "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in clear."""
        session = self.transport.get_extra_info("ssl_object") if self.transport else None
        return f"{session.version()} {session.cipher()[0]}" if session else ""

    def send(self, data: bytes) -> None:
        """Write bytes as they are; drain() tells when they have left.

        Raises:
            WireError: the connection has ended; nothing was written.
        """
        self._require_open()
        self.write(data)

    async def drain(self, within: float) -> None:
        """Wait until most of what was sent has left.

        Raises:
            WireError: the connection ended, or the peer took too little in that time.
        """
        if not self._paused:
            return
        try:
            async with asyncio.timeout(within):
                await self._drain_helper()
        except TimeoutError:
            raise WireError(f"the peer took no data for {within:g} s") from None
        except OSError as error:
            raise WireError(_reason(error)) from None

    async def reply(self, within: float) -> Reply:
        """Return the next reply.

        Raises:
            WireError: the connection ended, the reply was not whole in time, or it is malformed.
        """
        return Reply.of(*await self.read(within))

    async def read(self, within: float) -> tuple[int, str]:
        """Return code and whole text of the next reply; raises as reply() does."""
        try:
            if (parsed := self._reader.next_reply()) is not None:
                return parsed
            self._set_deadline(within)
            while (parsed := self._reader.next_reply()) is None:
                await self._more()
        except TimeoutError:
            raise WireError(f"no reply within {within:g} s") from None
        except ReplyError as error:
            raise WireError(str(error)) from None
        finally:
            self._deadline = None
        return parsed

    async def ask(self, command: bytes, within: float) -> tuple[int, str]:
        """Send a command, given without its CRLF, and return the reply; raises as reply() does."""
        self._require_open()
        with _mapped():
            return await self.execute_command(command, timeout=within)

    async def secure(self, context: ssl.SSLContext, host: str, within: float) -> None:
        """Do STARTTLS and the handshake, with `host` as SNI.

        What the peer sent in clear after its reply is dropped unread: anyone may have put it there
        (RFC 3207 6).

        Raises:
            TlsError: refused, or the handshake failed or took too long.
        """
        try:
            with _mapped():
                await self.start_tls(context, server_hostname=host, timeout=within)
        except (OSError, WireError) as error:
            raise TlsError(_reason(error)) from None
        self._reader = ReplyReader()

    async def quit(self, within: float) -> None:
        """Say QUIT, give the peer that long to answer and to close, then close in any case."""
        with contextlib.suppress(WireError, TimeoutError):  # nothing depends on the farewell
            async with asyncio.timeout(within):
                await self.ask(b"QUIT", within)
                if self.transport is not None:
                    self.transport.close()
                await self._is_closed.wait()
        self.abort()

    def abort(self) -> None:
        """Close at once, without a word."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    def _require_open(self) -> None:
        if not self.is_open:
            raise WireError(self._lost_reason or "connection closed")

    async def _more(self) -> None:
        """Wait for bytes that may complete a reply; raises TimeoutError at the deadline."""
        if self._lost_reason:
            raise WireError(self._lost_reason)
        self._arrival = self._loop.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _set_deadline(self, within: float) -> None:
        """Let waiting end in so many seconds.

        The timer of an earlier deadline is left to ring and then set anew, so that one timer serves
        all the replies of some minutes; setting one costs more than reading a reply.
        """
        self._deadline = self._loop.time() + within
        if self._timer is not None:
            if self._timer.when() <= self._deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None or self._arrival is None or self._arrival.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._arrival.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _lose(self, reason: str) -> None:
        self._lost_reason = self._lost_reason or reason
        self._wake()

    # Called by asyncio and aiosmtplib.

    def data_received(self, data: bytes) -> None:
        """Keep what the peer sent; wake who reads when a line is complete."""
        self._reader.feed(data)
        if len(self._reader) > MAX_UNREAD:
            self._lose(f"the peer sent more than {MAX_UNREAD} octets unasked")
            self.abort()
        elif b"\n" in data:
            self._wake()

    def eof_received(self) -> bool:
        """Note that the peer will send no more; False closes our side too."""
        self._lose("connection closed by the peer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection ended."""
        super().connection_lost(exc)
        self._lose(_reason(exc) if exc else "connection closed")
        self._is_closed.set()
        if self._timer is not None:
            self._timer.cancel()

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109
        """Give aiosmtplib's commands our reader; they always pass the timeout we gave them."""
        if timeout is None:
            raise TypeError("a command without its timeout")
        return SMTPResponse(*await self.read(timeout))


async def dial(
    address: str, port: int, *, context: ssl.SSLContext | None, host: str, within: float
) -> SmtpWire:
    """Connect to an IP address; with a context, TLS from the first byte and `host` as SNI.

    Raises:
        NoNetworkError: no route to any address of its family.
        TlsError: connected, but the handshake failed or took too long.
        WireError: refused, unreachable, or no answer in time.
    """
    try:
        async with asyncio.timeout(within):
            connection = await _connected(address, port)
    except TimeoutError:
        raise WireError(f"no answer within {within:g} s") from None
    except OSError as error:
        kind = NoNetworkError if error.errno in _NO_NETWORK else WireError
        raise kind(_reason(error)) from None
    try:
        _, wire = await asyncio.get_running_loop().create_connection(
            SmtpWire,
            sock=connection,
            ssl=context,
            server_hostname=host if context else None,
            ssl_handshake_timeout=within if context else None,
        )
    except OSError as error:
        raise TlsError(_reason(error)) from None
    return wire


async def _connected(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # peers that vanish
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """Turn aiosmtplib's exceptions into ours."""
    try:
        yield
    except SMTPResponseException as error:
        raise WireError(f"refused: {Reply.of(error.code, error.message)}") from None
    except SMTPException as error:
        raise WireError(_reason(error.__cause__ or error)) from None


def _reason(error: BaseException) -> str:
    """Return one printable line; the system's own words where it has some."""
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLError():
            return error.reason or str(error)
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return str(error) or type(error).__name__
