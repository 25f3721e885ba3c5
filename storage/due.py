"""When mail is due: all that the engine's scheduler keeps of the queue, domain by domain.

Not here: claiming what is due (claims.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mta.core import ids
from mta.core.envelope import Priority
from storage.database import Connection


@dataclass(frozen=True, slots=True)
class DomainDue:
    """When the earliest waiting entry of a domain is due (aware, UTC; may be past).

    is_urgent: a transactional one is among those that are new.
    """

    domain: str
    due_at: datetime
    is_urgent: bool = False


def schedule(connection: Connection) -> list[DomainDue]:
    """Return when each domain with waiting entries is next due, for start-up: reads all of it."""
    rows = connection.execute(
        "SELECT domain, MIN(due_at) FROM entries WHERE state = 0 GROUP BY domain"
    )
    return [DomainDue(domain, ids.moment(due_at)) for domain, due_at in rows]


def last_entry_id(connection: Connection) -> int:
    """Return the newest entry's row id, 0 when there was none: for new_since after start-up."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'").fetchone()
    return int(row[0]) if row else 0


def new_since(connection: Connection, after_id: int) -> tuple[list[DomainDue], int]:
    """Return the domains of entries added after entry `after_id` that wait, and the newest id.

    The newest id, `after_id` itself when nothing is new, is what to pass next time.
    """
    rows = connection.execute(
        "SELECT domain, MIN(CASE WHEN state = 0 THEN due_at END), MIN(priority), MAX(id)"
        " FROM entries WHERE id > ? GROUP BY domain",
        (after_id,),
    ).fetchall()
    waiting = [
        DomainDue(domain, ids.moment(due), priority == Priority.TRANSACTIONAL)
        for domain, due, priority, _ in rows
        if due is not None
    ]
    return waiting, max((newest for *_, newest in rows), default=after_id)


def hasten_new(connection: Connection, now: datetime) -> int:
    """Make new mail due now that is due later; return how much of it there was (a write).

    It was accepted before the clock was set back. What was scheduled, or was tried before, keeps
    its time. Reads all that waits.
    """
    at = ids.milliseconds(now)
    return connection.execute(
        "UPDATE entries SET due_at = ? WHERE state = 0 AND due_at > ? AND why = 'new'", (at, at)
    ).rowcount


_NEXT_DUE = "SELECT MIN(due_at) FROM entries WHERE state = 0 AND domain = ? AND priority = ?"


def next_due(connection: Connection, domain: str) -> datetime | None:
    """Return when the domain's next waiting entry is due (may be past); None when none waits."""
    found = [connection.execute(_NEXT_DUE, (domain, lane)).fetchone()[0] for lane in Priority]
    earliest = min((due for due in found if due is not None), default=None)
    return None if earliest is None else ids.moment(earliest)
