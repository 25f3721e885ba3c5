"""Automations at work: lets contacts in, moves their runs on, sleeps until something is due.

What waits is on the disk and found by an index, so that it costs nothing while it waits; nothing is
asked for again and again. Each turn does some runs of each automation that has any due: a large
one does not hold up the others. kick(), which carries no data, ends the sleep. What is under way
when the process ends is found in the same place at the next start.

    automation_entrance.py   who enters
    automation_work.py       what runs do
    automation_posts.py      webhook steps
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from control_api.automation_entrance import Entrance
from control_api.automation_posts import Posts
from control_api.automation_tools import Tools
from control_api.automation_work import Work as Steps
from storage import automation_runs, automations
from storage.automation_runs import Work
from storage.errors import STORAGE_TROUBLE, StorageError

REMOVED_AT_ONCE = 500
"""Runs of a deleted automation in one transaction."""
_BURST = 0.1
"""Seconds in which all kicks count as one; commits may come by the hundred a second."""
_STORAGE_PAUSE = timedelta(seconds=10)
"""How long storage is left alone after it has failed."""
_FAULT_PAUSE = timedelta(minutes=1)
"""How long an automation is left alone at which we have failed."""

logger = logging.getLogger(__name__)


class AutomationRunner:
    """One background task. Build it on the running event loop."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._entrance = Entrance(tools)
        self._steps = Steps(tools)
        self._posts = Posts(tools)
        self._posting: dict[int, asyncio.Task[None]] = {}
        self._resting: dict[int, datetime] = {}
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Say that the journal has grown, that runs are due, or that automations have changed."""
        self._kicked.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._kicked.clear()
                await self._sleep(await self._patiently(group))

    async def _patiently(self, group: asyncio.TaskGroup) -> datetime | None:
        """Do all that is due; return until when to sleep, None until a kick."""
        try:
            while (until := await self.turn(group)) is not None and until <= self._tools.now():
                pass
        except StorageError as error:
            return self._later(error)
        return until

    def _later(self, error: StorageError) -> datetime:
        logger.warning("automations wait for storage: %s", error)
        return self._tools.now() + _STORAGE_PAUSE

    async def turn(self, group: asyncio.TaskGroup) -> datetime | None:
        """Do something of all that is due; return when there is more to do, None for never.

        Args:
            group: posts of webhooks go on in it.

        Raises:
            StorageError: call again.
        """
        while await self._entrance.follow():
            pass
        found = await self._tools.database.read(automation_runs.work)
        now = self._tools.now()
        self._resting = {row: until for row, until in self._resting.items() if until > now}
        for work in found:
            if work.row not in self._resting:
                await self._try_to_do(work, now, group)
        return min(self._times(found), default=None)

    async def _try_to_do(self, work: Work, now: datetime, group: asyncio.TaskGroup) -> None:
        """Do something of what is due; an automation that we fail at rests, the others go on."""
        try:
            await self._do(work, now, group)
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("automation %d: failed, and goes on later", work.row)
            self._resting[work.row] = now + _FAULT_PAUSE

    async def _do(self, work: Work, now: datetime, group: asyncio.TaskGroup) -> None:
        if work.is_deleted:
            remove = partial(automations.remove_some, row=work.row, limit=REMOVED_AT_ONCE)
            await self._tools.database.write(remove)
            return
        if work.look_at is not None and work.look_at <= now:
            await self._entrance.look(work.row)
        if work.due_at is not None and work.due_at <= now:
            await self._steps.advance(work.row)
        is_posting = work.row in self._posting
        if work.posts_at is not None and work.posts_at <= now and not is_posting:
            self._posting[work.row] = group.create_task(self._post(work.row))

    def _times(self, found: Iterable[Work]) -> Iterable[datetime]:
        """Yield when there is something to do; posts that are being made tell by a kick."""
        for work in found:
            if work.row in self._resting:
                yield self._resting[work.row]
                continue
            if work.is_deleted:
                yield self._tools.now()  # perhaps there is more of it
                continue
            posts_at = None if work.row in self._posting else work.posts_at
            yield from (at for at in (work.due_at, posts_at, work.look_at) if at is not None)

    async def _post(self, row: int) -> None:
        try:
            await self._posts.work_off(row)
        except StorageError as error:
            logger.warning("webhooks of automations wait for storage: %s", error)
            await asyncio.sleep(_STORAGE_PAUSE.total_seconds())
        except Exception:
            logger.exception("automation %d: its webhooks failed, and go on later", row)
            self._resting[row] = self._tools.now() + _FAULT_PAUSE
        finally:
            del self._posting[row]
            self.kick()

    async def _sleep(self, until: datetime | None) -> None:
        """Sleep until a time or a kick, and a little longer after a kick: more may come."""
        seconds = None if until is None else (until - self._tools.now()).total_seconds()
        try:
            async with asyncio.timeout(seconds):
                await self._kicked.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_BURST)
