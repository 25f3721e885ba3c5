from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from mta.core.outcome import (
    Command,
)
from mta.core.transaction import Transaction, TransactionRecipient
from mta.smtp_client import Stale
from tests.support.receiver import Act, Answer, Bye, Drip, Receiver
from tests.support.sessions import (
    BODY,
    HEADER,
    LOST,
    SESSION_BROKE,
    SHORT,
    STEPWISE,
    both_ways,
    brief,
    session_with,
    timeouts_for,
    transaction,
)


@dataclass(frozen=True)
class Row:
    step: str
    answer: Answer | list[Answer]
    expected: object
    is_open: bool = False


MAIL, RCPT, DATA, DOT = "MAIL", "RCPT", "DATA", "DOT"

ROWS = [
    # refused at each command: the session lives on
    Row(MAIL, "450 4.1.8 later", (450, Command.MAIL), is_open=True),
    Row(MAIL, "550 5.1.8 no", (550, Command.MAIL), is_open=True),
    Row(RCPT, "450 4.2.1 later", (450, Command.RCPT), is_open=True),
    Row(RCPT, "550 5.1.1 no", (550, Command.RCPT), is_open=True),
    Row(DATA, "451 4.3.0 later", (451, Command.DATA), is_open=True),
    Row(DATA, "554 5.7.1 no", (554, Command.DATA), is_open=True),
    Row(DOT, "451 4.3.0 later", (451, Command.END_OF_DATA), is_open=True),
    Row(DOT, "550 5.7.1 spam", (550, Command.END_OF_DATA), is_open=True),
    # 421 is an answer, and the end (E07)
    Row(MAIL, Bye("421 4.3.2 closing"), (421, Command.MAIL)),
    Row(RCPT, Bye("421 4.3.2 closing"), (421, Command.RCPT)),
    Row(DATA, Bye("421 4.3.2 closing"), (421, Command.DATA)),
    Row(DOT, Bye("421 4.3.2 closing"), (421, Command.END_OF_DATA)),
    Row(DOT, "421 4.3.2 closing", (421, Command.END_OF_DATA)),
    # gone at each command (E05, E06)
    Row(MAIL, Act.CLOSE, SESSION_BROKE),
    Row(RCPT, Act.CLOSE, SESSION_BROKE),
    Row(DATA, Act.CLOSE, SESSION_BROKE),
    Row(DOT, Act.CLOSE, LOST),
    Row(MAIL, Act.RESET, SESSION_BROKE),
    Row(RCPT, Act.RESET, SESSION_BROKE),
    Row(DATA, Act.RESET, SESSION_BROKE),
    Row(DOT, Act.RESET, LOST),
    # silent at each command; the deadline is the whole reply's (E08)
    Row(MAIL, Act.HANG, SESSION_BROKE),
    Row(RCPT, Act.HANG, SESSION_BROKE),
    Row(DATA, Act.HANG, SESSION_BROKE),
    Row(DOT, Act.HANG, LOST),
    Row(MAIL, Drip("250 ok", 0.1), SESSION_BROKE),
    Row(DOT, Drip("250 ok", 0.1), LOST),
    Row(DOT, Drip("250 ok", 0.001), 250, is_open=True),
    # the first digit decides (E13)
    Row(RCPT, "251 2.1.5 forwarding", 250, is_open=True),
    Row(RCPT, "252 maybe", 250, is_open=True),
    Row(DOT, "251 ok", 251, is_open=True),
    Row(DOT, "200 ok", 200, is_open=True),
    Row(DOT, "299 ok", 299, is_open=True),
    Row(DOT, "250", 250, is_open=True),
    Row(DOT, "250-2.0.0 a\r\n250-2.0.0 b\r\n250 2.0.0 c", 250, is_open=True),
    Row(DOT, b"250 ok\n", 250, is_open=True),
    # out of step (E14)
    Row(MAIL, "354 go", SESSION_BROKE),
    Row(RCPT, "354 go", SESSION_BROKE),
    Row(DATA, "250 ok", SESSION_BROKE),
    Row(DOT, "354 go", LOST),
    # no reply at all (E12)
    Row(MAIL, b"\xff\xfe\x00garbage\r\n", SESSION_BROKE),
    Row(RCPT, b"25 ok\r\n", SESSION_BROKE),
    Row(DATA, b"2_5 ok\r\n", SESSION_BROKE),
    Row(DOT, b"\xff\xfe\x00garbage\r\n", LOST),
    Row(DOT, b"25 ok\r\n", LOST),
    Row(DOT, b"2_5 0 ok\r\n", LOST),
    Row(DOT, b"250-yes\r\n550 no\r\n", LOST),
    Row(DOT, b"550-no\r\n250 yes\r\n", LOST),
    Row(DOT, b"250 " + b"a" * 9000 + b"\r\n", LOST),
    Row(DOT, b"250-yes\r\n" * 4000 + b"250 yes\r\n", LOST),
    Row(DOT, b"250 yes\r\n550 no\r\n", LOST),
    Row(DOT, b"550 no\r\n250 yes\r\n", LOST),
    # a farewell behind the answer is no second answer
    Row(DOT, Bye("250 ok\r\n421 4.3.2 idle"), 250),
    # answers before they are due
    Row(DATA, b"354 go\r\n250 ok\r\n", SESSION_BROKE),
]


@both_ways
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.step} {str(row.answer)[:40]!a}")
async def test_misbehaviour(row: Row, extensions: Sequence[str]) -> None:
    receiver = Receiver(script={row.step: row.answer}, extensions=extensions)
    async with session_with(receiver, timeouts_for(row.answer)) as session:
        outcomes = await session.deliver(transaction())
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [row.expected]
        assert session.is_open is row.is_open


@both_ways
async def test_what_arrives(extensions: Sequence[str]) -> None:
    receiver = Receiver(extensions=extensions)
    async with session_with(receiver) as session:
        given = transaction("b@receiver.test", '"c d"@receiver.test')
        outcomes = await session.deliver(given)
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [250, 250]
        assert session.transactions == 1
    (message,) = receiver.messages
    assert message.data == HEADER + BODY
    assert message.mail_from == "a@sender.test"
    assert message.mail_line == f"MAIL FROM:<a@sender.test> SIZE={len(HEADER + BODY)}"
    assert message.recipients == ["b@receiver.test", '"c d"@receiver.test']
    assert message.helo == "sender.test"
    assert receiver.commands[-1] == "QUIT"
    assert receiver.message_ids == {"<1@sender.test>": 1}


@both_ways
async def test_the_null_return_path(extensions: Sequence[str]) -> None:
    receiver = Receiver(extensions=extensions)
    async with session_with(receiver) as session:
        await session.deliver(transaction(mail_from=""))
    assert receiver.messages[0].mail_line.startswith("MAIL FROM:<> ")


async def test_dsn_parameters_only_where_they_are_known() -> None:
    recipient = TransactionRecipient("b@receiver.test", "NEVER", "rfc822;b@x.test")
    given = Transaction("a@sender.test", (recipient,), HEADER, BODY, 10, ret="HDRS", envid="e1")
    knows = Receiver()
    async with session_with(knows) as session:
        await session.deliver(given)
    assert knows.messages[0].mail_line.endswith(" RET=HDRS ENVID=e1")
    assert knows.messages[0].rcpt_lines[0].endswith(" NOTIFY=NEVER ORCPT=rfc822;b@x.test")
    ignores = Receiver(extensions=())
    async with session_with(ignores) as session:
        await session.deliver(given)
    assert ignores.messages[0].mail_line == "MAIL FROM:<a@sender.test>"
    assert ignores.messages[0].rcpt_lines == ["RCPT TO:<b@receiver.test>"]


@both_ways
async def test_every_recipient_has_its_own_outcome(extensions: Sequence[str]) -> None:  # E16
    answers: dict[str, Answer] = {
        "1@x.test": "250 ok",
        "2@x.test": "451 4.7.1 greylisted",
        "3@x.test": "550 5.1.1 unknown",
        "4@x.test": "252 ok",
        "5@x.test": "452 4.5.3 too many",
    }
    receiver = Receiver(recipients=answers, extensions=extensions)
    async with session_with(receiver) as session:
        outcomes = await session.deliver(transaction(*answers))
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [
            250,
            (451, Command.RCPT),
            (550, Command.RCPT),
            250,
            (452, Command.RCPT),
        ]
    assert receiver.messages[0].recipients == ["1@x.test", "4@x.test"]


@both_ways
async def test_421_among_recipients_spares_those_answered(extensions: Sequence[str]) -> None:
    answers: dict[str, Answer] = {
        "1@x.test": "550 5.1.1 unknown",
        "2@x.test": "250 ok",
        "3@x.test": Bye("421 4.3.2 closing"),
        "4@x.test": "250 ok",
    }
    receiver = Receiver(recipients=answers, extensions=extensions)
    async with session_with(receiver) as session:
        outcomes = await session.deliver(transaction(*answers))
        assert not isinstance(outcomes, Stale)
        assert [brief(each) for each in outcomes] == [
            (550, Command.RCPT),
            *[(421, Command.RCPT)] * 3,
        ]
        assert not session.is_open


@both_ways
async def test_a_break_after_some_refusals_spares_them(extensions: Sequence[str]) -> None:
    answers: dict[str, Answer] = {"1@x.test": "550 5.1.1 unknown", "2@x.test": "250 ok"}
    receiver = Receiver(recipients=answers, script={"DOT": Act.CLOSE}, extensions=extensions)
    async with session_with(receiver) as session:
        outcomes = await session.deliver(transaction(*answers))
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [(550, Command.RCPT), LOST]


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
async def test_nobody_accepted_but_data_is_answered_354(step: str) -> None:  # E17, RFC 2920 3.1
    receiver = Receiver(script={step: ["550 5.1.1 no", "250 ok"], "DATA": "354 anyway"})
    async with session_with(receiver) as session:
        outcomes = await session.deliver(transaction())
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [(550, Command[step])]
        assert [message.data for message in receiver.messages] == [b""]
        outcomes = await session.deliver(transaction())
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [250]
    assert receiver.messages[1].data == HEADER + BODY


async def test_stepwise_no_data_is_asked_when_nobody_was_accepted() -> None:
    receiver = Receiver(script={"RCPT": "550 5.1.1 no"}, extensions=STEPWISE)
    async with session_with(receiver) as session:
        await session.deliver(transaction("1@x.test", "2@x.test"))
    assert "DATA" not in receiver.commands


@pytest.mark.parametrize(
    ("extensions", "given", "expected"),
    [
        (("SIZE 20",), transaction(size=21), (552, Command.MAIL)),
        ((), transaction(is_8bit=True), (554, Command.MAIL)),
        ((), transaction(mail_from="ä@sender.test"), (550, Command.MAIL)),
        ((), transaction("ü@receiver.test"), (553, Command.RCPT)),
    ],
)
async def test_refused_without_a_word(  # E21
    extensions: Sequence[str], given: Transaction, expected: object
) -> None:
    receiver = Receiver(extensions=extensions)
    async with session_with(receiver) as session:
        outcomes = await session.deliver(given)
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [expected]
        assert session.is_open
    assert receiver.commands == ["EHLO sender.test", "QUIT"]


async def test_a_utf8_recipient_is_refused_alone() -> None:
    receiver = Receiver(extensions=())
    async with session_with(receiver) as session:
        outcomes = await session.deliver(transaction("ü@receiver.test", "b@receiver.test"))
        assert not isinstance(outcomes, Stale)
        assert [brief(outcome) for outcome in outcomes] == [(553, Command.RCPT), 250]
    assert receiver.messages[0].recipients == ["b@receiver.test"]


@both_ways
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_reset_only_before_the_next_message(step: str, extensions: Sequence[str]) -> None:
    receiver = Receiver(script={step: ["550 5.7.1 no", DEFAULT[step]]}, extensions=extensions)
    async with session_with(receiver) as session:
        await session.deliver(transaction())
        assert "RSET" not in receiver.commands
        for _ in range(2):
            outcomes = await session.deliver(transaction())
            assert not isinstance(outcomes, Stale)
            assert [brief(outcome) for outcome in outcomes] == [250]
    assert receiver.commands.count("RSET") == 1
    assert receiver.connections == 1


DEFAULT: dict[str, Answer] = {
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go",
    "DOT": "250 ok",
}


# E15, E19: what goes wrong on a session in use before MAIL is answered is no attempt.
@both_ways
@pytest.mark.parametrize(
    ("script", "is_stale"),
    [
        ({"MAIL": ["250 ok", Act.CLOSE]}, True),
        ({"MAIL": ["250 ok", Act.RESET]}, True),
        ({"MAIL": ["250 ok", Bye("421 4.4.2 idle too long")]}, True),
        ({"MAIL": ["250 ok", b"garbage\r\n"]}, True),
        ({"DOT": "550 5.7.1 no", "RSET": Act.HANG}, True),
        ({"DOT": "550 5.7.1 no", "RSET": Act.CLOSE}, True),
        ({"DOT": "550 5.7.1 no", "RSET": "500 what"}, True),
        ({"DOT": "550 5.7.1 no", "RSET": Bye("421 4.4.2 bye")}, True),
        ({"MAIL": ["250 ok", "451 4.7.1 slow down"]}, False),
        ({"RCPT": ["250 ok", Act.CLOSE]}, False),
        ({"RCPT": ["250 ok", Bye("421 4.4.2 bye")]}, False),
    ],
)
async def test_stale_sessions(
    script: dict[str, Answer | Sequence[Answer]], is_stale: bool, extensions: Sequence[str]
) -> None:
    receiver = Receiver(script=script, extensions=extensions)
    async with session_with(receiver, timeouts_for(*script.values())) as session:
        assert not isinstance(await session.deliver(transaction()), Stale)
        second = await session.deliver(transaction())
        assert isinstance(second, Stale) is is_stale
        if isinstance(second, Stale):
            assert second.error.isprintable()
            assert not session.is_open


@pytest.mark.parametrize("word", [b"250 ok\r\n", b"421 4.4.2 idle\r\n", b"4", None])
async def test_whatever_comes_between_messages_ends_the_session(word: bytes | None) -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        assert session.is_open
        await session.deliver(transaction())
        if word is None:
            receiver.drop()
        else:
            receiver.say(word)
        async with asyncio.timeout(5):
            while session.is_open:  # noqa: ASYNC110 - only the kernel knows when it is here
                await asyncio.sleep(0)
        assert isinstance(await session.deliver(transaction()), Stale)
    assert len(receiver.messages) == 1


async def test_a_cancelled_delivery_closes_the_session() -> None:
    receiver = Receiver(script={"DOT": Act.HANG})
    async with session_with(receiver) as session:
        delivery = asyncio.create_task(session.deliver(transaction()))
        await receiver.wait_for_dots(1)
        delivery.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivery
        assert not session.is_open


async def test_closing_never_waits_long_and_never_fails() -> None:
    for answer in (Act.HANG, Act.CLOSE, Act.RESET, b"garbage\r\n", "250 still here"):
        async with (
            asyncio.timeout(5),
            session_with(Receiver(script={"QUIT": answer}), SHORT) as session,
        ):
            await session.close()
            assert not session.is_open
            await session.close()
