"""Connections to sites: how many, who gets them, and what their failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from mta.bulk_rest import LONGEST
from mta.core.disposition import Delivered, Why
from mta.core.envelope import Priority
from mta.core.outcome import Command, Outcome, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.shaping import KEEP_FREE_FROM, Holding, Limits
from mta.core.transaction import Transaction
from tests.support import virtual_time
from tests.support.delivery_rig import (
    BUSY,
    DOWN,
    OK,
    FakeSession,
    FakeSite,
    Rig,
    closed,
    fill,
    running,
    slowly,
)
from tests.support.virtual_time import now, settle_down

OVERLOADED = Refused(Reply(421, "4.3.2", "overloaded"), Command.MAIL)


# Order and fairness.


def test_urgent_mail_overtakes_bulk_that_is_ready() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = slowly(1)
        async with running(rig):
            for number in range(5):
                rig.add(f"bulk{number}@a.test", priority=Priority.BULK)
            await asyncio.sleep(1.5)
            rig.add("urgent@a.test")
            await asyncio.sleep(10)
            assert rig.site("a.test").recipients == [
                "bulk0@a.test",
                "bulk1@a.test",
                "urgent@a.test",
                "bulk2@a.test",
                "bulk3@a.test",
                "bulk4@a.test",
            ]

    virtual_time.run(story())


def test_bulk_that_a_site_takes_its_time_over_keeps_no_urgent_mail_waiting() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(100)
            assert len(site.recipients) == site.open == 4
            assert rig.dispatcher.explain("a.test").waits_for.reason is Holding.KEPT_FREE
            rig.add("urgent@a.test")
            await settle_down()
            assert site.recipients[4] == "urgent@a.test"

    virtual_time.run(story())


def test_what_is_kept_free_is_not_opened_in_vain() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=5, idle_timeout=timedelta(seconds=5)))
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(1)
            rig.add("urgent@a.test")
            await asyncio.sleep(598)
            assert len(site.recipients) == site.open == 5
            await asyncio.sleep(3)  # bulk goes on over four of them
            assert (len(site.recipients), site.open) == (9, 5)
            await asyncio.sleep(500)
            assert (len(site.recipients), site.open, site.connections) == (9, 4, 5)
            rig.add("another@a.test")
            await settle_down()
            assert (site.recipients[-1], site.open) == ("another@a.test", 5)

    virtual_time.run(story())


def test_bulk_goes_over_what_was_kept_free_once_a_site_bears_more() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.answer = slowly(1)
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(0.5)
            rig.add("urgent@a.test")
            await asyncio.sleep(0.9)  # one of five rests since bulk was answered
            assert (len(site.recipients), rig.dispatcher.explain("a.test").window) == (8, 5)
            await asyncio.sleep(0.2)  # and no longer, with urgent mail answered
            assert (len(site.recipients), rig.dispatcher.explain("a.test").window) == (10, 6)

    virtual_time.run(story())


def test_few_connections_are_all_for_bulk_too() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=KEEP_FREE_FROM - 1))
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(1)
            assert len(site.recipients) == KEEP_FREE_FROM - 1

    virtual_time.run(story())


def test_all_connections_are_for_transactional_mail() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 100)
            await asyncio.sleep(1)
            assert len(site.recipients) == site.open == 5

    virtual_time.run(story())


def test_connections_that_are_being_opened_keep_none_from_bulk() -> None:
    async def first_only(site: FakeSite) -> None:
        if site.connections > 1:
            await asyncio.sleep(300)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=5))
        site = rig.site("a.test")
        site.answer, site.door = slowly(1), first_only
        async with running(rig):
            fill(rig, "a.test", 50, priority=Priority.BULK)
            await asyncio.sleep(1.5)
            rig.add("urgent@a.test")
            await asyncio.sleep(20)
            assert (site.connections, site.open) == (5, 1)
            assert len(site.recipients) == 22

    virtual_time.run(story())


def test_no_connection_is_kept_free_from_other_sites() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=8))
        for name in ("a.test", "b.test", "c.test", "d.test"):
            rig.site(name).answer = slowly(1)
            fill(rig, name, 200, priority=Priority.BULK)
        async with running(rig):
            await asyncio.sleep(150)
            assert rig.store.states() == {"delivered": 800}

    virtual_time.run(story())


def test_while_bulk_rests_connections_carry_urgent_mail_only() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=2))
        site = rig.site("a.test")
        site.answer = slowly(0.002)
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(0.02)
            rig.engine.make_way()
            await asyncio.sleep(0.003)  # what was begun is answered
            begun = len(site.recipients)
            await asyncio.sleep(0.005)
            assert (len(site.recipients), site.open) == (begun, 2)
            rig.add("urgent@a.test")
            await asyncio.sleep(0.001)
            assert site.recipients[begun:] == ["urgent@a.test"]
            await asyncio.sleep(0.003)  # it has arrived, so bulk goes on, over both connections
            assert len(site.recipients) >= begun + 3
            assert (site.open, site.connections) == (2, 2)

    virtual_time.run(story())


def test_bulk_whose_commands_are_ahead_rests_while_another_connection_is_free() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=5))
        site = rig.site("a.test")
        site.answer, site.offers_pipelining = slowly(0.002), True
        async with running(rig):
            fill(rig, "a.test", 200, priority=Priority.BULK)
            await asyncio.sleep(0.03)
            rig.add("first@a.test")
            await asyncio.sleep(0.01)
            begun = len(site.recipients)
            rig.engine.make_way()
            await asyncio.sleep(LONGEST * 0.9)
            assert len(site.recipients) == begun
            rig.add("urgent@a.test")
            await settle_down()
            assert site.recipients[begun] == "urgent@a.test"
            await asyncio.sleep(1)
            assert rig.store.states() == {"delivered": 202}

    virtual_time.run(story())


def test_bulk_goes_on_while_a_site_thinks_about_urgent_mail() -> None:
    async def think(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        await asyncio.sleep(30 if transaction.recipients[0].address == "urgent@a.test" else 0.001)
        return [OK]

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=5))
        site = rig.site("a.test")
        site.answer, site.offers_pipelining = think, True
        async with running(rig):
            fill(rig, "a.test", 500, priority=Priority.BULK)
            await asyncio.sleep(0.02)
            rig.engine.make_way()
            rig.add("urgent@a.test")
            await asyncio.sleep(0.003)
            begun = site.recipients.index("urgent@a.test")
            await asyncio.sleep(0.003)
            assert len(site.recipients) > begun + 5

    virtual_time.run(story())


def test_bulk_goes_on_where_the_urgent_mail_does_not_come() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=2))
        site = rig.site("a.test")
        site.answer, site.offers_pipelining = slowly(0.002), True
        async with running(rig):
            fill(rig, "a.test", 100, priority=Priority.BULK)
            await asyncio.sleep(0.02)
            rig.engine.make_way()
            begun = len(site.recipients)
            await asyncio.sleep(LONGEST * 0.99)
            assert len(site.recipients) <= begun + 2  # whose commands were on their way
            await asyncio.sleep(1)
            assert rig.store.states() == {"delivered": 100}
            assert (site.open, site.connections) == (2, 2)

    virtual_time.run(story())


def test_a_rest_of_bulk_gives_up_no_connection() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=2))
        for name in ("a.test", "b.test", "c.test"):
            rig.site(name).answer = slowly(0.002)
            fill(rig, name, 20, priority=Priority.BULK)
        async with running(rig):
            await asyncio.sleep(0.01)
            opened = sum(rig.site(name).connections for name in ("a.test", "b.test", "c.test"))
            rig.engine.make_way()
            await asyncio.sleep(LONGEST * 0.99)
            after = sum(rig.site(name).connections for name in ("a.test", "b.test", "c.test"))
            assert after == opened
            await asyncio.sleep(5)
            assert rig.store.states() == {"delivered": 60}

    virtual_time.run(story())


def test_mail_of_a_campaign_that_is_ready_can_be_called_back() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = slowly(1)
        give_back = rig.store.give_back

        async def hold(entry_ids: Sequence[int], due_at: datetime, why: Why) -> None:
            await give_back(entry_ids, due_at, why)
            for number in entry_ids:
                rig.store.rows[number].state = "held"

        rig.store.give_back = hold
        async with running(rig):
            for number in range(3):
                rig.add(f"news{number}@a.test", priority=Priority.BULK, campaign=7)
            rig.add("other@a.test", priority=Priority.BULK)
            await asyncio.sleep(0.5)
            await rig.dispatcher.recall({7})
            await asyncio.sleep(10)
            assert rig.site("a.test").recipients == ["news0@a.test", "other@a.test"]
            assert rig.store.states() == {"delivered": 2, "held": 2}
            assert rig.dispatcher.explain("a.test").entries == 0

    virtual_time.run(story())


def test_l08_entries_that_are_ready_can_be_called_back() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = slowly(1)
        async with running(rig):
            for number in range(4):
                rig.add(f"ant{number}@a.test")
            await asyncio.sleep(0.5)
            called = [
                row for row, one in rig.store.rows.items() if one.recipient < "ant2"
            ]  # the first is being tried
            given: list[int] = []

            async def suppress(entry_ids: Sequence[int], due_at: datetime, why: Why) -> None:
                given.extend(entry_ids)

            rig.store.give_back = suppress
            await rig.dispatcher.recall((), called)
            await asyncio.sleep(10)
            assert given == called[1:]
            assert rig.site("a.test").recipients == ["ant0@a.test", "ant2@a.test", "ant3@a.test"]

    virtual_time.run(story())


def test_a_dead_site_delays_no_other() -> None:
    async def story() -> None:
        rig = Rig()
        rig.site("dead.test").door = closed(after=30)
        fill(rig, "dead.test", 5000)
        async with running(rig):
            for number in range(20):
                rig.add(f"user{number}@good.test")
                started = now()
                await settle_down()
                assert rig.store.state_of(f"user{number}@good.test") == "delivered"
                assert now() == started
                await asyncio.sleep(7)

    virtual_time.run(story())


def test_fifty_tarpits_leave_a_connection_for_a_good_site() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=60))
        for number in range(50):
            rig.site(f"tar{number}.test").answer = slowly(600)
            fill(rig, f"tar{number}.test", 20)
        async with running(rig):
            await asyncio.sleep(60)
            rig.add("ant@good.test")
            await settle_down()
            assert rig.store.state_of("ant@good.test") == "delivered"

    virtual_time.run(story())


# How many connections.


def test_connections_grow_with_the_queue_up_to_the_window() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 5)
            await settle_down()
            assert site.open == 1
            fill(rig, "a.test", 7)  # one in hand, 11 waiting
            await settle_down()
            assert site.open == 3
            fill(rig, "a.test", 500)
            await settle_down()
            assert site.open == 5
            assert rig.dispatcher.explain("a.test").waits_for.reason is Holding.WINDOW

    virtual_time.run(story())


def test_a_delivery_that_waits_gets_a_connection_however_short_the_queue() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.answer = slowly(600)
        async with running(rig):
            fill(rig, "a.test", 2)
            await asyncio.sleep(0.9)
            assert site.open == 1
            await asyncio.sleep(0.2)
            assert site.open == 2

    virtual_time.run(story())


def test_the_window_grows_while_all_goes_well() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=12))
        rig.site("a.test").answer = slowly(0.1)
        async with running(rig):
            fill(rig, "a.test", 1000)
            await asyncio.sleep(10)
            assert rig.site("a.test").most_open == 12
            assert rig.store.states() == {"delivered": 1000}

    virtual_time.run(story())


def test_a_server_that_takes_two_connections_is_left_at_two() -> None:
    async def door(site: FakeSite) -> Refused | None:
        return BUSY if site.open >= 2 else None

    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.door = door
        site.answer = slowly(0.1)
        async with running(rig):
            fill(rig, "a.test", 300)
            await asyncio.sleep(60)
            assert rig.store.states() == {"delivered": 300}
            assert {type(fate) for _, fate, _ in rig.store.settled} == {Delivered}
            assert site.connections < 20, "it is not asked for a third again and again"

    virtual_time.run(story())


def test_connections_are_reused_and_closed_when_idle() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        async with running(rig):
            for _ in range(10):
                rig.add("ant@a.test")
                await asyncio.sleep(4)
            assert (site.connections, site.open) == (1, 1)
            await asyncio.sleep(1.1)
            assert site.open == 0

    virtual_time.run(story())


def test_a_connection_carries_so_many_messages_only() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_messages_per_connection=10, max_connections_per_site=1))
        async with running(rig):
            fill(rig, "a.test", 95)
            await settle_down()
            assert rig.site("a.test").connections == 10
            assert rig.store.states() == {"delivered": 95}

    virtual_time.run(story())


def test_sites_without_a_connection_take_turns_when_all_are_in_use() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=3))
        for number in range(9):
            rig.site(f"d{number}.test").answer = slowly(1)
            fill(rig, f"d{number}.test", 2)
        async with running(rig):
            assert rig.dispatcher.explain("d8.test").waits_for.reason is Holding.ENGINE_LIMIT
            await asyncio.sleep(30)
            assert rig.store.states() == {"delivered": 18}
            assert {site.most_open for site in rig.connector.sites.values()} == {1}

    virtual_time.run(story())


def test_busy_sites_do_not_keep_the_only_connections_for_themselves() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=2, max_messages_per_connection=5))
        for number in range(6):
            rig.site(f"d{number}.test").answer = slowly(1)
            fill(rig, f"d{number}.test", 100)
        async with running(rig):
            await asyncio.sleep(61)
            done = [len(site.transactions) for site in rig.connector.sites.values()]
            assert len(done) == 6
            assert min(done) >= 15

    virtual_time.run(story())


def test_an_idle_connection_gives_way_to_a_site_that_needs_one() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections=2, idle_timeout=timedelta(hours=1)))
        async with running(rig):
            for domain in ("a.test", "b.test", "c.test"):
                rig.add(f"ant@{domain}")
                await asyncio.sleep(1)
            assert rig.store.states() == {"delivered": 3}
            assert (rig.site("a.test").open, rig.site("b.test").open) == (0, 1)

    virtual_time.run(story())


# Dead sites.


def test_a_dead_site_is_suspended_and_its_backlog_stays_in_storage() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.door = closed()
        fill(rig, "a.test", 2000)
        async with running(rig):
            tried = len(rig.store.settled)
            assert 0 < tried <= 1000
            assert {fate.why for _, fate, _ in rig.store.settled} == {Why.UNREACHABLE}
            assert rig.store.states() == {"waiting": 2000}
            until, why, detail = rig.store.suspended["a.test"]
            assert (why, detail) == (Why.UNREACHABLE, "connection refused")
            view = rig.dispatcher.explain("a.test")
            assert (view.ready, view.last_error) == (0, "connection refused")
            connections = site.connections
            await asyncio.sleep((until - now()).total_seconds() - 0.1)
            assert site.connections == connections
            assert len(rig.store.settled) == tried
            site.door = closed(after=0.0)
            await asyncio.sleep(0.2)
            assert site.connections == connections + 1, "one connection probes it"

    virtual_time.run(story())


def test_a_site_that_comes_back_gets_all_its_mail() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.door = closed()
        fill(rig, "a.test", 2000)
        async with running(rig):
            site.door = FakeSite("a.test").door
            await asyncio.sleep(60)
            assert rig.store.states()["delivered"] >= 1000
            assert rig.dispatcher.explain("a.test").window > 1
            assert not rig.store.suspended, "nobody is told any more that it is left alone"
            await asyncio.sleep(400)
            assert rig.store.states() == {"delivered": 2000}

    virtual_time.run(story())


def test_suspensions_grow_while_a_site_stays_dead() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.door = closed()
        async with running(rig):
            for minutes in range(6 * 60):
                rig.add(f"user{minutes}@a.test")
                await asyncio.sleep(60)
            assert 20 < site.connections < 40, "every 15 to 19 minutes in the end"

    virtual_time.run(story())


def test_connections_that_fail_together_are_one_failure() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.door = closed(after=10)
        async with running(rig):
            fill(rig, "a.test", 100)
            await asyncio.sleep(11)
            assert site.connections == 5
            first = rig.store.suspended["a.test"][0] - now()
            assert first < timedelta(seconds=38), "not doubled yet"
            site.door = FakeSite("a.test").door
            site.answer = slowly(0.1)
            fill(rig, "a.test", 300)
            await asyncio.sleep(60)
            assert site.most_open > 2, "and it is trusted again"

    virtual_time.run(story())


def test_a_refusal_at_the_door_is_settled_as_a_reply() -> None:
    async def story() -> None:
        rig = Rig()
        rig.site("a.test").door = closed(BUSY)
        async with running(rig):
            rig.add("ant@a.test")
            await settle_down()
            [(_, fate, attempt)] = rig.store.settled
            assert (fate.why, attempt.outcome) == (Why.REPLY, BUSY)
            assert rig.store.suspended["a.test"][1] is Why.REPLY

    virtual_time.run(story())


def test_a_site_that_answers_421_again_and_again_is_left_alone() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        session.is_open = False
        return [OVERLOADED] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        fill(rig, "a.test", 100)
        async with running(rig):
            assert 3 <= len(rig.store.settled) <= 5
            assert rig.store.states() == {"waiting": 100}
            untried = [row for row in rig.store.rows.values() if not row.attempts]
            assert {row.why for row in untried} == {Why.SITE_BUSY}
            until = rig.store.suspended["a.test"][0]
            assert {row.due_at for row in untried} == {until}

    virtual_time.run(story())


def test_one_message_that_breaks_sessions_does_not_stop_the_others() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        if "poison" in transaction.recipients[0].address:
            session.is_open = False
            return [Unreachable(Stage.SESSION, "reset by peer")]
        await asyncio.sleep(0.1)
        return [OK]

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            rig.add("poison@a.test")
            fill(rig, "a.test", 50)
            await asyncio.sleep(10)
            assert rig.store.states() == {"delivered": 50, "waiting": 1}
            assert not rig.store.suspended

    virtual_time.run(story())


# Memory and explanations.


def test_sites_are_forgotten_when_unused() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            for number in range(1000):
                rig.add(f"ant@d{number}.test")
                await asyncio.sleep(10)
            assert len(rig.dispatcher._sites) < 300

    virtual_time.run(story())


def test_a_site_with_nothing_here_has_nothing_to_explain() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig):
            assert rig.dispatcher.explain("a.test") is None
            rig.site("a.test").door = closed(DOWN)
            rig.add("ant@a.test")
            await settle_down()
            view = rig.dispatcher.explain("a.test")
            assert (view.connections, view.waits_for.reason) == (0, Holding.EMPTY)

    virtual_time.run(story())
