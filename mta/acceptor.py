"""Hands accepted mail to storage: messages that come together go together.

One piece of work for a batch wakes the writer thread once and lets it write many rows with one
statement. Nobody waits for a batch to fill: what came in one turn of the event loop goes at once,
and while a batch is on its way the next one gathers. Not here: what is written
(storage/submissions.py), and who answers the client (smtp_submission.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from mta.core.frozen import frozen
from storage import submissions
from storage.database import Database
from storage.submissions import Acceptance, Wish

MAX_BATCH = 32
"""Messages of a batch, which the other writes have to wait for, those of other processes too. A
power of two takes the fewest statements (storage.sql.insert)."""


@frozen
class _Waiting:
    wish: Wish
    acceptance: asyncio.Future[Acceptance]


class Acceptor:
    """Accepts submissions for all sessions of one event loop."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._waiting: list[_Waiting] = []
        self._on_its_way: asyncio.Task[None] | None = None

    async def accept(self, wish: Wish) -> Acceptance:
        """Do what storage.submissions.accept does, and return after COMMIT.

        Raises:
            StorageError, or whatever else this submission alone runs into.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(wish, loop.create_future())
        self._waiting.append(waiting)
        if len(self._waiting) == 1 and self._on_its_way is None:
            loop.call_soon(self._go_on)
        return await waiting.acceptance

    def _go_on(self) -> None:
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._on_its_way = asyncio.create_task(self._commit(batch))
        self._on_its_way.add_done_callback(self._is_back)

    def _is_back(self, _: asyncio.Task[None]) -> None:
        self._on_its_way = None
        if self._waiting:
            self._go_on()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        wishes = [waiting.wish for waiting in batch]
        work = partial(submissions.accept_all, wishes=wishes, now=self._now())
        try:
            found = await self._database.write(work)
        except Exception as error:  # noqa: BLE001 - raised by the one whose it is
            await self._after_failure(batch, error)
            return
        for waiting, acceptance in zip(batch, found, strict=True):
            if not waiting.acceptance.done():  # its session may have been given up
                waiting.acceptance.set_result(acceptance)

    async def _after_failure(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Try each by itself, so that what is wrong with one message fails no other."""
        if len(batch) > 1:
            await asyncio.gather(*(self._commit([waiting]) for waiting in batch))
        elif not batch[0].acceptance.done():
            batch[0].acceptance.set_exception(error)
