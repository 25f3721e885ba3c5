from __future__ import annotations

from datetime import timedelta

import pytest

from storage import queue
from storage.database import Connection
from storage.queue import DomainDepth, EntryState, QueueTotals, Selection
from tests.storage import builders
from tests.storage.builders import LATER, NOW, accept, claim


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """Two delivered, one claimed, one held, three waiting."""
    accept(connection, "done1@example.net", "done2@example.net")
    builders.settle_all(connection, claim(connection))
    accept(connection, "claimed@example.net")
    claim(connection)
    accept(connection, "held@example.org", at=LATER)
    queue.hold(connection, Selection(domain="example.org"), now=NOW)
    accept(connection, "wait1@example.net", "wait2@example.org", "wait3@example.com", at=LATER)
    return connection


def names(entries: list[queue.EntryView]) -> list[str]:
    return [entry.recipient.partition("@")[0] for entry in entries]


def test_the_queue_is_what_is_open(filled: Connection) -> None:
    found = names(queue.list_entries(filled, limit=100))
    assert found == ["claimed", "held", "wait1", "wait2", "wait3"]


def test_filters(filled: Connection) -> None:
    assert names(queue.list_entries(filled, limit=9, domain="example.org")) == ["held", "wait2"]
    assert names(queue.list_entries(filled, limit=9, states={EntryState.HELD})) == ["held"]
    assert queue.list_entries(filled, limit=9, tenant_id=2) == []
    assert len(queue.list_entries(filled, limit=9, tenant_id=1)) == 5
    assert queue.list_entries(filled, limit=9, states=[]) == []
    open_or_held = {EntryState.HELD, EntryState.CLAIMED}
    assert names(queue.list_entries(filled, limit=9, states=open_or_held)) == ["claimed", "held"]


def test_final_entries_are_found_by_their_email(filled: Connection) -> None:
    assert queue.list_entries(filled, limit=9, states={EntryState.DELIVERED}) == []
    row = filled.execute("SELECT public_id FROM messages ORDER BY id").fetchone()
    found = queue.list_entries(filled, limit=9, email_id=row[0])
    assert names(found) == ["done1", "done2"]
    assert queue.list_entries(filled, limit=9, email_id=row[0], states={EntryState.HELD}) == []


def test_pages(filled: Connection) -> None:
    first = queue.list_entries(filled, limit=2)
    second = queue.list_entries(filled, limit=2, after=first[-1].id)
    third = queue.list_entries(filled, limit=2, after=second[-1].id)
    assert names(first + second + third) == ["claimed", "held", "wait1", "wait2", "wait3"]


def test_an_entry_tells_why_it_waits(connection: Connection) -> None:
    accepted = accept(connection, "ant@example.net", priority=builders.BULK)
    builders.settle_all(connection, claim(connection), "deferred")
    [entry] = queue.list_entries(connection, limit=9)
    assert entry.id.startswith("dl_")
    assert (entry.email_id, entry.recipient) == (accepted.public_id, "ant@example.net")
    assert (entry.domain, entry.state, entry.priority) == ("example.net", "waiting", 1)
    assert (entry.attempts, entry.due_at, entry.why) == (1, LATER, "reply")
    assert (entry.code, entry.reply, entry.host) == (451, "try later", "mx.example.net")
    assert entry.created_at == NOW


def test_depths(filled: Connection) -> None:
    assert queue.depths(filled) == [
        DomainDepth("example.com", 1, 0, 0, LATER, LATER),
        DomainDepth("example.net", 1, 1, 0, NOW, LATER),
        DomainDepth("example.org", 1, 0, 1, LATER, LATER),
    ]
    assert queue.depths(filled, limit=1)[0].domain == "example.com"
    assert [one.domain for one in queue.depths(filled, domain="example.org")] == ["example.org"]
    assert queue.depths(filled, tenant_id=7) == []


def test_totals(filled: Connection) -> None:
    assert queue.totals(filled) == QueueTotals(3, 1, 1, LATER)
    assert queue.totals(filled, tenant_id=7) == QueueTotals(0, 0, 0, None)


def test_the_deepest_comes_first(connection: Connection) -> None:
    assert queue.depths(connection) == []
    accept(connection, "a@example.com")
    accept(connection, "a@example.net", "b@example.net", at=NOW + timedelta(seconds=1))
    assert [depth.domain for depth in queue.depths(connection)] == ["example.net", "example.com"]
