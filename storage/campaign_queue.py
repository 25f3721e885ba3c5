"""The emails of a campaign that are in the queue: how many, and holding, releasing, canceling them.

A partial index holds what waits, so nothing here costs what was sent before. Each step is a
transaction of its own: go on from the place that it returns. Not here: the moves (operators.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from mta.core import ids
from mta.core.campaign import Todo
from mta.core.disposition import Why
from storage import directives, operators
from storage.database import Connection
from storage.operators import Selection

STEP = 1_000
"""Emails in one transaction: some 20 ms, which mail has to wait."""
_STATUSES = ("queued", "deferred", "scheduled", "partial")

Place = tuple[int, int, int, int]
"""Where a walk over what waits has got: when the campaign had changed last (ms), number of the
status, acceptance (ms), message row."""
START: Place = (0, 0, 0, 0)


def depth(connection: Connection, campaign_row: int, *, since: datetime, limit: int) -> int:
    """Return how many emails wait for their first attempt, `limit` at most.

    Those accepted before `since` do not count: a site that is down keeps its mail and must not
    keep everybody's. While the newest waits for the tenant's quota, all count.
    """
    is_over_quota = _newest_why(connection, campaign_row) == Why.QUOTA.value
    since_ms = 0 if is_over_quota else ids.milliseconds(since)
    [(number,)] = connection.execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM messages INDEXED BY messages_open_by_campaign"
        " WHERE campaign = ? AND status = 'queued' AND created_at >= ? AND pending > 0 LIMIT ?)",
        (campaign_row, since_ms, limit),
    ).fetchall()
    return int(number)


def _newest_why(connection: Connection, campaign_row: int) -> str:
    row = connection.execute(
        "SELECT (SELECT why FROM entries e WHERE e.message_id = m.id)"
        " FROM messages m INDEXED BY messages_open_by_campaign"
        " WHERE campaign = ? AND status = 'queued' AND pending > 0"
        " ORDER BY created_at DESC LIMIT 1",
        (campaign_row,),
    ).fetchone()
    return str(row[0]) if row else ""


def has_untried(connection: Connection, campaign_row: int) -> bool:
    """Tell whether any email still waits for its first attempt."""
    row = connection.execute(
        "SELECT 1 FROM messages INDEXED BY messages_open_by_campaign"
        " WHERE campaign = ? AND status = 'queued' AND pending > 0 LIMIT 1",
        (campaign_row,),
    ).fetchone()
    return row is not None


def unfinished(connection: Connection) -> list[tuple[int, Todo]]:
    """Return campaigns (row numbers) with what is still to be done with their queued emails."""
    rows = connection.execute("SELECT id, todo FROM campaigns WHERE todo <> '' ORDER BY id")
    return [(row, Todo(word)) for row, word in rows]


_OPERATIONS: Mapping[Todo, Callable[..., int]] = {
    Todo.HOLD: operators.hold,
    Todo.RELEASE: operators.release,
    Todo.CANCEL: operators.cancel,
}


def work_off(
    connection: Connection,
    campaign_row: int,
    todo: Todo,
    place: Place,
    *,
    now: datetime,
    limit: int = STEP,
) -> Place | None:
    """Do a step of what is to be done; what the engine is about to deliver comes back to it.

    A walk begins anew when the campaign has changed meanwhile: it may have been resumed and paused
    again, and what the walk had held be released.

    Args:
        connection: of a write.
        campaign_row: whose emails.
        todo: what is to be done with them; nothing happens when that is something else by now.
        place: START, or what the last step returned.
        now: aware, UTC.
        limit: at most so many emails.

    Returns:
        Where to go on; None: it is done.
    """
    row = connection.execute(
        "SELECT todo, updated_at FROM campaigns WHERE id = ?", (campaign_row,)
    ).fetchone()
    if row is None or row[0] != todo.value:
        return None
    changed_at = row[1]
    if place[0] != changed_at:
        place = (changed_at, *START[1:])
    rows = _next(connection, campaign_row, place, limit)
    if rows:
        _OPERATIONS[todo](connection, Selection(ids=tuple(row[1] for row in rows)), now=now)
    if todo is not Todo.RELEASE:
        directives.record(connection, directives.CAMPAIGN_HELD, str(campaign_row))
    if len(rows) == limit:
        return changed_at, place[1], rows[-1][2], rows[-1][0]
    if place[1] + 1 < len(_STATUSES):
        return changed_at, place[1] + 1, 0, 0
    connection.execute("UPDATE campaigns SET todo = '' WHERE id = ?", (campaign_row,))
    return None


def _next(
    connection: Connection, campaign_row: int, place: Place, limit: int
) -> list[tuple[int, str, int]]:
    """Return row, "em_..." id and acceptance (ms) of emails behind a place."""
    _, status, at_ms, after = place
    return connection.execute(
        "SELECT id, public_id, created_at FROM messages INDEXED BY messages_open_by_campaign"
        " WHERE campaign = ? AND status = ? AND pending > 0 AND (created_at, id) > (?, ?)"
        " ORDER BY created_at, id LIMIT ?",
        (campaign_row, _STATUSES[status], at_ms, after, limit),
    ).fetchall()


_MAIL_TO = """
SELECT e.id, m.campaign FROM entries e JOIN messages m ON m.id = e.message_id
WHERE e.tenant_id = ?1 AND e.recipient = ?2 AND e.state IN (0, 1, 2)
    AND m.campaign IS NOT NULL AND (?3 = '' OR json_extract(m.unsubscribe, '$.scope') = ?3)
"""


def cancel_for(
    connection: Connection, tenant_id: int, address: str, audience_id: str = "", *, now: datetime
) -> None:
    """Cancel what waits of campaigns for somebody who is not to get it any more.

    Args:
        connection: of a write.
        tenant_id: whose campaigns.
        address: as text, spelled as in the entries.
        audience_id: only mail to this audience ("aud_..."); "" is that of all campaigns.
        now: aware, UTC.
    """
    found = connection.execute(_MAIL_TO, (tenant_id, address, audience_id)).fetchall()
    if found:
        operators.cancel(connection, Selection(rows=tuple(row for row, _ in found)), now=now)
    for campaign_row in sorted({campaign for _, campaign in found}):
        directives.record(connection, directives.CAMPAIGN_HELD, str(campaign_row))
