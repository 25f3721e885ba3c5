"""What happens to the bytes of a message between 354 and the final reply."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.core.outcome import Command, Stage, Unreachable
from mta.core.route import Hop, Route
from mta.core.transaction import SpooledBody, Transaction
from mta.smtp_client import Session
from tests.support.receiver import Act, Answer, Bye, Receiver
from tests.support.sessions import (
    HEADER,
    SESSION_BROKE,
    SHORT,
    both_ways,
    brief,
    connector,
    session_with,
    transaction,
)

# H02, E22: every byte arrives, and nothing in a message can end it.
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b".", b"..", b".\r", b"\n.\n", b"\r\n.\r", b".x", b"RSET", b"x" * 2000]
        ),
        st.binary(max_size=30),
    ),
    max_size=12,
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@settings(max_examples=60, deadline=None)
@given(body=LINES)
async def test_every_byte_arrives(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "spooled"
    path.write_bytes(HEADER + body)
    receiver = Receiver()
    async with session_with(receiver) as session:
        await session.deliver(transaction(body=body))
        spooled = SpooledBody(path, len(HEADER))
        await session.deliver(transaction(body=spooled, size=len(HEADER + body)))
    assert [message.data for message in receiver.messages] == [HEADER + body] * 2
    assert receiver.connections == 1


async def test_a_message_without_final_line_end_gets_one() -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        await session.deliver(transaction(body=b"no end"))
        await session.deliver(transaction(body=b"one\r\n."))
    assert [m.data for m in receiver.messages] == [HEADER + b"no end\r\n", HEADER + b"one\r\n.\r\n"]


# Bodies on disk.


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Transaction:
    """A message of 25 MB in a spool file."""
    path = tmp_path_factory.mktemp("spool") / "large"
    line = b".234567 " * 9 + b"\r\n"
    with path.open("wb") as file:
        file.write(HEADER)
        for _ in range(25):
            file.write(line * 13_500)
    size = path.stat().st_size
    return transaction(body=SpooledBody(path, len(HEADER)), size=size)


class Discard(asyncio.Protocol):
    """Answers 250 to everything, 354 to DATA, and counts what comes then."""

    def __init__(self) -> None:
        self.count = 0
        self._tail = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 discard\r\n")

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._tail:
            self.count += len(data)
            self._tail = (self._tail + data)[-5:]
            if self._tail == b"\r\n.\r\n":
                self._tail = b""
                self._transport.write(b"250 discarded\r\n")
        elif data.startswith(b"DATA"):
            self._tail = b"\r\n"
            self._transport.write(b"354 go\r\n")
        else:
            self._transport.write(b"250 ok\r\n")


async def test_a_large_message_takes_little_memory(large: Transaction) -> None:
    discard = Discard()
    server = await asyncio.get_running_loop().create_server(lambda: discard, "127.0.0.1", 0)
    async with server:
        address, port = server.sockets[0].getsockname()
        route = Route("x", (Hop("discard.test", address, port),))
        session = await connector().connect(route)
        assert isinstance(session, Session)
        tracemalloc.start()
        outcomes = await session.deliver(large)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await session.close()
    assert isinstance(outcomes, tuple)
    assert [brief(outcome) for outcome in outcomes] == [250]
    dots = 25 * 13_500
    assert discard.count == large.size + dots + len(b".\r\n")
    assert peak < 3_000_000, peak


@both_ways
async def test_a_peer_that_stops_reading_ends_the_session(  # E09
    large: Transaction, extensions: Sequence[str]
) -> None:
    receiver = Receiver(script={"BODY": Act.HANG}, extensions=extensions)
    async with session_with(receiver, SHORT) as session:
        outcomes = await session.deliver(large)
        assert outcomes == (Unreachable(Stage.SESSION, "the peer took no data for 0.4 s"),)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("552 5.3.4 too big", (552, Command.END_OF_DATA)),
        (Bye("451 4.3.1 disk full"), (451, Command.END_OF_DATA)),
        (Bye("421 4.3.2 closing"), (421, Command.END_OF_DATA)),
        ("250 ok", SESSION_BROKE),
        (b"garbage\r\n", SESSION_BROKE),
        (Act.CLOSE, SESSION_BROKE),
        (Act.RESET, SESSION_BROKE),
    ],
)
async def test_an_answer_before_the_end_of_the_message(
    large: Transaction, answer: Answer, expected: object
) -> None:
    receiver = Receiver(script={"BODY": answer})
    async with session_with(receiver) as session:
        outcomes = await session.deliver(large)
        assert isinstance(outcomes, tuple)
        assert [brief(outcome) for outcome in outcomes] == [expected]
        assert not session.is_open
    assert not receiver.messages


async def test_a_missing_spool_file_is_our_own_fault(tmp_path: Path) -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        missing = transaction(body=SpooledBody(tmp_path / "missing", 0), size=1)
        outcomes = await session.deliver(missing)
        assert isinstance(outcomes, tuple)
        (outcome,) = outcomes
        assert isinstance(outcome, Unreachable)
        assert outcome.stage is Stage.LOCAL
        assert session.is_open
    assert "DATA" not in receiver.commands


async def test_a_spool_file_that_cannot_be_read_sends_no_final_dot(tmp_path: Path) -> None:
    receiver = Receiver()
    async with session_with(receiver) as session:
        spooled = SpooledBody(Path("/proc/self/mem"), 0)  # opens, and then fails to read
        outcomes = await session.deliver(transaction(body=spooled, size=1))
        assert isinstance(outcomes, tuple)
        (outcome,) = outcomes
        assert isinstance(outcome, Unreachable)
        assert outcome.stage is Stage.LOCAL
        assert not session.is_open
    assert not receiver.message_ids
