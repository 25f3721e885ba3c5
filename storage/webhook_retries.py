"""Posts that are to be made later: what failed, what waits behind it, and what is to be replayed.

A row with a message stands for its event and for all later events of that message up to the
endpoint's cursor: one row an email, however much happens to it meanwhile. Not here: when a post is
repeated (control_api/webhook_plan.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection
from storage.sql import chunks, marks


@frozen
class Retry:
    """A post that is to be made.

    Attributes:
        webhook_id: "wh_...".
        event_seq: the event's place in the journal.
        attempts: posts of it that failed so far; 0 for a replay, and for what only waited.
        due_at: when to post (aware, UTC).
        message_row: whose later events wait behind it; None: none do.
    """

    webhook_id: str
    event_seq: int
    attempts: int
    due_at: datetime
    message_row: int | None = None


_SELECT = "SELECT webhook_id, event_seq, attempts, due_at, message_id FROM webhook_retries"


def keep(connection: Connection, retry: Retry) -> None:
    """Write a row, in place of one for the same event; nothing when the endpoint is deleted."""
    connection.execute(
        "INSERT INTO webhook_retries (webhook_id, event_seq, message_id, attempts, due_at)"
        " SELECT id, ?, ?, ?, ? FROM webhooks WHERE id = ?"
        " ON CONFLICT (webhook_id, event_seq) DO UPDATE SET message_id = excluded.message_id,"
        " attempts = excluded.attempts, due_at = excluded.due_at",
        (
            retry.event_seq,
            retry.message_row,
            retry.attempts,
            ids.milliseconds(retry.due_at),
            retry.webhook_id,
        ),
    )


def forget(connection: Connection, webhook_id: str, event_seqs: Iterable[int]) -> None:
    """Drop rows: the post has succeeded, or is given up."""
    connection.executemany(
        "DELETE FROM webhook_retries WHERE webhook_id = ? AND event_seq = ?",
        [(webhook_id, seq) for seq in event_seqs],
    )


def due(connection: Connection, webhook_id: str, now: datetime, *, limit: int) -> list[Retry]:
    """Return an endpoint's rows that are due, the longest due first."""
    rows = connection.execute(
        f"{_SELECT} WHERE webhook_id = ? AND due_at <= ? ORDER BY due_at, event_seq LIMIT ?",
        (webhook_id, ids.milliseconds(now), limit),
    )
    return [_retry(row) for row in rows]


def next_due(connection: Connection, webhook_id: str, *, after: datetime) -> datetime | None:
    """Return when the next of an endpoint's rows is due after a time (aware); None: none is."""
    row = connection.execute(
        "SELECT due_at FROM webhook_retries WHERE webhook_id = ? AND due_at > ?"
        " ORDER BY due_at LIMIT 1",
        (webhook_id, ids.milliseconds(after)),
    ).fetchone()
    return ids.moment(row[0]) if row else None


def waiting_messages(
    connection: Connection, webhook_id: str, message_rows: Sequence[int]
) -> set[int]:
    """Return which of these messages have events that wait behind a row of this endpoint."""
    found: set[int] = set()
    for some in chunks(message_rows):
        rows = connection.execute(
            "SELECT message_id FROM webhook_retries"
            f" WHERE webhook_id = ? AND message_id IN ({marks(some)})",
            (webhook_id, *some),
        )
        found.update(row for (row,) in rows)
    return found


def holder(
    connection: Connection, webhook_id: str, event_seq: int, message_row: int | None
) -> Retry | None:
    """Return the row that an event waits in or behind; None when it does not wait."""
    row = connection.execute(
        f"{_SELECT} WHERE webhook_id = ? AND event_seq = ?", (webhook_id, event_seq)
    ).fetchone()
    if row is None and message_row is not None:
        row = connection.execute(
            f"{_SELECT} WHERE webhook_id = ? AND message_id = ? AND event_seq <= ?",
            (webhook_id, message_row, event_seq),
        ).fetchone()
    return _retry(row) if row else None


def count(connection: Connection, webhook_id: str) -> int:
    """Return how many rows an endpoint has."""
    [(found,)] = connection.execute(
        "SELECT COUNT(*) FROM webhook_retries WHERE webhook_id = ?", (webhook_id,)
    )
    return int(found)


def oldest(connection: Connection, webhook_id: str, *, limit: int) -> list[Retry]:
    """Return an endpoint's rows in the order of their events, the oldest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE webhook_id = ? ORDER BY event_seq LIMIT ?", (webhook_id, limit)
    )
    return [_retry(row) for row in rows]


def _retry(row: tuple[str, int, int, int, int | None]) -> Retry:
    webhook_id, event_seq, attempts, due_at, message_row = row
    return Retry(webhook_id, event_seq, attempts, ids.moment(due_at), message_row)
