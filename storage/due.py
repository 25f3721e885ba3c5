"""When mail is due: all that the engine's scheduler keeps of the queue, domain by domain.

Not here: claiming what is due (claims.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mta.core import ids
from mta.core.envelope import Priority
from mta.core.frozen import frozen
from storage.database import Connection


@frozen
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


def hasten(connection: Connection, now: datetime, longest: timedelta) -> int:
    """Correct what is due too late since the clock was set back; return how much (a write).

    New mail is due now; what was tried before, at the end of the longest wait between two attempts
    at last. What was scheduled, or waits for a quota, keeps its time. Reads all that waits.
    """
    at, end = ids.milliseconds(now), ids.milliseconds(now + longest)
    sql = "UPDATE entries SET due_at = ? WHERE state = 0 AND due_at > ? AND why "
    new = connection.execute(f"{sql} = 'new'", (at, at)).rowcount
    tried = f"{sql} NOT IN ('new', 'scheduled', 'quota')"
    return new + connection.execute(tried, (end, end)).rowcount


_NEXT_DUE = "SELECT MIN(due_at) FROM entries WHERE state = 0 AND domain = ? AND priority = ?"


def next_due(connection: Connection, domain: str) -> datetime | None:
    """Return when the domain's next waiting entry is due (may be past); None when none waits."""
    found = [connection.execute(_NEXT_DUE, (domain, lane)).fetchone()[0] for lane in Priority]
    earliest = min((due for due in found if due is not None), default=None)
    return None if earliest is None else ids.moment(earliest)
