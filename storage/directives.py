"""Directives: what the engine should look at again, because the API or an operator changed it.

Recorded in the transaction of the change; the engine reads those after the last it has seen.
"""

from __future__ import annotations

from mta.core.frozen import frozen
from storage.database import Connection

DUE_CHANGED = "due_changed"
"""Entries of the domain in `target` are due earlier than the engine knows."""
KEYS_CHANGED = "keys_changed"
"""The DKIM keys of the domain in `target` are not what they were."""
CAMPAIGN_HELD = "campaign_held"
"""Emails of the campaign whose row number is in `target` are to be held, or canceled: those that
the engine has claimed go back to storage."""
SUPPRESSED = "suppressed"
"""The address of the entry whose row number is in `target` was suppressed while it was claimed: it
goes back to storage unless it is being tried."""

KEPT = 10_000
"""Old directives beyond this are removed: an engine that starts reads the whole queue anyway."""


@frozen
class Directive:
    """One directive; ids grow."""

    id: int
    kind: str
    target: str


def record(connection: Connection, kind: str, target: str) -> None:
    """Write a directive: one of the kinds above, and what it is about."""
    connection.execute("INSERT INTO directives (kind, target) VALUES (?, ?)", (kind, target))


def after(connection: Connection, last_id: int) -> tuple[list[Directive], int]:
    """Return the directives after `last_id`, oldest first, and the last id, to pass next time."""
    rows = connection.execute(
        "SELECT id, kind, target FROM directives WHERE id > ? ORDER BY id", (last_id,)
    )
    found = [Directive(*row) for row in rows]
    return found, found[-1].id if found else last_id


def last_id(connection: Connection) -> int:
    """Return the newest directive's id, 0 when there was none: where a starting engine begins."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'directives'").fetchone()
    return int(row[0]) if row else 0


def prune(connection: Connection) -> int:
    """Remove all but the newest KEPT; return how many."""
    oldest = last_id(connection) - KEPT
    return connection.execute("DELETE FROM directives WHERE id <= ?", (oldest,)).rowcount
