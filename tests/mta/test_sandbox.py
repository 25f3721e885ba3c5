"""The sandbox in the real engine: its outcomes without any connection."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from mta.core.disposition import Bounced, Deferred, Delivered
from mta.core.outcome import Accepted, Peer, Refused
from mta.core.route import Route
from mta.core.sandbox import SITE
from mta.core.shaping import Limits
from mta.dispatcher import Dispatcher
from mta.engine import Engine
from mta.sandbox import SandboxConnector, SandboxRouter, SandboxSession
from mta.scheduler import Scheduler
from mta.settling import Settler, SettlingRules
from tests.support.delivery_rig import RETRY, FakeConnector, FakeRouter, Rig, route_to, running
from tests.support.sessions import transaction
from tests.support.virtual_time import settle_down

DOMAIN = "sandbox.test"


async def test_only_its_own_domain_goes_to_the_sandbox() -> None:
    router = SandboxRouter(FakeRouter(), DOMAIN)
    assert await router.route(DOMAIN) == Route(SITE, ())
    assert await router.route("example.net") == route_to("example.net")


async def test_only_its_own_route_opens_a_sandbox_session() -> None:
    inner = FakeConnector()
    connector = SandboxConnector(inner, DOMAIN)
    session = await connector.connect(Route(SITE, ()))
    assert isinstance(session, SandboxSession)
    assert inner.sites == {}
    await connector.connect(route_to(SITE))  # a host that is called like that
    assert list(inner.sites) == [SITE]


async def test_a_session_answers_each_recipient_by_its_name() -> None:
    session = SandboxSession(DOMAIN)
    outcomes = await session.deliver(
        transaction("delivered@sandbox.test", "bounced@sandbox.test", "a@b.test")
    )
    assert isinstance(outcomes, list)
    assert [type(one) for one in outcomes] == [Accepted, Refused, Accepted]
    assert session.peer == Peer(DOMAIN)
    assert session.is_open
    await session.close()
    assert not session.is_open


def sandboxed(rig: Rig) -> Rig:
    """Put the sandbox in front of a rig's router and connector, as the daemon does."""
    random = Random(1)
    settler = Settler(rig.store, rig.timetable, SettlingRules(RETRY, sandbox_domain=DOMAIN), random)
    connector = SandboxConnector(rig.connector, DOMAIN)
    tools = replace(rig.tools, connector=connector, settler=settler)
    rig.dispatcher = Dispatcher(tools, rig.timetable, Limits(), random)
    router = SandboxRouter(rig.router, DOMAIN)
    rig.scheduler = Scheduler(rig.store, router, rig.dispatcher, tools, rig.timetable)
    rig.engine = Engine(rig.scheduler, rig.dispatcher)
    return rig


async def test_the_engine_settles_what_the_sandbox_answers() -> None:
    async with running(sandboxed(Rig())) as rig:
        for name in ("delivered", "bounced", "deferred", "complained"):
            rig.add(f"{name}@{DOMAIN}")
        rig.add("ant@example.net")
        await settle_down()
        became = {who: type(disposition) for who, disposition, _ in rig.store.settled}
    assert became == {
        "delivered@sandbox.test": Delivered,
        "bounced@sandbox.test": Bounced,
        "deferred@sandbox.test": Deferred,
        "complained@sandbox.test": Delivered,
        "ant@example.net": Delivered,
    }
    assert list(rig.connector.sites) == ["example.net"]
    assert rig.store.suspended == {}
