"""A crash at every named point of storage/faults.py, under load, and what is left of the promises.

(A03, A04, A05, A06, A14, J07, K06) A point that no scenario reaches is a failure, and so is a new
point without a scenario.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from storage import faults
from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright, free_port
from tests.support.http_receiver import HttpReceiver
from tests.support.report_mails import dsn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent

STARTING = ("before_migration", "after_migration")
IN_STORAGE = ("before_checkpoint", "after_checkpoint")
"""Reached by upkeep when a server has been idle for minutes; here, by a process at once."""
REPORTING = ("after_report", "before_report_done")
IMPORTING = ("before_import_step", "after_import_step")
"""tests/flows/test_contacts.py."""
AUTOMATING = ("before_automation_step", "after_automation_step")
"""tests/flows/test_automations.py."""
ELSEWHERE = {*STARTING, *IN_STORAGE, *REPORTING, *IMPORTING, *AUTOMATING}
UNDER_LOAD = tuple(sorted(faults.POINTS - ELSEWHERE))

EXTRA = """
[webhooks]
allow_private_targets = ["127.0.0.0/8"]
[smtp.reports]
listen = ["127.0.0.1:{port}"]
domain = "bounce.sender.test"
"""
LARGE = b"From: a@sender.test\r\nSubject: large\r\n\r\n" + (b"y" * 76 + b"\r\n") * 4000


class Crashing(Mailwright):
    """A server that dies once at a point; whoever supervises it, it serves again."""

    def __init__(self, directory: Path, receiver_port: int, point: str, count: int) -> None:
        self.mark = directory / "reached"
        self.reports_port = free_port()
        super().__init__(
            directory,
            receiver_port,
            extra=EXTRA.format(port=self.reports_port),
            environment={"MTA_FAULTS_MARK": str(self.mark)},
        )
        self.faults = f"{point}:{count}"

    async def die_and_revive(self, within: float = 30.0) -> None:
        """Wait for the crash; where nobody else does, start the server again."""
        async with asyncio.timeout(within):
            while not self.mark.exists():
                await asyncio.sleep(0.02)
        await self.settle_down()

    async def settle_down(self) -> None:
        """Give the whole server a moment to end after a crash, and start it if it did."""
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                while self._group.is_running:
                    await asyncio.sleep(0.02)
        if not self._group.is_running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self.start()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("point", UNDER_LOAD)
async def test_a06_nothing_is_lost_by_a_crash_at(tmp_path: Path, point: str) -> None:
    ledger, draws = Ledger(), Random(point)
    load = Load(ledger)
    count = draws.randint(1, 3) if point.startswith("spool") else draws.randint(2, 12)
    async with Recorder(ledger, draws, window=0.02) as receiver, HttpReceiver() as hooks:
        engine = Crashing(tmp_path, receiver.port, point, count)
        try:
            await engine.start()
            await engine.make_webhook(hooks.url)
            await engine.stop()
            await engine.start(engine.faults)
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=3)
            large = asyncio.create_task(submit_large(engine.smtp_port, ledger, 4))
            await engine.die_and_revive()
            await large
            await load.stop()
            assert await drain(ledger) < 60
            await told_of_all(hooks, ledger)
            await engine.stop()
        finally:
            await engine.abandon()
    assert not load.trouble
    assert not ledger.missing()
    assert not ledger.unknown()
    assert ledger.repeated() <= 20  # what was on the wire of one site's connections
    states = engine.entries()
    assert ledger.acknowledged <= states.keys()
    assert all(one.is_final for found in states.values() for one in found)
    assert all(len(states[to]) == 1 for to in states if to.startswith("h"))  # one key, one email
    engine.check_integrity()


async def submit_large(port: int, ledger: Ledger, count: int) -> None:
    """Submit messages that go through the spool, each until it is taken."""
    for number in range(count):
        recipient = f"large{number}@dest.test"
        while recipient not in ledger.acknowledged:
            ledger.submitted[recipient] += 1
            with suppress(OSError, smtplib.SMTPException):
                await asyncio.to_thread(_send, port, recipient)
                ledger.acknowledged.add(recipient)
            await asyncio.sleep(0.05)


def _send(port: int, recipient: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("a@sender.test", recipient, LARGE)


async def told_of_all(hooks: HttpReceiver, ledger: Ledger) -> None:
    """Wait until the webhook has been told at least once of each delivery."""
    async with asyncio.timeout(30):
        while True:
            posts = [json.loads(post.body) for post in hooks.received]
            told = {
                recipient
                for post in posts
                if post["type"] == "email.delivered"
                for recipient in [post["data"].get("to") or post["data"].get("recipient")]
                for recipient in (recipient if isinstance(recipient, list) else [recipient])
            }
            if ledger.acknowledged <= told:
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", REPORTING)
async def test_a06_no_report_is_lost_by_a_crash_at(tmp_path: Path, point: str) -> None:
    async with Recorder(Ledger(), Random(1), window=0) as receiver:
        receiver.keep = True
        engine = Crashing(tmp_path, receiver.port, point, 1)
        try:
            await engine.start(engine.faults)
            await asyncio.to_thread(_send, engine.smtp_port, "gone@dest.test")
            [got] = await receiver.wait_for(1)
            report = dsn(got.data, "gone@dest.test")
            taken = asyncio.create_task(_hand_in(engine.reports_port, got.mail_from, report))
            await engine.die_and_revive()
            await taken
            async with asyncio.timeout(30):
                while "gone@dest.test" not in await engine.mta("suppression", "list", "--json"):
                    await asyncio.sleep(0.1)
            assert taken.exception() is None
            await engine.stop()
        finally:
            await engine.abandon()


async def _hand_in(port: int, to: str, report: bytes) -> None:
    """Give a report to the server as another one does: again, until it is taken."""

    def attempt() -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.ehlo("mx.dest.test")
            client.sendmail("", to, report)

    while True:
        try:
            await asyncio.to_thread(attempt)
        except (OSError, smtplib.SMTPException):
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.parametrize("point", STARTING)
async def test_a14_a_server_that_dies_while_it_migrates_starts_the_next_time(
    tmp_path: Path, point: str
) -> None:
    ledger = Ledger()
    async with Recorder(ledger, Random(1)) as receiver:
        engine = Crashing(tmp_path, receiver.port, point, 1)
        try:
            with pytest.raises(AssertionError):
                await engine.start(engine.faults)
            assert engine.mark.exists()
            await engine.abandon()
            await engine.start()
            await asyncio.to_thread(_send, engine.smtp_port, "a@dest.test")
            await receiver.wait_for_arrivals(1)
            await engine.stop()
        finally:
            await engine.abandon()
    engine.check_integrity()


@pytest.mark.parametrize("point", IN_STORAGE)
async def test_a06_a_checkpoint_that_is_cut_off_loses_nothing(tmp_path: Path, point: str) -> None:
    arguments = [sys.executable, "-m", "tests.storage.crash_worker", "accept", str(tmp_path), "5"]
    died = await asyncio.to_thread(
        subprocess.run,
        arguments,
        cwd=ROOT,
        env={**os.environ, "MTA_FAULTS": point},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert died.returncode == faults.EXIT_STATUS
    assert died.stdout.split() == [b"0", b"1", b"2", b"3", b"4"]
    async with Recorder(Ledger(), Random(1)) as receiver:
        (tmp_path / "engine").mkdir()
        engine = Mailwright(tmp_path / "engine", receiver.port)
        engine.data.mkdir(mode=0o700)
        for path in [*tmp_path.glob("mailwright.db*")]:
            path.rename(engine.data / path.name)
        try:
            await engine.start()
            await receiver.wait_for_arrivals(5)
            await engine.stop()
        finally:
            await engine.abandon()


def test_a06_every_point_has_a_scenario() -> None:
    assert {*UNDER_LOAD, *ELSEWHERE} == faults.POINTS
