"""Double opt-in: members who are asked by mail whether they want to be, and what they answer.

A membership has one row here while it waits; a trigger removes it with the status. Asking is
bounded, because the address may be somebody else's: who submits it again and again causes one mail
an hour, and a few in all. Not here: the mail (control_api/confirmation_sender.py), its links
(mta/core/confirmation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mta.core import ids
from mta.core.contact import Status
from mta.core.frozen import frozen
from storage import membership_status
from storage.database import Connection
from storage.sql import given

PAUSE = timedelta(hours=1)
"""Time between two mails to one member."""
MAX_ASKED = 5
"""Mails to one member in all."""


@frozen
class Asked:
    """A member who is to be asked.

    Attributes:
        membership_row: row number of the membership.
        tenant_id: whose audience it is.
        audience_row, contact_row: of the membership.
        is_test: whether the mail goes to the sandbox.
    """

    membership_row: int
    tenant_id: int
    audience_row: int
    contact_row: int
    is_test: bool


_ASK = """
INSERT INTO confirmations (membership_id, asked, asked_at, is_due, is_test)
SELECT m.id, 0, NULL, 1, ?5 FROM json_each(?1) AS given
CROSS JOIN memberships m ON m.audience_id = ?2 AND m.contact_id = given.value
WHERE m.status = 'unconfirmed'
ON CONFLICT (membership_id) DO UPDATE SET is_due = 1, is_test = ?5
WHERE is_due = 0 AND asked < ?3 AND asked_at <= ?4
"""


def ask(
    connection: Connection,
    audience_row: int,
    contact_rows: Sequence[int],
    *,
    now: datetime,
    is_test: bool = False,
) -> int:
    """Let those of the members who are unconfirmed be asked, unless they were just now.

    Returns how many are going to be asked that were not before.

    Args:
        connection: of a write.
        audience_row: which audience.
        contact_rows: whom.
        now: aware, UTC.
        is_test: the mail goes to the sandbox.
    """
    before_ms = ids.milliseconds(now - PAUSE)
    rows = given(list(contact_rows))
    asked = connection.execute(_ASK, (rows, audience_row, MAX_ASKED, before_ms, is_test))
    return asked.rowcount


def due(connection: Connection, *, limit: int) -> list[Asked]:
    """Return members who are to be asked, at most so many."""
    rows = connection.execute(
        "SELECT q.membership_id, c.tenant_id, m.audience_id, m.contact_id, q.is_test"
        " FROM confirmations q"
        " CROSS JOIN memberships m ON m.id = q.membership_id"
        " CROSS JOIN contacts c ON c.id = m.contact_id"
        " WHERE q.is_due = 1 ORDER BY q.membership_id LIMIT ?",
        (limit,),
    )
    return [
        Asked(membership, tenant, audience, contact, bool(is_test))
        for membership, tenant, audience, contact, is_test in rows
    ]


def note_asked(connection: Connection, membership_row: int, *, now: datetime) -> bool:
    """Note that a member is asked now; False when that is not due any more."""
    noted = connection.execute(
        "UPDATE confirmations SET is_due = 0, asked = asked + 1, asked_at = ?"
        " WHERE membership_id = ? AND is_due = 1",
        (ids.milliseconds(now), membership_row),
    )
    return noted.rowcount == 1


def status(connection: Connection, membership_row: int) -> Status | None:
    """Return the status of a membership; None when there is none (any more)."""
    row = connection.execute(
        "SELECT status FROM memberships WHERE id = ?", (membership_row,)
    ).fetchone()
    return Status(row[0]) if row else None


def confirm(connection: Connection, membership_row: int, *, now: datetime) -> Status | None:
    """Subscribe a member who is unconfirmed; return the status before, None when there is none."""
    before = status(connection, membership_row)
    if before is Status.UNCONFIRMED:
        membership_status.set_status(connection, membership_row, Status.SUBSCRIBED, now=now)
    return before
