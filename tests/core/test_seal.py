"""Seals: known value, purposes, rotation, and what is refused outright."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.seal import is_sealed, seal

NEW, OLD = b"n" * 32, b"o" * 16


def test_it_is_hmac_sha256_cut_short() -> None:
    whole = hmac.new(NEW, b"link\0payload", hashlib.sha256).digest()
    assert seal(NEW, b"link", b"payload", 32) == whole
    assert seal(NEW, b"link", b"payload", 10) == whole[:10]


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(10, 32))
def test_every_secret_in_the_list_counts(payload: bytes, other: bytes, size: int) -> None:
    mac = seal(OLD, b"link", payload, size)
    assert is_sealed([NEW, OLD], b"link", payload, mac)
    assert is_sealed([NEW, OLD], b"link", other, mac) == (payload == other)
    assert not is_sealed([NEW], b"link", payload, mac)
    assert not is_sealed([], b"link", payload, mac)


def test_purposes_are_apart_wherever_the_border_to_the_payload_is() -> None:
    assert seal(NEW, b"link", b"age", 16) != seal(NEW, b"linka", b"ge", 16)


@pytest.mark.parametrize(
    ("secret", "purpose", "size"),
    [
        (b"", b"link", 16),
        (b"n" * 15, b"link", 16),
        (NEW, b"li\0nk", 16),
        (NEW, b"link", 9),
        (NEW, b"link", 0),
        (NEW, b"link", 33),
    ],
)
def test_what_would_be_weak_is_refused(secret: bytes, purpose: bytes, size: int) -> None:
    with pytest.raises(ValueError):
        seal(secret, purpose, b"payload", size)


def test_an_empty_seal_never_counts() -> None:
    with pytest.raises(ValueError):
        is_sealed([NEW], b"link", b"payload", b"")


@pytest.mark.parametrize("size", [16, 63, 64, 65, 200])
def test_it_is_hmac_sha256(size: int) -> None:
    secret = bytes(range(size))
    expected = hmac.digest(secret, b"open\0payload", "sha256")
    assert seal(secret, b"open", b"payload", 32) == expected
    assert seal(secret, b"open", b"payload", 16) == expected[:16]
