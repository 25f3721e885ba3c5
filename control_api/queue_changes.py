"""Large changes of the queue, carried out in steps with rests between them, so that mail gets on.

What a crash interrupts is taken up at the next start. Not here: what a step does
(storage/queue_changes.py), and small changes, which are one transaction (queue.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from storage import queue_changes
from storage.database import Database
from storage.queue_changes import QueueChange


class QueueChanger:
    """Carries out changes that take more than one transaction."""

    def __init__(self, database: Database, on_changed: Callable[[], object]) -> None:
        """Take the queue, and what to call after each change."""
        self._database = database
        self._on_changed = on_changed

    async def carry_out(self, change: QueueChange, rows: Sequence[int]) -> int:
        """Carry a change out on these entries; return how many it changed.

        Raises:
            StorageError: not all of it is done; the rest is, at the next start.
        """
        row = await self._database.write(partial(queue_changes.begin, change=change))
        return await self._go_on(row, change, rows)

    async def resume(self) -> None:
        """Carry out what an earlier process did not get done."""
        for row, change in await self._database.read(queue_changes.unfinished):
            rows = await self._database.read(partial(queue_changes.entries, change=change))
            await self._go_on(row, change, rows)

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
