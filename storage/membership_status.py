"""Changes of members' status: somebody's wish, and suppressions that end and undo memberships.

What suppresses an address changes its memberships in the same transaction (follow). Not here: which
changes are allowed (core/contact.py), who joins (memberships.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.contact import Status, status_of_suppression
from mta.core.event import EventKind
from storage import contact_events
from storage.contact_events import News
from storage.database import Connection
from storage.sql import given


def set_status(
    connection: Connection, membership_row: int, status: Status, *, now: datetime
) -> None:
    """Change a member's status at somebody's wish, whatever it was, with an event."""
    changed = connection.execute(
        "UPDATE memberships SET status = ?1, status_at = ?2 WHERE id = ?3 AND status <> ?1"
        " RETURNING contact_id, audience_id, status",
        (status.value, ids.milliseconds(now), membership_row),
    )
    _tell(connection, changed.fetchall(), now)


_TOLD = {
    Status.SUBSCRIBED.value: EventKind.CONTACT_SUBSCRIBED,
    Status.UNSUBSCRIBED.value: EventKind.CONTACT_UNSUBSCRIBED,
}


def _tell(connection: Connection, changed: Sequence[tuple[int, int, str]], now: datetime) -> None:
    """Write events of contacts, audiences, and the statuses that they have got there."""
    news = [News(_TOLD[word], row, where) for row, where, word in changed if word in _TOLD]
    contact_events.tell(connection, news, now=now)


_FOLLOW = """
UPDATE memberships SET status = ended.status, status_at = ?2
FROM (
    SELECT m.id AS id, given.value ->> 1 AS status
    FROM json_each(?3) AS given
    CROSS JOIN contacts c ON c.tenant_id = ?1 AND c.key = given.value ->> 0
    CROSS JOIN memberships m ON m.contact_id = c.id
    WHERE m.status IN ('unconfirmed', 'subscribed') AND COALESCE(m.audience_id = ?4, TRUE)
    LIMIT -1
) AS ended
WHERE memberships.id = ended.id
RETURNING contact_id, audience_id, memberships.status
"""
"""LIMIT keeps the planner from merging the two, after which it would look at all memberships."""


def follow(
    connection: Connection,
    tenant_id: int,
    suppressed: Sequence[tuple[str, str]],
    *,
    scope: str,
    now_ms: int,
    is_told: bool = True,
) -> None:
    """Let memberships follow suppressions, in their transaction.

    Args:
        connection: of a write.
        tenant_id: whose.
        suppressed: key and reason of each address.
        scope: "aud_..." of the one audience that is meant; "" all of the tenant's; that of
            something else changes nothing.
        now_ms: when the suppressions were written.
        is_told: whether the journal gets an event for each that is unsubscribed.
    """
    audience = ids.number_of(scope, "aud")
    if not suppressed or (scope and audience is None):
        return
    rows = [(key, status_of_suppression(reason).value) for key, reason in suppressed]
    changed = connection.execute(_FOLLOW, (tenant_id, now_ms, given(rows), audience)).fetchall()
    if is_told:
        _tell(connection, changed, ids.moment(now_ms))


def undo_unsubscription(
    connection: Connection, tenant_id: int, key: str, *, suppressed_at_ms: int, now_ms: int
) -> None:
    """Subscribe again where the suppression written at that moment had unsubscribed."""
    changed = connection.execute(
        "UPDATE memberships SET status = 'subscribed', status_at = ?"
        " WHERE contact_id = (SELECT id FROM contacts WHERE tenant_id = ? AND key = ?)"
        " AND status = 'unsubscribed' AND status_at = ? RETURNING contact_id, audience_id, status",
        (now_ms, tenant_id, key, suppressed_at_ms),
    )
    _tell(connection, changed.fetchall(), ids.moment(now_ms))
