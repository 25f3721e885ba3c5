"""kill -9 and crashes at named points: nothing acknowledged is lost, and little is doubled."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

COUNT = 2000
CLIENTS = 8


def message(number: int) -> bytes:
    head = f"From: a@sender.test\r\nTo: b@dest.test\r\nMessage-ID: <{number}@sender.test>\r\n"
    return head.encode() + b"Subject: crash\r\n\r\n" + b"body\r\n" * 50


class Clients:
    """Connections that submit numbered messages and know which of them were taken."""

    def __init__(self) -> None:
        self.left = list(range(COUNT, 0, -1))
        self.acknowledged: set[int] = set()
        self.progress = asyncio.Condition()

    async def submit_all(self, port: int) -> None:
        """Submit until nothing is left or the engine is gone."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._client(port))

    async def until(self, count: int) -> None:
        """Wait until so many have been acknowledged."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.acknowledged) >= count)

    async def _client(self, port: int) -> None:
        number = 0
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        try:
            await _expect(reader, b"220")
            writer.write(b"EHLO c\r\n")
            await _expect(reader, b"250")
            while self.left:
                number = self.left.pop()
                writer.write(b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@dest.test>\r\nDATA\r\n")
                for code in (b"250", b"250", b"354"):
                    await _expect(reader, code)
                writer.write(message(number) + b".\r\n")
                await _expect(reader, b"250")
                async with self.progress:
                    self.acknowledged.add(number)
                    self.progress.notify_all()
                number = 0
        except (OSError, EOFError, _EndedError):
            if number:
                self.left.append(number)
        finally:
            writer.close()


class _EndedError(Exception):
    """The server ends the session."""


async def _expect(reader: asyncio.StreamReader, code: bytes) -> None:
    line = b"-" * 4
    while line[3:4] == b"-":
        line = await reader.readuntil(b"\r\n")
    if line.startswith(b"421"):
        raise _EndedError
    assert line.startswith(code), line


def ids(receiver: Receiver) -> Counter[int]:
    found: Counter[int] = Counter()
    for identifier, count in receiver.message_ids.items():
        match = re.fullmatch(r"<(\d+)@sender\.test>", identifier)
        assert match, identifier
        found[int(match[1])] += count
    return found


@pytest.mark.timeout(180)
async def test_kill_9_during_2000_messages_loses_nothing(tmp_path: Path) -> None:
    clients = Clients()
    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
        engine = Engine(tmp_path, config)
        kills = (300, 800, 1300, 1700)
        try:
            for stop_at in kills:
                await engine.start()
                load = asyncio.create_task(clients.submit_all(engine.smtp_port))
                await clients.until(stop_at)
                await engine.kill()
                await load
            await engine.start()
            await clients.submit_all(engine.smtp_port)
            assert len(clients.acknowledged) == COUNT
            async with asyncio.timeout(60):
                while not clients.acknowledged <= ids(receiver).keys():
                    count = len(receiver.messages)
                    await receiver.wait_for(count + 1, within=30)
            assert await engine.stop() == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                await engine.kill()
    arrived = ids(receiver)
    doubled = sum(count - 1 for count in arrived.values())
    lost = clients.acknowledged - arrived.keys()
    assert not lost
    # A kill may repeat what was in flight: at most one message on each of 20 connections, and one
    # submission of each client that had no answer yet.
    assert doubled <= len(kills) * (20 + CLIENTS), f"{doubled} doubled"


@pytest.mark.parametrize(
    ("point", "is_acknowledged", "deliveries"),
    [
        ("before_accept", False, 0),
        ("after_accept", False, 1),  # the client may send it again: that is another message
        ("after_claim", None, 1),
        ("after_remote_250", None, 2),  # RFC 1047's window
        ("before_settle", None, 2),
        ("after_settle", None, 1),
    ],
)
async def test_crash_at(
    tmp_path: Path, point: str, is_acknowledged: bool | None, deliveries: int
) -> None:
    async with Receiver() as receiver:
        config = configuration(
            routing={"*": f"smtp://{receiver.address}:{receiver.port}"}, processes=1
        )
        engine = Engine(tmp_path, config)
        try:
            engine.faults = point
            await engine.start()
            was_acknowledged = True
            try:
                await engine.submit(message(1), "a@sender.test", "b@dest.test")
            except (OSError, AssertionError):
                was_acknowledged = False
            assert await engine.wait() == 137
            engine.faults = ""
            await engine.start()
            if deliveries:
                async with engine.journal() as until:
                    await until(kind="delivered")
            code, output, _ = await engine.mta("queue", "list", "--json")
            assert code == 0
            assert await engine.stop() == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                await engine.kill()
    assert ids(receiver)[1] == deliveries
    if is_acknowledged is not None:
        assert was_acknowledged is is_acknowledged
    assert '"waiting"' not in output


async def test_sigterm_during_delivery_ends_cleanly_and_loses_nothing(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
        async with running(tmp_path, config) as engine:
            clients = Clients()
            del clients.left[600:]
            expected = set(clients.left)
            load = asyncio.create_task(clients.submit_all(engine.smtp_port))
            await clients.until(200)
            assert await engine.stop() == 0
            await load
            assert "Traceback" not in engine.log()
            await engine.start()
            await clients.submit_all(engine.smtp_port)
            assert clients.acknowledged == expected
            async with asyncio.timeout(30):
                while not expected <= ids(receiver).keys():
                    await receiver.wait_for(len(receiver.messages) + 1, within=20)
            assert await engine.stop() == 0
            assert "Traceback" not in engine.log()
    arrived = ids(receiver)
    # After an orderly stop nothing is repeated; a client whose 250 was cut off may have sent twice.
    assert sum(arrived.values()) - len(arrived) <= CLIENTS
