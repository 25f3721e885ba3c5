"""What tasks ask for at the same time becomes one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mta.batching import MAX_BATCH, Batcher


class Calls:
    """Records the calls; each waits until it is let go."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> None:
        self.made.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def start(batcher: Batcher[int], *items: Sequence[int]) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(batcher.add(some)) for some in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_call_shares_the_next_one() -> None:
    calls = Calls()
    batcher = Batcher(calls)
    tasks = await start(batcher, [1], [2, 3])
    tasks += await start(batcher, [4], [5])
    calls.gate.set()
    await asyncio.gather(*tasks)
    assert calls.made == [[1, 2, 3], [4, 5]]


async def test_nobody_returns_before_the_call_that_had_its_items() -> None:
    calls = Calls()
    [task] = await start(Batcher(calls), [1])
    assert not task.done()
    calls.gate.set()
    await task


async def test_a_batch_has_its_limit() -> None:
    calls = Calls()
    calls.gate.set()
    await asyncio.gather(*await start(Batcher(calls), *([n] for n in range(MAX_BATCH + 1))))
    assert [len(items) for items in calls.made] == [MAX_BATCH, 1]


async def test_an_error_reaches_all_whose_items_it_took() -> None:
    calls = Calls()
    batcher = Batcher(calls)
    calls.error = ValueError("no")
    calls.gate.set()
    failed = await asyncio.gather(*await start(batcher, [1], [2]), return_exceptions=True)
    assert failed == [calls.error, calls.error]
    calls.error = None
    await batcher.add([3])
    assert calls.made == [[1, 2], [3]]


async def test_the_items_of_a_cancelled_task_are_still_done() -> None:
    calls = Calls()
    first, second = await start(Batcher(calls), [1], [2])
    first.cancel()
    calls.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert calls.made == [[1, 2]]
