"""The demo's check of signatures; the demo as a whole is a flow test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mta.cli.demo_signatures import signatures
from mta.core.canonical import body_hash
from mta.dkim_keys import ED25519, RSA, PrivateKey, create_keys
from mta.signing import Signer

HEADER = b"From: Shop <shop@demo.example>\r\nTo: a@one.test\r\nSubject: Order\r\n 1\r\n\r\n"
BODY = b"Thank you  \r\n\r\n"


@pytest.fixture
def signed(tmp_path: Path) -> tuple[bytes, dict[str, PrivateKey]]:
    records = create_keys(tmp_path, "demo.example", "s1", (RSA, ED25519), None)
    signature = Signer(tmp_path, (RSA, ED25519)).sign(
        HEADER, body_hash(BODY), domain="demo.example", keys=records, at=datetime.now(UTC)
    )
    keys = {
        one.selector: PrivateKey.parse((tmp_path / one.key_file).read_bytes()) for one in records
    }
    return signature + HEADER + BODY, keys


Signed = tuple[bytes, dict[str, PrivateKey]]


def test_what_the_engine_signs_is_valid(signed: Signed) -> None:
    message, keys = signed
    assert dict(signatures(message, keys)) == {"s1": True, "s1-ed25519": True}


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"Order", b"Offer"), (b"Thank", b"Blank"), (b"From: Shop", b"From: Sham")],
)
def test_a_changed_message_is_not(signed: Signed, before: bytes, after: bytes) -> None:
    message, keys = signed
    assert not any(ok for _, ok in signatures(message.replace(before, after), keys))


def test_another_key_is_not(signed: Signed) -> None:
    message, keys = signed
    other = {name: PrivateKey.generate(key.algorithm) for name, key in keys.items()}
    assert not any(ok for _, ok in signatures(message, other))
    assert not any(ok for _, ok in signatures(message, {}))
