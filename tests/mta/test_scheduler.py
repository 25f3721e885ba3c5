"""From due entries to ready queues: when the scheduler wakes, and what it claims."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from mta.core.disposition import Bounced, Deferred, Why
from mta.core.envelope import Priority
from mta.core.outcome import Stage, Unreachable
from mta.core.route import Route, Routed
from mta.core.shaping import MIN_READY, Limits
from mta.scheduler import BATCH, MAX_SLEEP, URGENT
from tests.support import virtual_time
from tests.support.delivery_rig import Rig, closed, route_to, running, slowly
from tests.support.virtual_time import now, settle_down

NO_DNS = Unreachable(Stage.ROUTE, "no answer from any nameserver", enhanced="4.4.3")
NULL_MX = Unreachable(Stage.ROUTE, "null MX", is_permanent=True, enhanced="5.1.10")


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_what_waits_at_start_is_delivered() -> None:
    async def story() -> None:
        rig = Rig()
        rig.store.add("ant@a.test", "bee@b.test", now=now())
        async with running(rig):
            assert rig.store.states() == {"delivered": 2}

    virtual_time.run(story())


def test_claims_of_an_earlier_run_are_freed() -> None:
    async def story() -> None:
        rig = Rig()
        rig.store.add("ant@a.test", now=now())
        rig.store.rows[1].state = "claimed"
        async with running(rig):
            assert rig.store.states() == {"delivered": 1}

    virtual_time.run(story())


def test_a_kick_brings_new_entries_at_once() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            await asyncio.sleep(1000)
            rig.add("ant@a.test")
            await settle_down()
            assert rig.store.states() == {"delivered": 1}

    virtual_time.run(story())


def test_many_kicks_cost_one_look() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            for number in range(50):
                rig.add(f"user{number}@a.test")
            await settle_down()
            assert rig.store.calls["news"] == 1
            assert rig.store.states() == {"delivered": 50}

    virtual_time.run(story())


def test_nothing_is_asked_of_storage_while_nothing_is_due() -> None:
    async def story() -> None:
        rig = Rig()
        rig.store.add("ant@a.test", now=now(), due_at=now() + later(86_400))
        async with running(rig):
            before = rig.store.calls.copy()
            await asyncio.sleep(86_399)
            assert rig.store.calls == before
            await asyncio.sleep(1)
            await settle_down()
            assert rig.store.calls["claim"] == 1
            assert rig.store.states() == {"delivered": 1}

    virtual_time.run(story())


def test_a_directive_makes_the_engine_look_at_a_domain_again() -> None:
    async def story() -> None:
        rig = Rig()
        rig.store.add("ant@a.test", now=now(), due_at=now() + later(3600))
        async with running(rig):
            rig.store.rows[1].due_at = now()
            rig.store.directives.append("a.test")
            rig.engine.kick()
            await settle_down()
            assert rig.store.states() == {"delivered": 1}

    virtual_time.run(story())


def test_a_deferred_entry_is_tried_again_when_it_is_due() -> None:
    async def story() -> None:
        rig = Rig()
        rig.site("a.test").door = closed()
        async with running(rig):
            rig.add("ant@a.test")
            await asyncio.sleep(299)
            assert rig.site("a.test").connections == 1
            rig.site("a.test").door = closed(after=1)
            await asyncio.sleep(5)
            assert rig.store.rows[1].attempts == 2
        due = [fate.due_at for _, fate, _ in rig.store.settled]
        assert due[0] == virtual_time.EPOCH + later(300)
        assert due[1] == virtual_time.EPOCH + later(301 + 600)

    virtual_time.run(story())


@pytest.mark.parametrize("per_domain", [10_000, 10])
def test_memory_is_bounded_whatever_is_due(per_domain: int) -> None:
    async def story() -> None:
        rig = Rig(Limits(max_ready_per_site=300))
        domains = [f"d{number}.test" for number in range(10_000 // per_domain)]
        for domain in domains:
            rig.router.routes[domain] = route_to("one-site.test")
            for number in range(per_domain):
                rig.store.add(f"user{number}@{domain}", now=now())
        rig.site("one-site.test").answer = slowly(1)
        async with running(rig):
            for _ in range(20):
                await asyncio.sleep(1)
                view = rig.dispatcher.explain("one-site.test")
                assert view is not None
                assert 0 < view.entries <= 300
                assert rig.store.states()["claimed"] <= 300

    virtual_time.run(story())


def test_a_slow_site_is_given_some_seconds_of_work_only() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=2))
        for number in range(3000):
            rig.store.add(f"user{number}@slow.test", now=now())
        rig.site("slow.test").answer = slowly(1)
        async with running(rig):
            await asyncio.sleep(600)
            assert rig.store.states()["claimed"] <= MIN_READY
            assert rig.store.states()["delivered"] >= 1150, "and it never runs dry"

    virtual_time.run(story())


def test_a_transactional_message_does_not_wait_for_room_among_bulk() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=2))
        for number in range(3000):
            rig.store.add(f"user{number}@slow.test", now=now(), priority=Priority.BULK)
        rig.site("slow.test").answer = slowly(1)
        async with running(rig):
            await asyncio.sleep(60)
            rig.add("ant@slow.test")
            await asyncio.sleep(2.5)
            assert rig.store.state_of("ant@slow.test") == "delivered"
            for number in range(1000):
                rig.add(f"eager{number}@slow.test")
            await asyncio.sleep(10)
            assert rig.store.states()["claimed"] <= MIN_READY + URGENT

    virtual_time.run(story())


def test_urgent_mail_does_not_wait_for_the_turn_of_its_domain() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            rig.add("first@quick.test", priority=Priority.BULK)
            await settle_down()  # its route is known
            for number in range(3 * BATCH):
                rig.store.add(f"ant@d{number}.test", now=now(), priority=Priority.BULK)
            rig.engine.kick()
            await settle_down()
            assert rig.store.states() == {"delivered": 1 + 3 * BATCH}
            rig.store.claimed.clear()
            for number in range(3 * BATCH):
                rig.store.add(f"bee@d{number}.test", now=now(), priority=Priority.BULK)
            rig.add("urgent@quick.test")
            await settle_down()
            assert "urgent@quick.test" in rig.store.claimed[0]

    virtual_time.run(story())


def test_while_bulk_rests_an_urgent_domain_is_claimed_without_its_bulk() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = slowly(0.001)
        async with running(rig):
            rig.add("first@a.test", priority=Priority.BULK)
            await settle_down()
            rig.engine.make_way()
            for number in range(3):
                rig.store.add(f"bulk{number}@a.test", now=now(), priority=Priority.BULK)
            rig.add("urgent@a.test")
            await settle_down()
            urgent, rest = rig.store.claimed[-2:]
            assert urgent == ["urgent@a.test"]
            assert rest == [f"bulk{number}@a.test" for number in range(3)]

    virtual_time.run(story())


def test_the_backlog_of_a_dead_site_expires_in_time() -> None:
    async def story() -> None:
        rig = Rig()
        rig.site("dead.test").door = closed()
        for number in range(3000):
            rig.store.add(f"user{number}@dead.test", now=now())
        async with running(rig):
            await asyncio.sleep(4 * 86_400 - 60)
            assert rig.store.states()["expired"] == 0
            rig.add("late@dead.test")
            await asyncio.sleep(4 * 3600)
            assert rig.store.states() == {"expired": 3000, "waiting": 1}
            claims = rig.store.calls["claim"]
            for number in range(100):
                rig.add(f"new{number}@dead.test")
                await settle_down()
            assert rig.store.calls["claim"] <= claims + 2, "it is searched once a suspension"

    virtual_time.run(story())


def test_a_batch_is_shared_fairly_among_domains() -> None:
    async def story() -> None:
        rig = Rig()
        for number in range(1000):
            rig.store.add(f"user{number}@big.test", now=now())
        for number in range(9):
            rig.store.add(f"ant@small{number}.test", now=now())
        async with running(rig):
            first = rig.store.claims[0]
            assert set(first.values()) == {BATCH // 10}
            assert len(first) == 10
            assert rig.store.states() == {"delivered": 1009}

    virtual_time.run(story())


def test_a_slow_nameserver_holds_up_nobody_else() -> None:
    async def story() -> None:
        rig = Rig()
        for number in range(200):
            rig.router.delays[f"slow{number}.test"] = 30.0
            rig.store.add(f"ant@slow{number}.test", now=now())
        async with running(rig):
            rig.add("bee@fast.test")
            await settle_down()
            assert rig.store.state_of("bee@fast.test") == "delivered"
            assert rig.store.states()["claimed"] == 0, "nothing waits in memory for the DNS"
            await asyncio.sleep(31)
            assert rig.store.states() == {"delivered": 201}

    virtual_time.run(story())


def test_more_domains_than_can_be_routed_at_once_are_all_routed_once() -> None:
    async def story() -> None:
        rig = Rig()
        for number in range(1000):
            rig.router.delays[f"d{number}.test"] = 0.1
            rig.store.add(f"ant@d{number}.test", f"bee@d{number}.test", now=now())
        async with running(rig):
            await asyncio.sleep(1)
            assert rig.store.states() == {"delivered": 2000}
            assert set(rig.router.asked.values()) == {1}

    virtual_time.run(story())


def test_a_domain_without_a_route_is_deferred_and_its_backlog_left_alone() -> None:
    async def story() -> None:
        rig = Rig()
        rig.router.routes["lost.test"] = NO_DNS
        for number in range(BATCH + 100):
            rig.store.add(f"user{number}@lost.test", now=now())
        async with running(rig):
            assert rig.store.calls["claim"] == 1
            assert len(rig.store.settled) == BATCH
            _, fate, attempt = rig.store.settled[0]
            assert isinstance(fate, Deferred)
            assert (fate.why, attempt.outcome) == (Why.DNS, NO_DNS)
            await asyncio.sleep(29)
            assert rig.store.calls["claim"] == 1
            rig.router.routes["lost.test"] = route_to("lost.test")
            await asyncio.sleep(2)
            assert rig.store.states()["delivered"] == 100

    virtual_time.run(story())


def test_a_domain_whose_routing_we_fail_at_is_deferred_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        rig = Rig()
        route, faults = rig.router.route, [ZeroDivisionError()]

        async def fail(domain: str) -> Routed:
            if domain == "bad.test" and faults:
                raise faults.pop()
            return await route(domain)

        rig.router.route = fail
        async with running(rig):
            rig.add("ant@bad.test")
            rig.add("bee@b.test")
            await settle_down()
            assert rig.store.states() == {"delivered": 1, "waiting": 1}
            assert rig.store.state_of("bee@b.test") == "delivered"
            await asyncio.sleep(301)
            assert rig.store.states() == {"delivered": 2}

    virtual_time.run(story())
    assert "ZeroDivisionError" in caplog.text


def test_a_domain_that_takes_no_mail_bounces_all_of_it() -> None:
    async def story() -> None:
        rig = Rig()
        rig.router.routes["null.test"] = NULL_MX
        for number in range(BATCH + 100):
            rig.store.add(f"user{number}@null.test", now=now())
        async with running(rig):
            assert rig.store.states() == {"bounced": BATCH + 100}
            assert all(isinstance(fate, Bounced) for _, fate, _ in rig.store.settled)

    virtual_time.run(story())


def test_a_route_is_asked_for_again_after_some_seconds() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            for _ in range(4):
                rig.add("ant@a.test")
                await asyncio.sleep(2)
            assert rig.router.asked["a.test"] == 2
            rig.router.routes["a.test"] = route_to("moved.test")
            await asyncio.sleep(6)
            rig.add("bee@a.test")
            await settle_down()
            assert rig.site("moved.test").recipients == ["bee@a.test"]

    virtual_time.run(story())


def test_domains_that_share_a_site_share_a_transaction() -> None:
    async def story() -> None:
        rig = Rig()
        shared = Route("mx.test", route_to("mx.test").hops)
        rig.router.routes = {"a.test": shared, "b.test": shared}
        async with running(rig):
            rig.add("ant@a.test", "bee@b.test", "cid@a.test")
            await settle_down()
            [transaction] = rig.site("mx.test").transactions
            assert rig.store.calls["claim"] == 1
            assert {each.address for each in transaction.recipients} == {
                "ant@a.test",
                "bee@b.test",
                "cid@a.test",
            }

    virtual_time.run(story())


def test_keys_are_read_again_only_when_they_changed() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            for _ in range(3):
                rig.add("ant@a.test")
                await settle_down()
            assert rig.store.calls["key_book"] == 1
            rig.store.keys = type(rig.store.keys)({}, 7)
            rig.add("ant@a.test")
            await settle_down()
            assert rig.store.calls["key_book"] == 2

    virtual_time.run(story())


def test_memory_that_slow_sites_fill_is_shared_and_freed() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_ready=400, max_connections_per_site=1))
        for number in range(30):
            rig.site(f"slow{number}.test").answer = slowly(1)
            for user in range(100):
                rig.store.add(f"user{user}@slow{number}.test", now=now())
        async with running(rig):
            assert rig.store.states()["claimed"] <= 400
            rig.add("ant@good.test")
            await settle_down()
            assert rig.store.state_of("ant@good.test") == "delivered"
            await asyncio.sleep(300)
            assert rig.store.states() == {"delivered": 3001}

    virtual_time.run(story())


def test_c02_mail_that_is_stamped_before_and_committed_after_the_clock_is_set_back() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            before, rig.clock_is_off = rig.now(), later(-3600)
            rig.add("ant@a.test")  # the engine sees that the clock was set back
            await settle_down()
            assert rig.store.calls["after_set_back"] == 1
            rig.add("bee@b.test", now=before)
            await settle_down()
            assert rig.store.state_of("bee@b.test") == "waiting"
            await asyncio.sleep(MAX_SLEEP + 1)
            assert rig.store.states() == {"delivered": 2}
            await asyncio.sleep(10 * MAX_SLEEP)
            assert rig.store.calls["after_set_back"] == 2

    virtual_time.run(story())
