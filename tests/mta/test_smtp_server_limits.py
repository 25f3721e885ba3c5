"""What one client may use, and when the session ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from mta.smtp_listener import SmtpListener
from mta.smtp_session import Limits
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service

HURRIED = Limits(command_timeout=timedelta(milliseconds=200), data_rate=100_000)
MESSAGE = b"Subject: x\r\n\r\n"


@pytest.mark.parametrize("ending", [b"", b"\r\n"])
async def test_an_endless_command_line(ending: bytes) -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        await client.send(b"NOOP " + b"A" * 4092 + ending)
        assert await client.reply() == "500 5.5.2 Line too long"
        assert await client.is_closed()


async def test_the_line_limit_never_moves() -> None:
    """aiosmtpd widens it with every EHLO, and every new connection takes that back."""
    line = "MAIL FROM:<a@b.test> AUTH=" + "x" * 501
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        for _ in range(20):
            await client.ask("EHLO c.test")
        async with dialogue(port):
            assert (await client.ask(line)).startswith("501 5.5.4")
        assert (await client.ask(line[:-1])).startswith("250")


@pytest.mark.parametrize("junk", ["NOOP", "RSET", "VRFY x", "HELP", "EHLO x", "HELO x"])
async def test_junk_commands(junk: str) -> None:
    limits = replace(FAST, junk_commands=10)
    async with listening(service(FakeHandler(), limits)) as port, dialogue(port) as client:
        await client.ask(*["NOOP"] * 9)
        assert (await client.submit(MESSAGE)).startswith("250")
        for _ in range(11):
            assert (await client.ask(junk))[:3] in {"250", "252", "214"}
        assert await client.reply() == "421 4.7.0 Too many commands without a message"
        assert await client.is_closed()


async def test_errors() -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        for _ in range(20):
            assert (await client.ask("WHAT")).startswith("500")
        assert await client.reply() == "421 4.7.0 Too many errors"
        assert await client.is_closed()


async def test_errors_are_forgiven_by_a_message() -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        for _ in range(3):
            await client.ask(*["WHAT"] * 19)
            assert (await client.submit(MESSAGE)).startswith("250")


async def test_recipients() -> None:
    handler = FakeHandler()
    limits = replace(FAST, recipients=100)
    async with listening(service(handler, limits)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<a@b.test>")
        codes = [
            (await client.ask(f"RCPT TO:<r{number}@b.test>")).split()[:2] for number in range(200)
        ]
        assert (await client.ask("DATA")).startswith("354")
        assert (await client.ask(MESSAGE + b".")).startswith("250")
    assert codes == [["250", "2.1.5"]] * 100 + [["452", "4.5.3"]] * 100
    assert len(handler.envelopes[0].recipients) == 100


async def test_connections() -> None:
    limits = replace(FAST, connections=2)
    full = service(FakeHandler(), limits)
    async with listening(full) as port, dialogue(port), dialogue(port) as second:
        async with dialogue(port, helo="") as third:
            assert await third.is_closed()
        await second.ask("QUIT")
        assert await second.is_closed()
        async with dialogue(port) as fourth:
            assert (await fourth.ask("NOOP")).startswith("250")


async def test_connections_of_one_address() -> None:
    limits = replace(FAST, connections_per_address=1)
    async with listening(service(FakeHandler(), limits)) as port, dialogue(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"421 4.7.0 Too many connections from your address\r\n"
        writer.transport.abort()
        local = ("127.0.0.2", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local)
        assert (await reader.readline()).startswith(b"220")
        writer.transport.abort()


@pytest.mark.parametrize("start", [b"", b"NOO", b"MAIL FROM:<a@b.test>\r\nRCPT"])
async def test_a_command_that_does_not_come(start: bytes) -> None:
    async with listening(service(FakeHandler(), HURRIED)) as port, dialogue(port) as client:
        await client.send(start)
        if start.startswith(b"MAIL"):
            assert (await client.reply()).startswith("250")
        assert await client.reply() == "421 4.4.2 Timed out waiting for the client"
        assert await client.is_closed()


async def test_dripping_does_not_move_the_deadline() -> None:
    async with listening(service(FakeHandler(), HURRIED)) as port, dialogue(port) as client:
        assert await dripping(client.send, b"N") == "cut"


async def test_dripping_data_does_not_move_the_deadline() -> None:
    async with listening(service(FakeHandler(), HURRIED)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        assert await dripping(client.send, b"N") == "cut"


async def test_slow_data_that_gets_on_is_served_beyond_the_deadline() -> None:
    handler = FakeHandler()
    async with listening(service(handler, HURRIED)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        await client.send(MESSAGE)
        for _ in range(20):  # 400 ms at twice the least rate, with a deadline of 200 ms
            await client.send((b"x" * 798 + b"\r\n") * 5)
            await asyncio.sleep(0.02)
        assert (await client.ask(".")).startswith("250")


async def dripping(send: Callable[[bytes], Awaitable[None]], octet: bytes) -> str:
    """Send an octet every 20 ms until the server cuts the connection."""
    async with asyncio.timeout(5):
        while True:
            try:
                await send(octet)
            except ConnectionError:
                return "cut"
            await asyncio.sleep(0.02)


async def test_a_client_that_reads_no_replies() -> None:
    async with listening(service(FakeHandler(), HURRIED)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):
                await endlessly(writer, b"NOOP\r\n" * 1000)


async def endlessly(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


async def test_a_session_has_its_time() -> None:
    limits = replace(FAST, session_time=timedelta(milliseconds=50))
    async with listening(service(FakeHandler(), limits)) as port, dialogue(port) as client:
        await asyncio.sleep(0.06)
        assert (await client.ask("NOOP")).startswith("250")  # it was waited for already
        assert await client.reply() == "421 4.7.0 Session too long"


class Stopping:
    """A listener that a test stops itself."""

    def __init__(self, handler: FakeHandler) -> None:
        self.listener = SmtpListener(service(handler))

    async def start(self) -> int:
        [(_, port)] = await self.listener.start([("127.0.0.1", 0)])
        return port

    async def stop(self, seconds: float = 5.0) -> None:
        async with asyncio.timeout(10):
            await self.listener.stop(timedelta(seconds=seconds))


async def test_stopping_ends_idle_sessions_and_closes_the_port() -> None:
    stopping = Stopping(FakeHandler())
    port = await stopping.start()
    async with dialogue(port) as client:
        await client.ask("MAIL FROM:<>")
        await stopping.stop()
        assert await client.reply() == "421 4.3.2 Service shutting down"
        assert await client.is_closed()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_stopping_lets_a_message_finish() -> None:
    handler = FakeHandler(gate=asyncio.Event())
    assert handler.gate
    stopping = Stopping(handler)
    port = await stopping.start()
    async with dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        stop = asyncio.create_task(stopping.stop())
        await client.send(MESSAGE)
        await client.send(b"\r\n.\r\nNOOP\r\n")
        await handler.waiting.wait()
        assert not stop.done()
        handler.gate.set()
        assert await client.reply() == "250 2.0.0 Ok: queued"
        assert await client.reply() == "421 4.3.2 Service shutting down"
        await stop
    assert len(handler.messages) == 1


async def test_stopping_does_not_wait_for_ever() -> None:
    handler = FakeHandler()
    stopping = Stopping(handler)
    port = await stopping.start()
    async with dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        await stopping.stop(0.05)
        assert await client.is_closed()
    assert not handler.messages


async def test_stopping_awaits_a_commit_even_when_the_client_was_cut() -> None:
    handler = FakeHandler(gate=asyncio.Event())
    assert handler.gate
    stopping = Stopping(handler)
    port = await stopping.start()
    async with dialogue(port) as client:
        commit = asyncio.create_task(client.submit(MESSAGE))
        await handler.waiting.wait()
        stop = asyncio.create_task(stopping.stop(0.05))
        with suppress(ConnectionError):
            assert await commit == ""
        handler.gate.set()
        await stop
    assert len(handler.messages) == 1
