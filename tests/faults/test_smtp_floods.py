"""Floods and bombs at the SMTP doors: what they cost is bounded. (G11, G12, H06)"""

from __future__ import annotations

from dataclasses import replace

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
