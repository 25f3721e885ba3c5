"""Large messages to receivers that read slowly: bodies are not gathered in memory. (G04)"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.harness.targets import Mailwright
from tests.faults.test_service_faults import MEBIBYTE, memory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 16
BODY = b"From: a@sender.test\r\n\r\n" + (b"x" * 76 + b"\r\n") * 320_000
"""25 MB, about the largest message that is taken."""
ANSWERS = {b"EHLO": b"250-slow.test\r\n250 SIZE 99999999", b"DATA": b"354 go on"}
SLOWLY = 64 * 1024
"""Bytes a second."""


class Slow:
    """Sessions that read the data of a message as slowly as is allowed.

    Attributes:
        ports: where, one for each session, so that each is a site of its own.
        reading: how many sessions have got to DATA.
    """

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.reading = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 slow.test\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                writer.write(ANSWERS.get(verb, b"250 ok") + b"\r\n")
                if verb == b"DATA":
                    self.reading += 1
                    while await reader.read(SLOWLY):
                        await asyncio.sleep(1)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def slow_receiver() -> AsyncIterator[Slow]:
    slow, servers = Slow(), []
    try:
        for _ in range(COUNT):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOWLY)
            listener.bind(("127.0.0.1", 0))
            slow.ports.append(listener.getsockname()[1])
            servers.append(await asyncio.start_server(slow.serve, sock=listener, limit=SLOWLY))
        yield slow
    finally:
        for server in servers:
            server.close()


async def test_g04_large_messages_to_slow_receivers_take_little_memory(tmp_path: Path) -> None:
    async with slow_receiver() as slow:
        pins = [f'"d{n}.test" = "smtp://127.0.0.1:{port}"' for n, port in enumerate(slow.ports)]
        engine = Mailwright(tmp_path, 1, routing="\n".join(pins))
        try:
            await engine.start()
            before, most = memory(engine.pid), 0

            def submit(number: int) -> None:
                with smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=120) as client:
                    client.sendmail("a@sender.test", f"g@d{number}.test", BODY)

            for number in range(COUNT):
                await asyncio.to_thread(submit, number)
                most = max(most, memory(engine.pid))
            async with asyncio.timeout(60):
                while slow.reading < COUNT:
                    await asyncio.sleep(0.05)
            until = time.monotonic() + 5
            while time.monotonic() < until:
                most = max(most, memory(engine.pid))
                await asyncio.sleep(0.2)
            await engine.kill()
        finally:
            await engine.abandon()
    assert most - before < 100 * MEBIBYTE, (before, most)
