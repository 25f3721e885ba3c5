"""Who is told of what, as NOTIFY asks (RFC 3461 4.1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Deferred, Delivered, Disposition, Expired, Why
from mta.telling import TellingRules
from tests.mta.test_entry_marks import ENTRY, MESSAGE, NOW

RULES = TellingRules(is_enabled=True, delay_after=timedelta(hours=4))
LATER = NOW + timedelta(hours=5)
DEFERRED = Deferred(LATER, Why.REPLY, BounceClass.GREYLIST)
BOUNCED = Bounced(BounceClass.BAD_MAILBOX)
EXPIRED = Expired(Why.REPLY, BounceClass.GREYLIST)


@pytest.mark.parametrize(
    ("notify", "disposition", "expected"),
    [
        ("", BOUNCED, "failed"),
        ("", EXPIRED, "failed"),
        ("", DEFERRED, "delayed"),
        ("", Delivered(), ""),
        ("SUCCESS", Delivered(), "relayed"),
        ("SUCCESS", BOUNCED, ""),
        ("SUCCESS,FAILURE", BOUNCED, "failed"),
        ("NEVER", BOUNCED, ""),
        ("FAILURE", DEFERRED, ""),
        ("DELAY", DEFERRED, "delayed"),
    ],
)
def test_as_notify_asks(notify: str, disposition: Disposition, expected: str) -> None:
    entry = replace(ENTRY, notify=notify)
    assert RULES.wish(MESSAGE, entry, disposition, LATER, has_peer_dsn=False) == expected


def test_a_peer_that_reports_by_itself_is_left_to_it() -> None:
    entry = replace(ENTRY, notify="SUCCESS")
    assert RULES.wish(MESSAGE, entry, Delivered(), LATER, has_peer_dsn=True) == ""


def test_delays_are_told_after_a_while() -> None:
    soon = NOW + timedelta(hours=3)
    assert RULES.wish(MESSAGE, ENTRY, DEFERRED, soon, has_peer_dsn=False) == ""


@pytest.mark.parametrize(
    "message",
    [
        replace(MESSAGE, mail_from=""),  # M07: never for the null return path
        replace(MESSAGE, door="api"),
        replace(MESSAGE, door="report"),
    ],
)
def test_nobody_else_is_told(message: object) -> None:
    assert RULES.wish(message, ENTRY, BOUNCED, LATER, has_peer_dsn=False) == ""  # type: ignore[arg-type]
    assert TellingRules().wish(MESSAGE, ENTRY, BOUNCED, LATER, has_peer_dsn=False) == ""
