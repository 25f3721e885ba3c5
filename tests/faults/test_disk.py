"""A disk that is full, out of files, slow, or read-only under a running server. (B01-B04, B07)

The data directory is a small file system of its own, which needs root.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import smtplib
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from storage.room import RESERVE
from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MEBIBYTE = 2**20


def can_mount() -> bool:
    """Tell whether file systems can be mounted here."""
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return os.geteuid() == 0 and done.returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="needs root, to mount a small file system")

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace, as in Debian's package"
)


def syncs(fault: str) -> list[str]:
    """Return the prefix of a command whose syncs have a fault; see strace(1), inject."""
    calls = "fdatasync,fsync"
    return f"strace -f -qq -o /dev/null -e trace={calls} -e inject={calls}:{fault}".split()


@asynccontextmanager
async def mounted(path: Path, options: str) -> AsyncIterator[None]:
    """Mount a tmpfs."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def message(number: int, size: int) -> bytes:
    head = f"From: a@sender.test\r\nSubject: {number}\r\n\r\n".encode()
    return head + (b"x" * 76 + b"\r\n") * (size // 78)


class Client:
    """One SMTP client that fills the queue."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port = port
        self._ledger = ledger
        self._count = 0

    def submit(self, size: int) -> int:
        """Submit one message; return the code that decided about it."""
        self._count += 1
        recipient = f"f{self._count}@dest.test"
        data = message(self._count, size)
        with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as client:
            client.ehlo("app.sender.test")
            code, _ = client.mail("a@sender.test", [f"SIZE={len(data)}"])
            if code == 250:
                client.rcpt(recipient)
                self._ledger.submitted[recipient] += 1
                code, _ = client.data(data)
            if code == 250:
                self._ledger.acknowledged.add(recipient)
            return code


@needs_mount
async def test_b01_b02_a_full_disk_refuses_for_now_and_loses_nothing(tmp_path: Path) -> None:
    ledger = Ledger()
    size = RESERVE // MEBIBYTE + 24
    async with (
        mounted(tmp_path / "data", f"size={size}m,mode=0700"),
        Recorder(ledger, Random(1), window=0) as receiver,
    ):
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            client = Client(engine.smtp_port, ledger)
            codes = [await asyncio.to_thread(client.submit, MEBIBYTE) for _ in range(40)]
            assert codes[0] == 250
            assert codes[-1] == 452  # at MAIL, by its SIZE
            assert set(codes) == {250, 452}
            used = shutil.disk_usage(tmp_path / "data")
            assert used.free > RESERVE * 3 // 4  # what settles still has its room
            receiver.set_script("RCPT")
            assert await drain(ledger) < 60  # delivered inside the reserve
            # It grows; somebody else fills it to the last byte, and goes again.
            grown = f"remount,size={size + 60}m"
            subprocess.run(["mount", "-o", grown, str(tmp_path / "data")], check=True)
            filler = tmp_path / "data" / "filler"
            with filler.open("wb") as file:
                while file.write(b"\0" * MEBIBYTE) and shutil.disk_usage(filler).free > MEBIBYTE:
                    file.flush()
            assert await asyncio.to_thread(client.submit, 1000) == 452
            filler.unlink()
            async with asyncio.timeout(30):
                while await asyncio.to_thread(client.submit, 1000) != 250:
                    await asyncio.sleep(0.2)
            assert await drain(ledger) < 60
            await engine.stop()
            engine.check_integrity()
        finally:
            await engine.abandon()
    assert not ledger.missing()


@needs_mount
async def test_b04_without_inodes_mail_waits_outside_and_none_is_lost(tmp_path: Path) -> None:
    ledger = Ledger()
    async with (
        mounted(tmp_path / "data", "size=256m,mode=0700,nr_inodes=40"),
        Recorder(ledger, Random(1), window=0) as receiver,
    ):
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            client = Client(engine.smtp_port, ledger)
            codes = [await asyncio.to_thread(client.submit, 400_000) for _ in range(45)]
            assert codes[0] == 250
            assert codes[-1] in {451, 452}
            receiver.set_script("RCPT")
            assert await drain(ledger) < 60
            assert await asyncio.to_thread(client.submit, 1000) == 250  # needs no file
            assert await drain(ledger) < 60
            await engine.stop()
        finally:
            await engine.abandon()
    assert not ledger.missing()


@needs_mount
async def test_b03_a_full_disk_under_the_log_stops_no_mail(tmp_path: Path) -> None:
    ledger = Ledger()
    async with (
        mounted(tmp_path / "run", "size=64k"),
        Recorder(ledger, Random(1), window=0) as receiver,
    ):
        engine = Mailwright(tmp_path, receiver.port)
        engine.log = tmp_path / "run" / "log"
        try:
            await engine.start()
            with (tmp_path / "run" / "filler").open("wb", buffering=0) as file:
                for size in (4096, 1):
                    try:
                        while True:
                            file.write(b"\0" * size)
                    except OSError:
                        continue
            load = Load(ledger)
            load.start(engine.smtp_port, 4, api=(engine.api_port, engine.key), callers=2)
            async with asyncio.timeout(60):
                while len(ledger.acknowledged) < 300:
                    await asyncio.sleep(0.05)
            await load.stop()
            assert await drain(ledger) < 60
            (tmp_path / "run" / "filler").unlink()
            await engine.stop()
        finally:
            await engine.abandon()
    assert not load.trouble


@needs_strace
async def test_b07_slow_syncs_slow_acceptance_and_nothing_else(tmp_path: Path) -> None:
    ledger = Ledger()
    async with Recorder(ledger, Random(1), window=0) as receiver:
        engine = Mailwright(tmp_path, receiver.port, prefix=syncs("delay_enter=1500000"))
        try:
            await engine.make_key()
            await engine.start()
            load = Load(ledger)
            load.start(engine.smtp_port, 8, api=(engine.api_port, engine.key), callers=4)
            slowest, until = 0.0, time.monotonic() + 12
            while time.monotonic() < until:
                began = time.monotonic()
                await get(engine.api_port, "/healthz")
                slowest = max(slowest, time.monotonic() - began)
                await asyncio.sleep(0.1)
            assert await engine.stop_inside() == 0  # in order, however slow the disk is
            await load.stop()
            await engine.start()
            assert await drain(ledger) < 60
            assert await engine.stop_inside() == 0
        finally:
            await engine.abandon()
    assert ledger.acknowledged
    assert not load.trouble
    assert slowest < 0.5, slowest  # the event loop does not wait for the disk


@needs_strace
@pytest.mark.parametrize("processes", [1, 2])
async def test_b05_a_sync_that_fails_costs_a_new_start_and_nothing_else(
    tmp_path: Path, processes: int
) -> None:
    """Every thread's 40th sync fails, in each life of a process."""
    ledger = Ledger()
    async with Recorder(ledger, Random(1), window=0) as receiver:
        engine = Mailwright(
            tmp_path,
            receiver.port,
            extra=f"[engine]\nprocesses = {processes}\n",
            prefix=syncs("error=EIO:when=40"),
        )
        try:
            await engine.make_key()
            await engine.start()
            load = Load(ledger)
            load.start(engine.smtp_port, 4, api=(engine.api_port, engine.key), callers=2)
            async with asyncio.timeout(90):
                while len(ledger.acknowledged) < 300:
                    await asyncio.sleep(0.1)
                    if not engine.is_running:
                        assert processes == 1
                        await engine.start()  # as the service manager does
            ended = engine.log.read_text().count("error mta.daemon an I/O error")
            await load.stop()
            await engine.kill()
            await engine.start()
            assert await drain(ledger) < 60
        finally:
            await engine.abandon()
    assert ended >= 2
    assert not load.trouble
    assert not ledger.missing()
    engine.check_integrity()


async def get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer
