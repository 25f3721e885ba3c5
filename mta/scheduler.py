"""The scheduler: from due entries in storage to the ready queues, without ever polling.

It knows when each domain next has an entry due (timetable.py) and sleeps until then, or until it is
kicked because somebody added or changed entries. A domain that is due is routed first and claimed
then, so that entries never wait in memory for the DNS, and no more are claimed than their site has
room for: a dead or slow site with a million entries costs the others nothing. While a site is
suspended, only what has waited for the whole of its lifetime is claimed, to expire untried.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Protocol

from mta.core.envelope import Priority
from mta.core.expiring import ExpiringMap
from mta.core.outcome import OUR_FAULT, Attempt, Peer, Stage, Unreachable
from mta.core.route import Route, Routed
from mta.core.shaping import SUSPENSION, Wait
from mta.delivery import Tools
from mta.dispatcher import Dispatcher
from mta.engine_store import EngineStore, Marks, News
from mta.settling import Result
from mta.timetable import Timetable
from storage.queue import ClaimedMessage, ClaimRequest

BATCH = 256
"""Entries in one claim: bounds the transaction, and how far memory may be overdrawn."""
URGENT = 16
"""Transactional entries that a site gets whose memory is full of bulk."""
MAX_RESOLVING = 256
"""Domains routed at the same time; the resolver has a limit of its own on queries."""
ROUTE_FRESH = 5.0
"""Seconds that a route is used again without asking the router, whose cache is no older."""
MAX_ROUTES = 20_000
FOREIGN_FOR = 300.0
"""Seconds for which a domain of another process is believed to stay so: MX records change."""
SET_BACK = 1.0
"""Seconds by which the clock is set back at once, rather than slowed down."""
LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""When a domain with urgent mail counts as due: before all those that wait with their bulk."""
MAX_SLEEP = 30.0
"""Seconds after which due times are compared with the clock again: it may have been set."""

logger = logging.getLogger(__name__)


class RouteFinder(Protocol):
    """Finds routes, as routing.Router does."""

    async def route(self, domain: str) -> Routed:
        """Return where mail for a domain goes, or why nowhere."""


@dataclass(slots=True)
class _Plan:
    """Which domains to claim, how much of each, and where it goes or why nowhere.

    Attributes:
        over: domains of suspended sites, of which only what has waited for too long is claimed,
            with the end of the suspension.
    """

    routes: dict[str, Routed] = field(default_factory=dict)
    over: dict[str, datetime] = field(default_factory=dict)
    requests: list[ClaimRequest] = field(default_factory=list)
    promised: int = 0

    def add(
        self, domain: str, routed: Routed, limit: int, lanes: Sequence[Priority] = tuple(Priority)
    ) -> None:
        self.routes[domain] = routed
        site = routed.site if isinstance(routed, Route) else ""
        self.requests.append(ClaimRequest(domain, limit, site, lanes))
        self.promised += limit

    def add_over(self, domain: str, route: Route, until: datetime, waiting_since: datetime) -> None:
        self.over[domain] = until
        self.routes[domain] = route
        self.requests.append(ClaimRequest(domain, BATCH, route.site, waiting_since=waiting_since))


class Scheduler:
    """One task that claims what is due, and some that ask for routes."""

    def __init__(
        self,
        store: EngineStore,
        router: RouteFinder,
        dispatcher: Dispatcher,
        tools: Tools,
        timetable: Timetable,
        owns: Callable[[str], bool] = bool,
    ) -> None:
        """Take the collaborators; tools and timetable are the dispatcher's.

        `owns` tells whether a site is ours to deliver to; by default all are.
        """
        self._owns = owns
        self._foreign: ExpiringMap[str, datetime] = ExpiringMap(MAX_ROUTES)
        self._store = store
        self._router = router
        self._dispatcher = dispatcher
        self._tools = tools
        self._timetable = timetable
        self._routes: ExpiringMap[str, Routed] = ExpiringMap(MAX_ROUTES)
        self._routed: deque[tuple[str, Routed]] = deque()
        self._unrouted: deque[str] = deque()
        self._urgent: set[str] = set()
        self._searched: ExpiringMap[str, datetime] = ExpiringMap(MAX_ROUTES)
        self._in_question: set[str] = set()
        self._route_tasks: set[asyncio.Task[None]] = set()
        self._tasks: asyncio.TaskGroup
        self._marks: Marks
        self._is_kicked = False
        self._is_stopping = False
        self._ahead = -math.inf
        self._hasten_again_at = math.inf

    def kick(self) -> None:
        """Look into storage again soon: entries or directives were added."""
        self._is_kicked = True
        self._timetable.changed.set()

    def stop(self) -> None:
        """Claim nothing more; run() returns once what was claimed is handed over."""
        self._is_stopping = True
        self._timetable.changed.set()

    async def run(self) -> None:
        """Work until stop()."""
        async with asyncio.TaskGroup() as self._tasks:
            self._learn(await self._store.begin(self._tools.now()))
            while not self._is_stopping:
                if self._must_hasten():
                    longest = self._tools.settler.longest_wait
                    self._learn(await self._store.after_set_back(self._tools.now(), longest))
                if self._is_kicked:
                    self._is_kicked = False
                    news = await self._store.news(self._marks)
                    self._learn(news)
                    if news.campaigns or news.entries:
                        await self._dispatcher.recall(news.campaigns, news.entries)
                if not await self._claim_due():
                    await self._sleep()
            for task in self._route_tasks:
                task.cancel()

    def _learn(self, news: News) -> None:
        self._marks = news.marks
        now = self._tools.now()
        for each in news.due:
            goes_first = each.is_urgent and each.due_at <= now
            self._timetable.note(each.domain, LONG_AGO if goes_first else each.due_at)
            if each.is_urgent:
                self._urgent.add(each.domain)

    def _must_hasten(self) -> bool:
        """Tell whether the wall clock was set back since this was last asked, or was MAX_SLEEP ago.

        Once more after a while, because what was stamped before may have been committed later.
        """
        clock = asyncio.get_running_loop().time()
        ahead = self._tools.now().timestamp() - clock
        lost, self._ahead = self._ahead - ahead, ahead
        if lost > SET_BACK:
            self._hasten_again_at = clock + MAX_SLEEP
        elif clock >= self._hasten_again_at:
            self._hasten_again_at = math.inf
        else:
            return False
        return True

    async def _sleep(self) -> None:
        """Wait until the first domain is due, or something changes."""
        self._timetable.changed.clear()
        if self._is_kicked or self._is_stopping or self._routed:
            return
        next_at = self._timetable.next_at()
        delay = MAX_SLEEP
        if next_at is not None:
            delay = min(delay, (next_at - self._tools.now()).total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, delay)):
                await self._timetable.changed.wait()

    # Claiming.

    async def _claim_due(self) -> bool:
        """Claim a batch of what is due and hand it over; False when nothing could be claimed."""
        now = self._tools.now()
        plan = self._plan(now)
        if not plan.requests:
            return False
        claim = await self._store.claim(plan.requests, now)
        await self._tools.builder.follow_keys(claim.keys_version)
        found = {one.entries[0].domain for one in claim.messages}
        for domain, due_at in claim.next_due.items():
            if due_at is not None:
                held_until = self._held_until(domain, plan, now, is_empty=domain not in found)
                self._timetable.note(domain, max(due_at, held_until))
        await self._hand_over(claim.messages, plan)
        return True

    def _held_until(self, domain: str, plan: _Plan, now: datetime, *, is_empty: bool) -> datetime:
        """Return before when there is no use in looking at a domain again.

        is_empty: nothing of it was claimed.
        """
        routed = plan.routes[domain]
        if not self._is_ours(domain, routed):
            return now + timedelta(seconds=FOREIGN_FOR)
        if domain in plan.over and is_empty:
            until = plan.over[domain]
            clock = asyncio.get_running_loop().time()
            self._searched.put(domain, until, clock + (until - now).total_seconds())
            return until
        return now + SUSPENSION.first if _may_be_mended(routed) else now

    def _plan(self, now: datetime) -> _Plan:
        """Choose what to claim: a fair share of the batch for each domain that is due."""
        candidates = self._candidates(now)
        share = max(1, BATCH // max(1, len(candidates)))
        plan = _Plan()
        sites: dict[str, dict[str, Route]] = {}
        for domain, routed in candidates.items():
            if not self._is_ours(domain, routed):
                self._leave(domain, plan, routed, now)
            elif isinstance(routed, Route):
                sites.setdefault(routed.site, {})[domain] = routed
            else:
                plan.add(domain, routed, share)
        for routes in sites.values():
            self._plan_site(routes, share, plan, now)
        self._urgent.difference_update(candidates)
        return plan

    def _candidates(self, now: datetime) -> dict[str, Routed]:
        """Return domains that are due and have a route; ask for the routes of the others."""
        routed = self._routed
        found = dict(routed.popleft() for _ in range(min(len(routed), BATCH)))
        clock = asyncio.get_running_loop().time()
        for domain in self._timetable.pop_due(now, BATCH - len(found)):
            known = self._routes.get(domain, clock)
            if known is None:
                self._ask_route(domain)
            else:
                found[domain] = known
        return found

    def _is_ours(self, domain: str, routed: Routed) -> bool:
        """Tell whether we deliver to a domain: to its site, or, where it has none, to itself."""
        return self._owns(routed.site if isinstance(routed, Route) else domain)

    def _leave(self, domain: str, plan: _Plan, routed: Routed, now: datetime) -> None:
        """See to a domain of another process: look again later whether it is ours by then.

        A claim of nothing tells whether anything of it waits at all.
        """
        clock = asyncio.get_running_loop().time()
        if self._foreign.get(domain, clock) is None:
            self._foreign.put(domain, now, clock + FOREIGN_FOR)
            plan.add(domain, routed, 0)
        else:
            self._timetable.note(domain, now + timedelta(seconds=FOREIGN_FOR))

    def _plan_site(
        self, routes: Mapping[str, Route], share: int, plan: _Plan, now: datetime
    ) -> None:
        """Share a site's room among its domains, or see to their coming up again."""
        match self._dispatcher.room(next(iter(routes.values())), now, promised=plan.promised):
            case Wait(until=datetime() as until):
                for domain, route in routes.items():
                    self._plan_suspended(domain, route, until, plan, now)
            case Wait():
                for domain, route in routes.items():
                    if domain in self._urgent and self._dispatcher.takes_urgent(route):
                        plan.add(domain, route, URGENT, (Priority.TRANSACTIONAL,))
                    else:
                        self._dispatcher.park(domain, route, now)
            case room:
                limit = max(1, min(share, room // len(routes)))
                is_resting = self._tools.bulk_rest.is_on
                for number, (domain, route) in enumerate(routes.items()):
                    if is_resting and domain in self._urgent:
                        plan.add(domain, route, limit, (Priority.TRANSACTIONAL,))
                    elif number < room:
                        plan.add(domain, route, limit)
                    else:
                        self._timetable.note(domain, now)

    def _plan_suspended(
        self, domain: str, route: Route, until: datetime, plan: _Plan, now: datetime
    ) -> None:
        """Claim what has waited for too long; once that is done, leave the domain alone."""
        clock = asyncio.get_running_loop().time()
        if self._searched.get(domain, clock) == until:
            self._timetable.note(domain, until)
        else:
            plan.add_over(domain, route, until, now - self._tools.settler.lifetime)

    async def _hand_over(self, claimed: Sequence[ClaimedMessage], plan: _Plan) -> None:
        now = self._tools.now()
        for domain, messages in groupby(claimed, key=lambda each: each.entries[0].domain):
            match plan.routes[domain]:
                case Route() as route if domain in plan.over:
                    error = self._dispatcher.last_error(route)
                    await self._settle(messages, Unreachable(Stage.CONNECT, error))
                case Route() as route:
                    self._dispatcher.put(route, messages, now)
                case Unreachable() as outcome:
                    await self._settle(messages, outcome)

    async def _settle(self, messages: Iterable[ClaimedMessage], outcome: Unreachable) -> None:
        now = self._tools.now()
        attempt = Attempt(outcome, Peer(), now, now)
        await self._tools.settler.settle(
            Result(each.message, entry, attempt) for each in messages for entry in each.entries
        )

    # Routing.

    def _ask_route(self, domain: str) -> None:
        if domain in self._in_question:
            return
        self._in_question.add(domain)
        self._unrouted.append(domain)
        if len(self._route_tasks) < MAX_RESOLVING:
            task = self._tasks.create_task(self._find_routes())
            self._route_tasks.add(task)
            task.add_done_callback(self._route_tasks.discard)

    async def _find_routes(self) -> None:
        while self._unrouted:
            domain = self._unrouted.popleft()
            routed = await self._route(domain)
            self._in_question.discard(domain)
            fresh_until = asyncio.get_running_loop().time() + ROUTE_FRESH
            self._routes.put(domain, routed, fresh_until)
            self._routed.append((domain, routed))
            self._timetable.changed.set()

    async def _route(self, domain: str) -> Routed:
        try:
            return await self._router.route(domain)
        except Exception:
            logger.exception("%s: we failed at routing", domain)
            return OUR_FAULT


def _may_be_mended(routed: Routed) -> bool:
    return isinstance(routed, Unreachable) and not routed.is_permanent
