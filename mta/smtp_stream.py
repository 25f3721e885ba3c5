"""The octets of one SMTP connection: bounded reads, batched writes, one timer for all waits.

Stands on the transport itself: asyncio's streams would cost more than the commands do. Not here:
what the bytes mean (smtp_server.py). What is written gathers until the client has to be waited for,
so that a pipelined batch is answered in one segment (RFC 2920 3.2).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import cast

from mta.core.esmtp import Refusal

READ_SIZE = 32_768
"""Octets handed out at once, and so what one step of decoding and hashing costs the event loop."""
MAX_UNREAD = 2 * READ_SIZE
"""Octets that may wait here before the client is left to wait."""
HANDSHAKE_TIMEOUT = 30.0
"""Seconds for a TLS handshake."""
LINGER = 10.0
"""Seconds that a closed connection may take to send what it still holds."""


class PeerGone(Exception):  # noqa: N818 - expected at any moment, and nobody's error
    """The connection is lost, closed or timed out: nobody is there to talk to."""


class _Signal:
    """Something that one task waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def give(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class SmtpStream:
    """Both directions of one connection, for one task at a time.

    A wait that takes too long writes the farewell and closes; the waiting task gets PeerGone. The
    protocol passes on what its transport calls: feed, end, lost, choke.
    """

    def __init__(
        self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol, *, farewell: bytes
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._farewell = farewell
        self._loop = asyncio.get_running_loop()
        self._input = bytearray()
        self._arrival = _Signal(self._loop)
        self._gone = ""  # why there will be no more input
        self._is_paused = False
        self._is_long = False  # whether the last chunk left some behind
        self._output: list[bytes] = []
        self._relief = _Signal(self._loop)
        self._is_choked = False
        self._deadline = math.inf  # in the loop's time; the timer may lag behind it
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._input += data
        if len(self._input) > MAX_UNREAD and not self._is_paused:
            self._transport.pause_reading()
            self._is_paused = True
        self._arrival.give()

    def end(self, reason: str = "closed by the client") -> None:
        """Take note that nothing more will arrive."""
        self._gone = self._gone or reason
        self._arrival.give()

    def lost(self, reason: str = "closed by the client") -> None:
        """Take note that the connection is no more."""
        self.end(reason)
        self.choke(is_full=False)
        if self._timer:
            self._timer.cancel()

    def choke(self, *, is_full: bool) -> None:
        """Take note whether the transport has taken all that it wants to hold."""
        self._is_choked = is_full
        if not is_full:
            self._relief.give()

    @property
    def tls(self) -> str:
        """Protocol and cipher such as "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in clear."""
        connection = cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))
        cipher = connection.cipher() if connection else None
        return f"{connection.version()} {cipher[0]}" if connection and cipher else ""

    @property
    def is_closing(self) -> bool:
        """Whether either side has begun to close."""
        return self._transport.is_closing()

    async def line(self, limit: int, within: float) -> bytes:
        """Return the next line with its LF.

        Args:
            limit: octets that it may have, LF included.
            within: seconds for all of it to arrive.

        Raises:
            Refusal: there is no LF in the next `limit` octets.
            PeerGone
        """
        self._expect(within)
        while (end := self._input.find(b"\n", 0, limit) + 1) == 0:
            if len(self._input) >= limit:
                raise Refusal(500, "5.5.2", "Line too long", ends_session=True)
            await self._more()
        self._deadline = math.inf
        return self._take(end)

    async def chunk(self, within: float) -> bytes:
        """Return what has arrived, 1 to READ_SIZE octets, after a wait of at most `within` seconds.

        Where there is more it is the turn of the other sessions first.

        Raises:
            PeerGone
        """
        if not self._input:
            self._expect(within)
            await self._more()
            self._deadline = math.inf
        elif self._is_long:
            await asyncio.sleep(0)
        self._is_long = len(self._input) > READ_SIZE
        return self._take(READ_SIZE)

    def unread(self, data: bytes) -> None:
        """Put back the end of the last chunk."""
        self._input[:0] = data

    def write(self, data: bytes) -> None:
        """Have data sent, at the latest when the client is next waited for."""
        self._output.append(data)

    async def flush(self) -> None:
        """Send what was written; wait while the client takes nothing.

        Raises:
            PeerGone
        """
        if not self._output:
            return
        self._refuse_closed()
        self._transport.write(b"".join(self._output))
        self._output.clear()
        while self._is_choked:
            await self._relief.wait()
            self._refuse_closed()

    async def secure(self, context: ssl.SSLContext, go_ahead: bytes) -> None:
        """Start TLS as the server, after `go_ahead` in clear.

        Nothing that came in clear survives: reading stops before the go-ahead, and input that is
        there already is an injection of commands into the secured session (RFC 3207 6).

        Raises:
            Refusal: the client sent on before the go-ahead; nothing was done.
            PeerGone: the handshake failed.
        """
        await self.flush()
        self._refuse_closed()
        self._transport.pause_reading()
        await asyncio.sleep(0)  # what the loop has read already arrives now
        if self._input:
            text = "Nothing may be sent between STARTTLS and its answer"
            raise Refusal(503, "5.5.1", text, ends_session=True)
        self._refuse_closed()
        self._transport.write(go_ahead)
        try:
            secured = await self._loop.start_tls(
                self._transport,
                self._protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except OSError as error:  # ssl.SSLError is one
            raise PeerGone(f"TLS handshake failed: {error}") from error
        if secured is None:
            raise PeerGone("closed during the TLS handshake")
        self._transport = secured

    def close(self) -> None:
        """Send what was written and close; what takes longer than LINGER is cut."""
        if self._output and not self.is_closing:
            self._transport.write(b"".join(self._output))
        self._output.clear()
        self._transport.close()
        self._expect(LINGER)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._transport.abort()

    def _refuse_closed(self) -> None:
        if self.is_closing:  # uvloop's transports raise when written to then
            raise PeerGone("closed already")

    async def _more(self) -> None:
        """Wait until there is more input than now, having sent what was written."""
        await self.flush()
        before = len(self._input)
        while len(self._input) == before:
            if self._gone:
                raise PeerGone(self._gone)
            await self._arrival.wait()

    def _take(self, size: int) -> bytes:
        """Return the first octets that are there, at most `size`."""
        taken = bytes(self._input[:size])
        del self._input[:size]
        if self._is_paused and len(self._input) <= READ_SIZE and not self.is_closing:
            self._is_paused = False
            self._transport.resume_reading()
        return taken

    def _expect(self, within: float) -> None:
        self._deadline = self._loop.time() + within
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline > self._loop.time():
            if self._deadline < math.inf:
                self._set_timer()
        elif self.is_closing:
            self.abort()
        else:
            self._output.append(self._farewell)
            self.close()
