from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mta.core.reply import Reply
from mta.smtp_wire import MAX_UNREAD, SmtpWire, WireError, dial
from tests.support.receiver import Act, Drip, Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def connected(receiver: Receiver) -> SmtpWire:
    wire = await dial(receiver.address, receiver.port, context=None, host="mx.test", within=5)
    assert (await wire.reply(5)).code == 220
    return wire


async def test_replies_to_commands_sent_ahead_come_in_order(receiver: Receiver) -> None:
    wire = await connected(receiver)
    wire.send(b"NOOP\r\nVRFY x\r\nMAIL FROM:<a@b.test>\r\n")
    assert [(await wire.reply(5)).code for _ in range(3)] == [250, 502, 250]
    assert wire.unread == b""
    await wire.quit(5)


async def test_asking(receiver: Receiver) -> None:
    wire = await connected(receiver)
    assert await wire.ask(b"NOOP", 5) == (250, "2.0.0 ok")
    with pytest.raises(ValueError, match="control character"):
        await wire.ask(b"NOOP\r\nQUIT", 5)
    await wire.quit(5)
    assert not wire.is_open
    for _ in range(2):
        with pytest.raises(WireError, match="closed"):
            await wire.ask(b"NOOP", 5)
        with pytest.raises(WireError, match="closed"):
            wire.send(b"NOOP\r\n")
    wire.abort()


async def test_what_came_before_the_end_is_still_read(receiver: Receiver) -> None:
    wire = await connected(receiver)
    receiver.say(b"250 one\r\n550 5.1.1 two\r\n250 tru")
    receiver.drop()
    assert (await wire.reply(5)).text == "one"
    assert await wire.reply(5) == Reply(550, "5.1.1", "two")
    with pytest.raises(WireError, match="closed by the peer"):
        await wire.reply(5)
    wire.abort()


async def test_a_flood_ends_the_connection(receiver: Receiver) -> None:
    wire = await connected(receiver)
    receiver.say(b"250 spam\r\n" * MAX_UNREAD)
    async with asyncio.timeout(5):
        while wire.is_open:  # noqa: ASYNC110 - only the kernel knows when it is here
            await asyncio.sleep(0)
    assert len(wire.unread) < 2 * MAX_UNREAD
    with pytest.raises(WireError, match="unasked"):
        wire.send(b"NOOP\r\n")


async def test_waiting_can_be_cancelled() -> None:
    async with Receiver(script={"NOOP": Act.HANG}) as receiver:
        wire = await connected(receiver)
        waiting = asyncio.create_task(wire.ask(b"NOOP", 5))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        wire.abort()


async def test_each_reply_has_its_own_deadline() -> None:
    async with Receiver(script={"NOOP": [Drip("250 ok", 0.02), Act.HANG]}) as receiver:
        wire = await connected(receiver)
        wire.send(b"NOOP\r\n")
        assert (await wire.reply(0.4)).code == 250  # with the timer for the greeting still set
        wire.send(b"NOOP\r\n")
        with pytest.raises(WireError, match=r"no reply within 0\.1 s"):
            await wire.reply(0.1)
        wire.abort()


async def test_a_later_deadline_is_kept_by_the_timer_of_an_earlier_one() -> None:
    async with Receiver(script={"NOOP": [Act.HANG]}) as receiver:
        wire = await connected(receiver)
        wire.send(b"VRFY x\r\n")
        assert (await wire.reply(0.1)).code == 502
        wire.send(b"NOOP\r\n")
        started = asyncio.get_running_loop().time()
        with pytest.raises(WireError, match=r"no reply within 0\.3 s"):
            await wire.reply(0.3)
        assert asyncio.get_running_loop().time() - started >= 0.3
        wire.abort()
