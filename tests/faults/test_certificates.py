"""Certificates of receivers that are over, and chains that are not whole. (F03)"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest
import trustme

from mta.core.outcome import Stage, Unreachable
from mta.core.route import TlsMode
from mta.smtp_client import Session
from tests.support.receiver import Receiver
from tests.support.sessions import connector, outcome_of, route_to, transaction


def serving(case: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what the server shows, and a client that trusts its root."""
    root = trustme.CA()
    trusting = ssl.create_default_context()
    root.configure_trust(trusting)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if case == "expired":
        pair = root.issue_cert("mx.test", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        pair.configure_cert(server)
    else:
        pair = root.create_child_ca().issue_cert("mx.test")
        with pair.private_key_pem.tempfile() as key, pair.cert_chain_pems[0].tempfile() as leaf:
            server.load_cert_chain(leaf, key)  # without the one in between
    return server, trusting


@pytest.mark.parametrize(
    ("case", "error"),
    [("expired", "certificate has expired"), ("broken chain", "unable to get")],
)
async def test_f03_optional_tls_goes_on_and_verified_tls_does_not(case: str, error: str) -> None:
    server, trusting = serving(case)
    async with Receiver(tls=server) as receiver:
        strict = connector(verified=trusting)
        result = outcome_of(await strict.connect(route_to(receiver, tls=TlsMode.VERIFIED)))
        assert isinstance(result, Unreachable)
        assert (result.stage, result.is_permanent) == (Stage.TLS, False)
        assert error in result.error
        assert not receiver.messages
        session = await connector().connect(route_to(receiver))
        assert isinstance(session, Session)
        await session.deliver(transaction())
        await session.close()
        assert receiver.messages[0].is_tls
