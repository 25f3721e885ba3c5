"""Tallies: what the moves of entries mean for their messages, as counts, status and credits.

Called inside the transaction that moves the entries. Not here: the moves (claims.py, settlement.py,
operators.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mta.core.event import EventKind
from storage import events
from storage.credits import end_holds
from storage.database import Connection
from storage.entries import EntryState, final_status
from storage.sql import given


@dataclass(slots=True)
class Tally:
    """What happened to a message's entries in one call.

    Attributes:
        at_ms: when the last of it happened.
        finals: how many entries became final.
        status: of the message, should this be all there is to it: the last entry's.
        is_deferred: whether an entry waits again after an attempt.
        delivered: how many of the final ones were delivered.
    """

    at_ms: int
    finals: int = 0
    status: str = ""
    is_deferred: bool = False
    delivered: int = 0


_APPLY = """
UPDATE messages SET
    pending = pending - (given.value ->> 1),
    status = CASE WHEN recipients = 1 OR given.value ->> 2 THEN given.value ->> 3 ELSE status END,
    settled_at = CASE WHEN pending = given.value ->> 1 THEN given.value ->> 4 END
FROM json_each(?) AS given WHERE messages.id = given.value ->> 0
"""
_CONCLUDED = """
SELECT id FROM messages
WHERE id IN (SELECT value FROM json_each(?)) AND pending = 0 AND recipients > 1
"""


def apply(connection: Connection, tallies: Mapping[int, Tally]) -> None:
    """Bring counts and status of messages (by row id) up to date with their entries."""
    rows = [
        (
            message_id,
            tally.finals,
            tally.is_deferred,
            "deferred" if tally.is_deferred else tally.status,
            tally.at_ms,
        )
        for message_id, tally in tallies.items()
    ]
    connection.execute(_APPLY, (given(rows),))
    for (message_id,) in connection.execute(_CONCLUDED, (given(list(tallies)),)).fetchall():
        _conclude(connection, message_id)
    end_holds(
        connection,
        [
            (message_id, tally.delivered, tally.finals - tally.delivered, tally.at_ms)
            for message_id, tally in tallies.items()
            if tally.finals
        ],
    )


_REOPEN = """
UPDATE messages SET
    pending = pending + ?, settled_at = NULL, status = CASE pending WHEN 0 THEN ? ELSE status END
WHERE id = ?
"""


def reopen(connection: Connection, message_id: int, count: int, *, is_later: bool) -> None:
    """Account for final entries of a message, at least one, that wait again: now or for later."""
    status = "scheduled" if is_later else "queued"
    connection.execute(_REOPEN, (count, status, message_id))


def _conclude(connection: Connection, message_id: int) -> None:
    states = connection.execute(
        "SELECT DISTINCT state FROM entries WHERE message_id = ?", (message_id,)
    )
    status = final_status(EntryState(state) for (state,) in states)
    connection.execute("UPDATE messages SET status = ? WHERE id = ?", (status, message_id))


def record_canceled(connection: Connection, rows: Iterable[tuple[int, int, int, int]]) -> None:
    """Write the events of entries that have just become canceled, and account for them.

    Args:
        connection: of a write.
        rows: entry row id, message row id, tenant id, and when it was asked for (ms).
    """
    journal: list[events.EventRow] = []
    tallies: dict[int, Tally] = {}
    for entry_row, message_row, tenant_id, at_ms in rows:
        kind = EventKind.CANCELED.value
        journal.append((message_row, entry_row, tenant_id, kind, at_ms, "{}"))
        tally = tallies.setdefault(message_row, Tally(at_ms, status=EntryState.CANCELED.label))
        tally.finals += 1
    events.append(connection, journal)
    apply(connection, tallies)
