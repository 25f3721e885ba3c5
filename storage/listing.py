"""The queue for people: entries with why they wait, and how deep each domain's queue is.

Reads partial indexes only, so that it costs what is queued, not what was ever sent. Not here:
messages as a whole (messages.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection
from storage.entries import OPEN_STATES, EntryState, entry_id


@frozen
class EntryView:
    """A queue entry for people.

    Attributes:
        id: "dl_...".
        email_id: "em_..." of its message.
        recipient, domain: where it goes.
        state: label of its EntryState, such as "waiting".
        priority: 0 transactional, 1 bulk.
        attempts: made so far.
        due_at: when it is tried (next), while it waits (aware, UTC); None otherwise.
        why: why it waits, a core.disposition.Why value; "" when it does not.
        code: last reply's code; None when no server has answered.
        reply: last reply's text, or the error; "" before the first attempt.
        host: server of the last attempt, "" when none was reached.
        created_at: when it was accepted (aware, UTC).
    """

    id: str
    email_id: str
    recipient: str
    domain: str
    state: str
    priority: int
    attempts: int
    due_at: datetime | None
    why: str
    code: int | None
    reply: str
    host: str
    created_at: datetime


@frozen
class DomainDepth:
    """How much of a domain is in the queue.

    Attributes:
        domain: recipient domain, A-label.
        waiting, claimed, held: entries in each state.
        oldest: when the oldest of them was accepted (aware, UTC).
        next_due: when the next that waits is due (aware, UTC, may be past); None: none waits.
        host: server of the last attempt of the oldest, "" for none: tells the domain's site.
    """

    domain: str
    waiting: int
    claimed: int
    held: int
    oldest: datetime
    next_due: datetime | None = None
    host: str = ""


@frozen
class QueueTotals:
    """How much is in the queue.

    Attributes:
        waiting, claimed, held: entries in each state.
        oldest: when the oldest that waits was accepted (aware, UTC); None: none waits.
    """

    waiting: int
    claimed: int
    held: int
    oldest: datetime | None


_VIEW = """
SELECT e.id, m.created_at, m.public_id, e.recipient, e.domain, e.state, e.priority, e.attempts,
    e.due_at, e.why, e.code, e.reply, e.host
FROM entries e JOIN messages m ON m.id = e.message_id
"""


def list_entries(  # noqa: PLR0913 - one parameter for each filter
    connection: Connection,
    *,
    limit: int,
    after: str = "",
    tenant_id: int | None = None,
    states: Collection[EntryState] | None = None,
    domain: str | None = None,
    email_id: str | None = None,
) -> list[EntryView]:
    """Return entries that meet all filters, oldest first.

    Args:
        connection: any.
        limit: at most so many.
        after: go on after the entry with this "dl_..." id; "" is from the start.
        tenant_id: only this tenant's; None is everybody's.
        states: only these. Final entries are found with `email_id` only: the queue is what is open.
        domain: only to this recipient domain.
        email_id: only those of this message ("em_...").
    """
    filters: dict[str, object] = {"+id > ?": ids.number_of(after, "dl") or 0}
    if tenant_id is not None:
        filters["+tenant_id = ?"] = tenant_id
    if domain is not None:
        filters["domain = ?"] = domain
    if email_id is not None:
        filters["message_id = (SELECT id FROM messages WHERE public_id = ?)"] = email_id
    possible = OPEN_STATES if email_id is None else tuple(EntryState)
    wanted = [state for state in possible if states is None or state in states]
    if not wanted:
        return []
    # One SELECT with a literal for each state, and a "+" which no index serves: only so does SQLite
    # read its partial indexes instead of walking all entries there ever were, or the tenant's.
    found = " UNION ALL ".join(
        f"SELECT id FROM entries WHERE state = {state:d} AND {' AND '.join(filters)}"
        for state in wanted
    )
    rows = connection.execute(
        f"{_VIEW} WHERE e.id IN (SELECT id FROM ({found}) ORDER BY +id LIMIT ?) ORDER BY e.id",
        (*tuple(filters.values()) * len(wanted), limit),
    )
    return [_entry(row) for row in rows]


_DEPTHS = """
SELECT d.domain, d.waiting, d.claimed, d.held, m.created_at, d.next_due, e.host
FROM (
    SELECT domain, SUM(waiting) AS waiting, SUM(claimed) AS claimed, SUM(held) AS held,
        MIN(oldest) AS oldest, MIN(next_due) AS next_due
    FROM (
        SELECT domain, COUNT(*) AS waiting, 0 AS claimed, 0 AS held, MIN(id) AS oldest,
            MIN(due_at) AS next_due
        FROM entries WHERE state = 0 {where} GROUP BY domain
        UNION ALL
        SELECT domain, 0, COUNT(*), 0, MIN(id), NULL FROM entries WHERE state = 1 {where}
        GROUP BY domain
        UNION ALL
        SELECT domain, 0, 0, COUNT(*), MIN(id), NULL FROM entries WHERE state = 2 {where}
        GROUP BY domain
    )
    GROUP BY domain ORDER BY waiting DESC, domain LIMIT ?
) d
JOIN entries e ON e.id = d.oldest
JOIN messages m ON m.id = e.message_id
ORDER BY d.waiting DESC, d.domain
"""


def depths(
    connection: Connection,
    *,
    tenant_id: int | None = None,
    domain: str = "",
    limit: int = -1,
) -> list[DomainDepth]:
    """Return each domain that has open entries, the one with the most waiting first.

    Args:
        connection: any.
        tenant_id: only this tenant's entries; None is everybody's.
        domain: only this one; "" is all.
        limit: at most so many; negative is all.
    """
    where, values = _open(tenant_id, domain)
    rows = connection.execute(_DEPTHS.format(where=where), (*values * 3, limit))
    return [
        DomainDepth(
            domain, waiting, claimed, held, ids.moment(oldest), _optional(next_due), host or ""
        )
        for domain, waiting, claimed, held, oldest, next_due, host in rows
    ]


def totals(connection: Connection, *, tenant_id: int | None = None) -> QueueTotals:
    """Return how much is in the queue (of one tenant; None: of all)."""
    where, values = _open(tenant_id, "")
    found = [
        connection.execute(
            f"SELECT COUNT(*), MIN(id) FROM entries WHERE state = {state:d} {where}", values
        ).fetchone()
        for state in OPEN_STATES
    ]
    (waiting, first), (claimed, _), (held, _) = found
    oldest = connection.execute(
        "SELECT m.created_at FROM entries e JOIN messages m ON m.id = e.message_id WHERE e.id = ?",
        (first,),
    ).fetchone()
    return QueueTotals(waiting, claimed, held, _optional(oldest[0] if oldest else None))


def _open(tenant_id: int | None, domain: str) -> tuple[str, tuple[object, ...]]:
    """Return conditions beside the state, with their parameters; see list_entries for the "+"."""
    conditions: dict[str, object] = {}
    if tenant_id is not None:
        conditions["AND +tenant_id = ?"] = tenant_id
    if domain:
        conditions["AND domain = ?"] = domain
    return " ".join(conditions), tuple(conditions.values())


def _optional(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else ids.moment(at_ms)


def _entry(row: tuple[Any, ...]) -> EntryView:
    number, created_at, email_id, recipient, domain, state, priority, attempts = row[:8]
    due_at, why, code, reply, host = row[8:]
    state = EntryState(state)
    return EntryView(
        id=entry_id(created_at, number),
        email_id=email_id,
        recipient=recipient,
        domain=domain,
        state=state.label,
        priority=priority,
        attempts=attempts,
        due_at=ids.moment(due_at) if state is EntryState.WAITING else None,
        why=why,
        code=code,
        reply=reply or "",
        host=host or "",
        created_at=ids.moment(created_at),
    )
