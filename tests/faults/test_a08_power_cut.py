"""Power cuts at any moment of a real server's work, on every disk that they may leave behind. (A08)

The server is recorded under strace while it takes and delivers mail, small and large, over SMTP and
HTTP. The same without our sync after each commit must lose mail: a simulator that cannot see loss
proves nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright
from tests.faults.power import disk, trace
from tests.faults.power.judge import Verdict

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("mta", "control_api", "storage", "config")
LARGE = b"From: a@sender.test\r\nSubject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 5000
DISKS = 5000


@dataclass(frozen=True)
class Recording:
    """A disk, and what happened to it."""

    before: disk.Disk
    operations: list[trace.Operation]


async def record(directory: Path, code: Path, *, messages: int) -> Recording:
    """Return what a server of this code did while it took and delivered some mail."""
    log, ledger, draws = directory / "strace", Ledger(), Random(1)
    load = Load(ledger)
    async with Recorder(ledger, draws, window=0.01) as receiver:
        engine = Mailwright(
            directory,
            receiver.port,
            environment={"PYTHONPATH": str(code)},
            prefix=trace.command(log),
        )
        try:
            await engine.make_key()
            before = disk.Disk(engine.data)
            await engine.start()
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=2)
            large = asyncio.create_task(asyncio.to_thread(_submit_large, engine.smtp_port, 6))
            async with asyncio.timeout(60):
                while len(ledger.acknowledged) < messages:
                    await asyncio.sleep(0.05)
            await large
            await load.stop()
            await engine.kill()
        finally:
            await engine.abandon()
    return Recording(before, trace.read(log, engine.data))


def _submit_large(port: int, count: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        for number in range(count):
            client.sendmail("a@sender.test", f"large{number}@dest.test", LARGE)


def judge(recording: Recording, count: int, seed: int) -> Verdict:
    verdict = Verdict()
    cuts = disk.cuts(recording.before, recording.operations, count, Random(seed))
    for files, promised in cuts:
        with tempfile.TemporaryDirectory(dir=_memory(), prefix="cut-") as directory:
            disk.put(files, Path(directory))
            verdict.look(Path(directory), promised)
    return verdict


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def relaxed(directory: Path) -> Path:
    """Return a copy of the code that lets SQLite sync at checkpoints only."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package)
    path = directory / "storage" / "write_ahead_log.py"
    text = path.read_text()
    assert text.count("os.fdatasync(descriptor)") == 1
    path.write_text(text.replace("os.fdatasync(descriptor)", "pass"))
    return directory


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace, as in Debian's package"
)


@needs_strace
@pytest.mark.timeout(600)
async def test_a08_no_power_cut_loses_acknowledged_mail(tmp_path: Path) -> None:
    recording = await record(tmp_path, ROOT, messages=150)
    operations = recording.operations
    promised = [one for one in operations if isinstance(one, trace.Promise)]
    syncs = [one for one in operations if isinstance(one, trace.Sync)]
    assert len(promised) >= 150
    assert any("/spool/" in one.path for one in syncs)
    verdict = await asyncio.to_thread(judge, recording, DISKS, 1)
    print(f"{verdict.disks} disks, {len(verdict.seen)} promises", file=sys.stderr)
    assert (verdict.broken, verdict.losing) == (0, 0), verdict.example
    assert len(verdict.seen) > 100


@needs_strace
@pytest.mark.timeout(300)
async def test_a08_the_simulator_sees_what_less_syncing_loses(tmp_path: Path) -> None:
    code = relaxed(tmp_path / "code")
    run = tmp_path / "run"
    run.mkdir()
    recording = await record(run, code, messages=60)
    verdict = await asyncio.to_thread(judge, recording, 300, 1)
    assert verdict.losing > 20, verdict
    assert verdict.lost > 20, verdict
