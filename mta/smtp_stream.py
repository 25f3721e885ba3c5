"""The byte stream under an SMTP session: bounded reads, batched writes, one timer for all waits.

Not here: what the bytes mean (smtp_server.py). What is written gathers until the client has to be
waited for, so that a pipelined batch is answered in one segment (RFC 2920 3.2).
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import cast

from mta.core.esmtp import Refusal

READ_SIZE = 32_768
"""Octets read at once, and so what one step of decoding and hashing costs the event loop."""
HANDSHAKE_TIMEOUT = 30.0
"""Seconds for a TLS handshake."""
LINGER = 10.0
"""Seconds that a closed connection may take to send what it still holds."""


class PeerGone(Exception):  # noqa: N818 - expected at any moment, and nobody's error
    """The connection is lost, closed or timed out: nobody is there to talk to."""


class SmtpStream:
    """Both directions of one connection, for one task at a time.

    A wait that takes too long writes the farewell and closes; the waiting task gets PeerGone.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, farewell: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._farewell = farewell
        self._input = bytearray()
        self._output: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._deadline = math.inf  # in the loop's time; the timer may lag behind it
        self._timer: asyncio.TimerHandle | None = None

    @property
    def tls(self) -> str:
        """Protocol and cipher such as "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in clear."""
        connection = cast("ssl.SSLObject | None", self._writer.get_extra_info("ssl_object"))
        cipher = connection.cipher() if connection else None
        return f"{connection.version()} {cipher[0]}" if connection and cipher else ""

    @property
    def is_closing(self) -> bool:
        """Whether either side has begun to close."""
        return self._writer.is_closing()

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
            self._input += await self._read()
        self._deadline = math.inf
        line = bytes(self._input[:end])
        del self._input[:end]
        return line

    async def chunk(self, within: float) -> bytes:
        """Return what has arrived, at least one octet, after a wait of at most `within` seconds.

        Raises:
            PeerGone
        """
        if self._input:
            data = bytes(self._input)
            self._input.clear()
            return data
        self._expect(within)
        data = await self._read()
        self._deadline = math.inf
        return data

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
        self._writer.write(b"".join(self._output))
        self._output.clear()
        try:
            await self._writer.drain()
        except OSError as error:
            raise PeerGone(str(error)) from error

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
        cast("asyncio.ReadTransport", self._writer.transport).pause_reading()
        if await self._has_input():
            text = "Nothing may be sent between STARTTLS and its answer"
            raise Refusal(503, "5.5.1", text, ends_session=True)
        self._refuse_closed()
        self._writer.write(go_ahead)
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT)
        except OSError as error:  # ssl.SSLError is one
            raise PeerGone(f"TLS handshake failed: {error}") from error

    def close(self) -> None:
        """Send what was written and close; what takes longer than LINGER is cut."""
        if self._output and not self.is_closing:
            self._writer.write(b"".join(self._output))
        self._output.clear()
        self._writer.close()
        self._expect(LINGER)

    def abort(self) -> None:
        """Cut the connection at once."""
        self._writer.transport.abort()

    def lost(self) -> None:
        """Tell that the connection is no more: ends the timer."""
        if self._timer:
            self._timer.cancel()

    def _refuse_closed(self) -> None:
        if self.is_closing:  # uvloop's transports raise when written to then
            raise PeerGone("closed already")

    async def _read(self) -> bytes:
        await self.flush()
        try:
            data = await self._reader.read(READ_SIZE)
        except OSError as error:
            raise PeerGone(str(error)) from error
        if not data:
            raise PeerGone("closed by the client")
        return data

    async def _has_input(self) -> bool:
        """Tell whether anything is there to read without waiting for it."""
        try:
            async with asyncio.timeout(0):
                self._input += await self._reader.read(READ_SIZE)
        except TimeoutError:
            return bool(self._input)
        return True

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
