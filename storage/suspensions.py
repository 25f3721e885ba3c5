"""Domains and sites that operators have suspended: their mail is accepted and waits.

Kept through restarts, and minded by claims.py: nothing of such a domain is claimed. What the engine
has in memory already, some seconds of work, is still tried. Not here: sites that the engine leaves
alone by itself (engine_state.py).
"""

from __future__ import annotations

from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage import directives
from storage.database import Connection


@frozen
class DomainSuspension:
    """A domain or site that an operator has suspended.

    Attributes:
        domain: recipient domain, A-label; or the name of a server, or those of a site.
        until: nothing of it is tried before (aware, UTC).
        reason: in the operator's words, or "".
        created_at: when it was suspended (aware, UTC).
    """

    domain: str
    until: datetime
    reason: str
    created_at: datetime


def suspend(
    connection: Connection, domain: str, *, until: datetime, reason: str, now: datetime
) -> None:
    """Suspend a domain (A-label) or site until then; replaces an earlier suspension of it."""
    connection.execute("DELETE FROM domain_suspensions WHERE until <= ?", (ids.milliseconds(now),))
    connection.execute(
        "INSERT OR REPLACE INTO domain_suspensions (domain, until, reason, created_at)"
        " VALUES (?, ?, ?, ?)",
        (domain, ids.milliseconds(until), reason, ids.milliseconds(now)),
    )
    _tell(connection, domain)  # an earlier end than before must be noticed too


def resume(connection: Connection, domain: str) -> bool:
    """End a suspension; False when there was none."""
    ended = connection.execute("DELETE FROM domain_suspensions WHERE domain = ?", (domain,))
    if ended.rowcount == 1:
        _tell(connection, domain)
    return ended.rowcount == 1


def _tell(connection: Connection, name: str) -> None:
    """Have the engine look again at a domain; at a site's, which it alone knows, all that wait."""
    directives.record(connection, directives.DUE_CHANGED, name)
    rows = connection.execute("SELECT DISTINCT domain FROM entries WHERE state = 0").fetchall()
    if (name,) not in rows:
        for (domain,) in rows:
            directives.record(connection, directives.DUE_CHANGED, domain)


def list_(connection: Connection, now: datetime) -> list[DomainSuspension]:
    """Return the suspensions that hold now, by domain."""
    rows = connection.execute(
        "SELECT domain, until, reason, created_at FROM domain_suspensions WHERE until > ?"
        " ORDER BY domain",
        (ids.milliseconds(now),),
    )
    return [
        DomainSuspension(domain, ids.moment(until), reason, ids.moment(at))
        for domain, until, reason, at in rows
    ]


def ends(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return until when each domain is suspended that is; they are few, so all are read."""
    return {one.domain: one.until for one in list_(connection, now)}
