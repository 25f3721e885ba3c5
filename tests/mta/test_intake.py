"""Messages on their way in: so many at the same time, in order, and none for long."""

from __future__ import annotations

import asyncio

import pytest

from mta.core.reply import Reply
from mta.intake import Intake
from tests.support import virtual_time
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FakeHandler, listening, service
from tests.support.virtual_time import settle_down


def test_whoever_finds_no_place_gets_the_first_that_is_left_in_turn() -> None:
    async def story() -> None:
        intake = Intake(places=2, lapse=1.0)
        first, _ = await intake.enter(), await intake.enter()
        assert not intake.has_room()
        third, fourth = (asyncio.create_task(intake.enter()) for _ in range(2))
        await settle_down()
        assert not third.done()
        intake.leave(first)
        await settle_down()
        assert (third.done(), fourth.done()) == (True, False)
        intake.leave(third.result())
        intake.leave(await fourth)
        assert intake.has_room()

    virtual_time.run(story())


def test_nobody_overtakes_those_who_wait() -> None:
    async def story() -> None:
        intake = Intake(places=1, lapse=1.0)
        first = await intake.enter()
        second = asyncio.create_task(intake.enter())
        await settle_down()
        intake.leave(first)
        assert not intake.has_room()  # the place is the second's, who has not heard of it yet
        third = asyncio.create_task(intake.enter())
        await settle_down()
        assert (second.done(), third.done()) == (True, False)
        intake.leave(second.result())
        await third

    virtual_time.run(story())


def test_who_takes_long_keeps_nobody_waiting() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        intake = Intake(places=2, lapse=1.0)
        slow = await intake.enter()
        await asyncio.sleep(0.5)
        await intake.enter()
        await asyncio.gather(intake.enter(), intake.enter())
        assert loop.time() == 1.5  # one after a second of the first, one after that of the other
        intake.leave(slow)  # gives nothing back: its place has lapsed
        assert not intake.has_room()
        await intake.enter()
        assert loop.time() == 2.0

    virtual_time.run(story())


def test_one_who_gives_up_waiting_takes_no_place() -> None:
    async def story() -> None:
        intake = Intake(places=1, lapse=1.0)
        first = await intake.enter()
        waiting = asyncio.create_task(intake.enter())
        last = asyncio.create_task(intake.enter())
        await settle_down()
        waiting.cancel()
        await settle_down()
        intake.leave(first)
        intake.leave(await last)
        assert intake.has_room()

    virtual_time.run(story())


async def test_a_session_gets_its_354_when_a_message_before_it_got_its_250() -> None:
    gate = asyncio.Event()
    handler = FakeHandler(gate=gate)
    crowded = service(handler, intake=Intake(places=1, lapse=60.0))
    async with listening(crowded) as port, dialogue(port) as one, dialogue(port) as other:
        commands = ("MAIL FROM:<a@sender.test>", "RCPT TO:<b@rcpt.test>", "DATA")
        assert (await one.ask(*commands)).startswith("354")
        await one.send(b"Subject: x\r\n\r\n.\r\n")
        await handler.waiting.wait()
        await other.send(b"".join(line.encode() + b"\r\n" for line in commands))
        assert [(await other.reply())[:3] for _ in commands[1:]] == ["250", "250"]
        answer = asyncio.create_task(other.reply())
        await asyncio.sleep(0.05)
        assert not answer.done()
        gate.set()
        assert (await one.reply()).startswith("250")
        assert (await answer).startswith("354")
        await other.send(b"Subject: y\r\n\r\n.\r\n")
        assert (await other.reply()).startswith("250")


@pytest.mark.parametrize("end", ["reset", "refused"])
async def test_a_message_that_came_to_nothing_leaves_its_place(end: str) -> None:
    intake = Intake(places=1, lapse=60.0)
    handler = FakeHandler(data_reply=Reply(550, "5.6.0", "Not that"))
    async with listening(service(handler, intake=intake)) as port, dialogue(port) as one:
        commands = ("MAIL FROM:<a@sender.test>", "RCPT TO:<b@rcpt.test>", "DATA")
        assert (await one.ask(*commands)).startswith("354")
        assert not intake.has_room()
        if end == "reset":
            one.reset()
        else:
            await one.send(b"Subject: x\r\n\r\n.\r\n")
            assert (await one.reply()).startswith("550")
        async with asyncio.timeout(5), dialogue(port) as other:
            assert (await other.ask(*commands)).startswith("354")
