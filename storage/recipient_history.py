"""What was sent to one person, and what that person did with it, for whoever asks what is kept.

Not here: lists of emails (message_lists.py), the journal of contacts (contact_events.py).
"""

from __future__ import annotations

from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection
from storage.entries import EntryState
from storage.events import JournalEntry
from storage.sql import given


@frozen
class SentMail:
    """A mail to the person.

    Attributes:
        email_id: "em_...".
        subject: for people.
        status: of the person's copy, such as "delivered".
        created_at: when it was accepted (aware, UTC).
        readings: openings and clicks as the journal has them, oldest first.
    """

    email_id: str
    subject: str
    status: str
    created_at: datetime
    readings: tuple[JournalEntry, ...]


_MAIL = """
SELECT q.id, q.message_id, q.state, m.public_id, m.subject, m.created_at
FROM entries q CROSS JOIN messages m ON m.id = q.message_id
WHERE q.tenant_id = ? AND q.recipient = ? ORDER BY q.message_id DESC LIMIT ?
"""
_READINGS = """
SELECT e.entry_id, e.seq FROM json_each(?) AS given
CROSS JOIN events e ON e.message_id = given.value ->> 1 AND e.entry_id = given.value ->> 0
WHERE e.kind IN ('opened', 'clicked')
"""


def of_address(
    connection: Connection, tenant_id: int, address: str, *, limit: int
) -> list[SentMail]:
    """Return the newest mails of a tenant to an address, newest first.

    Args:
        connection: any.
        tenant_id: whose mail.
        address: as text, spelled as in the entries.
        limit: at most so many.
    """
    rows = connection.execute(_MAIL, (tenant_id, address, limit)).fetchall()
    pairs = given([(entry, message) for entry, message, *_ in rows])
    where = {seq: entry for entry, seq in connection.execute(_READINGS, (pairs,))}
    readings: dict[int, list[JournalEntry]] = {}
    for one in events.by_seqs(connection, list(where)):
        readings.setdefault(where[one.seq], []).append(one)
    return [
        SentMail(
            email_id,
            subject,
            EntryState(state).label,
            ids.moment(created_at),
            tuple(readings.get(entry, ())),
        )
        for entry, _, state, email_id, subject, created_at in rows
    ]
