"""TLS and AUTH of sessions with other servers."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest
import trustme

from mta.core.outcome import Stage, Unreachable
from mta.core.route import Credentials, TlsMode
from mta.smtp_client import Session
from tests.support.receiver import Act, Answer, Receiver
from tests.support.sessions import (
    SHORT,
    Clock,
    connector,
    outcome_of,
    route_to,
    timeouts_for,
    transaction,
)

CREDENTIALS = Credentials("us\u00e9r", "p\u00e4ss word")
USERS = {CREDENTIALS.user: CREDENTIALS.password}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


# TLS


@pytest.mark.parametrize(("host", "sni"), [("mx.test", "mx.test"), ("127.0.0.1", None)])
async def test_opportunistic_tls_takes_any_certificate(  # F03, F06
    authority: trustme.CA, host: str, sni: str | None
) -> None:
    names: list[str | None] = []
    context = server_context(authority, "other.test")
    context.sni_callback = lambda _, name, __: names.append(name)
    async with Receiver(tls=context) as receiver:
        session = await connector().connect(route_to(receiver, host=host))
        assert isinstance(session, Session)
        assert session.peer.tls.startswith("TLSv1.3 TLS_")
        await session.deliver(transaction())
        await session.close()
        assert receiver.messages[0].is_tls
        assert receiver.commands[:3] == ["EHLO sender.test", "STARTTLS", "EHLO sender.test"]
    assert names == [sni]


# F01, F08: opportunistic TLS that breaks gives way to no TLS, at once and for a day.
@pytest.mark.parametrize(
    "script",
    [
        {"STARTTLS": "454 4.7.0 not now"},
        {"STARTTLS": "502 what"},
        {"STARTTLS": Act.CLOSE},
        {"HANDSHAKE": Act.CLOSE},
        {"HANDSHAKE": Act.RESET},
        {"HANDSHAKE": Act.HANG},
        {"HANDSHAKE": b"this is no TLS\r\n"},
        {"HANDSHAKE": b"\x15\x03\x03\x00\x02\x02\x28"},  # a handshake_failure alert
    ],
)
async def test_broken_starttls(
    authority: trustme.CA,
    script: dict[str, Answer | Sequence[Answer]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    client = connector(timeouts=timeouts_for(*script.values()), clock=clock)
    context = server_context(authority, "mx.test")
    async with Receiver(tls=context, script=script) as receiver:
        for connections in (2, 3):  # the second time there is no new try
            session = await client.connect(route_to(receiver))
            assert isinstance(session, Session)
            assert session.peer.tls == ""
            await session.close()
            assert receiver.connections == connections
        assert receiver.commands.count("STARTTLS") == 1
        assert "going on in clear" in caplog.text
        clock.now += 86_401
        session = await client.connect(route_to(receiver))
        assert isinstance(session, Session)
        await session.close()
        assert receiver.commands.count("STARTTLS") == 2


async def test_what_is_injected_before_tls_is_dropped(authority: trustme.CA) -> None:  # F09
    injected = b"220 go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n"
    context = server_context(authority, "mx.test")
    async with Receiver(tls=context, script={"STARTTLS": injected}) as receiver:
        session = await connector().connect(route_to(receiver))
        assert isinstance(session, Session)
        assert session.peer.tls
        assert not session.extensions.auth
        assert session.is_open
        await session.close()


async def test_verified_starttls(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with Receiver(tls=server_context(authority, "mx.test"), users=USERS) as receiver:
        route = route_to(receiver, tls=TlsMode.VERIFIED, credentials=CREDENTIALS)
        session = await connector(verified=trusting).connect(route)
        assert isinstance(session, Session)
        await session.deliver(transaction())
        await session.close()
        assert receiver.messages[0].user == CREDENTIALS.user


# F02, F03: a server that must be verified and is not never sees a password or a message.
@pytest.mark.parametrize(
    ("name", "is_offered", "is_trusted", "error"),
    [
        ("other.test", True, True, "Hostname mismatch"),
        ("mx.test", True, False, "unable to get local issuer certificate"),
        ("mx.test", False, True, "STARTTLS is not offered"),
    ],
)
async def test_unverified_starttls(
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    name: str,
    is_offered: bool,
    is_trusted: bool,
    error: str,
) -> None:
    context = server_context(authority, name) if is_offered else None
    async with Receiver(tls=context, users=USERS) as receiver:
        route = route_to(receiver, tls=TlsMode.VERIFIED, credentials=CREDENTIALS)
        result = outcome_of(
            await connector(verified=trusting if is_trusted else None).connect(route)
        )
        assert isinstance(result, Unreachable)
        assert result.stage is Stage.TLS
        assert error in result.error
        assert not [line for line in receiver.commands if line.startswith("AUTH")]
        assert receiver.connections == 1


async def test_implicit_tls(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    context = server_context(authority, "mx.test")
    async with Receiver(tls=context, is_implicit_tls=True) as receiver:
        route = route_to(receiver, tls=TlsMode.IMPLICIT)
        session = await connector(verified=trusting).connect(route)
        assert isinstance(session, Session)
        assert session.peer.tls
        await session.deliver(transaction())
        await session.close()
        assert receiver.messages[0].is_tls
        other = route_to(receiver, host="other.test", tls=TlsMode.IMPLICIT)
        result = outcome_of(await connector(verified=trusting).connect(other))
        assert isinstance(result, Unreachable)
        assert result.stage is Stage.TLS


async def test_implicit_tls_with_a_server_in_clear(trusting: ssl.SSLContext) -> None:
    async with Receiver() as receiver:
        route = route_to(receiver, tls=TlsMode.IMPLICIT)
        result = outcome_of(await connector(verified=trusting, timeouts=SHORT).connect(route))
        assert isinstance(result, Unreachable)
        assert result.stage is Stage.TLS


# AUTH


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_login_on_loopback_in_clear(mechanism: str) -> None:
    script: dict[str, Answer] = {"EHLO": f"250-x\r\n250 AUTH {mechanism}"}
    async with Receiver(script=script, users=USERS) as receiver:
        session = await connector().connect(route_to(receiver, credentials=CREDENTIALS))
        assert isinstance(session, Session)
        await session.deliver(transaction())
        await session.close()
        assert receiver.messages[0].user == CREDENTIALS.user


# A login that fails is the operator's to mend, so it never becomes a bounce.
@pytest.mark.parametrize(
    ("script", "error"),
    [
        ({"AUTH": "535 5.7.8 wrong"}, "login refused: 535 5.7.8 wrong"),
        ({"AUTH": "454 4.7.0 later"}, "login refused: 454 4.7.0 later"),
        ({"AUTH": "334 more"}, "login refused: 334 more"),
        ({"AUTH": Act.CLOSE}, "connection closed"),
        ({"EHLO": "250-x\r\n250 AUTH CRAM-MD5"}, "neither AUTH PLAIN nor AUTH LOGIN"),
        ({"EHLO": "250 x"}, "neither AUTH PLAIN nor AUTH LOGIN"),
    ],
)
async def test_login_that_fails(script: dict[str, Answer | Sequence[Answer]], error: str) -> None:
    async with Receiver(script=script, users=USERS) as receiver:
        result = outcome_of(await connector().connect(route_to(receiver, credentials=CREDENTIALS)))
    assert isinstance(result, Unreachable)
    assert result.stage is Stage.SESSION
    assert not result.is_permanent
    assert error in result.error
