"""Clients that submit one message after the other, over SMTP and HTTP, whatever happens to the
server: they connect again, repeat what was not answered, and write down what was.

A message that was refused for now, or not answered at all, is sent again: over HTTP with the same
Idempotency-Key, so that it may not become two messages.
"""

from __future__ import annotations

import asyncio
import json
import time
from itertools import count

from tests.faults.harness.ledger import Ledger

PATIENCE = 30.0
"""Seconds for one answer; more than a healthy server ever takes."""
PAUSE = 0.05
"""Seconds before a client tries again after trouble."""
BODY = "The quick brown fox jumps over the lazy dog. 0123456789 abcdefghijkl\r\n" * 30


class Load:
    """All clients of one run.

    Attributes:
        ledger: what they know.
        trouble: answers that were neither 2xx nor "later", for people to read.
    """

    def __init__(
        self, ledger: Ledger, *, domains: tuple[str, ...] = ("dest.test",), rate: float = 0
    ) -> None:
        """Take where to write, where to send, and how many messages a second, 0 for any number."""
        self.ledger = ledger
        self._interval = 1 / rate if rate else 0.0
        self._turn = 0.0
        self.trouble: list[str] = []
        self._domains = domains
        self._numbers = count(1)
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(
        self, smtp_port: int, clients: int, *, api: tuple[int, str] | None = None, callers: int = 0
    ) -> None:
        """Begin: so many SMTP clients, and so many HTTP clients of (port, key)."""
        self._tasks += [asyncio.create_task(self._smtp(smtp_port)) for _ in range(clients)]
        if api is not None:
            self._tasks += [asyncio.create_task(self._http(*api)) for _ in range(callers)]

    async def stop(self) -> None:
        """Let every client finish its message, then end."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _wait_for_turn(self) -> None:
        """Wait as long as the rate says; turns that nobody took are not made up for."""
        now = time.monotonic()
        self._turn = max(self._turn + self._interval, now)
        if self._turn > now:
            await asyncio.sleep(self._turn - now)

    def _next(self, kind: str) -> str:
        number = next(self._numbers)
        return f"{kind}{number}@{self._domains[number % len(self._domains)]}"

    def _taken(self, recipient: str, began: float) -> None:
        self.ledger.acknowledged.add(recipient)
        self.ledger.answered.append(time.monotonic() - began)

    async def _smtp(self, port: int) -> None:
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            try:
                await self._session(reader, writer)
            except (OSError, EOFError, TimeoutError, LaterError):
                await asyncio.sleep(PAUSE)
            finally:
                writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._reply(reader, "2")
        writer.write(b"EHLO app.sender.test\r\n")
        await self._reply(reader, "2")
        while not self._stopping.is_set():
            await self._wait_for_turn()
            recipient = self._next("s")
            writer.write(f"MAIL FROM:<a@sender.test>\r\nRCPT TO:<{recipient}>\r\n".encode())
            await self._reply(reader, "2")
            await self._reply(reader, "2")
            writer.write(b"DATA\r\n")
            await self._reply(reader, "3")
            self.ledger.submitted[recipient] += 1
            began = time.monotonic()
            head = f"From: a@sender.test\r\nTo: {recipient}\r\nSubject: load\r\n\r\n"
            writer.write(f"{head}{BODY}.\r\n".encode())
            await self._reply(reader, "2")
            self._taken(recipient, began)
        writer.write(b"QUIT\r\n")

    async def _reply(self, reader: asyncio.StreamReader, first: str) -> None:
        line = b"-" * 4
        async with asyncio.timeout(PATIENCE):
            while line[3:4] == b"-":
                line = await reader.readuntil(b"\r\n")
        if line[:1] == b"4":
            raise LaterError(line)
        if line[:1].decode() != first:
            self.trouble.append(line.decode(errors="replace"))
            raise LaterError(line)

    async def _http(self, port: int, key: str) -> None:
        while not self._stopping.is_set():
            await self._wait_for_turn()
            recipient = self._next("h")
            self.ledger.submitted[recipient] = 1  # the same key: never another message
            began = time.monotonic()
            while not await self._post(port, key, recipient):
                if self._stopping.is_set():
                    return
                await asyncio.sleep(PAUSE)
            self._taken(recipient, began)

    async def _post(self, port: int, key: str, recipient: str) -> bool:
        """Tell whether the message was taken; it was not, or nobody knows, when False."""
        email = {"from": "a@sender.test", "to": recipient, "subject": "load", "text": BODY}
        body = json.dumps(email).encode()
        head = (
            f"POST /v1/emails HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {recipient}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(head.encode() + body)
                    answer = await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        status = answer[9:12].decode()
        # 409: the first try with this key is under way; 429 and 5xx: later.
        if status and status[0] != "2" and status not in {"409", "429", "503", "507"}:
            self.trouble.append(answer[:500].decode(errors="replace"))
        return status.startswith("2") and b"\r\n\r\n{" in answer


class LaterError(Exception):
    """The server wants to hear of it later."""
