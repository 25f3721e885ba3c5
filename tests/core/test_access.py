"""What a key may do, and that it cannot make itself a stronger one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from mta.core.access import (
    ADMIN,
    ANY_KEY,
    FULL,
    SCOPES,
    UNRESTRICTED,
    Access,
    Denial,
    Reason,
    exceeds,
    grants,
    may_send_from,
    may_use,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFFICE = ip_network("192.0.2.0/24")
OFFICE_6 = ip_network("2001:db8::/32")


def used(access: Access, scope: str = "emails:send", address: str = "192.0.2.7") -> Denial | None:
    return may_use(access, scope, address=address, now=NOW)


@pytest.mark.parametrize(
    ("scopes", "wanted", "is_granted"),
    [
        (("emails:send",), "emails:send", True),
        (("emails:send",), "emails:read", False),
        (("emails:*",), "emails:read", True),
        (("domains:*",), "emails:read", False),
        (("emails:read", "emails:send"), "emails:send", True),
        ((FULL,), "keys:write", True),
        ((FULL,), ADMIN, False),  # other tenants' affairs
        ((ADMIN,), ADMIN, True),
        ((ADMIN,), "keys:write", True),
        ((FULL,), "emails:*", True),  # to hand out
        (("emails:send",), "emails:*", False),
        (("emails:*",), FULL, False),
        ((), "emails:send", False),
    ],
)
def test_scopes(scopes: tuple[str, ...], wanted: str, is_granted: bool) -> None:
    assert grants(scopes, wanted) is is_granted


def test_scopes_are_listed_once() -> None:
    assert len(set(SCOPES)) == len(SCOPES)
    assert {"emails:send", "emails:*", "domains:write", FULL, ADMIN} <= set(SCOPES)
    assert ANY_KEY not in SCOPES


def test_any_valid_key_may_ask_who_it_is() -> None:
    assert used(Access(scopes=()), ANY_KEY) is None


def test_a_missing_scope_is_named() -> None:
    denial = used(Access(scopes=("emails:read",)))
    assert denial == Denial(Reason.SCOPE, "This API key lacks the scope emails:send.")


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.3.7", False),
        ("", False),  # unknown
    ],
)
def test_networks(address: str, is_allowed: bool) -> None:
    denial = used(Access(networks=(OFFICE, OFFICE_6)), address=address)
    assert (denial is None) is is_allowed
    if denial:
        assert denial.reason is Reason.NETWORK
        assert (address or "unknown") in denial.message


@pytest.mark.parametrize(
    ("expires_in", "is_over"), [(1, False), (0, True), (-1, True), (None, False)]
)
def test_expiry(expires_in: int | None, is_over: bool) -> None:
    expires_at = None if expires_in is None else NOW + timedelta(seconds=expires_in)
    denial = used(Access(expires_at=expires_at))
    assert (denial is not None) is is_over
    assert denial is None or denial.reason is Reason.EXPIRED


@pytest.mark.parametrize(
    ("domain", "is_allowed"),
    [
        ("a.example", True),
        ("mail.a.example", True),
        ("xa.example", False),
        ("example", False),
        ("b.example", False),
        ("", False),
    ],
)
def test_sender_domains(domain: str, is_allowed: bool) -> None:
    denial = may_send_from(("a.example",), domain)
    assert (denial is None) is is_allowed
    assert denial is None or (denial.reason is Reason.DOMAIN and domain in denial.message)


def test_without_domains_any_is_allowed() -> None:
    assert may_send_from((), "any.example") is None


OWN = Access(
    scopes=("emails:*", "keys:write"),
    domains=("a.example",),
    networks=(OFFICE,),
    expires_at=NOW + timedelta(days=1),
)


@pytest.mark.parametrize(
    ("changes", "is_wider"),
    [
        ({}, False),
        ({"scopes": ("emails:send",)}, False),
        ({"scopes": ("emails:send", "domains:read")}, True),
        ({"scopes": (FULL,)}, True),
        ({"domains": ("mail.a.example",)}, False),
        ({"domains": ()}, True),
        ({"domains": ("a.example", "b.example")}, True),
        ({"networks": (ip_network("192.0.2.128/25"),)}, False),
        ({"networks": (ip_network("192.0.0.0/16"),)}, True),
        ({"networks": (OFFICE_6,)}, True),
        ({"networks": ()}, True),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW + timedelta(days=2)}, True),
        ({"expires_at": None}, True),
        ({"is_test": True}, False),
    ],
)
def test_a_key_hands_out_no_more_than_it_has(changes: dict[str, Any], is_wider: bool) -> None:
    denial = exceeds(replace(OWN, **changes), OWN)
    assert (denial is not None) is is_wider
    assert denial is None or denial.reason is Reason.WIDER


def test_an_unrestricted_key_hands_out_anything_but_admin() -> None:
    assert exceeds(OWN, UNRESTRICTED) is None
    assert exceeds(UNRESTRICTED, UNRESTRICTED) is None
    assert exceeds(Access(scopes=(ADMIN,)), UNRESTRICTED)


def test_a_test_key_makes_no_live_key() -> None:
    assert exceeds(UNRESTRICTED, Access(is_test=True))
