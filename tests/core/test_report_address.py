"""Which addresses the reports listener knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mta.core.address import parse_address
from mta.core.report_address import AddressRules, Role, Sealed, digest_of, read_address
from mta.core.return_path import Flaw, Purpose, ReturnPath, encode

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET, OLD = b"s" * 32, b"o" * 32
RULES = AddressRules("b.test", frozenset({"b.test", "mta.test"}), (SECRET, OLD), timedelta(days=10))


def local(purpose: Purpose = Purpose.BOUNCE, *, days_old: int = 0, secret: bytes = SECRET) -> str:
    path = ReturnPath(7, 1, (NOW - timedelta(days=days_old)).date())
    return encode(path, secret, purpose=purpose)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("FBL@b.test", Role("fbl")),
        ("postmaster@mta.test", Role("postmaster")),
        ("abuse@other.test", Flaw.MALFORMED),
        ("info@b.test", Flaw.MALFORMED),
        (f"{local()}@b.test", Purpose.BOUNCE),
        (f"{local(secret=OLD)}@b.test", Purpose.BOUNCE),
        (f"{local().upper()}@B.test", Purpose.BOUNCE),
        (f"{local()}@mta.test", Flaw.MALFORMED),  # not where we issue them
        (f"{local(secret=b'x' * 32)}@b.test", Flaw.FORGED),
        (f"{local(days_old=12)}@b.test", Flaw.EXPIRED),
        (f"{local(Purpose.UNSUBSCRIBE, days_old=3000)}@b.test", Purpose.UNSUBSCRIBE),
        (f"u{local()[1:]}@b.test", Flaw.FORGED),
    ],
)
def test_addresses(address: str, expected: object) -> None:
    found = read_address(parse_address(address), RULES, NOW)
    assert (found.purpose if isinstance(found, Sealed) else found) == expected


def test_the_same_report_has_the_same_digest() -> None:
    assert digest_of(["A@x", "b@x"], b"1") == digest_of(["b@x", "a@x"], b"1")
    assert digest_of(["a@x"], b"1") != digest_of(["a@x"], b"2")
    assert digest_of(["a@x"], b"1") != digest_of(["b@x"], b"1")
