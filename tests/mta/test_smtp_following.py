"""The commands of the next transaction travel with the message of the one before (RFC 2920 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mta.core.outcome import Command
from mta.core.transaction import Transaction
from mta.smtp_transaction import Session, Stale
from tests.support.receiver import Act, Answer, Bye, Receiver
from tests.support.sessions import (
    BODY,
    HEADER,
    LOST,
    STEPWISE,
    brief,
    session_with,
    timeouts_for,
    transaction,
)

FIRST, SECOND = transaction("1@x.test"), transaction("2@x.test")


class Next:
    """Gives one transaction, and counts how often it is asked."""

    def __init__(self, given: Transaction | None = SECOND) -> None:
        self.given = given
        self.asked = 0

    async def __call__(self) -> Transaction | None:
        self.asked += 1
        return self.given


async def outcomes(session: Session, given: Transaction, following: Next) -> list[object]:
    found = await session.deliver(given, following)
    return ["stale"] if isinstance(found, Stale) else [brief(each) for each in found]


async def test_one_goes_ahead_of_the_other() -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        assert await outcomes(session, FIRST, Next()) == [250]
        assert session.is_open
        assert await outcomes(session, SECOND, Next(None)) == [250]
        assert session.transactions == 2
    assert [message.recipients for message in receiver.messages] == [["1@x.test"], ["2@x.test"]]
    assert [message.data for message in receiver.messages] == [HEADER + BODY] * 2
    assert receiver.commands.count("RSET") == 0
    assert receiver.commands[-1] == "QUIT"


async def test_the_message_itself_waits_for_its_turn() -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        await outcomes(session, FIRST, Next())
    assert len(receiver.messages) == 1
    assert "QUIT" not in receiver.commands  # it would be taken for text of the second message


async def test_a_server_without_pipelining_is_spoken_to_step_by_step() -> None:
    following = Next()
    async with session_with(Receiver(extensions=STEPWISE)) as session:
        assert await outcomes(session, FIRST, following) == [250]
        assert await outcomes(session, SECOND, following) == [250]
    assert following.asked == 0


async def test_nothing_goes_ahead_while_recipients_are_refused() -> None:
    following = Next()
    receiver = Receiver(recipients={"3@x.test": "452 4.5.3 too many"})
    async with session_with(receiver) as session:
        given = transaction("1@x.test", "3@x.test")
        assert await outcomes(session, given, following) == [250, (452, Command.RCPT)]
    assert following.asked == 0


async def test_what_the_server_cannot_take_does_not_go_ahead() -> None:
    unfit = transaction("2@x.test", is_8bit=True)
    async with session_with(Receiver(extensions=("PIPELINING",))) as session:
        assert await outcomes(session, FIRST, Next(unfit)) == [250]
        assert await outcomes(session, unfit, Next(None)) == [(554, Command.MAIL)]
        assert await outcomes(session, SECOND, Next(None)) == [250]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # the first is refused: the second goes on, and needs no RSET
        ({"DOT": ["550 5.7.1 spam", "250 ok"]}, [(550, Command.END_OF_DATA), 250]),
        ({"DOT": ["451 4.3.0 later", "250 ok"]}, [(451, Command.END_OF_DATA), 250]),
        # unless the server thinks that it does, which is nothing about the second
        (
            {"DOT": "550 5.7.1 spam", "MAIL": ["250 ok", "503 5.5.1 nested MAIL"]},
            [(550, Command.END_OF_DATA), "stale"],
        ),
        # the second is refused
        ({"MAIL": ["250 ok", "451 4.7.1 slow down"]}, [250, (451, Command.MAIL)]),
        ({"RCPT": ["250 ok", "550 5.1.1 no"]}, [250, (550, Command.RCPT)]),
        ({"DATA": ["354 go", "451 4.3.0 no"]}, [250, (451, Command.DATA)]),
        # the session ends in between: nothing of the second has begun
        ({"DOT": Bye("250 ok\r\n421 4.3.2 idle")}, [250, "stale"]),
        ({"DOT": Bye("421 4.3.2 closing")}, [(421, Command.END_OF_DATA), "stale"]),
        ({"DOT": Act.CLOSE}, [LOST, "stale"]),
        ({"DOT": Act.HANG}, [LOST, "stale"]),
        ({"MAIL": ["250 ok", Bye("421 4.4.2 bye")]}, [250, "stale"]),
        ({"MAIL": ["250 ok", Act.CLOSE]}, [250, "stale"]),
        # two answers to one message: never is the second taken for an answer to the next message
        ({"DOT": b"250 yes\r\n550 no\r\n"}, [250, "stale"]),
        ({"DOT": b"250 yes\r\n250 again\r\n"}, [250, "stale"]),
        ({"DOT": b"550 no\r\n250 yes\r\n"}, [(550, Command.END_OF_DATA), "stale"]),
        ({"RCPT": ["250 ok", Act.CLOSE]}, [250, "stale"]),
    ],
)
async def test_what_becomes_of_both(
    script: dict[str, Answer | Sequence[Answer]], expected: list[object]
) -> None:
    receiver = Receiver(script=script)
    async with session_with(receiver, timeouts_for(*script.values())) as session:
        found = await outcomes(session, FIRST, Next())
        found += await outcomes(session, SECOND, Next(None))
    assert found == expected
