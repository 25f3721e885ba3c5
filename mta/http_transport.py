"""A TCP connection that ends well: the peer can read the last answer, and it ends in any case.

Closing a socket with unread input makes the kernel reset the connection, and the peer may lose the
answer that tells it why (RFC 9112 9.6). Closing one whose peer does not read may take for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LINGER = 5.0
"""Seconds that a peer may go on sending after the last answer."""


class ClosingTransport(asyncio.Transport):
    """Passes everything to the transport of the event loop but close()."""

    def __init__(
        self,
        transport: asyncio.Transport,
        has_unread_input: Callable[[], bool],
        *,
        patience: float,
    ) -> None:
        """Take the transport.

        Args:
            transport: of the connection.
            has_unread_input: tells whether the peer may still be sending what nobody will read.
            patience: seconds that the peer may take no byte of what is still to be sent.
        """
        super().__init__()
        self._transport = transport
        self._has_unread_input = has_unread_input
        self._patience = patience
        self._is_closing = False
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Send what is still to be sent, let the peer finish, close."""
        if self.is_closing():
            return
        self._is_closing = True
        if self._has_unread_input() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()
        self._watch(self._transport.get_write_buffer_size())

    def lost(self) -> None:
        """Forget the connection: it has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, unsent: int) -> None:
        wait = self._patience if unsent else LINGER
        self._timer = asyncio.get_running_loop().call_later(wait, self._end_unless_sending, unsent)

    def _end_unless_sending(self, before: int) -> None:
        unsent = self._transport.get_write_buffer_size()
        if before and unsent < before:
            self._watch(unsent)
        else:
            self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether close() was called, or the connection has ended."""
        return self._is_closing or self._transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of the connection."""
        return self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or keep until it can be sent."""
        self._transport.write(data)

    def pause_reading(self) -> None:
        """Let the kernel keep what comes in."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what comes in again."""
        self._transport.resume_reading()
