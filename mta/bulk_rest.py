"""Moments in which no bulk is begun, because a transactional message is on its way through us.

It comes to the processes that accept and deliver it while these work on bulk, and so waits for the
processor at each step, several times as long as the steps take. So whoever accepts it says so at
once, before storage and scheduler hear of it, and until it has left again the connections that
carry bulk pause between two messages. Bulk has half of the time all the same. Not here: who asks
for it (smtp_submission.py, the API), and the connections (dispatcher.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONGEST = 0.015
"""Seconds that a rest lasts when nothing ends it: twice what a message takes that has way."""
LATELY = 1.0
"""Seconds after the last of the bulk in which a rest still makes a difference."""


class BulkRest:
    """Whether bulk rests; for all sites of one event loop."""

    def __init__(self) -> None:
        self._bulk_until = float("-inf")
        self._not_before = float("-inf")
        self._began_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._on_end: Callable[[], object] = bool
        self._over: asyncio.Future[None] | None = None

    @property
    def is_on(self) -> bool:
        """Whether no delivery of bulk is to be begun now."""
        return self._over is not None

    def saw_bulk(self) -> None:
        """Take note that bulk is being delivered."""
        self._bulk_until = asyncio.get_running_loop().time() + LATELY

    def begin(self, on_end: Callable[[], object]) -> None:
        """Let bulk rest, if there is any and it has not just done so; on_end: called afterwards."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.is_on or now < self._not_before or now > self._bulk_until:
            return
        self._began_at = now
        self._on_end = on_end
        self._over = loop.create_future()
        self._timer = loop.call_later(LONGEST, self.end)

    async def over(self) -> None:
        """Wait until bulk does not rest."""
        if self._over is not None:
            await asyncio.shield(self._over)

    def end(self) -> None:
        """Let bulk go on, for at least as long as it has rested; nothing when it does not rest."""
        if self._over is None:
            return
        self._over.set_result(None)
        self._over = None
        if self._timer is not None:
            self._timer.cancel()
        now = asyncio.get_running_loop().time()
        self._not_before = now + (now - self._began_at)
        self._on_end()
