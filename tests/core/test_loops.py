"""Loops and automatic mail: what goes round, and what is never answered (M06)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import Address, parse_address
from mta.core.header import HeaderBlock, received_field
from mta.core.loops import MAX_HOPS, MAX_PASSES, is_looping, may_answer

HOST = "mail.example.com"
ANT = parse_address("ant@example.net")
OURS = received_field(
    helo="app",
    peer="192.0.2.1",
    hostname=HOST,
    protocol="ESMTP",
    identifier="em_1",
    tenant="default",
    at=datetime(2030, 1, 1, tzinfo=UTC),
)
THEIRS = (
    b"Received: from a.example by b.example with ESMTP id 1;\r\n Tue, 1 Jan 2030 00:00:00 +0000\r\n"
)


def block(*fields: bytes) -> HeaderBlock:
    return HeaderBlock.parse(b"".join(fields))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (0, 0, False),
        (MAX_PASSES, 0, False),
        (MAX_PASSES + 1, 0, True),
        (MAX_PASSES + 1, 50, True),
        (0, MAX_HOPS, False),
        (0, MAX_HOPS + 1, True),
        (1, MAX_HOPS, True),
    ],
)
def test_is_looping(ours: int, theirs: int, expected: bool) -> None:
    assert is_looping(block(OURS * ours, THEIRS * theirs), HOST) is expected


def test_limits_are_arguments() -> None:
    assert is_looping(block(OURS * 2), HOST, max_passes=1)
    assert is_looping(block(THEIRS * 2), HOST, max_hops=1)


@pytest.mark.parametrize(
    ("value", "is_counted"),
    [
        (b"from x by mail.example.com (Mailwright) with ESMTP id 1; date", True),
        (b"from x BY MAIL.Example.COM (Mailwright) with ESMTP", True),
        (b"by mail.example.com (Mailwright) with HTTP", True),
        (b"from x by\r\n\tmail.example.com\r\n (Mailwright)", True),
        (b"from x by mail.example.com (Postfix) with ESMTP", False),
        (b"from mail.example.com (Mailwright) by b.example", False),
        (b"from x by mail.example.com.evil (Mailwright)", False),
        (b"from x by other.example.com (Mailwright)", False),
        (b"", False),
        (b"by", False),
        (b"by mail.example.com", False),
    ],
)
def test_which_hops_are_ours(value: bytes, is_counted: bool) -> None:
    fields = b"Received: " + value + b"\r\n"
    assert is_looping(block(fields), HOST, max_passes=0) is is_counted


def test_a_client_cannot_name_itself_into_our_hops() -> None:
    forged = received_field(
        helo="x by mail.example.com (Mailwright)",
        peer="192.0.2.1",
        hostname="other.example",
        protocol="ESMTP",
        identifier="em_1",
        tenant="by mail.example.com (Mailwright)",
        at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    assert not is_looping(block(forged), HOST, max_passes=0)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Subject: hello", True),
        (b"Auto-Submitted: no", True),
        (b"Auto-Submitted: No (a person)", True),
        (b'auto-submitted: no; reason="x"', True),
        (b"Auto-Submitted: auto-replied", False),
        (b"Auto-Submitted: auto-generated; type=x", False),
        (b"Auto-Submitted: auto-notified", False),
        (b"Auto-Submitted:", False),
        (b"Auto-Submitted: no\r\nAuto-Submitted: auto-replied", False),
        (b"Precedence: bulk", False),
        (b"Precedence: List", False),
        (b"Precedence: junk (so it is)", False),
        (b"Precedence: first-class", True),
        (b"List-Id: <x.example.com>", False),
        (b"List-Unsubscribe: <https://example.com/u>", False),
        (b"X-Auto-Response-Suppress: OOF, AutoReply", False),
        (b"X-Auto-Response-Suppress: All", False),
        (b"X-Auto-Response-Suppress: DR, RN", True),
        (b"Content-Type: multipart/report; report-type=delivery-status", False),
        (b"Content-Type: text/plain; x=multipart/report", True),
    ],
)
def test_headers_of_machines_are_not_answered(field: bytes, expected: bool) -> None:
    assert may_answer(block(field + b"\r\n"), ANT) is expected


@pytest.mark.parametrize(
    ("return_path", "expected"),
    [
        (None, False),
        ("MAILER-DAEMON@example.net", False),
        ("postmaster@example.net", False),
        ('"PostMaster"@example.net', False),
        ("owner-list@example.net", False),
        ("list-owner@example.net", False),
        ("list-request@example.net", False),
        ("list-bounces@example.net", False),
        ("list-bounces+ant=example.com@example.net", False),
        ("no-reply@example.net", False),
        ("homeowner@example.net", True),
        ("requester@example.net", True),
        ("request@example.net", True),
        ("ant+list@example.net", True),
    ],
)
def test_addresses_of_machines_are_not_answered(return_path: str | None, expected: bool) -> None:
    address: Address | None = parse_address(return_path) if return_path else None
    assert may_answer(block(), address) is expected


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_header_has_an_answer(values: list[bytes]) -> None:
    names = [b"Received", b"Auto-Submitted", b"Precedence", b"Content-Type"]
    fields = [
        names[index % 4] + b": " + value.translate(None, b"\r\n\0") + b"\r\n"
        for index, value in enumerate(values)
    ]
    assert not is_looping(block(*fields), HOST)
    assert may_answer(block(*fields), ANT) in {True, False}


def test_hostile_values_take_no_time() -> None:
    for value in (b"(" * 90_000, b"by " * 30_000, b"()" * 45_000):
        hostile = block(b"Received: " + value + b"\r\nPrecedence: x\r\n")
        assert not is_looping(hostile, HOST)
        assert may_answer(block(b"Auto-Submitted: " + value + b"\r\n"), ANT) is False
