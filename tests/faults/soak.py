"""Faults of every kind at random, for as long as it is wanted: make soak MINUTES=60 [SEED=7]

The seed decides which fault comes when; it is printed first, and the same seed plays the same again
as far as machines do. At the end everything is healthy once more, and the promises are checked.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.harness.clock import LIBRARY, faked
from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright
from tests.faults.test_disk import can_mount, mounted
from tests.support.fake_dns import FakeDns, Fault
from tests.support.http_receiver import HttpReceiver, hang, status
from tests.support.receiver import Act

DOMAINS = ("dest.test", "looked-up.test")
"""The second is found over the DNS."""
MEBIBYTE = 2**20
DISK = "256m"
"""Size of the disk that can be filled."""
EXTRA = '[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'


@dataclass
class Stage:
    """Everything that a fault can happen to."""

    engine: Mailwright
    receiver: Recorder
    dns: FakeDns
    hooks: HttpReceiver
    clock: Path
    draws: Random
    disk: Path | None
    kills: int = 0

    async def kill_all(self) -> None:
        """End the whole process group, and start again."""
        await self.engine.kill()
        await self.engine.start()
        self.kills += 1

    async def kill_one(self) -> None:
        """End one process."""
        await self.engine.kill_one(self.draws)
        self.kills += 1

    async def restart(self) -> None:
        """Stop in order, and start again."""
        await self.engine.stop()
        await self.engine.start()

    async def reload(self) -> None:
        """Have it read its settings again, and go on in other processes."""
        self.engine.reload()
        await self._pause()

    async def fill_disk(self) -> None:
        """Somebody leaves less room on the disk than the reserve."""
        if self.disk is not None:
            filler = self.disk / "filler"
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.disk).free - MEBIBYTE)
            await self._pause()
            filler.unlink()

    async def freeze(self) -> None:
        """Let the server stand still."""
        self.engine.send(signal.SIGSTOP)
        await self._pause()
        self.engine.send(signal.SIGCONT)

    async def defer(self) -> None:
        """The receiver wants all mail later."""
        await self._scripted("RCPT", "451 4.7.1 later")

    async def vanish(self) -> None:
        """The receiver ends sessions in answer to the final dot."""
        await self._scripted("DOT", Act.CLOSE)
        self.kills += 1  # it has counted nothing; what it took before may be in doubt

    async def refuse_sessions(self) -> None:
        """The receiver greets with 421."""
        await self._scripted("CONNECT", "421 4.3.2 not now")

    async def slow_down(self) -> None:
        """The receiver answers final dots late."""
        self.receiver.window = 1.0
        await self._pause()
        self.receiver.window = 0.05

    async def drop(self) -> None:
        """All connections to the receiver end at once."""
        self.receiver.drop()
        self.kills += 1

    async def lose_dns(self) -> None:
        """Nameservers fail, in some way."""
        records = dict(self.dns.records)
        for name in records:
            self.dns.records[name] = self.draws.choice([Fault.SERVFAIL, Fault.TIMEOUT])
        await self._pause()
        self.dns.records.update(records)

    async def lose_webhook(self) -> None:
        """The webhook endpoint hangs or fails."""
        self.hooks.answer = self.draws.choice([hang, status(500)])
        await self._pause()
        self.hooks.answer = status(200)

    async def set_clock(self) -> None:
        """The wall clock jumps by some minutes, where libfaketime is installed."""
        self.clock.write_text(f"{self.draws.randint(-600, 600):+d}")

    async def _scripted(self, step: str, answer: str | Act) -> None:
        self.receiver.set_script(step, answer)
        await self._pause()
        self.receiver.set_script(step)

    async def _pause(self) -> None:
        await asyncio.sleep(self.draws.uniform(0.5, 4))


FAULTS: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    *(Stage.kill_all, Stage.kill_one, Stage.restart, Stage.reload, Stage.freeze),
    Stage.fill_disk,
    *(Stage.defer, Stage.vanish, Stage.refuse_sessions, Stage.slow_down, Stage.drop),
    *(Stage.lose_dns, Stage.lose_webhook, Stage.set_clock),
)


async def soak(directory: Path, seconds: float, seed: int) -> list[str]:
    """Run on a disk of its own where one can be mounted; return what was wrong at the end."""
    async with AsyncExitStack() as held:
        if can_mount():
            await held.enter_async_context(mounted(directory / "data", f"size={DISK},mode=0700"))
        return await _soak(directory, seconds, seed)


async def _soak(directory: Path, seconds: float, seed: int) -> list[str]:
    draws, ledger = Random(seed), Ledger()
    clock = directory / "clock"
    load, done = Load(ledger, domains=DOMAINS), Counter[str]()
    records: dict[str, Mapping[str, Sequence[str]] | Fault] = {
        "looked-up.test": {"MX": ["10 mx.test."]},
        "mx.test": {"A": ["127.0.0.1"]},
    }
    async with (
        Recorder(ledger, draws) as receiver,
        FakeDns(records, ttl=1) as dns,
        HttpReceiver() as hooks,
    ):
        engine = Mailwright(
            directory,
            receiver.port,
            nameserver="{}:{}".format(*dns.endpoint),
            pinned=("dest.test",),
            extra=EXTRA,
            environment=faked(clock) if LIBRARY else None,
        )
        disk = directory / "data" if can_mount() else None
        stage = Stage(engine, receiver, dns, hooks, clock, draws, disk)
        try:
            await engine.start()
            await engine.make_webhook(hooks.url)
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=3)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await asyncio.sleep(draws.uniform(0.3, 2))
                fault = draws.choice(FAULTS)
                done[fault.__name__] += 1
                await fault(stage)
            await load.stop()
            took = await drain(ledger, within=120)
            await engine.stop()
        finally:
            await engine.abandon()
    print(f"acknowledged {len(ledger.acknowledged)}, lost {len(ledger.missing())},", end=" ")
    print(f"repeated {ledger.repeated()}, drained in {took:.1f} s, {dict(done)}", flush=True)
    return _wrong(engine, ledger, load, stage)


def _wrong(engine: Mailwright, ledger: Ledger, load: Load, stage: Stage) -> list[str]:
    engine.check_integrity()
    wrong = [f"lost: {to}" for to in sorted(ledger.missing())]
    wrong += [f"unknown: {to}" for to in sorted(ledger.unknown())]
    wrong += [f"unexpected: {answer!r}" for answer in load.trouble]
    if ledger.repeated() > 40 * (stage.kills + 1):
        wrong.append(f"{ledger.repeated()} repeated by {stage.kills} kills and cuts")
    for to, states in engine.entries().items():
        if to in ledger.acknowledged and not all(state.is_final for state in states):
            wrong.append(f"not settled: {to} {states}")
        if to.startswith("h") and len(states) > 1:
            wrong.append(f"one key, several emails: {to}")
    return wrong


def main() -> int:
    """Run; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        wrong = asyncio.run(soak(Path(directory), wanted.minutes * 60, wanted.seed))
    print("\n".join(wrong[:20]) or "all promises kept")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
