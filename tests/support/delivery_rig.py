"""The delivery engine on fakes: a queue in memory, obedient sites, virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

from mta.core.extensions import Extensions
from mta.core.outcome import Accepted, Command, Outcome, Peer, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule
from mta.core.route import Hop, Route, Routed
from mta.core.shaping import Limits
from mta.core.transaction import Transaction
from mta.delivery import Tools
from mta.dispatcher import Dispatcher
from mta.engine import Engine
from mta.scheduler import Scheduler
from mta.settling import Settler, SettlingRules
from mta.smtp_client import NotOpened
from mta.smtp_transaction import Following, Stale, nothing_follows
from mta.timetable import Timetable
from mta.transactions import TransactionBuilder
from tests.support.fake_engine_store import FakeEngineStore
from tests.support.virtual_time import now, settle_down

OK = Accepted(Reply(250, "2.0.0", "taken"))
RETRY = RetrySchedule(jitter=0.0)
DOWN = Unreachable(Stage.CONNECT, "connection refused")
BUSY = Refused(Reply(421, "4.7.0", "too many connections"), Command.CONNECT)

Answer = Callable[["FakeSession", Transaction], Awaitable[Sequence[Outcome] | Stale]]
Door = Callable[["FakeSite"], Awaitable[Unreachable | Refused | None]]


class FakeSite:
    """One site and how it behaves; tests change the attributes as they go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.door: Door = _open
        self.answer: Answer = _accept
        self.offers_pipelining = False
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.transactions: list[Transaction] = []

    @property
    def recipients(self) -> list[str]:
        """Everyone who was named in a transaction, in order."""
        return [each.address for one in self.transactions for each in one.recipients]


class FakeSession:
    """One connection to a site."""

    def __init__(self, site: FakeSite) -> None:
        self.site = site
        self.peer = Peer(site.name, "192.0.2.1", "")
        self.extensions = Extensions()
        self.is_open = True
        self.used = 0
        self.ahead: Transaction | None = None
        self.cut = asyncio.Event()
        self.is_closed = False

    async def deliver(
        self, transaction: Transaction, following: Following = nothing_follows
    ) -> Sequence[Outcome] | Stale:
        if not self.is_open:
            return Stale("gone")
        self.site.transactions.append(transaction)
        self.used += 1
        if self.site.offers_pipelining:
            self.ahead = await following()
        return await self.site.answer(self, transaction)

    async def close(self) -> None:
        self.cut.set()
        self.is_open = False
        if not self.is_closed:
            self.is_closed = True
            self.site.open -= 1


class FakeConnector:
    """Opens sessions with fake sites, which exist as soon as they are named."""

    def __init__(self) -> None:
        self.sites: dict[str, FakeSite] = {}

    def site(self, name: str) -> FakeSite:
        return self.sites.setdefault(name, FakeSite(name))

    async def connect(self, route: Route) -> FakeSession | NotOpened:
        site = self.site(route.site)
        site.connections += 1
        failure = await site.door(site)
        if failure is not None:
            return NotOpened(failure, Peer(route.site))
        site.open += 1
        site.most_open = max(site.most_open, site.open)
        return FakeSession(site)


class FakeRouter:
    """Routes every domain to the site of its name, unless told otherwise; may take its time."""

    def __init__(self) -> None:
        self.routes: dict[str, Routed] = {}
        self.delays: dict[str, float] = {}
        self.asked: Counter[str] = Counter()

    async def route(self, domain: str) -> Routed:
        self.asked[domain] += 1
        if domain in self.delays:
            await asyncio.sleep(self.delays[domain])
        return self.routes.get(domain) or route_to(domain)


class Rig:
    """An engine, and everything around it."""

    def __init__(self, limits: Limits | None = None, retry: RetrySchedule = RETRY) -> None:
        self.clock_is_off = timedelta()
        self.store: Any = FakeEngineStore()
        self.connector: Any = FakeConnector()
        self.router: Any = FakeRouter()
        self.timetable = Timetable()
        random = Random(1)
        settler = Settler(self.store, self.timetable, SettlingRules(retry), random)
        builder = TransactionBuilder(self.store, None, None)  # type: ignore[arg-type]
        self.tools = Tools(self.connector, builder, settler, self.now)
        self.dispatcher = Dispatcher(self.tools, self.timetable, limits or Limits(), random)
        self.scheduler = Scheduler(
            self.store, self.router, self.dispatcher, self.tools, self.timetable
        )
        self.engine = Engine(self.scheduler, self.dispatcher)

    def now(self) -> datetime:
        """Return what the engine's wall clock shows."""
        return now() + self.clock_is_off

    def add(self, *recipients: str, **facts: Any) -> None:
        """Queue a message and kick the engine."""
        self.store.add(*recipients, **{"now": self.now()} | facts)
        self.engine.kick()

    def site(self, name: str) -> FakeSite:
        return self.connector.site(name)


def fill(rig: Rig, domain: str, count: int, **facts: Any) -> None:
    """Queue so many messages to a domain, one recipient each, and kick once."""
    for number in range(count):
        rig.store.add(f"user{number}@{domain}", now=now(), **facts)
    rig.engine.kick()


@asynccontextmanager
async def running(rig: Rig, patience: float = 1.0) -> AsyncIterator[Rig]:
    """Run the rig's engine while the context lasts, then stop it."""
    task = asyncio.create_task(rig.engine.run())
    await settle_down()
    try:
        yield rig
    finally:
        await rig.engine.stop(patience)
        await task


def route_to(site: str) -> Route:
    return Route(site, (Hop(site, "192.0.2.1", 25),))


async def _open(site: FakeSite) -> None:
    return None


async def _accept(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
    return [OK] * len(transaction.recipients)


def slowly(seconds: float, outcome: Outcome = OK) -> Answer:
    """Answer every recipient so, after a while, unless the connection is cut before."""

    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        try:
            async with asyncio.timeout(seconds):
                await session.cut.wait()
        except TimeoutError:
            return [outcome] * len(transaction.recipients)
        lost = Unreachable(Stage.SESSION, "connection closed")
        return [lost] * len(transaction.recipients)

    return answer


def closed(outcome: Unreachable | Refused = DOWN, after: float = 0.0) -> Door:
    """Refuse every connection so, after a while."""

    async def door(site: FakeSite) -> Unreachable | Refused:
        await asyncio.sleep(after)
        return outcome

    return door
