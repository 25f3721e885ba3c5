"""What becomes of deliveries: each outcome, and the end of the engine around them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from mta.core.disposition import Bounced, Deferred, Delivered, Why
from mta.core.envelope import Priority
from mta.core.outcome import OUR_FAULT, Ambiguous, Command, Outcome, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.shaping import Limits
from mta.core.transaction import Transaction
from mta.smtp_transaction import Stale
from storage.errors import StorageCorrupt
from storage.queue import QueuedEntry, QueuedMessage
from tests.support import virtual_time
from tests.support.delivery_rig import (
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

GREYLISTED = Refused(Reply(451, "4.7.1", "try later"), Command.RCPT)
UNKNOWN = Refused(Reply(550, "5.1.1", "no such user"), Command.RCPT)
TOO_MANY = Refused(Reply(452, "4.5.3", "too many recipients"), Command.RCPT)


# Outcomes.


def test_each_recipient_gets_its_own_result() -> None:
    async def answer(_: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        fates = {"ant@a.test": OK, "bee@a.test": GREYLISTED, "cid@a.test": UNKNOWN}
        return [fates[each.address] for each in transaction.recipients]

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            rig.add("ant@a.test", "bee@a.test", "cid@a.test")
            await settle_down()
            fates = {recipient: type(fate) for recipient, fate, _ in rig.store.settled}
            assert fates == {"ant@a.test": Delivered, "bee@a.test": Deferred, "cid@a.test": Bounced}
            assert rig.dispatcher.explain("a.test").window == 5
            await asyncio.sleep(301)
            assert rig.site("a.test").recipients.count("bee@a.test") == 2
            assert rig.site("a.test").recipients.count("cid@a.test") == 1

    virtual_time.run(story())


def test_recipients_refused_as_too_many_go_again_at_once_without_an_attempt() -> None:
    async def answer(_: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        return [OK if number < 40 else TOO_MANY for number, _ in enumerate(transaction.recipients)]

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            rig.add(*(f"user{number}@a.test" for number in range(100)))
            await settle_down()
            assert rig.store.states() == {"delivered": 100}
            assert {row.attempts for row in rig.store.rows.values()} == {1}
            sizes = [len(each.recipients) for each in rig.site("a.test").transactions]
            assert sizes == [100, 60, 20]
            assert rig.site("a.test").connections == 1

    virtual_time.run(story())


def test_a_server_that_takes_no_recipient_at_all_defers_them() -> None:
    async def answer(_: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        return [TOO_MANY] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            rig.add("ant@a.test", "bee@a.test")
            await settle_down()
            assert len(rig.site("a.test").transactions) == 1
            assert {row.attempts for row in rig.store.rows.values()} == {1}

    virtual_time.run(story())


def test_a_session_found_stale_is_no_attempt() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome] | Stale:
        if session.used == 1:
            return [OK] * len(transaction.recipients)
        session.is_open = False
        return Stale("closed while idle")

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            for number in range(5):
                rig.add(f"user{number}@a.test")
                await asyncio.sleep(1)
            assert rig.store.states() == {"delivered": 5}
            assert {row.attempts for row in rig.store.rows.values()} == {1}
            assert rig.site("a.test").connections == 5

    virtual_time.run(story())


def test_greylisting_one_recipient_slows_no_other() -> None:
    async def answer(_: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        grey = [GREYLISTED if "grey" in each.address else OK for each in transaction.recipients]
        await asyncio.sleep(0.1)
        return grey

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig):
            for number in range(100):
                rig.add(f"grey{number}@a.test")
            rig.add("ant@a.test")
            await asyncio.sleep(5)
            assert rig.store.state_of("ant@a.test") == "delivered"
            assert not rig.store.suspended
            assert rig.dispatcher.explain("a.test").window == 5

    virtual_time.run(story())


# The end.


def test_stopping_lets_what_is_under_way_finish_and_gives_the_rest_back() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = slowly(1)
        fill(rig, "a.test", 10)
        async with running(rig, patience=5):
            await asyncio.sleep(0.5)
        assert now() == virtual_time.EPOCH + timedelta(seconds=1)
        assert rig.store.states() == {"delivered": 1, "waiting": 9}
        rest = [row for row in rig.store.rows.values() if row.state == "waiting"]
        assert {(row.attempts, row.why) for row in rest} == {(0, Why.SITE_BUSY)}
        assert rig.site("a.test").open == 0

    virtual_time.run(story())


def test_what_takes_too_long_to_stop_goes_back_untried() -> None:
    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = slowly(600)
        rig.site("b.test").door = closed(after=600)
        async with running(rig, patience=5):
            rig.add("ant@a.test")
            rig.add("bee@b.test")
            await settle_down()
        assert now() == virtual_time.EPOCH + timedelta(seconds=5)
        assert rig.store.states() == {"waiting": 2}
        assert {row.attempts for row in rig.store.rows.values()} == {0}

    virtual_time.run(story())


def test_what_a_cut_server_may_have_taken_counts_as_tried() -> None:
    async def answer(session: FakeSession, _: Transaction) -> Sequence[Outcome]:
        await session.cut.wait()
        return [Ambiguous("connection closed")]

    async def story() -> None:
        rig = Rig()
        rig.site("a.test").answer = answer
        async with running(rig, patience=5):
            rig.add("ant@a.test")
            await settle_down()
        [row] = rig.store.rows.values()
        assert (row.state, row.attempts, row.why) == ("waiting", 1, Why.AMBIGUOUS)

    virtual_time.run(story())


def test_stopping_while_idle_takes_no_time() -> None:
    async def story() -> None:
        rig = Rig()
        async with running(rig, patience=30):
            rig.add("ant@a.test")
            await settle_down()
        assert now() == virtual_time.EPOCH

    virtual_time.run(story())


# What nobody expected.


def test_a_delivery_that_we_fail_at_is_tried_again_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        if session.site.recipients.count("bad@a.test") < 2 and "bad@a.test" in [
            each.address for each in transaction.recipients
        ]:
            raise ZeroDivisionError
        return [OK] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").answer = answer
        async with running(rig):
            rig.add("bad@a.test")
            fill(rig, "a.test", 20)
            await settle_down()
            assert rig.store.states() == {"delivered": 20, "waiting": 1}
            [(_, fate, attempt)] = [one for one in rig.store.settled if one[0] == "bad@a.test"]
            assert (fate.why, attempt.outcome) == (Why.LOCAL, OUR_FAULT)
            assert rig.dispatcher.explain("a.test").window == 5, "the site is not to blame"
            await asyncio.sleep(301)
            assert rig.store.states() == {"delivered": 21}
        assert rig.site("a.test").open == 0

    virtual_time.run(story())
    assert "ZeroDivisionError" in caplog.text


def test_a_message_that_we_fail_to_build_spoils_no_other_behind_which_it_is_prepared() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        site = rig.site("a.test")
        site.offers_pipelining = True
        build = rig.tools.builder.build

        async def fail(message: QueuedMessage, entries: Sequence[QueuedEntry], at: datetime) -> Any:
            if any(entry.recipient.startswith("bad") for entry in entries):
                raise ZeroDivisionError
            return await build(message, entries, at)

        rig.tools.builder.build = fail  # type: ignore[method-assign]
        async with running(rig):
            for number in range(5):
                rig.store.add(f"ant{number}@a.test", now=now())
                rig.store.add(f"bad{number}@a.test", now=now())
            rig.engine.kick()
            await settle_down()
            assert rig.store.states() == {"delivered": 5, "waiting": 5}
            assert {row.attempts for row in rig.store.rows.values()} == {1}

    virtual_time.run(story())


def test_a_site_that_we_fail_to_connect_to_is_left_alone_for_a_while() -> None:
    async def door(site: FakeSite) -> None:
        if site.connections == 1:
            raise ZeroDivisionError

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        rig.site("a.test").door = door
        async with running(rig):
            rig.add("ant@a.test")
            rig.add("bee@b.test")
            await settle_down()
            assert rig.store.state_of("bee@b.test") == "delivered"
            assert [one[2].outcome for one in rig.store.settled if one[0] == "ant@a.test"] == [
                OUR_FAULT
            ]
            await asyncio.sleep(301)
            assert rig.store.states() == {"delivered": 2}

    virtual_time.run(story())


def test_an_error_of_the_queue_itself_ends_the_engine() -> None:
    async def fail(*_: object) -> None:
        raise StorageCorrupt("the file is damaged")

    async def story() -> None:
        rig = Rig()
        rig.store.settle = fail
        task = asyncio.create_task(rig.engine.run())
        await settle_down()
        rig.add("ant@a.test")
        with pytest.raises(ExceptionGroup) as caught:
            await task
        assert caught.group_contains(StorageCorrupt)

    virtual_time.run(story())


# The next delivery, prepared while one is under way.


def test_where_there_is_enough_for_all_connections_the_next_delivery_is_prepared() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        return [OK] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        site = rig.site("a.test")
        site.offers_pipelining, site.answer = True, answer
        async with running(rig):
            fill(rig, "a.test", 20)
            await settle_down()
            assert rig.store.states() == {"delivered": 20}
            assert site.recipients == [f"user{number}@a.test" for number in range(20)]

    virtual_time.run(story())


def test_a_prepared_delivery_goes_to_another_connection_when_its_own_ends() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        if session.ahead is not None:
            session.is_open = False
        return [OK] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        site = rig.site("a.test")
        site.offers_pipelining, site.answer = True, answer
        async with running(rig):
            fill(rig, "a.test", 20)
            await settle_down()
            assert rig.store.states() == {"delivered": 20}
            assert site.recipients == [f"user{number}@a.test" for number in range(20)]
            assert site.connections > 10
            assert {row.attempts for row in rig.store.rows.values()} == {1}

    virtual_time.run(story())


def test_the_last_delivery_of_a_connection_prepares_none() -> None:
    ahead: list[bool] = []

    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        ahead.append(session.ahead is not None)
        return [OK] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1, max_messages_per_connection=3))
        site = rig.site("a.test")
        site.offers_pipelining, site.answer = True, answer
        async with running(rig):
            fill(rig, "a.test", 20)
            await settle_down()
            assert rig.store.states() == {"delivered": 20}
            assert ahead[:6] == [True, True, False, True, True, False]

    virtual_time.run(story())


def test_urgent_mail_is_not_prepared_behind_bulk() -> None:
    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        site = rig.site("a.test")
        site.offers_pipelining = True
        seen: list[tuple[str, str]] = []

        async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
            ahead = session.ahead.recipients[0].address if session.ahead else ""
            seen.append((transaction.recipients[0].address, ahead))
            return await slowly(1)(session, transaction)

        site.answer = answer
        async with running(rig):
            for number in range(6):
                rig.add(f"bulk{number}@a.test", priority=Priority.BULK)
            await asyncio.sleep(0.5)
            rig.add("urgent@a.test")
            await asyncio.sleep(3)
            assert seen[:4] == [
                ("bulk0@a.test", "bulk1@a.test"),
                ("bulk1@a.test", ""),
                ("urgent@a.test", "bulk2@a.test"),
                ("bulk2@a.test", "bulk3@a.test"),
            ]

    virtual_time.run(story())


def test_bulk_beyond_its_share_of_connections_is_not_prepared() -> None:
    async def story() -> None:
        rig = Rig()
        site = rig.site("a.test")
        site.offers_pipelining = True
        behind_urgent: list[Transaction | None] = []

        async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
            if transaction.recipients[0].address == "urgent@a.test":
                behind_urgent.append(session.ahead)
                return [OK]
            return await slowly(60)(session, transaction)

        site.answer = answer
        async with running(rig):
            fill(rig, "a.test", 50, priority=Priority.BULK)
            await asyncio.sleep(1)
            rig.add("urgent@a.test")
            await asyncio.sleep(1)
            assert behind_urgent == [None]
            assert (len(site.recipients), site.open) == (5, 5)

    virtual_time.run(story())


def test_a_stop_gives_back_what_was_prepared() -> None:
    async def answer(session: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
        await session.cut.wait()
        return [Unreachable(Stage.SESSION, "cut")] * len(transaction.recipients)

    async def story() -> None:
        rig = Rig(Limits(max_connections_per_site=1))
        site = rig.site("a.test")
        site.offers_pipelining, site.answer = True, answer
        async with running(rig):
            fill(rig, "a.test", 20)
            await settle_down()
            await rig.engine.stop(1)
        assert rig.store.states() == {"waiting": 20}
        assert {row.attempts for row in rig.store.rows.values()} == {0}

    virtual_time.run(story())
