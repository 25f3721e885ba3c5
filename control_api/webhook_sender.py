"""Telling the app what happened: each webhook endpoint gets the journal's events after its cursor.

One lane (webhook_lane.py) and one task an endpoint: one that is slow or dead holds up nobody else,
and mail least of all. kick(), which carries no data, makes the sender look at the journal; it wakes
the lanes of tenants with new events, and requests that wait for them (journal_news.py). Otherwise a
lane sleeps until its next retry is due. Every event arrives at least once: cursors are moved after
the post.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from types import MappingProxyType

from control_api.http_client import HttpClient
from control_api.journal_news import JournalNews
from control_api.webhook_formats import Formats
from control_api.webhook_lane import Lane, Tools
from mta.core.frozen import frozen
from storage import event_feed, events, webhooks
from storage.database import Connection, Database
from storage.errors import StorageError
from storage.event_feed import News
from storage.webhooks import WebhookRecord

_BURST = 0.02
"""Seconds in which all kicks count as one; commits may come by the hundred a second."""
_TURN = 10_000
"""Events of the journal after which every lane is woken, also those with nothing to post: their
cursors say what retention may remove."""
_STORAGE_PAUSE = timedelta(seconds=10)
"""How long storage is left alone after it has failed."""
FAULT_PAUSE = 60.0
"""Seconds for which an endpoint at which we have failed is left alone, whatever happens."""

logger = logging.getLogger(__name__)


@frozen
class _Worker:
    """A lane at work."""

    lane: Lane
    task: asyncio.Task[None]
    woken: asyncio.Event


class WebhookSender:
    """Posts events to the enabled endpoints of all tenants. Build it on the running event loop.

    Attributes:
        journal_news: tells whose events have come.
    """

    def __init__(  # noqa: PLR0913 - built in one place, by keyword
        self,
        database: Database,
        client: HttpClient,
        *,
        now: Callable[[], datetime],
        rng: random.Random,
        concurrency: int,
        max_backlog: int = 1_000_000,
        formats: Formats = MappingProxyType({}),
    ) -> None:
        """Make a sender.

        Args:
            database: where journal and endpoints are.
            client: posts.
            now: the current time (aware, UTC).
            rng: for the jitter of retries.
            concurrency: posts under way to one endpoint at a time.
            max_backlog: events of the journal that an endpoint may be behind.
            formats: how endpoints can get events, besides the native format.
        """
        self._tools = Tools(
            database, client, now, rng, concurrency, max_backlog, self.kick, formats
        )
        self.journal_news = JournalNews()
        self._kicked = asyncio.Event()
        self._workers: dict[str, _Worker] = {}
        self._seen = self._last_turn = 0

    def kick(self) -> None:
        """Say that the journal has grown, or that endpoints have come or gone."""
        self._kicked.set()

    async def run(self) -> None:
        """Send until cancelled; what is under way then is sent again after the next start."""
        self._seen = await self._end_of_journal()
        async with asyncio.TaskGroup() as group:
            while True:
                self._kicked.clear()
                await self._wait(self._kicked, await self._look(group))
                await asyncio.sleep(_BURST)

    async def _end_of_journal(self) -> int:
        """Return where the journal ends; lanes know themselves what is left of what is before."""
        try:
            return await self._tools.database.read(events.last_seq)
        except StorageError as error:
            self._later(error)
            return 0

    async def _look(self, group: asyncio.TaskGroup) -> datetime | None:
        """See what has changed, wake whom it concerns; return when to look again unkicked."""
        try:
            records, news = await self._tools.database.read(self._changes)
        except StorageError as error:
            return self._later(error)
        self._seen = news.last_seq
        self.journal_news.tell(news.tenants)
        self._dismiss({record.id for record in records})
        is_turn = news.last_seq - self._last_turn >= _TURN
        for record in records:
            self._attend(group, record, has_news=is_turn or record.tenant_id in news.tenants)
        if is_turn:
            self._last_turn = news.last_seq
        return None

    def _changes(self, connection: Connection) -> tuple[list[WebhookRecord], News]:
        return webhooks.enabled(connection), event_feed.news(connection, self._seen)

    def _attend(self, group: asyncio.TaskGroup, record: WebhookRecord, *, has_news: bool) -> None:
        """Give an endpoint a worker, or wake the one it has."""
        worker = self._workers.get(record.id)
        if worker is None or worker.task.done():
            self._workers[record.id] = self._employ(group, record)
        elif worker.lane.record.revision != record.revision:
            worker.lane.update(record)
            worker.woken.set()
        elif has_news:
            worker.lane.wake()
            worker.woken.set()

    def _dismiss(self, wanted: set[str]) -> None:
        for webhook_id in self._workers.keys() - wanted:
            self._workers.pop(webhook_id).task.cancel()

    def _employ(self, group: asyncio.TaskGroup, record: WebhookRecord) -> _Worker:
        woken = asyncio.Event()
        lane = Lane(record, self._tools)
        task = group.create_task(self._work(lane, woken), name=record.id)
        return _Worker(lane, task, woken)

    async def _work(self, lane: Lane, woken: asyncio.Event) -> None:
        while not lane.is_over:
            woken.clear()
            await self._wait(woken, await self._step(lane))

    async def _step(self, lane: Lane) -> datetime | None:
        try:
            return await lane.step()
        except StorageError as error:
            return self._later(error)
        except Exception:
            logger.exception("webhook %s: failed, and goes on later", lane.record.id)
            lane.forget()
            await asyncio.sleep(FAULT_PAUSE)
            return self._tools.now()

    def _later(self, error: StorageError) -> datetime:
        logger.warning("webhooks wait for storage: %s", error)
        return self._tools.now() + _STORAGE_PAUSE

    async def _wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Wait for the event, but only until a time; None is for as long as it takes."""
        seconds = None if until is None else (until - self._tools.now()).total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
