"""Upkeep in the background: what retention lets go, files nobody refers to, the write-ahead log.

Everything happens in small steps with rests between them, so that mail never waits for it. A full
disk or a locked file only puts it off. What may be removed is decided in storage/retention.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from mta.logs import log_warning
from storage import (
    automation_runs,
    credit_ledger,
    directives,
    events,
    feedback,
    idempotency,
    imports,
    quotas,
    reports,
    request_log,
    retention,
    stats,
    suppressions,
)
from storage.database import Connection, Database
from storage.errors import StorageFull, StorageUnavailable

INTERVAL = 60.0
"""Seconds between two rounds."""
STEP = 500
"""Rows of a kind in one transaction."""
IMPORTS = 2
"""Imports in one transaction, each with up to ten thousand errors."""
ORPHAN_AGE = timedelta(hours=1)
"""Age at start-up from which a spool file without a message is garbage: a command that submits
without the server may be about to commit a younger one."""


class Maintenance:
    """One background task."""

    def __init__(
        self,
        database: Database,
        *,
        keep_bodies: timedelta,
        keep_events: timedelta,
        now: Callable[[], datetime],
        keep_statistics: timedelta = timedelta(days=400),
        keep_requests: timedelta = timedelta(days=7),
    ) -> None:
        """Take the database and how long bodies of settled messages, events, statistics and the
        lines of the request log are kept.
        """
        self._database = database
        self._keep_bodies = keep_bodies
        self._keep_events = keep_events
        self._keep_statistics = keep_statistics
        self._keep_requests = keep_requests
        self._now = now
        self._last_seq = -1
        self._is_checkpointed = False

    async def run(self) -> None:
        """Work until cancelled; what that interrupts is taken up at the next start."""
        await self._patiently(self.remove_orphans)
        while True:
            await self._patiently(self.tidy)
            await asyncio.sleep(INTERVAL)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (StorageFull, StorageUnavailable) as error:
            log_warning("maintenance_put_off", error=error)

    async def remove_orphans(self) -> None:
        """Remove spool files that crashes left without a message, or half written."""
        spool = self._database.spool
        before = self._now() - ORPHAN_AGE
        await asyncio.to_thread(spool.remove_unfinished, before=before)
        names = iter(await asyncio.to_thread(lambda: list(spool.names(before=before))))
        while some := list(islice(names, STEP)):
            in_use = await self._database.read(partial(_files_in_use, names=some))
            await self._remove(name for name in some if name not in in_use)

    async def tidy(self) -> None:
        """Do one round: count what happened, prune what is old enough; empty the log when idle."""
        await stats.catch_up(self._database)
        while await self._prune():
            self._is_checkpointed = False
        last_seq = await self._database.read(events.last_seq)
        is_idle, self._last_seq = last_seq == self._last_seq, last_seq
        if not is_idle:
            self._is_checkpointed = False
        elif not self._is_checkpointed:
            self._is_checkpointed = await self._database.checkpoint()

    async def _prune(self) -> bool:
        """Do one step, and rest for as long as it took; False when there was nothing to do."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        now = self._now()
        pruned, others = await self._database.write(lambda connection: self._step(connection, now))
        await self._remove(pruned.files)
        await asyncio.sleep(loop.time() - started)
        return others > 0 or not pruned.is_empty

    def _step(self, connection: Connection, now: datetime) -> tuple[retention.Pruned, int]:
        pruned = retention.prune(
            connection,
            bodies_before=now - self._keep_bodies,
            events_before=now - self._keep_events,
            limit=STEP,
        )
        answers = idempotency.forget_before(connection, now - idempotency.LIFETIME, limit=STEP)
        windows = quotas.forget_before(connection, now - quotas.KEPT)
        figures = stats.forget_before(connection, now - self._keep_statistics, limit=STEP)
        requests = request_log.forget_before(connection, now - self._keep_requests, limit=STEP)
        expired = suppressions.forget_expired(connection, now, limit=STEP)
        others = answers + windows + figures + requests + expired
        return pruned, others + directives.prune(connection) + self._forget(connection, now)

    def _forget(self, connection: Connection, now: datetime) -> int:
        """Forget reports, imports, runs and credits, as long after them as events; old failures."""
        count = reports.prune(connection, now - self._keep_events, limit=STEP)
        count += imports.forget_before(connection, now - self._keep_events, limit=IMPORTS)
        count += credit_ledger.fold(connection, now - self._keep_events, limit=STEP)
        count += automation_runs.forget_ended(connection, now - self._keep_events, limit=STEP)
        return count + feedback.forget_failures(connection, now, limit=STEP)

    async def _remove(self, files: Iterable[str]) -> None:
        def remove() -> None:
            for name in files:
                self._database.spool.remove(name)

        await asyncio.to_thread(remove)


def _files_in_use(connection: Connection, *, names: list[str]) -> set[str]:
    return retention.files_in_use(connection, names)
