"""Telling the app what happened: each webhook endpoint gets the journal's events after its cursor.

One lane (webhook_lane.py) and one task an endpoint: one that is slow or dead holds up nobody else,
and mail least of all. Lanes are woken by kick(), which carries no data, and otherwise sleep until
their next retry is due. Every event arrives at least once: cursors are moved after the post.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from control_api.http_client import HttpClient
from control_api.webhook_lane import Lane, Tools
from storage import webhooks
from storage.database import Database
from storage.errors import StorageError
from storage.webhooks import WebhookRecord

_BURST = 0.02
"""Seconds in which all kicks count as one; commits may come by the hundred a second."""
_STORAGE_PAUSE = timedelta(seconds=10)
"""How long storage is left alone after it has failed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Worker:
    """A lane at work."""

    task: asyncio.Task[None]
    woken: asyncio.Event


class WebhookSender:
    """Posts events to the enabled endpoints of all tenants. Build it on the running event loop."""

    def __init__(
        self,
        database: Database,
        client: HttpClient,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        concurrency: int,
    ) -> None:
        """Make a sender.

        Args:
            database: where journal and endpoints are.
            client: posts.
            now: the current time (aware, UTC).
            rng: for the jitter of retries.
            concurrency: posts under way to one endpoint at a time.
        """
        self._tools = Tools(database, client, now, rng, concurrency)
        self._kicked = asyncio.Event()
        self._workers: dict[str, _Worker] = {}

    def kick(self) -> None:
        """Say that the journal has grown, or that endpoints have come or gone."""
        self._kicked.set()

    async def run(self) -> None:
        """Send until cancelled; what is under way then is sent again after the next start."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._kicked.clear()
                await self._wait(self._kicked, await self._look(group))
                await asyncio.sleep(_BURST)

    async def _look(self, group: asyncio.TaskGroup) -> datetime | None:
        """See which endpoints there are, wake their lanes; return when to look again unkicked."""
        try:
            records = await self._tools.database.read(webhooks.enabled)
        except StorageError as error:
            return self._later(error)
        self._dismiss({record.id for record in records})
        for record in records:
            worker = self._workers.get(record.id)
            if worker is None or worker.task.done():
                self._workers[record.id] = self._employ(group, record)
            else:
                worker.woken.set()
        return None

    def _dismiss(self, wanted: set[str]) -> None:
        for webhook_id in self._workers.keys() - wanted:
            self._workers.pop(webhook_id).task.cancel()

    def _employ(self, group: asyncio.TaskGroup, record: WebhookRecord) -> _Worker:
        woken = asyncio.Event()
        lane = Lane(record, self._tools)
        return _Worker(group.create_task(self._work(lane, woken), name=record.id), woken)

    async def _work(self, lane: Lane, woken: asyncio.Event) -> None:
        while not lane.is_over:
            woken.clear()
            await self._wait(woken, await self._step(lane))

    async def _step(self, lane: Lane) -> datetime | None:
        try:
            return await lane.step()
        except StorageError as error:
            return self._later(error)

    def _later(self, error: StorageError) -> datetime:
        _log.warning("webhooks wait for storage: %s", error)
        return self._tools.now() + _STORAGE_PAUSE

    async def _wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Wait for the event, but only until a time; None is for as long as it takes."""
        seconds = None if until is None else (until - self._tools.now()).total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
