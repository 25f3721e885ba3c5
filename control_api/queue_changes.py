"""Large changes of the queue, carried out in steps with rests between them, so that mail gets on.

What a crash or trouble with storage interrupts is taken up as soon as that is over, and before
anything that is asked for later. Not here: what a step does (storage/queue_changes.py), and small
changes, which are one transaction (queue.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from storage import queue_changes
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.queue_changes import QueueChange

TROUBLE = 5.0
"""Seconds to wait while storage has trouble."""


class QueueChanger:
    """Carries out changes that take more than one transaction. Build it on the event loop."""

    def __init__(self, database: Database, on_changed: Callable[[], object]) -> None:
        """Take the queue, and what to call after each change."""
        self._database = database
        self._on_changed = on_changed
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[int] = set()
        self._interrupted = asyncio.Event()
        self._interrupted.set()  # perhaps by the end of an earlier process

    async def run(self) -> None:
        """Take up what is interrupted, until cancelled."""
        while True:
            await self._interrupted.wait()
            try:
                await self.resume()
            except (StorageFull, StorageUnavailable):
                await asyncio.sleep(TROUBLE)

    async def resume(self) -> None:
        """Carry out what was interrupted; wait for it when somebody does so already.

        Raises:
            StorageError: not all of it is done; run() or the next call go on.
        """
        async with self._one_at_a_time:
            if not self._interrupted.is_set():
                return
            self._interrupted.clear()
            try:
                await self._resume()
            except BaseException:
                self._interrupted.set()
                raise

    async def _resume(self) -> None:
        for row, change in await self._database.read(queue_changes.unfinished):
            if row not in self._under_way:
                rows = await self._database.read(partial(queue_changes.entries_left, change=change))
                await self._go_on(row, change, rows)

    async def carry_out(self, change: QueueChange, rows: Sequence[int]) -> int:
        """Carry a change out on these entries; return how many it changed.

        Raises:
            StorageError: not all of it is done; run() does the rest.
        """
        try:
            row = await self._begin(change)
            try:
                return await self._go_on(row, change, rows)
            finally:
                self._under_way.remove(row)
        except BaseException:
            self._interrupted.set()
            raise

    async def _begin(self, change: QueueChange) -> int:
        async with self._one_at_a_time:
            row = await self._database.write(partial(queue_changes.begin, change=change))
            self._under_way.add(row)
            return row

    async def _go_on(self, row: int, change: QueueChange, rows: Sequence[int]) -> int:
        loop, count = asyncio.get_running_loop(), 0
        for some in queue_changes.steps(rows):
            started = loop.time()
            count += await self._database.write(
                partial(queue_changes.apply, change=change, rows=some)
            )
            await asyncio.sleep(loop.time() - started)
        await self._database.write(partial(queue_changes.end, row=row))
        self._on_changed()
        return count
