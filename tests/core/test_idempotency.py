"""What is a key, and which messages are one submission."""

from __future__ import annotations

import pytest

from mta.core.address import parse_address
from mta.core.envelope import Envelope, Recipient
from mta.core.header import HeaderBlock, HeaderError
from mta.core.idempotency import fingerprint, header_digest, is_key, key_of

HEADER = b"From: a@s.example\r\nSubject: x\r\n"


def envelope(*recipients: str, mail_from: str = "a@s.example") -> Envelope:
    found = tuple(Recipient(parse_address(one)) for one in recipients)
    return Envelope(parse_address(mail_from) if mail_from else None, found)


def digest(header: bytes) -> bytes:
    return header_digest(HeaderBlock.parse(header))


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b~!"])
def test_keys(key: str) -> None:
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb", " ", " a", "a ", "\x7f", "a\n"])
def test_no_keys(key: str) -> None:
    assert not is_key(key)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"", ""),
        (b"Idempotency-Key: k\r\n", "k"),
        (b"x-idempotency-key:  k \r\n", "k"),
        (b"Resend-Idempotency-Key: a\r\n b\r\n", "a b"),
        (b"Idempotency-Key: k\r\nX-Idempotency-Key: k\r\n", "k"),
    ],
)
def test_key_in_a_header(header: bytes, key: str) -> None:
    assert key_of(HeaderBlock.parse(HEADER + header)) == key


@pytest.mark.parametrize(
    "header",
    [
        b"Idempotency-Key:\r\n",
        b"Idempotency-Key: \xc3\xa4\r\n",
        b"Idempotency-Key: " + b"x" * 256 + b"\r\n",
        b"Idempotency-Key: k\r\nIdempotency-Key: l\r\n",
    ],
)
def test_bad_keys_in_a_header(header: bytes) -> None:
    with pytest.raises(HeaderError, match="idempotency key"):
        key_of(HeaderBlock.parse(HEADER + header))


@pytest.mark.parametrize(
    ("header", "is_same"),
    [
        (HEADER + b"Date: now\r\nMessage-ID: <1@x>\r\nReceived: by x\r\n", True),
        (HEADER + b"Idempotency-Key: k\r\n", True),
        (HEADER + b"To: b@x.example\r\n", False),
        (HEADER.replace(b"x", b"y"), False),
    ],
)
def test_what_a_second_try_may_change(header: bytes, is_same: bool) -> None:
    assert (digest(header) == digest(HEADER)) is is_same


def test_envelope_and_body_count() -> None:
    base = fingerprint(envelope("b@x.example", "c@x.example"), b"h", b"b")
    assert len(base) == 32
    assert fingerprint(envelope("c@x.example", "b@x.example"), b"h", b"b") == base
    for other in (
        fingerprint(envelope("b@x.example"), b"h", b"b"),
        fingerprint(envelope("b@x.example", "c@x.example", mail_from=""), b"h", b"b"),
        fingerprint(envelope("b@x.example", "c@x.example"), b"h", b"c"),
        fingerprint(envelope("b@x.example", "c@x.example"), b"g", b"b"),
    ):
        assert other != base
