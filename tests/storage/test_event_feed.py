"""The journal as one tenant reads it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.event import EventKind
from storage import event_feed, events
from storage.database import Connection
from storage.event_feed import News, Span
from tests.storage.builders import NOW, accept, claim, settle_all

BOUNCED, QUEUED = EventKind.BOUNCED, EventKind.QUEUED


@pytest.fixture
def connection(connection: Connection) -> Connection:
    """Seqs 1 to 4 are queued (3 of tenant 2), 5 to 8 bounced (7 of tenant 2)."""
    connection.execute("INSERT INTO tenants (id, name, created_at) VALUES (2, 'two', 0)")
    for number, tenant_id in enumerate((1, 1, 2, 1)):
        at = NOW + timedelta(minutes=number)
        accept(connection, f"u{number}@example.net", at=at, tenant_id=tenant_id)
    settle_all(connection, claim(connection, at=NOW + timedelta(hours=1)), "bounced")
    connection.execute("UPDATE events SET at = at + 3600000 WHERE seq > 4")
    return connection


def seqs(connection: Connection, span: Span, limit: int = 99, newest: bool = False) -> list[int]:
    return event_feed.seqs(connection, span, limit=limit, is_newest_first=newest)


def test_a_tenants_events_in_order(connection: Connection) -> None:
    assert seqs(connection, Span(1)) == [1, 2, 4, 5, 6, 8]
    assert seqs(connection, Span(2)) == [3, 7]
    assert seqs(connection, Span(3)) == []


def test_pages(connection: Connection) -> None:
    assert seqs(connection, Span(1), 2) == [1, 2]
    assert seqs(connection, Span(1, after=2), 2) == [4, 5]
    assert seqs(connection, Span(1, after=2, through=5)) == [4, 5]
    assert seqs(connection, Span(1), 2, newest=True) == [8, 6]
    assert seqs(connection, Span(1, through=5), 2, newest=True) == [5, 4]


def test_kinds(connection: Connection) -> None:
    assert seqs(connection, Span(1, (BOUNCED,))) == [5, 6, 8]
    assert seqs(connection, Span(1, (BOUNCED, QUEUED), after=3)) == [4, 5, 6, 8]
    assert seqs(connection, Span(1, ())) == []
    found = event_feed.read(connection, Span(2, (BOUNCED,)), limit=9)
    assert [(one.seq, one.kind, one.tenant_id) for one in found] == [(7, BOUNCED, 2)]


def test_news(connection: Connection) -> None:
    assert event_feed.news(connection, 0) == News(frozenset({1, 2}), 8)
    assert event_feed.news(connection, 7) == News(frozenset({1}), 8)
    assert event_feed.news(connection, 8) == News(frozenset(), 8)


@pytest.mark.parametrize(
    ("minutes", "seq"), [(-1, 0), (0, 0), (0.5, 1), (1, 1), (3.5, 4), (59, 4), (600, 8)]
)
def test_the_last_event_before_a_time(connection: Connection, minutes: float, seq: int) -> None:
    assert event_feed.seq_before(connection, NOW + timedelta(minutes=minutes)) == seq


def test_gaps_are_no_obstacle(connection: Connection) -> None:
    connection.execute("DELETE FROM events WHERE seq IN (1, 2, 5)")
    assert event_feed.seq_before(connection, NOW + timedelta(minutes=2.5)) == 3
    assert event_feed.seq_before(connection, NOW + timedelta(minutes=0.5)) == 0
    assert [one.seq for one in events.by_seqs(connection, [1, 4, 3])] == [3, 4]
