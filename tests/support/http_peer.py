"""A peer of an HTTP server that sends bytes as they are, and the server, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mta.http_protocol import ConnectionLimits
from mta.http_server import HttpServer, bind


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer that has a Content-Length."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
            size = int(headers.get("content-length", "0")) if has_body else 0
            return Answer(int(first.split()[1]), headers, await self.reader.readexactly(size))

    async def rest(self) -> bytes:
        """Read until the server ends the connection; a reset is an end too."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Serving:
    """A server under test."""

    server: HttpServer

    @asynccontextmanager
    async def peer(self) -> AsyncIterator[Peer]:
        peer = Peer(*await asyncio.open_connection(*self.server.endpoint))
        try:
            yield peer
        finally:
            await peer.close()


@asynccontextmanager
async def serving(app: Any, limits: ConnectionLimits | None = None) -> AsyncIterator[Serving]:
    """Serve an application on a port of the system's choice."""
    with bind("127.0.0.1", 0) as listener:
        server = HttpServer(
            app,
            listener,
            shutdown_timeout=timedelta(seconds=1),
            limits=limits or ConnectionLimits(),
        )
        listener.listen()
        task = asyncio.create_task(server.run_until_stopped())
        try:
            yield Serving(server)
        finally:
            server.stop()
            async with asyncio.timeout(10):
                await task
