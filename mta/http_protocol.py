"""One HTTP connection: uvicorn's protocol with deadlines, limits and strict framing around it.

    connection -> head within head_time -> request -> answer -> idle for keep_alive -> next head

What cannot be read is answered in its turn: after the requests before it, whose work is under way,
and as the last thing on the connection. That answer too is the application's, which finds a Refusal
in the request's state. Deadlines of bodies are the application's, which knows how long they may be.

Not here: listening (http_server.py), and what is refused (core/http_request.py).
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mta.core.frozen import frozen
from mta.core.http_request import (
    CROWDED,
    HEAD_TOO_LARGE,
    MALFORMED,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_TARGET,
    REFUSAL,
    TARGET_TOO_LONG,
    TOO_SLOW,
    Refusal,
    check_head,
)
from mta.core.network import IpNetwork, client_network, in_networks
from mta.crowd import Crowd, Place, Turnstile
from mta.http_transport import ClosingTransport

_PIECE = 4096
"""Bytes parsed at once, bodies of a known length apart: how far something endless may be beyond its
limit when that is noticed."""


@frozen
class ConnectionLimits:
    """What a client may take.

    Attributes:
        head_time: seconds from connecting, or from the first byte of a request, to its body.
        write_time: seconds in which it must take some of an answer that waits.
        keep_alive: seconds between an answer and the next request.
        connections: at once; the next ones get a 503, and beyond twice as many nothing.
        connections_per_address: the same for each client, outside exempt networks.
        exempt: networks whose clients are counted in `connections` only.
    """

    head_time: float = 10.0
    write_time: float = 60.0
    keep_alive: int = 75
    connections: int = 1000
    connections_per_address: int = 100
    exempt: tuple[IpNetwork, ...] = ()

    def turnstile(self) -> Turnstile:
        """Return what counts the connections of a server with these limits."""
        return Crowd(places=2 * self.connections + 1).turnstile()


class GuardedProtocol(HttpToolsProtocol):
    """Speaks HTTP/1.1 on one connection; uvicorn makes it, with the limits bound before."""

    def __init__(
        self, *arguments: Any, limits: ConnectionLimits, turnstile: Turnstile, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._turnstile = turnstile
        self._place: Place | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unparsed = bytearray()
        self._unaccounted = 0
        self._body_left = 0
        self._is_in_head = False
        self._head_size = 0
        self._field_count = 0
        self._is_deaf = False
        self._refusal = MALFORMED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: await the first request, or refuse it if there are too many connections."""
        closing = ClosingTransport(
            cast("asyncio.Transport", transport),
            self._has_unread_input,
            patience=self._limits.write_time,
        )
        super().connection_made(closing)
        crowding = self._enter()
        if crowding > 2:
            self.transport.abort()
        elif crowding > 1:
            self._refuse(CROWDED)
        else:
            self._await_head()

    def _enter(self) -> float:
        """Take a place; return how many times as many connections as there may be there are."""
        if self.client is None:  # gone already
            return math.inf
        address, _ = self.client
        self._place = self._turnstile.enter(client_network(address))
        if self._place is None:
            return math.inf
        crowding = self._place.total / self._limits.connections
        if in_networks(address, self._limits.exempt):
            return crowding
        return max(crowding, self._place.of_client / self._limits.connections_per_address)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; requests under way are carried out, their answers go nowhere."""
        if self._place is not None:
            self._turnstile.leave(self._place)
        self._stop_awaiting_head()
        cast("ClosingTransport", self.transport).lost()
        self._unset_keepalive_if_required()
        self._stop_awaiting_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes and start on the requests that are complete, one at a time."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._unparsed += data
        self._parse()
        if self.pipeline:
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        """Go on with the next request, which may be here already."""
        super().on_response_complete()
        if self._unparsed and not self.transport.is_closing():
            self._parse()

    def _parse(self) -> None:
        """Parse what is here, up to a request that has to wait for the one before it."""
        self._unset_keepalive_if_required()
        try:
            while self._unparsed and not self.pipeline:
                self._parse_piece()
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False
            self._is_deaf = True
        except httptools.HttpParserError:
            self._refuse(self._refusal)
        else:
            self._await_head()

    def _parse_piece(self) -> None:
        size = max(_PIECE, self._body_left)
        piece = bytes(self._unparsed[:size])
        del self._unparsed[:size]
        self._unaccounted += len(piece)
        self.parser.feed_data(piece)
        if self._unaccounted > MAX_HEAD + _PIECE:
            raise self._refusing(HEAD_TOO_LARGE)

    def _refusing(self, refusal: Refusal) -> httptools.HttpParserError:
        """Return what ends parsing, from inside a callback too; the refusal is kept aside."""
        self._refusal = refusal
        return httptools.HttpParserError(refusal.message)

    def _refuse(self, refusal: Refusal) -> None:
        """Have the application say why this is the end, and hear no more."""
        self._is_deaf = True
        self._unparsed.clear()
        self._stop_awaiting_head()
        if self.cycle is not None and self.cycle.more_body and not self._is_in_head:
            self.cycle.scope["state"][REFUSAL] = refusal
            self.cycle.message_event.set()
        else:
            super().on_message_begin()
            self.url = b"/"
            self.scope["state"][REFUSAL] = refusal
            super().on_headers_complete()
        self.cycle.keep_alive = False

    def _has_unread_input(self) -> bool:
        is_incomplete = self.cycle is not None and self.cycle.more_body
        return self._is_deaf or is_incomplete or bool(self._unparsed)

    # What the parser finds.

    def on_message_begin(self) -> None:
        """Note the beginning of a request line."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_size = self._field_count = self._unaccounted = 0

    def on_url(self, url: bytes) -> None:
        """Take some of the target."""
        super().on_url(url)
        self._unaccounted = 0
        if len(self.url) > MAX_TARGET:
            raise self._refusing(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field. A trailer field is dropped: nobody checked it."""
        self._unaccounted = 0
        self._field_count += 1
        self._head_size += len(name) + len(value) + len(": \r\n")
        if self._field_count > MAX_FIELDS or len(self.url) + self._head_size > MAX_HEAD:
            raise self._refusing(HEAD_TOO_LARGE)
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start on a request, unless its head is one to refuse."""
        self._stop_awaiting_head()
        refusal = check_head(self.parser.get_http_version(), self.url, self.headers)
        if refusal is not None:
            raise self._refusing(refusal)
        self._is_in_head = False
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        self._body_left = int(length)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take some of a body."""
        self._unaccounted = 0
        self._body_left -= len(body)
        super().on_body(body)

    # Deadlines.

    def _await_head(self) -> None:
        """Give the head that has begun, or comes next, its time; more bytes do not prolong it."""
        is_idle = self.cycle is None or (self.cycle.response_complete and not self.pipeline)
        if self._head_timer is None and (self._is_in_head or is_idle):
            self._head_timer = self.loop.call_later(self._limits.head_time, self._end_waiting)

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_waiting(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """Have the application wait for the client to read, which has to begin soon."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.write_time, self.transport.abort)

    def resume_writing(self) -> None:
        """Have the application go on."""
        self._stop_awaiting_reader()
        super().resume_writing()

    def _stop_awaiting_reader(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
