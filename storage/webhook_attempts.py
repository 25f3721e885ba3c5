"""The log of webhook posts: every one, with what the endpoint answered. Goes with its event.

Not here: posting (control_api/webhook_lane.py), and what is still to be posted
(webhook_retries.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timedelta

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection


class Result(enum.Enum):
    """What a post led to."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Another try follows."""
    GIVEN_UP = "given_up"


@frozen
class WebhookAttempt:
    """One post.

    Attributes:
        event_seq: the event's place in the journal.
        at: when it began (aware, UTC).
        latency: from the name lookup to the end of the reply.
        status: HTTP status; None when there was no answer.
        error: why there was none; "" when there was one.
        reply: beginning of the answer's body as printable text.
        result: what it led to.
    """

    event_seq: int
    at: datetime
    latency: timedelta
    status: int | None
    error: str
    reply: str
    result: Result


def append(connection: Connection, webhook_id: str, attempts: Iterable[WebhookAttempt]) -> None:
    """Write down posts to one endpoint, in the order they ended."""
    connection.executemany(
        "INSERT INTO webhook_attempts"
        " (webhook_id, event_seq, at, latency_ms, status, error, reply, result)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                webhook_id,
                attempt.event_seq,
                ids.milliseconds(attempt.at),
                attempt.latency // timedelta(milliseconds=1),
                attempt.status,
                attempt.error,
                attempt.reply,
                attempt.result.value,
            )
            for attempt in attempts
        ],
    )


_SELECT = """
SELECT event_seq, at, latency_ms, status, error, reply, result FROM webhook_attempts
WHERE event_seq = ? AND webhook_id = ?
"""


def of_event(
    connection: Connection, webhook_id: str, event_seq: int, *, limit: int
) -> list[WebhookAttempt]:
    """Return the posts of one event to one endpoint, newest first."""
    rows = connection.execute(f"{_SELECT} ORDER BY id DESC LIMIT ?", (event_seq, webhook_id, limit))
    return [_attempt(row) for row in rows]


def count(connection: Connection, webhook_id: str, event_seq: int) -> int:
    """Return how often an event was posted to an endpoint."""
    [(found,)] = connection.execute(
        "SELECT COUNT(*) FROM webhook_attempts WHERE event_seq = ? AND webhook_id = ?",
        (event_seq, webhook_id),
    )
    return int(found)


def forget_through(connection: Connection, event_seq: int) -> None:
    """Remove the posts of all events up to this seq; their events are being removed too."""
    connection.execute("DELETE FROM webhook_attempts WHERE event_seq <= ?", (event_seq,))


def _attempt(row: tuple[int, int, int, int | None, str, str, str]) -> WebhookAttempt:
    event_seq, at, latency_ms, status, error, reply, result = row
    return WebhookAttempt(
        event_seq=event_seq,
        at=ids.moment(at),
        latency=timedelta(milliseconds=latency_ms),
        status=status,
        error=error,
        reply=reply,
        result=Result(result),
    )
