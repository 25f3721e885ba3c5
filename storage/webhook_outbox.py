"""What a webhook endpoint is to be told next, and what has come of it: one read, one write.

The reader keeps a part of the journal in memory (control_api/webhook_window.py) and says how far it
has read; rows of the retries come back with the events that wait behind them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from mta.core import ids
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import event_feed, events, webhook_attempts, webhook_retries, webhooks
from storage.database import Connection
from storage.event_feed import Span
from storage.events import JournalEntry
from storage.webhook_attempts import WebhookAttempt
from storage.webhook_retries import Retry
from storage.webhooks import Health, WebhookRecord

FOLLOWERS = 50
"""Events of an email that are read with its row; the others are read when these are posted."""
MAX_ROWS = 10_000
"""Rows in webhook_retries of one endpoint; one more drops the oldest."""


@frozen
class Place:
    """How far the reader is.

    Attributes:
        position: seq up to which it has read.
        rows: seqs of the retries that it has in memory.
        limit: how many more posts it takes.
        max_backlog: events of the journal that the position may be behind.
    """

    position: int
    rows: Collection[int]
    limit: int
    max_backlog: int


@frozen
class Kept:
    """A row of the retries, read back with events that wait behind it.

    Attributes:
        retry: the row.
        events: its event, when there is one (any more), and some that follow it in its email.
        rest: seq of the first follower that is not among them; None: there is none.
    """

    retry: Retry
    events: tuple[JournalEntry, ...]
    rest: int | None = None


@frozen
class Outbox:
    """What is to be posted.

    Attributes:
        kept: rows that are due.
        fresh: events after the position, oldest first.
        waiting: messages of fresh that have a row, due or not.
        position: seq up to which there are no others.
        has_more: whether there is more that could be posted now.
        next_due: when the next of the other rows is due (aware, UTC); None: there is none.
        dropped: events that were passed over because the position was too far behind.
    """

    kept: tuple[Kept, ...]
    fresh: tuple[JournalEntry, ...]
    waiting: Collection[int]
    position: int
    has_more: bool = False
    next_due: datetime | None = None
    dropped: int = 0


def read(connection: Connection, record: WebhookRecord, place: Place, now: datetime) -> Outbox:
    """Return what an endpoint is to be told now; half of it at most are retries."""
    last = events.last_seq(connection)
    begin = max(place.position, last - place.max_backlog)
    due = _due(connection, record.id, place, now)
    kept = _with_followers(connection, record, due, through=place.position)
    room = place.limit - len(kept)
    span = Span(record.tenant_id, record.kinds, begin)
    fresh = event_feed.read(connection, span, limit=room)
    is_all = len(fresh) < room
    position = last if is_all else fresh[-1].seq if fresh else begin
    rows = dict.fromkeys(event.message_row for event in fresh if event.message_row)
    return Outbox(
        kept=tuple(kept),
        fresh=tuple(fresh),
        waiting=webhook_retries.waiting_messages(connection, record.id, list(rows)),
        position=position,
        has_more=position < last or len(due) >= _share(place.limit),
        next_due=webhook_retries.next_due(connection, record.id, after=now),
        dropped=_count(connection, record, place.position, begin),
    )


def _due(connection: Connection, webhook_id: str, place: Place, now: datetime) -> list[Retry]:
    share = _share(place.limit)
    found = webhook_retries.due(connection, webhook_id, now, limit=share + len(place.rows))
    return [retry for retry in found if retry.event_seq not in place.rows][:share]


def _share(limit: int) -> int:
    return max(1, limit // 2)


def _with_followers(
    connection: Connection, record: WebhookRecord, due: list[Retry], *, through: int
) -> list[Kept]:
    alone = [retry.event_seq for retry in due if retry.message_row is None]
    found = {event.seq: event for event in events.by_seqs(connection, alone)}
    return [
        _chain(connection, record, retry, retry.message_row, through)
        if retry.message_row is not None
        else Kept(retry, tuple(filter(None, [found.get(retry.event_seq)])))
        for retry in due
    ]


def _chain(
    connection: Connection, record: WebhookRecord, retry: Retry, message_row: int, through: int
) -> Kept:
    kinds = tuple(EventKind) if record.kinds is None else record.kinds
    found = events.of_message(
        connection, message_row, after=retry.event_seq - 1, limit=FOLLOWERS + 2, kinds=kinds
    )
    reached = [event for event in found if event.seq <= max(through, retry.event_seq)]
    rest = reached[FOLLOWERS + 1].seq if len(reached) > FOLLOWERS + 1 else None
    return Kept(retry, tuple(reached[: FOLLOWERS + 1]), rest)


def _count(connection: Connection, record: WebhookRecord, after: int, through: int) -> int:
    """Return how many of an endpoint's events are in a part of the journal."""
    kinds = EventKind if record.kinds is None else record.kinds
    if through <= after:
        return 0
    counts = [
        connection.execute(
            "SELECT COUNT(*) FROM events WHERE tenant_id = ? AND kind = ? AND seq > ? AND seq <= ?",
            (record.tenant_id, kind.value, after, through),
        ).fetchone()[0]
        for kind in kinds
    ]
    return sum(counts)


@frozen
class Report:
    """What came of posts to an endpoint.

    Attributes:
        cursor: seq up to which all events are posted or stand behind a row.
        over: seqs of rows to drop.
        kept: rows to write, after those were dropped.
        attempts: posts made.
        dropped: events that were passed over.
        health: how the endpoint fares now.
        disabled_for: why it is to be disabled, "" when it is not.
        at: aware, UTC.
    """

    cursor: int
    over: Collection[int]
    kept: Collection[Retry]
    attempts: Collection[WebhookAttempt]
    dropped: int
    health: Health
    disabled_for: str
    at: datetime


def write(connection: Connection, record: WebhookRecord, report: Report) -> int:
    """Write down what came of posts; return how many rows were dropped because of MAX_ROWS.

    An endpoint that is disabled so gets its event into the journal, for whoever else listens.
    """
    webhook_retries.forget(connection, record.id, report.over)
    for retry in report.kept:
        webhook_retries.keep(connection, retry)
    excess = _drop_excess(connection, record.id) if report.kept else 0
    webhook_attempts.append(connection, record.id, report.attempts)
    webhooks.advance(connection, record.id, report.cursor, dropped=report.dropped + excess)
    webhooks.note_health(connection, record.id, report.health)
    if report.disabled_for:
        _disable(connection, record, report)
    return excess


def _drop_excess(connection: Connection, webhook_id: str) -> int:
    excess = webhook_retries.count(connection, webhook_id) - MAX_ROWS
    if excess <= 0:
        return 0
    oldest = webhook_retries.oldest(connection, webhook_id, limit=excess)
    webhook_retries.forget(connection, webhook_id, [retry.event_seq for retry in oldest])
    return excess


def _disable(connection: Connection, record: WebhookRecord, report: Report) -> None:
    if not webhooks.disable(connection, record.id, report.at, report.disabled_for):
        return
    since = report.health.failing_since
    data: dict[str, JsonValue] = {
        "webhook_id": record.id,
        "description": record.description,
        "reason": report.disabled_for,
        "failing_since": since.isoformat(timespec="milliseconds") if since else None,
    }
    row = (
        events.NO_ROW,
        events.NO_ROW,
        record.tenant_id,
        EventKind.WEBHOOK_DISABLED.value,
        ids.milliseconds(report.at),
        events.json_data(data),
    )
    events.append(connection, [row])
