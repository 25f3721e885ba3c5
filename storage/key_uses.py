"""When API keys were last used: noted in memory, written once a minute for all keys together.

Both doors note here. A crash forgets what the last minute brought; an orderly end writes it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from storage import tenants
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable

INTERVAL = 60.0
"""Seconds between two writes, at least."""


class KeyUses:
    """The uses that are not written down yet."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        """Take where to write, and the clock (aware, UTC)."""
        self._database = database
        self._now = now
        self._pending: dict[str, datetime] = {}
        self._changed = asyncio.Event()

    def note(self, key_id: str) -> None:
        """Note that a key ("key_...") is being used."""
        self._pending[key_id] = self._now()
        self._changed.set()

    async def run(self) -> None:
        """Write a minute after the first use that is not written down, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(INTERVAL)
            self._changed.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write down what is pending, in one write. Storage that fails has it tried again later."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            await self._database.write(lambda db: tenants.record_uses(db, pending))
        except (StorageFull, StorageUnavailable):
            self._pending = pending | self._pending
            self._changed.set()
