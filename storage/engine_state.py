"""What the engine lets people know about itself: the sites it leaves alone for a while, and why.

blocks() has these and the domains that operators have suspended (suspensions.py) in one form.
"""

from __future__ import annotations

from datetime import datetime

from mta.core import ids
from mta.core.disposition import Why
from mta.core.explain import Block, Standing
from mta.core.frozen import frozen
from storage import suspensions as operators
from storage.database import Connection
from storage.listing import EntryView
from storage.messages import RecipientView


@frozen
class Suspension:
    """A site that is left alone.

    Attributes:
        site: core.route.Route.site, or the recipient domain where there is no route.
        until: when it is tried again (aware, UTC).
        why: kind of trouble.
        detail: the reply or error that led to it, one line.
    """

    site: str
    until: datetime
    why: Why
    detail: str


def suspend(connection: Connection, site: str, until: datetime, why: Why, detail: str) -> None:
    """Record that a site is left alone until then; replaces what was recorded for it."""
    connection.execute(
        "INSERT INTO suspensions (site, until, why, detail) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (site) DO UPDATE SET"
        " until = excluded.until, why = excluded.why, detail = excluded.detail",
        (site, ids.milliseconds(until), why.value, detail),
    )


def suspensions(connection: Connection) -> list[Suspension]:
    """Return all suspensions, by site. One whose `until` has passed is about to be lifted."""
    rows = connection.execute("SELECT site, until, why, detail FROM suspensions ORDER BY site")
    return [Suspension(site, ids.moment(until), Why(why), text) for site, until, why, text in rows]


def lift(connection: Connection, site: str) -> bool:
    """End a suspension; False when there was none."""
    return connection.execute("DELETE FROM suspensions WHERE site = ?", (site,)).rowcount == 1


def lift_all(connection: Connection) -> int:
    """End all suspensions, for start-up: the engine begins with a clean view; return how many."""
    return connection.execute("DELETE FROM suspensions").rowcount


def blocks(connection: Connection, now: datetime) -> list[Block]:
    """Return all that keeps mail of a site or a domain back now, for core.explain."""
    found = [
        Block(one.domain, one.until, one.reason, is_operator=True)
        for one in operators.list_(connection, now)
    ]
    found += [
        Block(one.site, one.until, one.detail) for one in suspensions(connection) if one.until > now
    ]
    return found


def standing(entry: EntryView | RecipientView) -> Standing:
    """Return where an entry stands, for core.explain."""
    return Standing(
        state=entry.state if isinstance(entry, EntryView) else entry.status,
        domain=entry.domain,
        due_at=entry.due_at,
        why=entry.why,
        attempts=entry.attempts,
        host=entry.host,
        answer=f"{entry.code or ''} {entry.reply}".strip(),
    )
