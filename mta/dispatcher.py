"""The dispatcher: ready queues become connections, and what sites answer becomes their shaping.

It owns all sites and all workers of one engine. core/shaping.py decides when a site gets another
connection or is left alone; a worker (delivery.py) carries the deliveries. A worker that dies of an
error nobody expected ends run(), and with it the engine.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random

from mta.core.disposition import Why
from mta.core.envelope import Priority
from mta.core.outcome import Attempt, Outcome, Refused
from mta.core.route import Route
from mta.core.shaping import (
    Bad,
    Good,
    Holding,
    Limits,
    Load,
    Open,
    Wait,
    bulk_connections,
    judge,
    may_open,
    room,
    suspended_until,
    weight_of,
)
from mta.delivery import Tools, Worker
from mta.idle_pool import IdlePool
from mta.logs import log_event, log_warning
from mta.ready_queue import Delivery
from mta.settling import Result, answer
from mta.site import Site, SiteView
from mta.timetable import Timetable
from storage.queue import ClaimedMessage, QueuedMessage

FORGET_AFTER = timedelta(minutes=10)
"""How long a site without work keeps what was learned about it."""
GRACE = 5.0
"""Seconds that storage and cut connections get at the end of a stop."""


class Dispatcher:
    """All sites of one engine."""

    def __init__(self, tools: Tools, timetable: Timetable, limits: Limits, draws: Random) -> None:
        """Take what workers need, where freed domains go, limits, and jitter for suspensions."""
        self._tools = tools
        self._timetable = timetable
        self._limits = limits
        self._draws = draws
        self._sites: dict[str, Site] = {}
        self._purge_at = 128
        self._workers: dict[asyncio.Task[None], Worker] = {}
        self._idle = IdlePool(limits.idle_timeout.total_seconds())
        self._without_slot: OrderedDict[Site, None] = OrderedDict()
        self._weight = 0
        self._without_memory: set[str] = set()
        self._resting: dict[Site, None] = {}
        self._is_stopping = False
        self._stopped = asyncio.Event()
        self._tasks: asyncio.TaskGroup

    async def run(self) -> None:
        """Work until stop() is done; raises what a worker raised."""
        async with asyncio.TaskGroup() as self._tasks:
            await self._stopped.wait()

    # What the scheduler calls.

    def room(self, route: Route, now: datetime, *, promised: int) -> int | Wait:
        """Return how many entries of the site may be claimed now, at least 1, or why none.

        Args:
            route: of the domain.
            now: aware, UTC.
            promised: entries that will be claimed besides, for whatever site.
        """
        site = self._sites.get(route.site)
        if site is not None and site.is_suspended(now):
            return Wait(Holding.SUSPENDED, site.suspended_until)
        load = Load(0, 0, 0.0) if site is None else site.load()
        free = room(load, self._limits, total_weight=self._weight + promised)
        return free or Wait(Holding.READY_FULL)

    def last_error(self, route: Route) -> str:
        """Return what led to the last suspension of a site; "" when there was none."""
        site = self._sites.get(route.site)
        return "" if site is None else site.last_error

    def takes_urgent(self, route: Route) -> bool:
        """Tell whether a site that has no room gets some transactional entries all the same.

        It does while it has but bulk, which thus keeps nobody waiting for more than a transaction.
        """
        site = self._sites.get(route.site)
        is_free = site is not None and not site.ready.has(Priority.TRANSACTIONAL)
        return is_free and self._weight < self._limits.max_ready

    def make_way(self) -> None:
        """Let bulk rest for a moment: transactional mail comes."""
        self._tools.bulk_rest.begin(self._end_rest)

    def _must_rest(self, site: Site) -> bool:
        """Tell whether a site has to wait for the end of the rest, in which it is seen to."""
        if not self._tools.bulk_rest.is_on or site.ready.has(Priority.TRANSACTIONAL):
            return False
        self._resting[site] = None
        return True

    def _end_rest(self) -> None:
        resting, self._resting = self._resting, {}
        for site in resting:
            for _ in range(min(len(site.ready), len(site.idle))):
                self._idle.wake(site)
            self._consider(site)

    def park(self, domain: str, route: Route, now: datetime) -> None:
        """Note the domain in the timetable again when there is room for its due entries."""
        site = self._sites.get(route.site)
        if site is None or not site.entries:
            self._without_memory.add(domain)
        else:
            site.park(domain, now)

    def put(self, route: Route, claimed: Iterable[ClaimedMessage], now: datetime) -> None:
        """Take charge of claimed entries of one domain."""
        site = self._site(route, now)
        for each in claimed:
            is_individual = self._tools.builder.is_individual(each.message)
            site.ready.put(each.message, each.entries, now, is_individual=is_individual)
            weight = _weight(each.message, len(each.entries))
            site.entries += len(each.entries)
            site.weight += weight
            self._weight += weight
            if not self._must_rest(site):
                self._idle.wake(site)
        self._consider(site)

    # What workers call: delivery.Supervisor.

    async def next(self, site: Site) -> Delivery | None:
        """Wait for what a connection is to carry next; None: close it."""
        while (delivery := self.take(site)) is None:
            is_in_the_way = not self._must_rest(site) and bool(self._without_slot)
            if self._is_stopping or is_in_the_way or not await self._idle.rest(site):
                return None
        return delivery

    def take(self, site: Site) -> Delivery | None:
        """Take what a busy connection is to carry next.

        None: nothing, or only bulk, which has its share of the connections or rests.
        """
        if site.ready.has(Priority.TRANSACTIONAL):
            return site.ready.take()
        busy = site.established - len(site.idle)
        is_over = busy > bulk_connections(site.window.size, self._limits)
        if is_over or self._tools.bulk_rest.is_on or not site.ready:
            return None
        self._tools.bulk_rest.saw_bulk()
        return site.ready.take()

    async def not_opened(self, site: Site, attempt: Attempt) -> None:
        """Suspend the site, unless other connections to it work, and settle all that is ready."""
        if site.is_suspended(attempt.ended_at):  # by another connection of the same moment
            return
        if site.established:
            site.window = site.window.after_failure(borne=site.established)
            return
        deliveries = list(site.ready.drain())
        await self._suspend(site, attempt.outcome, attempt.ended_at)
        await self._tools.settler.settle(
            Result(delivery.message, entry, attempt)
            for delivery in deliveries
            for entry in delivery.entries
        )
        self._release_all(site, deliveries)

    async def answered(self, site: Site, outcomes: Sequence[Outcome]) -> None:
        """Let the window follow the answer; suspend the site when nothing gets through."""
        if self._is_stopping:  # we may have cut the connection ourselves
            return
        match judge(outcomes):
            case Good():
                size = site.window.size
                site.window = site.window.after_success(self._limits.max_connections_per_site)
                if site.suspended_until is not None:
                    site.recover()
                    await self._tools.settler.lift(site.route.site)
                if site.window.size > size:
                    self._idle.wake(site)
                    self._consider(site)
            case Bad(outcome):
                site.window = site.window.after_failure(borne=site.window.size)
                now = self._tools.now()
                if site.window.is_dead and not site.is_suspended(now):
                    until = await self._suspend(site, outcome, now)
                    await self._give_back(site, until)

    def release(self, site: Site, message: QueuedMessage, entries: int) -> None:
        """So many entries of the message are settled, or back in storage."""
        weight = _weight(message, entries)
        self._weight -= weight
        now = self._tools.now()
        for domain in site.released(entries, weight, now):
            self._timetable.note(domain, now)
        if self._without_memory and self._weight <= self._limits.max_ready * 3 // 4:
            for domain in self._without_memory:
                self._timetable.note(domain, now)
            self._without_memory.clear()

    # Connections.

    def _site(self, route: Route, now: datetime) -> Site:
        site = self._sites.get(route.site)
        if site is None:
            if len(self._sites) >= self._purge_at:
                self._purge(now)
            site = self._sites[route.site] = Site(route, self._limits, now)
        site.route = route
        site.used_at = now
        return site

    def _purge(self, now: datetime) -> None:
        """Forget unused sites; run so rarely that its cost for each new site is constant."""
        since = now - FORGET_AFTER
        for name in [name for name, site in self._sites.items() if site.is_unused(since)]:
            del self._sites[name]
        self._purge_at = 2 * len(self._sites) + 128

    def _consider(self, site: Site) -> None:
        """Open as many connections as the site may have now, and see to being asked again."""
        if self._must_rest(site):
            return
        while not self._is_stopping:
            now = self._tools.now()
            match may_open(site.state(), self._limits, connections=self.connections, now=now):
                case Open():
                    self._open(site)
                    continue
                case Wait(Holding.ENGINE_LIMIT):
                    self._without_slot[site] = None
                    if self.connections >= self._limits.max_connections:
                        self._idle.close_oldest()
                case Wait(until=datetime() as until):
                    self._set_alarm(site, (until - now).total_seconds())
            break

    @property
    def connections(self) -> int:
        """Open or being opened, to all sites."""
        return len(self._workers)

    def _open(self, site: Site) -> None:
        site.connections += 1
        worker = Worker(
            site, self._tools, self, max_messages=self._limits.max_messages_per_connection
        )
        task = self._tasks.create_task(worker.run(), name=f"connection to {site.route.site}")
        self._workers[task] = worker
        task.add_done_callback(partial(self._closed, site))

    def _closed(self, site: Site, task: asyncio.Task[None]) -> None:
        site.connections -= 1
        del self._workers[task]
        if not task.cancelled() and task.exception() is None:
            self._use_slot()
            self._consider(site)

    def _use_slot(self) -> None:
        """Give a connection that has become free to the site that has waited longest for one."""
        connections = self.connections
        for _ in range(len(self._without_slot)):
            site, _ = self._without_slot.popitem(last=False)
            self._consider(site)
            if self.connections > connections:
                break

    def _set_alarm(self, site: Site, delay: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + delay
        if site.alarm is not None:
            if site.alarm.when() <= at:
                return
            site.alarm.cancel()
        site.alarm = loop.call_at(at, self._ring, site)

    def _ring(self, site: Site) -> None:
        site.alarm = None
        self._consider(site)

    # Suspension and the end.

    async def _suspend(self, site: Site, outcome: Outcome, now: datetime) -> datetime:
        """Leave a site alone for a while, which ends at the time returned."""
        until = suspended_until(
            self._limits.suspension, strikes=site.strikes + 1, now=now, draw=self._draws.random()
        )
        error = str(answer(outcome))
        site.suspend(until, error)
        why = Why.REPLY if isinstance(outcome, Refused) else Why.UNREACHABLE
        log_event("site_suspended", site=site.route.site, until=until, error=error)
        await self._tools.settler.suspend(site.route.site, until, why, error)
        return until

    async def recall(self, campaigns: Collection[int], entries: Collection[int] = ()) -> None:
        """Return emails of campaigns (row numbers), and entries, that no connection has begun with.

        In storage they become what was wished for meanwhile: held, canceled, or suppressed.
        """
        now = self._tools.now()
        for site in list(self._sites.values()):
            await self._return(site, site.ready.withdraw(campaigns, entries), now)

    async def _give_back(self, site: Site, due_at: datetime) -> None:
        """Return what is ready to storage, untried."""
        await self._return(site, list(site.ready.drain()), due_at)

    async def _return(self, site: Site, deliveries: Sequence[Delivery], due_at: datetime) -> None:
        entries = [entry for delivery in deliveries for entry in delivery.entries]
        await self._tools.settler.give_back(entries, due_at)
        self._release_all(site, deliveries)

    def _release_all(self, site: Site, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.release(site, delivery.message, len(delivery.entries))

    async def stop(self, patience: float) -> None:
        """Let transactions under way end within `patience` seconds; give everything else back.

        What is still under way then is cut off: the peer's answer to a message that it has
        whole would be lost, so such a message counts as tried (Ambiguous). The scheduler must
        have ended before.
        """
        self._is_stopping = True
        self._idle.close_all()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._give_everything_back())
            tasks.create_task(self._end_workers(patience))
        await self._give_everything_back()  # sessions that were found stale meanwhile
        self._stopped.set()

    async def _end_workers(self, patience: float) -> None:
        for task, worker in self._workers.items():
            if worker.is_connecting:
                task.cancel()
        if await self._wait_for_workers(patience):
            for worker in list(self._workers.values()):
                await worker.break_off()
            if await self._wait_for_workers(GRACE):
                for task in self._workers:
                    task.cancel()

    async def _wait_for_workers(self, seconds: float) -> bool:
        """Return whether some are still there after so long."""
        if self._workers:
            await asyncio.wait(self._workers, timeout=seconds)
        return bool(self._workers)

    async def _give_everything_back(self) -> None:
        now = self._tools.now()
        try:
            async with asyncio.timeout(GRACE):
                for site in self._sites.values():
                    await self._give_back(site, now)
        except TimeoutError:
            log_warning("claims_kept", reason="storage did not answer; the next start frees them")

    def explain(self, name: str) -> SiteView | None:
        """Return what the site of that name (Route.site) waits for; None: it has nothing here."""
        site = self._sites.get(name)
        if site is None:
            return None
        now = self._tools.now()
        decision = may_open(site.state(), self._limits, connections=self.connections, now=now)
        return SiteView(
            site=name,
            ready=len(site.ready),
            entries=site.entries,
            connections=site.connections,
            window=site.window.size,
            waits_for=decision if isinstance(decision, Wait) else None,
            last_error=site.last_error,
        )


def _weight(message: QueuedMessage, entries: int) -> int:
    data = message.message.data
    return entries * (1 if data is None else weight_of(len(data)))
