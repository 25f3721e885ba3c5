from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from random import Random

import pytest

from mta.core.outcome import Command, Peer, Refused, Stage, Unreachable
from mta.core.route import Hop, Route
from mta.resolver import Resolver
from mta.routing import HostMemory, Router, RoutingRules
from mta.smtp_client import NotOpened, Session
from tests.support.fake_dns import FakeDns, Records
from tests.support.receiver import Act, Answer, Bye, Drip, Receiver
from tests.support.sessions import (
    SHORT,
    Clock,
    connector,
    outcome_of,
    route_to,
    timeouts_for,
    transaction,
)


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port on which nobody listens, and nobody will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_session() -> None:
    async with Receiver(extensions=("SIZE 1000", "PIPELINING")) as receiver:
        session = await connector().connect(route_to(receiver))
        assert isinstance(session, Session)
        assert session.is_open
        assert (session.peer.host, session.peer.address) == ("mx.test", "127.0.0.1")
        assert session.peer.tls == ""
        assert session.extensions.max_size == 1000
        assert session.transactions == 0
        await session.close()
        assert receiver.commands == ["EHLO sender.test", "QUIT"]


# E02, E03, E04, E12: how a server may begin badly.
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"CONNECT": "554 5.7.1 no service"}, (554, Command.CONNECT)),
        ({"CONNECT": Bye("421 4.3.2 busy")}, (421, Command.CONNECT)),
        ({"CONNECT": "450 4.7.1 later"}, (450, Command.CONNECT)),
        ({"CONNECT": Act.HANG}, Stage.GREETING),
        ({"CONNECT": Act.CLOSE}, Stage.GREETING),
        ({"CONNECT": Act.RESET}, Stage.GREETING),
        ({"CONNECT": Drip("220 slow", 0.1)}, Stage.GREETING),
        ({"CONNECT": Drip("220-a\r\n220-b", 0.1)}, Stage.GREETING),
        ({"CONNECT": (b"220-" + b"A" * 70 + b"\r\n") * 1000}, Stage.GREETING),
        ({"CONNECT": b"220 " + b"A" * 300_000}, Stage.GREETING),
        ({"CONNECT": b"SSH-2.0-OpenSSH_9.2\r\n"}, Stage.GREETING),
        ({"CONNECT": "354 what"}, Stage.GREETING),
        ({"EHLO": "421 4.3.2 busy"}, (421, Command.EHLO)),
        ({"EHLO": "450 4.7.1 later"}, (450, Command.EHLO)),
        ({"EHLO": "502 what", "HELO": "550 5.7.1 go away"}, (550, Command.EHLO)),
        ({"EHLO": Act.CLOSE}, Stage.GREETING),
        ({"EHLO": "250-x\r\n550 y"}, Stage.GREETING),
        ({"EHLO": b"250-x\n250 SIZE 5\n"}, None),
        ({"EHLO": "502 what"}, None),
        ({"EHLO": "250-x\r\n" + "250-XYZ\r\n" * 3000 + "250 SIZE"}, None),
        ({"EHLO": "250-x\r\n" + "250-XYZ\r\n" * 10_000 + "250 SIZE"}, Stage.GREETING),
        ({"CONNECT": b"220-a\r\n220-b\r\n220 c\r\n"}, None),
    ],
)
async def test_beginnings(script: dict[str, Answer | Sequence[Answer]], expected: object) -> None:
    async with Receiver(script=script) as receiver:
        result = await connector(timeouts=timeouts_for(*script.values())).connect(
            route_to(receiver)
        )
        match result:
            case Session() as session:
                assert expected is None
                await session.close()
            case NotOpened(Refused(reply, command), peer):
                assert (reply.code, command) == expected
                assert peer == Peer("mx.test", "127.0.0.1")
            case NotOpened(Unreachable(stage, error)):
                assert stage is expected
                assert error.isprintable()
                assert f"mx.test[127.0.0.1]:{receiver.port}: " in error


async def test_nobody_listens() -> None:  # E01
    memory = HostMemory(clock=Clock())
    with closed_port() as port:
        route = Route("x", (Hop("mx.test", "127.0.0.1", port),))
        result = outcome_of(await connector(memory=memory).connect(route))
    error = f"mx.test[127.0.0.1]:{port}: Connection refused"
    assert result == Unreachable(Stage.CONNECT, error)
    assert memory.is_broken("127.0.0.1")


async def test_an_address_that_never_answers() -> None:
    with socket.socket() as full:  # a full queue of connections: the next SYN stays unanswered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.socket() as first, socket.socket() as second:
            for waiting in (first, second):
                waiting.setblocking(False)
                waiting.connect_ex(address)
            route = Route("x", (Hop("mx.test", *address),))
            result = outcome_of(await connector(timeouts=SHORT).connect(route))
    assert isinstance(result, Unreachable)
    assert result.stage is Stage.CONNECT
    assert result.error.endswith("no answer within 1 s")


async def test_a_family_without_network_is_remembered_whole() -> None:
    memory = HostMemory(clock=Clock())
    route = Route("x", (Hop("mx.test", "ff02::1", 25),))  # multicast: TCP has no route to it
    result = outcome_of(await connector(timeouts=SHORT, memory=memory).connect(route))
    assert isinstance(result, Unreachable)
    assert result.error.endswith("Network is unreachable")
    assert memory.is_broken("2600::1")
    assert not memory.is_broken("11.0.0.1")


async def test_the_first_hop_that_answers_is_taken() -> None:
    with closed_port() as port:
        async with Receiver() as receiver, Receiver(script={"CONNECT": "554 no"}) as refusing:
            hops = (
                Hop("dead.test", "127.0.0.2", port),
                Hop("refusing.test", "127.0.0.1", refusing.port),
                Hop("good.test", "127.0.0.1", receiver.port),
            )
            session = await connector().connect(Route("x", hops))
            assert isinstance(session, Session)
            assert session.peer.host == "good.test"
            await session.close()


async def test_a_dead_mx_host_costs_one_attempt_and_then_goes_last() -> None:
    memory = HostMemory(clock=Clock())
    records: dict[str, Records] = {
        "a.test": {"MX": ["10 dead.test.", "20 alive.test."]},
        "dead.test": {"A": ["127.0.0.2", "127.0.1.2"]},
        "alive.test": {"A": ["127.0.2.3"]},
    }
    receiver = Receiver()
    await receiver.start("127.0.2.3")
    async with FakeDns(records) as dns:
        router = Router(
            {},
            Resolver([dns.endpoint], timeout=timedelta(seconds=5), max_queries=9, clock=Clock()),
            RoutingRules(port=receiver.port, allow_private=True),
            memory=memory,
            random=Random(1),
        )
        for order in (["dead.test", "dead.test", "alive.test"], ["alive.test", "dead.test"]):
            route = await router.route("a.test")
            assert isinstance(route, Route)
            assert [hop.host for hop in route.hops][: len(order)] == order
            session = await connector(memory=memory).connect(route)
            assert isinstance(session, Session)
            assert session.peer.address == "127.0.2.3"
            await session.close()
    await receiver.stop()


# What several failures come to: as much hope as the most hopeful of them leaves.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"CONNECT": "554 no"}, {"CONNECT": Act.CLOSE}, (554, Command.CONNECT)),
        ({"CONNECT": Act.CLOSE}, {"EHLO": "421 busy"}, (421, Command.EHLO)),
        (
            {"EHLO": "550 no", "HELO": "550 no"},
            {"EHLO": "450 later"},
            (450, Command.EHLO),
        ),
        ({"EHLO": "550 no", "HELO": "550 no"}, {"CONNECT": Act.CLOSE}, Stage.GREETING),
    ],
)
async def test_several_failures(
    first: dict[str, Answer | Sequence[Answer]],
    second: dict[str, Answer | Sequence[Answer]],
    expected: object,
) -> None:
    async with Receiver(script=first) as one, Receiver(script=second) as two:
        for order in ((one, two), (two, one)):
            match await connector().connect(route_to(*order)):
                case NotOpened(Refused(reply, command)):
                    assert (reply.code, command) == expected
                case NotOpened(Unreachable(stage, _)):
                    assert stage is expected
                case Session():
                    raise AssertionError


async def test_errors_of_all_addresses_are_told() -> None:
    with closed_port() as port:
        hops = tuple(Hop(f"mx{i}.test", f"127.0.0.{i}", port) for i in (2, 3))
        result = outcome_of(await connector().connect(Route("x", hops)))
    assert isinstance(result, Unreachable)
    assert "mx2.test[127.0.0.2]" in result.error
    assert "mx3.test[127.0.0.3]" in result.error


async def test_many_sessions_at_once() -> None:
    async with Receiver() as receiver:
        client = connector()

        async def one() -> None:
            session = await client.connect(route_to(receiver))
            assert isinstance(session, Session)
            await session.deliver(transaction())
            await session.close()

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(one())
        assert len(receiver.messages) == 100
