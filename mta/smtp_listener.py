"""The ports that one SMTP service listens on, and the sessions that came in there.

Refuses connections above the limits of the whole server before anything is spent on them; stops
without cutting messages short. Not here: what a session does (smtp_server.py, smtp_commands.py).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine, Iterable, Sequence
from datetime import timedelta
from functools import partial

from mta.core.network import client_network
from mta.core.reply import Reply
from mta.crowd import Crowd, Place, Turnstile
from mta.smtp_commands import SmtpCommands
from mta.smtp_server import SmtpServer
from mta.smtp_session import Service
from mta.smtp_stream import HANDSHAKE_TIMEOUT
from mta.tls_certificate import ServerTls

BACKLOG = 1024
"""Connections that the kernel may hold for us to accept."""
ACCEPT_PAUSE = 1.0
"""Seconds without accepting after the system refused to give us a connection."""
ABORT_GRACE = timedelta(seconds=5)
"""What sessions get to end in after their connection was cut."""

_TOO_MANY = Reply(421, "4.7.0", "Too many connections, try again later")
_TOO_MANY_FROM_THERE = Reply(421, "4.7.0", "Too many connections from your address")
logger = logging.getLogger(__name__)


def crowd(names: Sequence[str], connections: int) -> Crowd:
    """Return what counts the connections to processes of these names, of which so many may be."""
    return Crowd(names, places=connections + 1)  # one is refused at a time


class SmtpListener:
    """The listening side of a service; start as often as there are kinds of ports, stop once."""

    def __init__(self, service: Service, turnstile: Turnstile | None = None) -> None:
        """Take what sessions share.

        Args:
            service: the service.
            turnstile: counts connections with those of other processes; None: there are none.
        """
        self._service = service
        self._turnstile = turnstile or crowd([""], service.limits.connections).turnstile()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()  # of ports with implicit TLS
        self._connections: dict[SmtpServer, Place] = {}  # those in a TLS handshake included
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def start(
        self, endpoints: Iterable[tuple[str, int]], *, implicit_tls: bool = False
    ) -> list[tuple[str, int]]:
        """Listen; return the addresses that were bound, a port of 0 replaced by the one chosen.

        Args:
            endpoints: host and port; a name is bound at all of its addresses.
            implicit_tls: whether TLS begins with the connection (RFC 8314 3.3).

        Raises:
            OSError: an address cannot be bound.
            ValueError: implicit TLS without a certificate.
        """
        listening = [one for host, port in endpoints for one in await _listen(host, port)]
        try:
            await self.serve(listening, implicit_tls=implicit_tls)
        except ValueError:
            for one in listening:
                one.close()
            raise
        return [one.getsockname()[:2] for one in listening]

    async def serve(
        self, listening: Iterable[socket.socket], *, implicit_tls: bool = False
    ) -> None:
        """Do what start() does on sockets that listen already; stop() closes them.

        Raises:
            ValueError: implicit TLS without a certificate.
        """
        for one in listening:
            if not implicit_tls:
                await self._accept(one)
            elif self._service.tls is None:
                raise ValueError("implicit TLS needs a certificate")
            else:
                self._begin(self._accept_tls(one, self._service.tls))

    @property
    def connections(self) -> int:
        """Sessions that are open in this process, those in a TLS handshake included."""
        return len(self._connections)

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of all that there may be are open."""
        return self._turnstile.total > self._service.limits.connections / 2

    async def stop(self, within: timedelta) -> None:
        """Close the ports, end idle sessions, and give those inside a message time to finish.

        Args:
            within: what they get before their connections are cut. A message that is being
                committed then is finished all the same, unless that takes longer than ABORT_GRACE.
        """
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        for session in tuple(self._connections):
            session.stop()
        if await self._has_emptied(within):
            return
        for session in tuple(self._connections):
            session.abort()
        if await self._has_emptied(ABORT_GRACE):
            return
        logger.warning("%d SMTP sessions did not end in time", len(self._connections))
        for session in tuple(self._connections):
            if session.task:
                session.task.cancel()
        await self._has_emptied(ABORT_GRACE)

    def enter(self, connection: SmtpServer, address: str) -> Reply | None:
        """Count a connection, once; return why it has to go when there are too many."""
        if connection in self._connections:
            return None
        limits = self._service.limits
        place = self._turnstile.enter(client_network(address))
        if place is None:
            return _TOO_MANY
        if place.total > limits.connections or place.of_client > limits.connections_per_address:
            self._turnstile.leave(place)
            return _TOO_MANY if place.total > limits.connections else _TOO_MANY_FROM_THERE
        self._connections[connection] = place
        self._is_empty.clear()
        return None

    def leave(self, connection: SmtpServer) -> None:
        """Forget a connection, unless it was never let in."""
        place = self._connections.pop(connection, None)
        if place is None:
            return
        self._turnstile.leave(place)
        if not self._connections:
            self._is_empty.set()

    async def _accept(self, listening: socket.socket) -> None:
        session = partial(SmtpCommands, self._service, self)
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(session, sock=listening, backlog=BACKLOG))

    async def _accept_tls(self, listening: socket.socket, tls: ServerTls) -> None:
        """Accept connections that begin with TLS.

        A server of asyncio would tell us of a connection after its handshake only, so that any
        number of clients could be in one.
        """
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    connection, (host, *_) = await loop.sock_accept(listening)
                except OSError as error:
                    logger.warning("cannot accept connections: %s", error)
                    await asyncio.sleep(ACCEPT_PAUSE)
                else:
                    self._begin(self._shake_hands(connection, host.partition("%")[0], tls))

    async def _shake_hands(self, connection: socket.socket, address: str, tls: ServerTls) -> None:
        session = SmtpCommands(self._service, self)
        if self.enter(session, address):
            connection.close()
            return
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: session,
                connection,
                ssl=tls.context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except BaseException as error:
            logger.debug("%s: TLS handshake failed: %s", address, error)
            self.leave(session)
            if not isinstance(error, OSError):
                raise

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _has_emptied(self, within: timedelta) -> bool:
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._is_empty.wait()
        except TimeoutError:
            return False
        return True


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of the host."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listening = []
    for family, _, _, _, address in found:
        listening.append(socket.create_server(address, family=family, backlog=BACKLOG))
        listening[-1].setblocking(False)
    return listening
