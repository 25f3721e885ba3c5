"""Retention: removing what was kept long enough, in small steps so that mail never waits for it.

A body goes first, once its message is settled; the events go later, once every webhook has them;
and with its last event a settled message goes altogether. Not here: when to call this, and removing
the spool files (mta/maintenance.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import takewhile

from mta.core import ids
from mta.core.frozen import frozen
from storage import tracking, unsubscribes, webhook_attempts
from storage.database import Connection
from storage.events import decoded_tags
from storage.sql import chunks, marks


@frozen
class Pruned:
    """What one step removed; all zero when there is nothing left to do.

    Attributes:
        bodies, events, messages: how many of each.
        files: spool files of those bodies, to be removed after COMMIT.
    """

    bodies: int
    events: int
    messages: int
    files: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was removed."""
        return not (self.bodies or self.events)


def prune(
    connection: Connection, *, bodies_before: datetime, events_before: datetime, limit: int
) -> Pruned:
    """Remove a little; call again, in a transaction of its own, until the result is empty.

    Args:
        connection: of a write.
        bodies_before: bodies of messages settled before then (aware).
        events_before: events that happened before then, as far as every enabled webhook has got
            (aware). A message without events left, and settled, is removed with its entries.
        limit: at most so many bodies, and as many events.
    """
    files, bodies = _prune_bodies(connection, ids.milliseconds(bodies_before), limit)
    rows = _prune_events(connection, ids.milliseconds(events_before), limit)
    more_files, messages = _prune_messages(connection, sorted(set(rows)))
    return Pruned(bodies, len(rows), messages, (*files, *more_files))


def files_in_use(connection: Connection, names: Collection[str]) -> set[str]:
    """Return which of these spool files something refers to; the others may be removed."""
    found: set[str] = set()
    for some in chunks(list(names)):
        for table in ("bodies", "imports"):
            sql = f"SELECT file FROM {table} WHERE file IN ({marks(some)})"
            found.update(name for (name,) in connection.execute(sql, some))
    return found


def _prune_bodies(connection: Connection, before_ms: int, limit: int) -> tuple[list[str], int]:
    rows = connection.execute(
        "UPDATE messages SET has_body = 0 WHERE id IN (SELECT id FROM messages"
        " WHERE has_body = 1 AND settled_at > 0 AND settled_at < ?"
        " ORDER BY settled_at LIMIT ?) RETURNING id",
        (before_ms, limit),
    ).fetchall()
    return _delete_bodies(connection, [row for (row,) in rows]), len(rows)


def _delete_bodies(connection: Connection, message_rows: list[int]) -> list[str]:
    """Delete bodies and return the spool files that they leave behind."""
    files: list[str] = []
    for some in chunks(message_rows):
        rows = connection.execute(
            f"DELETE FROM bodies WHERE message_id IN ({marks(some)}) RETURNING file", some
        )
        files += [name for (name,) in rows if name is not None]
    return files


def _prune_events(connection: Connection, before_ms: int, limit: int) -> list[int]:
    """Delete the oldest events and return the message row of each.

    They are read in the order of the journal up to the first that must stay, so that their time
    need not be indexed.
    """
    oldest = connection.execute(
        "SELECT seq, at FROM events WHERE seq < ? ORDER BY seq LIMIT ?",
        (_first_needed(connection), limit),
    ).fetchall()
    done = [seq for seq, _ in takewhile(lambda event: event[1] < before_ms, oldest)]
    if not done:
        return []
    webhook_attempts.forget_through(connection, done[-1])
    connection.execute("DELETE FROM campaign_log WHERE seq <= ?", done[-1:])
    deleted = connection.execute(
        "DELETE FROM events WHERE seq <= ? RETURNING message_id", done[-1:]
    )
    return [message_row for (message_row,) in deleted.fetchall()]


def _first_needed(connection: Connection) -> int:
    """Return the seq of the first event that somebody follows who has not got there yet.

    Webhooks still have to post it, stats.py to count it, or automations to look at it.
    """
    [(needed,)] = connection.execute(
        "SELECT MIN(seq) FROM ("
        " SELECT MIN(cursor) + 1 AS seq FROM webhooks WHERE disabled_at IS NULL"
        " UNION ALL SELECT MIN(r.event_seq) FROM webhook_retries r"
        " JOIN webhooks w ON w.id = r.webhook_id WHERE w.disabled_at IS NULL"
        " UNION ALL SELECT value + 1 FROM counters"
        " WHERE name IN ('statistics', 'automations')) AS needed"
    ).fetchall()
    return _NO_LIMIT if needed is None else int(needed)


_NO_LIMIT = 2**63 - 1


def _prune_messages(connection: Connection, message_rows: list[int]) -> tuple[list[str], int]:
    """Delete those of the messages that are settled and have no events left, and all theirs."""
    files: list[str] = []
    count = 0
    unsubscribes.keep_targets(connection, message_rows)
    for some in chunks(message_rows):
        gone = connection.execute(
            f"DELETE FROM messages WHERE id IN ({marks(some)}) AND settled_at IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM events WHERE message_id = messages.id)"
            " RETURNING id, tenant_id, created_at, tags",
            some,
        ).fetchall()
        rows = [row[0] for row in gone]
        tracking.forget(connection, rows)
        connection.executemany("DELETE FROM entries WHERE message_id = ?", zip(rows, strict=True))
        _delete_tags(connection, gone)
        files += _delete_bodies(connection, rows)
        count += len(rows)
    return files, count


def _delete_tags(connection: Connection, messages: Sequence[tuple[int, int, int, str]]) -> None:
    connection.executemany(
        "DELETE FROM message_tags WHERE tenant_id = ? AND name = ? AND value = ?"
        " AND created_at = ? AND message_id = ?",
        [
            (tenant_id, name, value, created_at, row_id)
            for row_id, tenant_id, created_at, tags in messages
            for name, value in decoded_tags(tags)
        ],
    )
