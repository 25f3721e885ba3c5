"""What became of each event at one endpoint, how far the endpoint is behind, and replays.

Not here: the log of single posts (webhook_attempts.py).
"""

from __future__ import annotations

import enum
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage import event_feed, events, webhook_attempts, webhook_retries, webhooks
from storage.database import Connection
from storage.event_feed import Span
from storage.events import JournalEntry
from storage.webhook_attempts import Result, WebhookAttempt
from storage.webhook_retries import Retry
from storage.webhooks import WebhookRecord

COUNTED = 1000
"""Events that Lag counts at most."""


class State(enum.Enum):
    """Where an event stands at an endpoint."""

    PENDING = "pending"
    """Not posted yet; its turn comes."""
    RETRYING = "retrying"
    """Failed, or to be replayed; posted (again) at next_at."""
    HELD = "held"
    """Waits for an earlier event of the same email."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up: it can be replayed."""
    SKIPPED = "skipped"
    """Never posted: it was before the endpoint wanted its kind, or the backlog was too long."""


@frozen
class EventDelivery:
    """One event and what became of it at an endpoint.

    Attributes:
        attempts: posts made.
        last: the last of them; None before the first.
        next_at: when it is posted again (aware, UTC; may be past); None: nothing is planned.
    """

    event: JournalEntry
    state: State
    attempts: int
    last: WebhookAttempt | None
    next_at: datetime | None


@frozen
class Lag:
    """How much waits for an endpoint.

    Attributes:
        events: those after its cursor, COUNTED at most.
        retrying: emails whose events are tried again, and replays.
        oldest_at: when the oldest of all these happened (aware, UTC); None: nothing waits.
    """

    events: int
    retrying: int
    oldest_at: datetime | None


def lag(connection: Connection, record: WebhookRecord) -> Lag:
    """Return how much waits for an endpoint."""
    span = Span(record.tenant_id, record.kinds, record.cursor)
    waiting = event_feed.seqs(connection, span, limit=COUNTED)
    retries = webhook_retries.oldest(connection, record.id, limit=1)
    oldest = min([*waiting[:1], *(retry.event_seq for retry in retries)], default=None)
    event = None if oldest is None else events.by_seq(connection, oldest)
    return Lag(
        events=len(waiting),
        retrying=webhook_retries.count(connection, record.id),
        oldest_at=event.at if event else None,
    )


def of_event(connection: Connection, record: WebhookRecord, event: JournalEntry) -> EventDelivery:
    """Return what became of an event at an endpoint."""
    last = next(iter(webhook_attempts.of_event(connection, record.id, event.seq, limit=1)), None)
    holder = webhook_retries.holder(connection, record.id, event.seq, event.message_row or None)
    return EventDelivery(
        event=event,
        state=_state(record, event, last, holder),
        attempts=webhook_attempts.count(connection, record.id, event.seq),
        last=last,
        next_at=holder.due_at if holder and holder.event_seq == event.seq else None,
    )


def _state(
    record: WebhookRecord, event: JournalEntry, last: WebhookAttempt | None, holder: Retry | None
) -> State:
    if holder is not None:
        return State.RETRYING if holder.event_seq == event.seq else State.HELD
    if last is not None:
        return State.DELIVERED if last.result is Result.DELIVERED else State.FAILED
    return State.PENDING if event.seq > record.cursor else State.SKIPPED


def list_(
    connection: Connection,
    record: WebhookRecord,
    state: State | None = None,
    *,
    limit: int,
    after: int | None = None,
    before: int | None = None,
) -> list[EventDelivery]:
    """Return events of the kinds that an endpoint gets and what became of them, newest first.

    Args:
        connection: any.
        record: the endpoint.
        state: only these; PENDING, RETRYING, FAILED or None, which is all. (Of the others there is
            no index.)
        limit: at most so many.
        after: only older events than the one with this seq.
        before: instead, those just before it, newer ones.
    """
    is_newest_first = before is None
    span = Span(
        record.tenant_id,
        record.kinds,
        after=before or 0,
        through=None if after is None else after - 1,
    )
    seqs = _seqs(connection, record, state, span, limit=limit, is_newest_first=is_newest_first)
    found = events.by_seqs(connection, seqs)
    return [of_event(connection, record, event) for event in reversed(found)]


def _seqs(
    connection: Connection,
    record: WebhookRecord,
    state: State | None,
    span: Span,
    *,
    limit: int,
    is_newest_first: bool,
) -> list[int]:
    match state:
        case None:
            pass
        case State.PENDING:
            span = Span(span.tenant_id, span.kinds, max(span.after, record.cursor), span.through)
        case State.RETRYING | State.FAILED:
            direction = "DESC" if is_newest_first else "ASC"
            rows = connection.execute(
                f"{_OF_STATE[state]} ORDER BY event_seq {direction} LIMIT ?",
                (record.id, span.after, span.end, limit),
            )
            return [seq for (seq,) in rows]
        case _:
            raise ValueError(f"events that are {state.value} cannot be listed")
    return event_feed.seqs(connection, span, limit=limit, is_newest_first=is_newest_first)


_GIVEN_UP = """
SELECT DISTINCT event_seq FROM webhook_attempts AS a
WHERE webhook_id = ? AND result = 'given_up' AND event_seq > ? AND event_seq <= ?
    AND NOT EXISTS (
        SELECT 1 FROM webhook_attempts AS later
        WHERE later.event_seq = a.event_seq AND later.webhook_id = a.webhook_id
            AND later.result = 'delivered' AND later.id > a.id
    )
    AND NOT EXISTS (
        SELECT 1 FROM webhook_retries AS r
        WHERE r.webhook_id = a.webhook_id AND r.event_seq = a.event_seq
    )
"""
_OF_STATE = {
    State.FAILED: _GIVEN_UP,
    State.RETRYING: (
        "SELECT event_seq FROM webhook_retries WHERE webhook_id = ?"
        " AND event_seq > ? AND event_seq <= ?"
    ),
}


def replay(
    connection: Connection, record: WebhookRecord, event: JournalEntry, now: datetime
) -> None:
    """Let an event be posted now: again, or before its time when it waits for its next try.

    An event whose turn has not come is left alone: it is posted anyway.
    """
    holder = webhook_retries.holder(connection, record.id, event.seq, event.message_row or None)
    if holder is not None:
        attempts, row = holder.attempts, holder.message_row
        webhook_retries.keep(connection, Retry(record.id, holder.event_seq, attempts, now, row))
    elif event.seq <= record.cursor:
        webhook_retries.keep(connection, Retry(record.id, event.seq, 0, now))
    webhooks.touch(connection, record.id)


@frozen
class Replayed:
    """Which events a range was replayed of.

    Attributes:
        seqs: oldest first; those that wait for a try anyway are not among them.
        has_more: whether the range has more than could be taken.
    """

    seqs: tuple[int, ...]
    has_more: bool


def replay_range(
    connection: Connection,
    record: WebhookRecord,
    span: Span,
    *,
    only_failed: bool,
    limit: int,
    now: datetime,
) -> Replayed:
    """Let the events of a span be posted again, from now on, at most `limit` of them.

    Args:
        connection: of a write.
        record: the endpoint.
        span: which of its events; what lies behind its cursor is left alone.
        only_failed: only those that were given up.
        limit: at most so many.
        now: aware, UTC.
    """
    through = min(record.cursor, span.end)
    span = Span(record.tenant_id, record.kinds, span.after, through)
    state = State.FAILED if only_failed else None
    seqs = _seqs(connection, record, state, span, limit=limit + 1, is_newest_first=False)
    now_ms = ids.milliseconds(now)
    connection.executemany(_REPLAY, [(record.id, now_ms, seq, record.id) for seq in seqs[:limit]])
    webhooks.touch(connection, record.id)
    return Replayed(tuple(seqs[:limit]), has_more=len(seqs) > limit)


_REPLAY = """
INSERT INTO webhook_retries (webhook_id, event_seq, message_id, attempts, due_at)
SELECT ?, e.seq, NULL, 0, ? FROM events AS e WHERE e.seq = ? AND NOT EXISTS (
    SELECT 1 FROM webhook_retries AS r
    WHERE r.webhook_id = ? AND r.message_id = e.message_id AND r.event_seq <= e.seq
)
ON CONFLICT (webhook_id, event_seq) DO UPDATE SET due_at = excluded.due_at
"""
