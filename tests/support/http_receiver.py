"""A webhook endpoint that keeps what it receives and answers as badly as a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def status(code: int, *, body: bytes = b"ok", headers: str = "", after: float = 0) -> Answer:
    """Answer with a status, after so many seconds."""
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        if after:
            await asyncio.sleep(after)
        writer.write(head + body)
        await writer.drain()

    return answer


def raw(data: bytes) -> Answer:
    """Answer with these bytes and close."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return answer


async def hang(_: Received, __: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def drip(head: str = "HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n") -> Answer:
    """Answer with this header, and then one byte at a time without end."""

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode())
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


async def flood(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer 200 with a body without end, as fast as it is read."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


class HttpReceiver:
    """The endpoint: `async with HttpReceiver() as receiver: ... receiver.url`.

    Attributes:
        answer: how to answer from now on; 200 at first.
        received: all complete requests so far.
        connections: how many were made.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.answer: Answer = status(200)
        self.received: list[Received] = []
        self.connections = 0
        self.url = ""
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def wait_for(self, count: int) -> list[Received]:
        """Return what was received once that many requests are there."""
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    request = await _read(reader)
                    async with self._arrived:
                        self.received.append(request)
                        self._arrived.notify_all()
                    await self.answer(request, writer)
        except asyncio.CancelledError:
            pass  # only __aexit__ cancels
        finally:
            self._tasks.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)
