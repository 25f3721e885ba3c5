"""The supervisor renews its children one at a time, and goes back when that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def supervised(*arguments: Path, **environment: str) -> AsyncIterator[Process]:
    """Run tests.support.supervised, which does not outlive the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.supervised", *arguments),
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def lines(output: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(20):
        return [(await output.readline()).decode().strip() for _ in range(count)]


async def test_orders_that_fail_are_taken_back_and_better_ones_are_not() -> None:
    async with supervised() as process:
        assert process.stdout is not None
        first = await lines(process.stdout, 3)
        assert (sorted(first[:2]), first[2]) == (["a 1", "b 1"], "ready a b")
        process.send_signal(signal.SIGHUP)
        assert (await lines(process.stdout, 1)) == ["a 2"]
        back = await lines(process.stdout, 3)
        assert (sorted(back[:2]), back[2]) == (["a 1", "b 1"], "ready a b")
        process.send_signal(signal.SIGHUP)
        assert await lines(process.stdout, 3) == ["a 3", "b 3", "ready a b"]
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    assert process.returncode == 0
    assert log.count(b"reload_failed") == 1


async def test_a_child_that_takes_long_to_end_is_waited_for_without_looking_all_the_time() -> None:
    async with supervised(LINGER="0.5") as process:
        assert process.stdout is not None
        await lines(process.stdout, 3)
        process.send_signal(signal.SIGTERM)
        [last] = await lines(process.stdout, 1)
        await process.communicate()
    assert process.returncode == 0
    assert last.startswith("looked ")
    assert int(last.removeprefix("looked ")) < 10


async def test_what_fails_with_old_orders_too_is_tried_until_it_works(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    async with supervised(spoilt) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        await lines(process.stdout, 3)
        spoilt.touch()
        process.send_signal(signal.SIGHUP)
        failures = 0
        async with asyncio.timeout(20):
            while failures < 3:
                line = await process.stderr.readline()
                assert line, "it ended"
                failures += b"process_ended" in line
        spoilt.unlink()
        assert await lines(process.stdout, 4) == ["a 2", "b 1", "a 1", "ready a b"]
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


async def test_b05_all_are_ended_before_any_is_started_when_one_has_lost_its_storage() -> None:
    linger = 1.0
    async with supervised(LINGER=str(linger)) as process:
        assert process.stdout is not None
        await lines(process.stdout, 3)
        [_, second] = children(process.pid)  # "b", which the supervisor starts last
        began = time.monotonic()
        os.kill(second, signal.SIGUSR1)
        [first] = await lines(process.stdout, 1)
        assert time.monotonic() - began >= linger, "it was started beside one that was still there"
        assert sorted([first, *await lines(process.stdout, 1)]) == ["a 1", "b 1"]
        assert await lines(process.stdout, 1) == ["ready a b"]
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()
    assert process.returncode == 0
    assert log.count(b"process_ended") == 1


def children(pid: int) -> list[int]:
    """Return the processes that it has started, in order."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
