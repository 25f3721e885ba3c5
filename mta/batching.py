"""Joins what many tasks ask for at the same time into one call, while the last one is under way.

Thus the busier the engine, the more shares one trip to the writer thread and back: each trip costs
two thread switches, however little it carries. Not here: what the calls do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_BATCH = 500
"""Items in one call, more only where one task brings more: bounds how long the others wait."""


class Batcher(Generic[T]):
    """Calls one function with the items of all tasks that wait; one call at a time."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        """Take the function; what it raises is raised in every task whose items it had."""
        self._call = call
        self._waiting: list[tuple[Sequence[T], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, items: Sequence[T]) -> None:
        """Return when a call that had these items has; a cancelled task's items are still done."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((items, done))
        if self._task is None:
            self._task = loop.create_task(self._work(), name="batches")
        await done

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._carry_out(self._next())
        finally:
            self._task = None

    def _next(self) -> list[tuple[Sequence[T], asyncio.Future[None]]]:
        size = taken = 0
        while taken < len(self._waiting) and size < MAX_BATCH:
            size += len(self._waiting[taken][0])
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _carry_out(self, batch: Sequence[tuple[Sequence[T], asyncio.Future[None]]]) -> None:
        error: Exception | None = None
        try:
            await self._call([item for items, _ in batch for item in items])
        except Exception as raised:  # noqa: BLE001 - raised in the tasks that wait
            error = raised
        for _, done in batch:
            if done.done():  # its task was cancelled
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
