"""What became of events at an endpoint, and what is replayed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.event import EventKind
from storage import events, retention, webhook_attempts, webhook_history, webhook_retries, webhooks
from storage.database import Connection
from storage.event_feed import Span
from storage.webhook_attempts import Result, WebhookAttempt
from storage.webhook_history import Lag, State
from storage.webhook_retries import Retry
from storage.webhooks import WebhookRecord
from tests.storage.builders import LATER, NOW, accept, claim, settle_all
from tests.storage.test_webhooks import create

DAY = timedelta(days=1)


def attempt(connection: Connection, seq: int, result: Result) -> None:
    status = 200 if result is Result.DELIVERED else 500
    made = WebhookAttempt(seq, NOW, timedelta(milliseconds=5), status, "", "ok", result)
    webhook_attempts.append(connection, "wh_1", [made])


@pytest.fixture
def record(connection: Connection) -> WebhookRecord:
    """An endpoint that is created after event 1 and has got to 5 of 1 to 8.

    Events 1 to 4 are of emails 1 to 4, and so are 5 to 8. Event 2 is delivered, 3 given up; 4 is
    tried again, so 8 is held.
    """
    accept(connection, "u1@example.net")
    create(connection, kinds=None)
    for number in (2, 3, 4):
        accept(connection, f"u{number}@example.net")
    settle_all(connection, claim(connection))
    attempt(connection, 2, Result.DELIVERED)
    for _ in range(2):
        attempt(connection, 3, Result.FAILED)
    attempt(connection, 3, Result.GIVEN_UP)
    attempt(connection, 4, Result.FAILED)
    webhook_retries.keep(connection, Retry("wh_1", 4, 1, LATER, 4))
    webhooks.advance(connection, "wh_1", 5)
    attempt(connection, 5, Result.DELIVERED)
    found = webhooks.get(connection, "wh_1")
    assert found is not None
    return found


def states(
    connection: Connection, record: WebhookRecord, state: State | None = None
) -> list[tuple[int, str]]:
    found = webhook_history.list_(connection, record, state, limit=99)
    return [(one.event.seq, one.state.value) for one in found]


def test_where_each_event_stands(connection: Connection, record: WebhookRecord) -> None:
    assert states(connection, record) == [
        (8, "held"),
        (7, "pending"),
        (6, "pending"),
        (5, "delivered"),
        (4, "retrying"),
        (3, "failed"),
        (2, "delivered"),
        (1, "skipped"),
    ]
    assert states(connection, record, State.FAILED) == [(3, "failed")]
    assert states(connection, record, State.RETRYING) == [(4, "retrying")]
    assert [seq for seq, _ in states(connection, record, State.PENDING)] == [8, 7, 6]
    with pytest.raises(ValueError, match="delivered"):
        states(connection, record, State.DELIVERED)


def test_pages(connection: Connection, record: WebhookRecord) -> None:
    def page(after: int | None = None, before: int | None = None) -> list[int]:
        found = webhook_history.list_(connection, record, limit=2, after=after, before=before)
        return [one.event.seq for one in found]

    assert page() == [8, 7]
    assert page(after=7) == [6, 5]
    assert page(before=4) == [6, 5]


def test_details(connection: Connection, record: WebhookRecord) -> None:
    _, _, _, _, retrying, failed, *_ = webhook_history.list_(connection, record, limit=99)
    assert (failed.attempts, failed.next_at) == (3, None)
    assert failed.last is not None
    assert failed.last.result is Result.GIVEN_UP
    assert (retrying.attempts, retrying.next_at) == (1, LATER)


def test_lag(connection: Connection, record: WebhookRecord) -> None:
    assert webhook_history.lag(connection, record) == Lag(events=3, retrying=1, oldest_at=NOW)
    webhook_retries.forget(connection, "wh_1", [4])
    webhooks.advance(connection, "wh_1", 8)
    record = webhooks.list_(connection)[0]
    assert webhook_history.lag(connection, record) == Lag(0, 0, None)


def test_only_what_was_given_up_is_replayed(connection: Connection, record: WebhookRecord) -> None:
    replayed = webhook_history.replay_range(
        connection, record, Span(1), only_failed=True, limit=9, now=NOW
    )
    assert (replayed.seqs, replayed.has_more) == ((3,), False)
    assert Retry("wh_1", 3, 0, NOW) in webhook_retries.oldest(connection, "wh_1", limit=9)
    assert states(connection, record, State.FAILED) == []  # it is under way
    assert webhooks.list_(connection)[0].revision == record.revision + 1
    webhook_retries.forget(connection, "wh_1", [3])
    attempt(connection, 3, Result.DELIVERED)
    assert states(connection, record, State.FAILED) == []


def test_all_of_a_range_is_replayed_but_what_waits_anyway(
    connection: Connection, record: WebhookRecord
) -> None:
    def replay(limit: int, after: int = 0) -> tuple[tuple[int, ...], bool]:
        span = Span(1, after=after)
        found = webhook_history.replay_range(
            connection, record, span, only_failed=False, limit=limit, now=NOW
        )
        return found.seqs, found.has_more

    assert replay(3) == ((1, 2, 3), True)
    assert replay(3, after=3) == ((4, 5), False)  # 6 to 8 are still to come
    rows = webhook_retries.oldest(connection, "wh_1", limit=9)
    assert [(row.event_seq, row.message_row) for row in rows] == [
        (1, None),
        (2, None),
        (3, None),
        (4, 4),
        (5, None),
    ]


@pytest.mark.parametrize(
    ("seq", "row"),
    [
        (2, Retry("wh_1", 2, 0, NOW)),
        (4, Retry("wh_1", 4, 1, NOW, 4)),  # its next try comes now
        (8, Retry("wh_1", 4, 1, NOW, 4)),  # and so does that of what it waits for
        (6, None),  # its turn comes
    ],
)
def test_replaying_one(
    connection: Connection, record: WebhookRecord, seq: int, row: Retry | None
) -> None:
    event = events.by_seq(connection, seq)
    assert event is not None
    webhook_history.replay(connection, record, event, NOW)
    assert webhook_retries.due(connection, "wh_1", NOW, limit=9) == ([row] if row else [])


def test_attempts_go_with_their_events(connection: Connection, record: WebhookRecord) -> None:
    webhook_retries.forget(connection, "wh_1", [4])
    retention.prune(connection, bodies_before=NOW, events_before=NOW + DAY, limit=3)
    left = connection.execute("SELECT DISTINCT event_seq FROM webhook_attempts").fetchall()
    assert left == [(4,), (5,)]
    assert webhook_attempts.count(connection, "wh_1", 4) == 1


def test_kinds_of_an_endpoint(connection: Connection, record: WebhookRecord) -> None:
    bounces = create(connection, "wh_2", kinds=(EventKind.QUEUED,))
    assert [seq for seq, _ in states(connection, bounces)] == [4, 3, 2, 1]
