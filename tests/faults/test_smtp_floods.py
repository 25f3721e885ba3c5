"""Floods and bombs at the SMTP doors: what they cost is bounded. (G11, G12, H06)"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service


async def test_g11_whoever_never_stops_adding_recipients_is_ended() -> None:
    handler = FakeHandler()
    limits = replace(FAST, recipients=100, errors=20)
    async with listening(service(handler, limits)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<a@b.test>")
        await client.send(b"".join(b"RCPT TO:<r%d@b.test>\r\n" % number for number in range(230)))
        codes = [(await client.reply())[:3] for _ in range(221)]
        assert codes == ["250"] * 100 + ["452"] * 120 + ["421"]
        assert await client.is_closed()
    assert not handler.messages


ZOO = [
    "<x\ry@z.test>",
    "<x\ny@z.test>",
    "<x@y.test\0>",
    "<a\tb@c.test>",
    "<\x1ba@b.test>",
    "<c@d.test",
    "c@d.test",
    "<<c@d.test>>",
    "<c@d.test>>",
    "<a@b@c.test>",
    "<a(comment)@b.test>",
    "<a b@c.test>",
    '<"unclosed@b.test>',
    '<"a"b@c.test>',
    '<""@b.test>',
    "<@hop.test:a@b.test>",
    "<@hop.test,@next.test:a@b.test>",
    "<a@b.test\u202e>",
    "<\udcff@b.test>",
    "<é@b.test>",  # without SMTPUTF8
    "<a@-b.test>",
    "<a@b..test>",
    "<a@.test>",
    "<a@b_c.test>",
    "<a@[127.0.0.1>",
    "<a@[300.0.0.1]>",
    "<a@[IPv6:::g]>",
    "<.a@b.test>",
    "<a.@b.test>",
    "<a..b@c.test>",
    "<" + "a" * 65 + "@b.test>",
    "<a@" + "b" * 64 + ".test>",
    "<a@" + ".".join(["bcd"] * 70) + ">",
    "<postmaster>",
    "<>",
    "<a@b.test> SIZE=1",
    "<a@b.test>SIZE=1",
    "<a@b.test> NOTIFY=NEVER,SUCCESS",
    "<a@b.test> ORCPT=rfc822;a+0Db",
]
HARMLESS = ["<|/bin/sh@b.test>", "<-oQ@b.test>", "<a%c.test@b.test>", "<c.test!a@b.test>"]
"""Odd local parts that mean nothing here: taken as they are."""


async def test_h06_h07_the_zoo_of_addresses_gets_no_further_than_rcpt() -> None:
    handler = FakeHandler()
    limits = replace(FAST, errors=1000)
    async with listening(service(handler, limits)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<a@b.test>")
        for path in ZOO:
            line = f"RCPT TO:{path}".encode("utf-8", "surrogateescape")
            reply = await client.ask(*line.split(b"\n"))
            assert reply[:3] in {"500", "501", "553", "555"}, (path, reply)
        for path in HARMLESS:
            assert (await client.ask(f"RCPT TO:{path}")).startswith("250"), path
        await client.ask("DATA")
        assert (await client.ask(b"Subject: x\r\n\r\n.")).startswith("250")
    taken = [f"<{recipient.address}>" for recipient in handler.envelopes[0].recipients]
    assert taken == HARMLESS


@pytest.mark.parametrize(
    "header",
    [b"A: b\r\n" * 200_000, b"A: " + b"b" * 10**6 + b"\r\n", b"A: b\r\n" + b" c\r\n" * 100_000],
    ids=["fields", "line", "folds"],
)
async def test_g12_header_bombs_are_refused_and_the_session_goes_on(header: bytes) -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port) as client:
        reply = await client.submit(header + b"\r\nbody\r\n")
        assert reply[:3] in {"550", "552"}, reply
        assert (await client.submit(b"Subject: x\r\n\r\n")).startswith("250")
    assert len(handler.messages) == 1


async def test_g07_idle_clients_are_hurried_while_it_is_crowded() -> None:
    limits = replace(FAST, connections=4, crowded_timeout=timedelta(milliseconds=100))
    full = service(FakeHandler(), limits)
    async with listening(full) as port, dialogue(port) as first, dialogue(port) as second:
        async with dialogue(port) as third:
            assert await third.reply() == "421 4.4.2 Timed out waiting for the client"
        for client in (first, second):
            assert (await client.ask("NOOP")).startswith("250")
