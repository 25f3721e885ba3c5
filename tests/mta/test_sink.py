from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mta.sink import Sink, SinkMessage, SinkRules
from mta.smtp_session import Service
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import listening

NOW = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
MESSAGE = b"Subject: x\r\n\r\n..dot\r\n"


def make(rules: SinkRules | None = None) -> tuple[Sink, Service, list[SinkMessage]]:
    told: list[SinkMessage] = []
    sink = Sink(rules or SinkRules(), now=lambda: NOW, on_message=told.append)
    return sink, Service("sink.test", sink), told


@pytest.mark.parametrize(
    "message", [MESSAGE, b"\r\n", b"Subject: x\r\n\r\n", b"no header at all\r\n\r\nhello\r\n"]
)
async def test_a_message_is_kept_as_it_came(message: bytes) -> None:
    sink, service, told = make()
    async with listening(service) as port, dialogue(port) as client:
        assert await client.submit(message) == "250 2.0.0 Ok: message 1"
    [kept] = sink.messages
    assert told == [kept]
    assert kept.data == message.replace(b"\r\n..", b"\r\n.")
    assert (kept.number, kept.received_at, kept.session.helo) == (1, NOW, "client.test")


async def test_memory_is_bounded() -> None:
    sink, service, _ = make(SinkRules(keep=2))
    async with listening(service) as port, dialogue(port) as client:
        for _ in range(3):
            await client.submit(MESSAGE)
    assert [message.number for message in sink.messages] == [2, 3]
    assert sink.received == 3


async def test_messages_are_written_under_safe_names(tmp_path: Path) -> None:
    _, service, _ = make(SinkRules(directory=tmp_path / "mail"))
    async with listening(service) as port, dialogue(port) as client:
        await client.submit(MESSAGE, sender="<>", to='<"../../x"@rcpt.test>')
        await client.submit(MESSAGE)
    names = sorted(path.name for path in (tmp_path / "mail").iterdir())
    assert names == [
        "20300101T093000-000001.eml",
        "20300101T093000-000001.json",
        "20300101T093000-000002.eml",
        "20300101T093000-000002.json",
    ]
    assert (tmp_path / "mail" / names[0]).read_bytes() == b"Subject: x\r\n\r\n.dot\r\n"
    assert json.loads((tmp_path / "mail" / names[1]).read_text()) == {
        "received_at": "2030-01-01T09:30:00Z",
        "client": "127.0.0.1",
        "helo": "client.test",
        "tls": "",
        "mail_from": "",
        "recipients": ['"../../x"@rcpt.test'],
        "size": 20,
    }


async def test_the_first_attempts_of_each_recipient_are_deferred() -> None:
    _, service, _ = make(SinkRules(defer_first=2))
    async with listening(service) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>")
        replies = [await client.ask("RCPT TO:<a@rcpt.test>") for _ in range(3)]
        assert [reply[:9] for reply in replies] == ["451 4.7.1", "451 4.7.1", "250 2.1.5"]
        assert (await client.ask("RCPT TO:<b@rcpt.test>")).startswith("451 4.7.1")


async def test_recipients_are_refused_by_pattern() -> None:
    _, service, _ = make(SinkRules(refuse=("*@full.test", "nobody@*")))
    async with listening(service) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<>")
        assert (await client.ask("RCPT TO:<A@FULL.test>")).startswith("550 5.1.1")
        assert (await client.ask("RCPT TO:<Nobody@x.test>")).startswith("550 5.1.1")
        assert (await client.ask("RCPT TO:<a@x.test>")).startswith("250")


async def test_the_answer_is_delayed() -> None:
    _, service, told = make(SinkRules(delay=timedelta(milliseconds=50)))
    async with listening(service) as port, dialogue(port) as client:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.submit(MESSAGE)
        assert loop.time() - began > 0.04  # timers may be a little early
    assert len(told) == 1


async def test_it_knows_no_passwords() -> None:
    _, service, _ = make()
    async with listening(service) as port, dialogue(port) as client:
        assert (await client.ask("AUTH PLAIN AGEAYg==")).startswith("502")
