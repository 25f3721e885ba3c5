from __future__ import annotations

from datetime import timedelta

from mta.core import ids
from mta.core.event import EventKind
from storage import events, queue
from storage.database import Connection
from storage.queue import Selection
from tests.storage import builders
from tests.storage.builders import LATER, NOW, accept, claim


def test_an_event_carries_what_a_webhook_tells(connection: Connection) -> None:
    accepted = accept(
        connection, "ant@example.net", tags=(("campaign", "spring"),), metadata={"order": [1, None]}
    )
    [event] = events.read(connection, after=0, limit=10)
    assert (event.seq, event.kind, event.at) == (1, EventKind.QUEUED, NOW)
    assert event.id == ids.numbered_id("ev", ids.milliseconds(NOW), 1)
    assert (event.tenant_id, event.email_id, event.message_row) == (1, accepted.public_id, 1)
    assert event.entry_id == queue.list_entries(connection, limit=1)[0].id
    assert (event.recipient, event.data) == ("ant@example.net", {})
    assert (event.tags, event.metadata) == ((("campaign", "spring"),), {"order": [1, None]})
    assert event.from_ == "news@sender.example"
    assert event.subject.startswith("Message")
    assert event.message_id.endswith("@sender.example>")
    assert events.by_seq(connection, 1) == event
    assert events.by_seq(connection, 2) is None


def test_the_journal_is_read_in_order_and_in_pages(connection: Connection) -> None:
    for number in range(5):
        accept(connection, f"u{number}@example.net")
    builders.settle_all(connection, claim(connection))
    first = events.read(connection, after=0, limit=7)
    rest = events.read(connection, after=first[-1].seq, limit=7)
    assert [event.seq for event in first + rest] == list(range(1, 11))
    assert [event.kind for event in rest] == [EventKind.DELIVERED] * 3
    assert events.read(connection, after=rest[-1].seq, limit=7) == []


def test_filters(connection: Connection) -> None:
    accept(connection, "a@example.net")
    builders.settle_all(connection, claim(connection), "bounced")
    bounced = events.read(connection, after=0, limit=9, kinds=[EventKind.BOUNCED])
    assert [event.kind for event in bounced] == [EventKind.BOUNCED]
    wanted = {EventKind.QUEUED, EventKind.BOUNCED}
    assert len(events.read(connection, after=0, limit=9, kinds=wanted, tenant_id=1)) == 2
    assert events.read(connection, after=0, limit=9, kinds=()) == []
    assert events.read(connection, after=0, limit=9, tenant_id=2) == []


def test_events_of_one_message(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.net")
    accept(connection, "c@example.net")
    queue.cancel(connection, Selection(domain="example.net"), now=LATER)
    kinds = [(event.recipient[0], event.kind.value) for event in events.of_message(connection, 1)]
    assert kinds == [("a", "queued"), ("b", "queued"), ("a", "canceled"), ("b", "canceled")]
    assert events.of_message(connection, 99) == []


def test_the_last_seq_outlives_its_event(connection: Connection) -> None:
    assert events.last_seq(connection) == 0
    accept(connection)
    connection.execute("DELETE FROM events")
    assert events.last_seq(connection) == 1
    accept(connection)
    assert events.read(connection, after=0, limit=9)[0].seq == 2


def test_when_a_scheduled_message_is_due_is_told(connection: Connection) -> None:
    accept(connection, send_at=NOW + timedelta(hours=1))
    [event] = events.read(connection, after=0, limit=9)
    assert event.data == {"send_at": "2026-03-01T13:00:00.000+00:00"}
