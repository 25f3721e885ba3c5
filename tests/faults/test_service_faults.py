"""A server that hangs, large messages, a flood of requests. (G04, J14, O04)"""

from __future__ import annotations

import asyncio
import signal
import smtplib
import socket
from pathlib import Path
from random import Random

import pytest

from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright, children

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MEBIBYTE = 2**20


def memory(pid: int) -> int:
    """Return the bytes that a process and its children have of their own or share, counted once."""
    total = 0
    for each in (pid, *children(pid)):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


async def test_g04_fifty_large_messages_at_once_take_little_memory(tmp_path: Path) -> None:
    ledger = Ledger()
    body = b"From: a@sender.test\r\n\r\n" + (b"x" * 76 + b"\r\n") * 100_000  # 7.8 MB
    async with Recorder(ledger, Random(1), window=0) as receiver:
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            before, most = memory(engine.pid), 0

            def submit(number: int) -> None:
                with smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=120) as client:
                    client.sendmail("a@sender.test", f"g{number}@dest.test", body)

            work = asyncio.gather(*(asyncio.to_thread(submit, number) for number in range(50)))
            while not work.done():
                most = max(most, memory(engine.pid))
                await asyncio.wait([work], timeout=0.2)
            await work
            await engine.stop()
        finally:
            await engine.abandon()
    assert most - before < 100 * MEBIBYTE, (before, most)


@pytest.mark.parametrize("is_known", [True, False])
async def test_j14_a_flood_of_requests_leaves_smtp_its_share(
    tmp_path: Path, is_known: bool
) -> None:
    ledger, flooded = Ledger(), Ledger()
    async with Recorder(ledger, Random(1), window=0) as receiver:
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            load = Load(ledger)
            load.start(engine.smtp_port, 2)
            flood = Load(flooded)
            key = engine.key if is_known else "mta_live_wrong"
            flood.start(engine.smtp_port, 0, api=(engine.api_port, key), callers=30)
            await asyncio.sleep(10)
            await load.stop()
            await flood.stop()
            assert await drain(ledger) < 30
            ledger.acknowledged |= flooded.acknowledged
            assert await drain(ledger) < 60
            await engine.stop()
        finally:
            await engine.abandon()
    assert bool(flooded.acknowledged) is is_known
    assert len(ledger.answered) > 100
    assert ledger.slowest(0.95) < 1.0


def pending(manager: socket.socket) -> bytes:
    try:
        return manager.recv(100)
    except BlockingIOError:
        return b""


async def test_o04_a_server_that_hangs_feeds_no_watchdog_and_restarts_whole(tmp_path: Path) -> None:
    ledger = Ledger()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        async with Recorder(ledger, Random(1)) as receiver:
            engine = Mailwright(tmp_path, receiver.port, environment=environment)
            load = Load(ledger)
            try:
                await engine.start()
                load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=2)
                async with asyncio.timeout(20):
                    while await loop.sock_recv(manager, 100) != b"WATCHDOG=1":
                        pass
                engine.send(signal.SIGSTOP)
                await asyncio.sleep(1)
                while pending(manager):
                    pass  # what was sent before it stood still
                await asyncio.sleep(2)
                assert not pending(manager)
                await engine.kill()  # what the manager does then
                await engine.start()
                await asyncio.sleep(1)
                await load.stop()
                assert await drain(ledger) < 60
                await engine.stop()
            finally:
                await engine.abandon()
    assert not ledger.missing()
