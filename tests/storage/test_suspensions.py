"""Domains that operators have suspended: nothing of them is claimed, before and after a restart."""

from __future__ import annotations

from datetime import timedelta

from storage import directives, engine_state, queue, suspensions
from storage.database import Connection
from storage.queue import ClaimRequest
from tests.storage.builders import LATER, NOW, accept

DOMAIN = "example.net"
HOUR = timedelta(hours=1)


def suspend(connection: Connection, domain: str = DOMAIN, reason: str = "") -> None:
    suspensions.suspend(connection, domain, until=NOW + HOUR, reason=reason, now=NOW)


def test_nothing_is_claimed_until_it_ends(connection: Connection) -> None:
    accept(connection, "ant@example.net", "bee@example.org")
    suspend(connection)
    requests = [ClaimRequest(DOMAIN, 10), ClaimRequest("example.org", 10)]
    claim = queue.claim(connection, requests, now=NOW, owner="me")
    assert [entry.domain for one in claim.messages for entry in one.entries] == ["example.org"]
    assert claim.next_due == {DOMAIN: NOW + HOUR, "example.org": None}
    claim = queue.claim(connection, requests, now=NOW + HOUR, owner="me")
    assert [entry.domain for one in claim.messages for entry in one.entries] == [DOMAIN]


def test_what_is_due_after_it_is_due_then(connection: Connection) -> None:
    accept(connection, "ant@example.net", send_at=NOW + 2 * HOUR)
    suspend(connection)
    claim = queue.claim(connection, [ClaimRequest(DOMAIN, 10)], now=NOW, owner="me")
    assert claim.next_due == {DOMAIN: NOW + 2 * HOUR}


def test_an_empty_queue_waits_for_nothing(connection: Connection) -> None:
    suspend(connection)
    claim = queue.claim(connection, [ClaimRequest(DOMAIN, 10)], now=NOW, owner="me")
    assert claim.next_due == {DOMAIN: None}


def test_the_engine_is_told_of_both_ends(connection: Connection) -> None:
    suspend(connection)
    assert suspensions.resume(connection, DOMAIN)
    assert not suspensions.resume(connection, DOMAIN)
    told, _ = directives.after(connection, 0)
    assert [(one.kind, one.target) for one in told] == [(directives.DUE_CHANGED, DOMAIN)] * 2


def test_the_last_wish_counts(connection: Connection) -> None:
    suspend(connection, reason="first")
    suspensions.suspend(connection, DOMAIN, until=LATER, reason="second", now=NOW)
    [found] = suspensions.list_(connection, NOW)
    assert (found.domain, found.until, found.reason) == (DOMAIN, LATER, "second")
    assert suspensions.ends(connection, LATER) == {}


def test_what_is_over_is_forgotten_with_the_next(connection: Connection) -> None:
    suspend(connection)
    suspensions.suspend(connection, "a.test", until=NOW + 9 * HOUR, reason="", now=NOW + 2 * HOUR)
    rows = connection.execute("SELECT domain FROM domain_suspensions").fetchall()
    assert rows == [("a.test",)]


def test_it_explains_what_waits(connection: Connection) -> None:
    suspend(connection, reason="moving")
    [block] = engine_state.blocks(connection, NOW)
    assert (block.name, block.until, block.detail) == (DOMAIN, NOW + HOUR, "moving")
    assert block.is_operator
    assert engine_state.blocks(connection, NOW + HOUR) == []
