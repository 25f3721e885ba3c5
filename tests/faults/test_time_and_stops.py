"""Clocks that jump, processes that stand still, peers that never end. (A16, A19, C02, C03, E11)"""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import socket
import time
from pathlib import Path
from random import Random

import pytest

from storage.entries import EntryState
from tests.faults.harness.clock import LIBRARY, faked
from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright
from tests.support.receiver import Drip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

needs_faketime = pytest.mark.skipif(LIBRARY is None, reason="needs Debian's package faketime")


async def some(load: Load, count: int) -> None:
    """Wait until so many more were acknowledged."""
    wanted = len(load.ledger.acknowledged) + count
    async with asyncio.timeout(60):
        while len(load.ledger.acknowledged) < wanted:
            await asyncio.sleep(0.05)


@needs_faketime
async def test_c02_a_clock_that_jumps_bounces_nothing_and_strands_nothing(tmp_path: Path) -> None:
    ledger, clock = Ledger(), tmp_path / "clock"
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0.01) as receiver:
        engine = Mailwright(tmp_path, receiver.port, environment=faked(clock, "+0"))
        try:
            await engine.start()
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=2)
            for offset in ("+1d", "-1h", "+0"):
                await some(load, 60)
                clock.write_text(offset)
            await some(load, 60)
            await load.stop()
            assert await drain(ledger, 90) < 90
            await engine.stop()
        finally:
            await engine.abandon()
        states = engine.states()
    assert set(states) <= {EntryState.DELIVERED}, states


@needs_faketime
async def test_c02_what_was_deferred_while_the_clock_was_ahead_does_not_wait_for_it(
    tmp_path: Path,
) -> None:
    ledger, clock = Ledger(), tmp_path / "clock"
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0) as receiver:
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port, environment=faked(clock, "+1d"))
        try:
            await engine.start()
            load.start(engine.smtp_port, 2)
            await some(load, 30)
            await load.stop()
            clock.write_text("+0")
            receiver.set_script("RCPT")
            assert await drain(ledger, 90) < 90  # it looks at the clock every half minute
            await engine.stop()
        finally:
            await engine.abandon()


@needs_faketime
async def test_c03_a_start_with_a_clock_of_1971_is_refused_and_expires_nothing(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0.01) as receiver:
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            load.start(engine.smtp_port, 2)
            await some(load, 40)
            await load.stop()
            await engine.stop()
        finally:
            await engine.abandon()
        past = Mailwright(tmp_path, receiver.port, environment=faked(tmp_path / "clock", "-20000d"))
        with pytest.raises(AssertionError, match="mta: clock: it shows 197"):
            await past.start()
        await past.abandon()
        states = past.states()
        assert set(states) == {EntryState.WAITING}, states
        receiver.set_script("RCPT")
        again = Mailwright(tmp_path, receiver.port)
        try:
            await again.start()
            assert await drain(ledger) < 60
            await again.stop()
        finally:
            await again.abandon()


async def test_a19_a_server_that_stood_still_goes_on(tmp_path: Path) -> None:
    ledger = Ledger()
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0.05) as receiver:
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            load.start(engine.smtp_port, 4, api=(engine.api_port, engine.key), callers=2)
            for _ in range(3):
                await some(load, 50)
                engine.send(signal.SIGSTOP)
                receiver.drop()
                await asyncio.sleep(3)
                engine.send(signal.SIGCONT)
            await some(load, 50)
            await load.stop()
            assert await drain(ledger) < 60
            await engine.stop()
        finally:
            await engine.abandon()
    assert not load.trouble
    assert ledger.repeated() <= 3 * 40


async def test_a16_what_never_gets_through_fails_once_and_is_told(tmp_path: Path) -> None:
    ledger = Ledger()
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0) as receiver:
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port, retry='first = "300ms", lifetime = "4s"')
        try:
            await engine.start()
            load.start(engine.smtp_port, 0, api=(engine.api_port, engine.key), callers=2)
            await some(load, 20)
            await load.stop()
            async with asyncio.timeout(40):
                while engine.states()[EntryState.EXPIRED] < len(ledger.acknowledged):
                    await asyncio.sleep(0.2)
            events = await engine.mta("events", "--after", "0", "--json")
            await engine.stop()
        finally:
            await engine.abandon()
    assert events.count('"expired"') == len(ledger.acknowledged)
    assert set(engine.states()) == {EntryState.EXPIRED}
    assert not ledger.arrived


async def test_e08_e11_a_tarpit_does_not_slow_down_the_others(tmp_path: Path) -> None:
    ledger = Ledger()
    load = Load(ledger, domains=("good.test",))
    async with (
        Recorder(Ledger(), Random(1), script={"EHLO": Drip("250 tar.test", 1)}) as tarpit,
        Recorder(ledger, Random(1), window=0) as receiver,
    ):
        tars = "\n".join(f'"tar{n}.test" = "smtp://127.0.0.1:{tarpit.port}"' for n in range(50))
        engine = Mailwright(tmp_path, receiver.port, routing=tars)
        slow = Load(Ledger(), domains=tuple(f"tar{n}.test" for n in range(50)))
        try:
            await engine.start()
            slow.start(engine.smtp_port, 2)
            await some(slow, 200)
            await slow.stop()
            load.start(engine.smtp_port, 2)
            began = time.monotonic()
            await some(load, 300)
            await load.stop()
            assert await drain(ledger) < 10
            took = time.monotonic() - began
            await engine.abandon()
        finally:
            await engine.abandon()
    assert took < 30
    assert not load.trouble


async def test_g05_g06_a_flood_of_connections_exhausts_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    load = Load(ledger)
    async with Recorder(ledger, Random(1), window=0) as receiver:
        engine = Mailwright(
            tmp_path, receiver.port, prefix=[str(shutil.which("prlimit")), "--nofile=160:160"]
        )
        flood: list[socket.socket] = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            await engine.start()
            size = engine.log.stat().st_size
            for number in range(600):
                client = socket.socket()
                client.settimeout(5)
                client.bind((f"127.0.{number % 40}.9", 0))
                client.connect(("127.0.0.1", engine.smtp_port))
                flood.append(client)
            await asyncio.sleep(2)
            for client in flood:
                client.close()
            load.start(engine.smtp_port, 2, api=(engine.api_port, engine.key), callers=1)
            await some(load, 100)
            await load.stop()
            assert await drain(ledger) < 60
            await engine.stop()
            assert engine.log.stat().st_size - size < 200_000
        finally:
            for client in flood:
                client.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await engine.abandon()
