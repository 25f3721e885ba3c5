"""Messages as they arrive: dots, line ends, sizes, the spool, and sessions after a refusal."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from mta.core.canonical import body_hash
from mta.core.envelope import Envelope
from mta.core.esmtp import Refusal
from mta.core.reply import Reply
from mta.smtp_data import MessageReceiver
from mta.smtp_session import Limits, Session
from storage.errors import StorageFull
from storage.spool import INLINE_LIMIT, Spool, SpoolFile
from tests.support.smtp_dialogue import Dialogue, dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service

HEAD = b"Subject: x\r\n\r\n"


async def receive(
    wire: bytes, *, piece: int = 65_536, spool: Spool | None = None, max_size: int = 10**8
) -> FakeHandler:
    """Feed what comes after DATA in pieces; return the handler that got the message."""
    handler = FakeHandler()
    envelope = Envelope(None, ())
    receiver = MessageReceiver(
        lambda header: handler.begin(Session(""), envelope, header), spool=spool, max_size=max_size
    )
    try:
        for start in range(0, len(wire), piece):
            await receiver.take(receiver.decode(wire[start : start + piece]))
        assert receiver.is_complete
        await receiver.finish()
    finally:
        await receiver.aclose()
    return handler


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b".\r\n", b"\r\n"),  # nothing at all: an empty header and no body
        (b"\r\n.\r\n", b"\r\n"),
        (b"A: b\r\n.\r\n", b"A: b\r\n\r\n"),  # no blank line: all header
        (b"A: b\r\n\r\n.\r\n", b"A: b\r\n\r\n"),
        (b"A: b\r\n\r\n\r\n.\r\n", b"A: b\r\n\r\n\r\n"),
        (b"A: b\r\n\r\n..\r\n..x\r\n...\r\n.\r\n", b"A: b\r\n\r\n.\r\n.x\r\n..\r\n"),
        (b"A: b\r\n\r\nx.\r\n.\r\n", b"A: b\r\n\r\nx.\r\n"),
        (b"\r\nbody\r\n.\r\n", b"\r\nbody\r\n"),
    ],
)
async def test_dots_and_headers_wherever_pieces_end(wire: bytes, data: bytes, piece: int) -> None:
    handler = await receive(wire, piece=piece)
    [message] = handler.messages
    assert message.data == data
    assert message.size == len(data)
    assert message.body_hash == body_hash(data[message.header_size :])


@pytest.mark.parametrize("octet", [b"a", b"\xc3\xa9", b"\0"])
async def test_bytes_are_kept(octet: bytes) -> None:
    handler = await receive(HEAD + octet + b"\r\n.\r\n")
    assert handler.messages[0].data == HEAD + octet + b"\r\n"
    assert handler.messages[0].is_8bit == (not octet.isascii())


@pytest.mark.parametrize(
    ("extra", "is_spooled"), [(-1, False), (0, False), (1, True), (1_000_000, True)]
)
async def test_large_messages_go_to_the_spool(tmp_path: Path, extra: int, is_spooled: bool) -> None:
    spool = Spool(tmp_path)
    lines = (b"x" * 62 + b"\r\n") * 25_000
    data = (HEAD + lines)[: INLINE_LIMIT + extra - 2] + b"\r\n"
    handler = await receive(data + b".\r\n", piece=10_000, spool=spool)
    [message] = handler.messages
    assert message.size == len(data)
    assert message.body_hash == body_hash(data[len(HEAD) :])
    assert (message.file is not None) == is_spooled
    assert (message.data is None) == is_spooled
    if message.file:
        assert spool.path(message.file).read_bytes() == data


LARGE = HEAD + (b"x" * 70 + b"\r\n") * 10_000


async def test_a_refused_large_message_leaves_no_file(tmp_path: Path) -> None:
    handler = FakeHandler(data_reply=Reply(550, "5.7.1", "No"))
    async with (
        listening(service(handler, spool=Spool(tmp_path))) as port,
        dialogue(port) as client,
    ):
        assert await client.submit(LARGE) == "550 5.7.1 No"
    assert handler.messages[0].file
    assert not list(tmp_path.iterdir())


async def test_an_interrupted_large_message_leaves_no_file(tmp_path: Path) -> None:
    interrupted = service(FakeHandler(), spool=Spool(tmp_path))
    async with listening(interrupted) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        await client.send(LARGE)
    assert not list(tmp_path.iterdir())


class FullSpool(Spool):
    """A disk that is full."""

    def begin(self) -> SpoolFile:
        raise StorageFull("no space")


async def test_a_full_spool_is_answered_after_the_final_dot(tmp_path: Path) -> None:
    handler = FakeHandler()
    async with (
        listening(service(handler, spool=FullSpool(tmp_path))) as port,
        dialogue(port) as client,
    ):
        assert (await client.submit(LARGE)).startswith("452 4.3.1")
        assert (await client.submit(HEAD)).startswith("250")
    assert len(handler.messages) == 1


SMUGGLED = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\nA: evil\r\n\r\n"
LOOKALIKES = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n.\0\r\n",
]


@pytest.mark.parametrize("end", LOOKALIKES)
async def test_no_other_sequence_ends_a_message(end: bytes) -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port) as client:
        reply = await client.submit(HEAD + b"x" + end + SMUGGLED)
        if b"\0" in end and b"\r\r" not in end:  # nothing wrong with the line ends: one message
            assert reply.startswith("250")
            assert (await client.ask("NOOP")).startswith("250")
        else:
            assert reply == "550 5.5.2 A line must end in CR LF"
            assert await client.is_closed()
    assert all(SMUGGLED in (message.data or b"") for message in handler.messages)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"x" * 998 + b"\r\n", "250"),
        (b"." * 999 + b"\r\n", "250"),  # the first dot is transparency and counts for nothing
        (b"x" * 999 + b"\r\n", "550 5.6.0"),
        (b"x" * 100_000 + b"\r\n", "550 5.6.0"),
    ],
)
async def test_line_length(body: bytes, reply: str) -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        assert (await client.submit(HEAD + body)).startswith(reply)
        assert (await client.submit(HEAD)).startswith("250")


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        (b"A: b\r\n" * 10, "250"),
        (b"Received: x\r\n" * 50, "250"),
        (b"RECEIVED : x\r\n" * 101, "554 5.4.6"),
        (b"A: " + b"b\r\n c" * 21_000 + b"\r\n", "552 5.3.4"),
        (b"A: b\r\n" * 17_066, "250"),  # 102,396 bytes; how many fields is the handler's business
        (b"A: b\r\n" * 17_067, "552 5.3.4"),
    ],
)
async def test_headers(header: bytes, reply: str) -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        assert (await client.submit(header + b"\r\nbody\r\n")).startswith(reply)


SMALL = Limits(message_size=100_000, auth_delay=FAST.auth_delay)


async def test_a_message_that_is_too_large() -> None:
    handler = FakeHandler()
    line = b"x" * 98 + b"\r\n"
    async with listening(service(handler, SMALL)) as port, dialogue(port) as client:
        assert (await client.ask("MAIL FROM:<> SIZE=100001")).startswith("552 5.3.4")
        fits = HEAD + line * 999
        assert (await client.submit(fits)).startswith("250")
        assert (await client.submit(fits + line)).startswith("552 5.3.4")
        assert (await client.submit(HEAD)).startswith("250")
    assert len(handler.messages) == 2


@pytest.mark.parametrize("flood", [b"A" * 65_536, b"x\r\n" * 20_000, b"\n" * 65_536])
async def test_endless_data_is_cut(flood: bytes) -> None:
    async with listening(service(FakeHandler(), SMALL)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        sent = await flooded(client, flood)
        assert sent < 40 * 2**20
        assert await client.is_closed()


async def flooded(client: Dialogue, flood: bytes) -> int:
    """Send until the server closes; return how much."""
    async with asyncio.timeout(20):
        for count in range(10_000):
            try:
                await client.send(flood)
            except ConnectionError:
                return count * len(flood)
    raise AssertionError("never cut")


@pytest.mark.parametrize("flood", [b"A" * 65_536, b"A: b\r\n" * 10_000, b"\r\n.." * 10_000])
async def test_endless_data_takes_no_memory(flood: bytes) -> None:
    receiver = MessageReceiver(lambda _: Reply(550, "", ""), spool=None, max_size=200_000)
    refused = False
    tracemalloc.start()
    try:
        for _ in range(500):
            content = receiver.decode(flood)
            if not refused:
                try:
                    await receiver.take(content)
                except Refusal:
                    refused = True
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused
    assert receiver.received == 500 * len(flood)
    assert peak < 2**20


async def test_commands_after_a_refused_message_are_obeyed() -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA")
        await client.send(HEAD + b"x" * 1000 + b"\r\n.\r\nNOOP\r\n")
        assert (await client.reply()).startswith("550 5.6.0")
        assert (await client.reply()).startswith("250 2.0.0")
