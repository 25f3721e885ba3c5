"""The dialogue: order, pipelining, segments, errors, and what survives whom."""

from __future__ import annotations

import asyncio
import logging
import smtplib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.core.address import Address
from mta.core.envelope import Envelope, Recipient
from mta.core.reply import Reply
from storage.errors import StorageError, StorageFull, StorageUnavailable
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FakeHandler, listening, service

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


async def test_a_whole_session() -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port, helo="") as client:
        assert await client.ask("EHLO client.test") == (
            "250-mx.test\n250-PIPELINING\n250-SIZE 26214400\n250-8BITMIME\n250-SMTPUTF8\n"
            "250-ENHANCEDSTATUSCODES\n250 DSN"
        )
        assert await client.ask("MAIL FROM:<a@sender.test>") == "250 2.1.0 Ok"
        assert await client.ask("RCPT TO:<b@rcpt.test>") == "250 2.1.5 Ok"
        assert await client.ask("DATA") == "354 End data with <CR><LF>.<CR><LF>"
        await client.send(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0 Ok: queued"
        assert await client.ask("QUIT") == "221 2.0.0 Bye"
        assert await client.is_closed()
    [message] = handler.messages
    assert message.data == MESSAGE
    assert handler.envelopes == [
        Envelope(Address("a", "sender.test"), (Recipient(Address("b", "rcpt.test")),))
    ]
    [session] = handler.sessions
    assert (session.address, session.helo, session.protocol) == (
        "127.0.0.1",
        "client.test",
        "ESMTP",
    )


async def test_with_smtplib() -> None:
    handler = FakeHandler()

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.sendmail("a@sender.test", ["b@rcpt.test", "c@rcpt.test"], "Subject: x\n\n.\n")

    async with listening(service(handler)) as port:
        await asyncio.to_thread(send, port)
    assert handler.messages[0].data == b"Subject: x\r\n\r\n.\r\n"
    assert len(handler.envelopes[0].recipients) == 2


async def test_the_banner_tells_no_version() -> None:
    async with listening(service(FakeHandler())) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"220 mx.test ESMTP\r\n"
        writer.transport.abort()


PIPELINED = (
    b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<bad>\r\nDATA\r\n"
    b"Subject: 1\r\n\r\n..x\r\n.\r\n"
    b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<e@f.test>\r\nDATA\r\nSubject: 2\r\n\r\n.\r\nQUIT\r\n"
)
CODES = [250, 250, 250, 501, 354, 250, 250, 250, 250, 354, 250, 221]


@pytest.mark.parametrize("segment", [1, 2, 3, 7, 1000])
async def test_pipelined_commands_and_messages_in_segments_of_any_size(segment: int) -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port, helo="") as client:
        for start in range(0, len(PIPELINED), segment):
            await client.send(PIPELINED[start : start + segment])
            await asyncio.sleep(0)
        codes = [int((await client.reply())[:3]) for _ in CODES]
        assert await client.is_closed()
    assert codes == CODES
    bodies = [message.data for message in handler.messages]
    assert bodies == [b"Subject: 1\r\n\r\n.x\r\n", b"Subject: 2\r\n\r\n"]


async def test_replies_to_a_batch_come_in_one_segment() -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        await client.send(b"NOOP\r\n" * 3)
        async with asyncio.timeout(5):
            assert await client.reader.read(1000) == b"250 2.0.0 OK\r\n" * 3


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["MAIL FROM:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "RCPT TO:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "DATA"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "DATA"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "RCPT TO:<a@b.test>", "DATA now"], "501 5.5.4"),
        (["EHLO c", "MAIL FROM:<>", "RSET", "RCPT TO:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "EHLO c", "RCPT TO:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "HELO c", "RCPT TO:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<bad>", "RCPT TO:<a@b.test>"], "503 5.5.1"),
        (["EHLO c", "MAIL FROM:<>", "VRFY ü", "RCPT TO:<a@b.test>"], "250 2.1.5"),
        (["HELO c", "MAIL FROM:<> SIZE=1"], "555 5.5.4"),
        (["HELO c", "MAIL FROM:<>"], "250 2.1.0"),
        (["EHLO"], "501 5.5.4"),
        (["EHLO c", "RSET now"], "501 5.5.1"),
        (["EHLO c", "VRFY root"], "252 2.5.0"),
        (["EHLO c", "EXPN staff"], "502 5.5.1"),
        (["EHLO c", "HELP"], "214 2.0.0"),
        (["EHLO c", "STARTTLS"], "502 5.5.1"),
        (["EHLO c", "AUTH PLAIN AGEAYg=="], "502 5.5.1"),
        (["EHLO c", "BDAT 1"], "500 5.5.1"),
        (["EHLO c", "__init__"], "500 5.5.1"),
        (["PROXY TCP4 1.2.3.4 5.6.7.8 1 2"], "500 5.5.1"),
        (["XCLIENT ADDR=1.2.3.4"], "500 5.5.1"),
        (["EHLO c", "MAIL FROM:<> NOTIFY=NEVER"], "555 5.5.4"),
    ],
)
async def test_replies(lines: list[str], reply: str) -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port, helo="") as client:
        assert (await client.ask(*lines)).startswith(reply)


@pytest.mark.parametrize("verb", ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT x:25 HTTP/1.1"])
async def test_http_is_shown_the_door(verb: str) -> None:
    async with listening(service(FakeHandler())) as port, dialogue(port, helo="") as client:
        await client.send(f"{verb}\r\nHost: x\r\nMAIL FROM:<a@b.test>\r\n\r\n".encode())
        assert (await client.reply()).startswith("421")
        assert await client.is_closed()


async def test_what_the_client_asked_of_dsn_is_kept() -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port) as client:
        sent = await client.submit(
            MESSAGE,
            sender="<> RET=HDRS ENVID=a+2Bb AUTH=<> BODY=8BITMIME",
            to="<b@rcpt.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@b.test",
        )
    assert sent.startswith("250")
    recipient = Recipient(Address("b", "rcpt.test"), "SUCCESS,DELAY", "rfc822;x+2By@b.test")
    assert handler.envelopes == [Envelope(None, (recipient,), "HDRS", "a+2Bb")]


async def test_an_address_in_utf8() -> None:
    handler = FakeHandler()
    async with listening(service(handler)) as port, dialogue(port) as client:
        assert (await client.submit(MESSAGE, sender="<> SMTPUTF8", to="<ü@é.test>"))[:3] == "250"
    assert handler.envelopes[0].recipients[0].address == Address("ü", "xn--9ca.test")


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (Reply(530, "5.7.0", "Authenticate"), False),
        (Reply(421, "4.7.0", "Go away"), True),
    ],
)
async def test_the_handler_refuses_mail(reply: Reply, ends: bool) -> None:
    handler = FakeHandler(mail_reply=reply)
    async with listening(service(handler)) as port, dialogue(port) as client:
        assert await client.ask("MAIL FROM:<a@b.test>") == str(reply)
        if ends:
            assert await client.is_closed()
        else:
            assert (await client.ask("RCPT TO:<a@b.test>")).startswith("503")


async def test_the_handler_refuses_a_recipient() -> None:
    handler = FakeHandler(refused="no@rcpt.test")
    async with listening(service(handler)) as port, dialogue(port) as client:
        await client.ask("MAIL FROM:<a@b.test>")
        assert await client.ask("RCPT TO:<no@rcpt.test>") == "550 5.1.1 No such user"
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("RCPT TO:<yes@rcpt.test>")).startswith("250")


async def test_the_handler_refuses_a_message() -> None:
    handler = FakeHandler(data_reply=Reply(550, "5.7.1", "Not\nthat"))
    async with listening(service(handler)) as port, dialogue(port) as client:
        assert await client.submit(MESSAGE) == "550-5.7.1 Not\n550 5.7.1 that"
        assert (await client.ask("RCPT TO:<a@b.test>")).startswith("503")


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (StorageFull("no space in /secret"), "452 4.3.1"),
        (StorageUnavailable("I/O error"), "451 4.3.0"),
        (StorageError("whatever"), "451 4.3.0"),
        (RuntimeError("secret"), "451 4.3.0"),
    ],
)
async def test_our_errors_are_temporary_and_told_to_the_log_only(
    error: Exception, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    handler = FakeHandler(error=error)
    async with listening(service(handler)) as port, dialogue(port) as client:
        answer = await client.submit(MESSAGE)
        assert answer.startswith(reply)
        assert "secret" not in answer
        handler.error = None
        assert (await client.submit(MESSAGE)).startswith("250")
    assert str(error) in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, RuntimeError)


async def test_a_client_that_leaves_during_the_commit() -> None:
    handler = FakeHandler(gate=asyncio.Event())
    assert handler.gate
    async with listening(service(handler)) as port:
        async with dialogue(port) as client:
            commit = asyncio.create_task(client.submit(MESSAGE))
            await handler.waiting.wait()
            client.reset()
            assert await commit == ""
        async with dialogue(port):  # a round trip, after which the loss is known
            handler.gate.set()
    assert len(handler.messages) == 1


async def test_a_client_that_only_stops_sending_gets_its_reply() -> None:
    handler = FakeHandler(gate=asyncio.Event())
    assert handler.gate
    async with listening(service(handler)) as port, dialogue(port) as client:
        commit = asyncio.create_task(client.submit(MESSAGE))
        await handler.waiting.wait()
        client.writer.write_eof()
        async with dialogue(port):
            handler.gate.set()
        assert await commit == "250 2.0.0 Ok: queued"
        assert await client.is_closed()


async def test_nothing_of_a_session_is_logged_by_the_library(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with listening(service(FakeHandler())) as port, dialogue(port) as client:
        await client.submit(b"Subject: canary\r\n\r\n")
        await client.ask("AUTH PLAIN AGNhbmFyeQBjYW5hcnk=")
    assert "canary" not in caplog.text
    assert "AGNh" not in caplog.text
    assert "rcpt.test" not in caplog.text


STEPS = {
    "ehlo": ("EHLO c.test", 250),
    "mail": ("MAIL FROM:<a@b.test>", 250),
    "bad mail": ("MAIL FROM:<a", 501),
    "rcpt": ("RCPT TO:<a@b.test>", 250),
    "bad rcpt": ("RCPT TO:<a", 501),
    "data": ("DATA", 354),
    "rset": ("RSET", 250),
    "vrfy": ("VRFY a", 252),
}
NEEDS = {
    "greeted": {"mail", "bad mail"},
    "mailed": {"rcpt", "bad rcpt"},
    "addressed": {"data"},
}
"""The least state in which a step is in order; in an earlier one it gets 503."""


def expected(step: str, state: str) -> tuple[int, str]:
    """Return reply code and next state: the reference that sessions are compared with."""
    states = ["new", "greeted", "mailed", "addressed"]
    needed = next((name for name, steps in NEEDS.items() if step in steps), "new")
    if states.index(state) < states.index(needed):
        return 503, state
    if needed == "greeted" and state != "greeted":
        return 503, state
    after = {"ehlo": "greeted", "mail": "mailed", "rcpt": "addressed", "data": "greeted"}
    if step == "rset":
        return 250, "new" if state == "new" else "greeted"
    return STEPS[step][1], after.get(step, state)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=15))
def test_any_order_of_commands(steps: list[str]) -> None:
    async def run() -> None:
        state = "new"
        async with listening(service(FakeHandler())) as port, dialogue(port, helo="") as client:
            for step in steps:
                code, state = expected(step, state)
                assert int((await client.ask(STEPS[step][0]))[:3]) == code, (step, state)
                if code == 354:
                    assert (await client.ask(".")).startswith("250")

    asyncio.run(run())
