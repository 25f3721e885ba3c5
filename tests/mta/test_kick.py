"""The kick: it arrives, it fits however long the path is, and nobody listening is no error."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from mta.kick import ACCEPTED, Gatherer, Kicker, kick_engine, kick_listener


async def test_a_kick_calls_back(tmp_path: Path) -> None:
    kicked = asyncio.Event()
    with kick_listener(tmp_path, lambda _: kicked.set()):
        assert kick_engine(tmp_path)
        async with asyncio.timeout(5):
            await kicked.wait()
        assert stat.S_IMODE((tmp_path / "all.kick").stat().st_mode) == 0o600
    assert not (tmp_path / "all.kick").exists()


async def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    kicked = asyncio.Event()
    with kick_listener(deep, lambda _: kicked.set()):
        assert kick_engine(deep)
        async with asyncio.timeout(5):
            await kicked.wait()


def test_without_an_engine_nothing_happens(tmp_path: Path) -> None:
    assert not kick_engine(tmp_path)


async def test_a_closed_kicker_reaches_nobody(tmp_path: Path) -> None:
    with kick_listener(tmp_path, lambda _: None):
        kicker = Kicker(tmp_path, ["all"])
        assert kicker.kick(ACCEPTED)
        kicker.close()
        assert not kicker.kick(ACCEPTED)


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "all.kick").touch()
    kicked = asyncio.Event()
    with kick_listener(tmp_path, lambda _: kicked.set()):
        assert kick_engine(tmp_path)
        async with asyncio.timeout(5):
            await kicked.wait()


async def test_more_kicks_than_the_socket_holds_do_not_block(tmp_path: Path) -> None:
    count = 0

    def kicked(_: bytes) -> None:
        nonlocal count
        count += 1

    with kick_listener(tmp_path, kicked):
        assert all(kick_engine(tmp_path) for _ in range(2000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert count >= 1


async def test_many_calls_within_a_pause_are_one() -> None:
    called = asyncio.Queue[None]()
    gatherer = Gatherer(lambda: called.put_nowait(None), 0.01)
    async with asyncio.timeout(5):
        for _ in range(2):
            for _ in range(50):
                gatherer()
            await called.get()
    gatherer.close()
    assert called.empty()


async def test_a_call_that_fails_is_made_again() -> None:
    count, has_worked = 0, asyncio.Event()

    def call() -> None:
        nonlocal count
        count += 1
        if count < 3:
            raise OSError(105, "No buffer space available")
        has_worked.set()

    gatherer = Gatherer(call, pause=0.01)
    gatherer()
    async with asyncio.timeout(5):
        await has_worked.wait()
    await asyncio.sleep(0.05)
    gatherer.close()
    assert count == 3


async def test_nothing_is_called_after_the_end() -> None:
    gatherer = Gatherer(lambda: pytest.fail("called"), 0.0)
    gatherer()
    gatherer.close()
    await asyncio.sleep(0.01)
