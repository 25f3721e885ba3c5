"""AUTH and STARTTLS: who may show a password when, and what survives the change to TLS."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mta.smtp_session import Limits, Service
from mta.tls_certificate import ServerTls
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service

MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
GOOD = b64encode(b"\0user\0secret").decode()
BAD = b64encode(b"\0user\0wrong").decode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> ServerTls:
    pair = authority.issue_cert("mx.test")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    pair.private_key_pem.write_to_path(tmp_path / "key.pem")
    return ServerTls(tmp_path / "certificate.pem", tmp_path / "key.pem")


def in_clear(handler: FakeHandler, limits: Limits = FAST) -> Service:
    return service(handler, limits, offers_auth=True, requires_tls_for_auth=False)


def secured(handler: FakeHandler, certificate: ServerTls) -> Service:
    return service(handler, offers_auth=True, tls=certificate)


@pytest.mark.parametrize(
    "lines",
    [
        [f"AUTH PLAIN {GOOD}"],
        [f"auth plain {GOOD}"],
        ["AUTH PLAIN", GOOD],
        ["AUTH LOGIN", "dXNlcg==", "c2VjcmV0"],
        ["AUTH LOGIN dXNlcg==", "c2VjcmV0"],
        [f"AUTH PLAIN {BAD}", f"AUTH PLAIN {GOOD}"],
        ["AUTH PLAIN", "*", f"AUTH PLAIN {GOOD}"],
    ],
)
async def test_authentication(lines: list[str]) -> None:
    handler = FakeHandler()
    async with listening(in_clear(handler)) as port, dialogue(port) as client:
        for line in lines[:-1]:
            assert (await client.ask(line))[:3] in {"334", "501", "535"}
        assert await client.ask(lines[-1]) == "235 2.7.0 Authentication successful"
        assert (await client.submit(MESSAGE)).startswith("250")
    assert handler.sessions[0].identity
    assert handler.sessions[0].protocol == "ESMTPA"


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["AUTH"], "504 5.5.4"),
        (["AUTH CRAM-MD5"], "504 5.5.4"),
        (["AUTH PLAIN ="], "501 5.5.2"),
        (["AUTH PLAIN not-base64"], "501 5.5.2"),
        (["AUTH PLAIN", "not base64"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "dXNlcg==", "*"], "501 5.7.0"),
        ([f"AUTH PLAIN {BAD}"], "535 5.7.8"),
        ([f"AUTH PLAIN {GOOD}", f"AUTH PLAIN {GOOD}"], "503 5.5.1"),
        (["MAIL FROM:<>", f"AUTH PLAIN {GOOD}"], "503 5.5.1"),
        (["HELO c", f"AUTH PLAIN {GOOD}"], "503 5.5.1"),
    ],
)
async def test_authentication_refused(lines: list[str], reply: str) -> None:
    async with listening(in_clear(FakeHandler())) as port, dialogue(port) as client:
        for line in lines[:-1]:
            await client.ask(line)
        assert (await client.ask(lines[-1])).startswith(reply)


async def test_a_response_that_is_too_long() -> None:
    async with listening(in_clear(FakeHandler())) as port, dialogue(port) as client:
        await client.ask("AUTH PLAIN")
        assert await client.ask("A" * 20_000) == "500 5.5.2 Line too long"
        assert await client.is_closed()


async def test_wrong_passwords_end_the_session() -> None:
    async with listening(in_clear(FakeHandler())) as port, dialogue(port) as client:
        for _ in range(2):
            assert (await client.ask(f"AUTH PLAIN {BAD}")).startswith("535")
        assert (await client.ask(f"AUTH PLAIN {BAD}")).startswith("421 4.7.0")
        assert await client.is_closed()


async def test_no_password_in_clear(
    certificate: ServerTls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with (
        listening(secured(FakeHandler(), certificate)) as port,
        dialogue(port, helo="") as client,
    ):
        assert "AUTH" not in await client.ask("EHLO c.test")
        assert (await client.ask(f"AUTH PLAIN {GOOD}")).startswith("538 5.7.11")
    assert GOOD not in caplog.text


async def test_starttls_begins_anew(certificate: ServerTls, trust: ssl.SSLContext) -> None:
    handler = FakeHandler()
    async with (
        listening(secured(handler, certificate)) as port,
        dialogue(port, helo="") as client,
    ):
        assert "STARTTLS" in await client.ask("EHLO c.test")
        await client.ask("MAIL FROM:<>")
        assert await client.ask("STARTTLS now") == "501 5.5.4 STARTTLS takes no argument"
        assert await client.ask("STARTTLS") == "220 2.0.0 Ready to start TLS"
        await client.start_tls(trust, "mx.test")
        assert (await client.ask("RCPT TO:<a@b.test>")).startswith("503")
        assert (await client.ask("MAIL FROM:<>")).startswith("503")
        offers = await client.ask("EHLO c.test")
        assert "STARTTLS" not in offers
        assert "AUTH PLAIN LOGIN" in offers
        assert (await client.ask("STARTTLS")).startswith("503")
        assert (await client.ask(f"AUTH PLAIN {GOOD}")).startswith("235")
        assert (await client.submit(MESSAGE + b"x" * 70 + b"\r\n")).startswith("250")
        assert (await client.ask("QUIT")).startswith("221")
        assert await client.is_closed()
    assert handler.sessions[0].protocol == "ESMTPSA"
    assert handler.sessions[0].tls.startswith("TLSv1.3 TLS_")


@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"MAIL FROM:<evil@x.test>\r\n", b"x"])
async def test_commands_after_starttls_in_one_segment(
    certificate: ServerTls, injected: bytes
) -> None:
    async with listening(secured(FakeHandler(), certificate)) as port, dialogue(port) as client:
        await client.send(b"STARTTLS\r\n" + injected)
        assert (await client.reply()).startswith("503 5.5.1 Nothing may be sent")
        assert await client.is_closed()


async def test_commands_behind_a_batch_that_ends_in_starttls(certificate: ServerTls) -> None:
    async with listening(secured(FakeHandler(), certificate)) as port, dialogue(port) as client:
        await client.send(b"NOOP\r\nSTARTTLS\r\nNOOP\r\n")
        assert (await client.reply()).startswith("250")
        assert (await client.reply()).startswith("503")
        assert await client.is_closed()


async def test_clear_text_where_the_handshake_should_be(certificate: ServerTls) -> None:
    handler = FakeHandler()
    async with listening(secured(handler, certificate)) as port:
        async with dialogue(port) as client:
            assert (await client.ask("STARTTLS")).startswith("220")
            await client.send(b"EHLO c.test\r\nMAIL FROM:<>\r\n")
            answer = await client.reader.read()
            assert b"250" not in answer
        async with dialogue(port) as client:  # the port has survived it
            assert (await client.submit(MESSAGE)).startswith("250")


async def test_tls_from_the_start(certificate: ServerTls, trust: ssl.SSLContext) -> None:
    handler = FakeHandler()

    def send(port: int) -> None:
        trust.check_hostname = False
        with smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=trust) as client:
            client.login("user", "secret")
            client.sendmail("a@sender.test", ["b@rcpt.test"], "Subject: x\n\n" + "x\n" * 500_000)

    async with listening(secured(handler, certificate), implicit_tls=True) as port:
        await asyncio.to_thread(send, port)
    assert len(handler.messages[0].data or b"") == 14 + 1_500_000
    assert handler.sessions[0].protocol == "ESMTPSA"


async def test_clients_that_never_shake_hands_count(
    certificate: ServerTls, trust: ssl.SSLContext
) -> None:
    crowded = secured(FakeHandler(), certificate)
    crowded = replace(crowded, limits=replace(FAST, connections=1))
    trust.check_hostname = False
    async with listening(crowded, implicit_tls=True) as port:
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.transport.abort()
        idle.transport.abort()
        async with asyncio.timeout(5):
            while not await is_welcome(port, trust):
                pass
        _, idle = await asyncio.open_connection("127.0.0.1", port)  # is there when we stop
    idle.transport.abort()


async def is_welcome(port: int, trust: ssl.SSLContext) -> bool:
    try:
        async with dialogue(port, tls=trust):
            return True
    except ConnectionError:
        return False


async def test_clear_text_where_tls_comes_first(certificate: ServerTls) -> None:
    async with listening(secured(FakeHandler(), certificate), implicit_tls=True) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO c.test\r\n")
        assert b"220" not in await reader.read()
        writer.transport.abort()


async def test_implicit_tls_needs_a_certificate() -> None:
    with pytest.raises(ValueError, match="certificate"):
        async with listening(service(FakeHandler()), implicit_tls=True):
            pass
