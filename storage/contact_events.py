"""What the journal tells of contacts: new, changed, gone, tagged, subscribed, unsubscribed.

Written in the transaction that changes the contact. An import tells of itself instead of each of
its rows (imports.py). Not here: the kinds (core/event.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mta.core import ids
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection
from storage.events import JournalEntry
from storage.sql import given


@frozen
class News:
    """Something that has happened to a contact.

    Attributes:
        kind: what, one of the contact kinds.
        contact_row: whom, the row number of a contact that is still there.
        audience_row: in which audience; 0: in none.
        tags: those that it got.
    """

    kind: EventKind
    contact_row: int
    audience_row: int = 0
    tags: tuple[str, ...] = ()


_CONTACTS = """
SELECT id, created_at, tenant_id, email FROM contacts
WHERE id IN (SELECT value FROM json_each(?) AS given)
"""
_AUDIENCES = """
SELECT id, created_at FROM audiences WHERE id IN (SELECT value FROM json_each(?) AS given)
"""


def tell(connection: Connection, news: Sequence[News], *, now: datetime) -> None:
    """Write events, in the order given; a few statements for all."""
    if not news:
        return
    rows = connection.execute(_CONTACTS, (_distinct(one.contact_row for one in news),))
    people = {number: (created, tenant, email) for number, created, tenant, email in rows}
    audiences = dict(
        connection.execute(_AUDIENCES, (_distinct(one.audience_row for one in news),)).fetchall()
    )
    none, now_ms = events.NO_ROW, ids.milliseconds(now)
    journal: list[events.EventRow] = []
    for one in news:
        created_ms, tenant_id, email = people[one.contact_row]
        person: dict[str, JsonValue] = {
            "id": ids.numbered_id("ct", created_ms, one.contact_row),
            "email": email,
        }
        data: dict[str, JsonValue] = {"contact": person}
        if one.audience_row:
            made_ms = audiences[one.audience_row]
            data["audience_id"] = ids.numbered_id("aud", made_ms, one.audience_row)
        if one.tags:
            data["tags"] = list(one.tags)
        journal.append((none, none, tenant_id, one.kind.value, now_ms, events.json_data(data)))
    events.append(connection, journal)


def _distinct(rows: Iterable[int]) -> str:
    return given(sorted(set(rows)))


def of_contact(connection: Connection, contact_id: str, *, limit: int) -> list[JournalEntry]:
    """Return the newest of what the journal tells of a contact ("ct_..."), oldest first."""
    rows = connection.execute(
        "SELECT seq FROM events WHERE message_id = 0"
        " AND json_extract(data, '$.contact.id') = ? ORDER BY seq DESC LIMIT ?",
        (contact_id, limit),
    )
    return events.by_seqs(connection, [seq for (seq,) in rows])


def erase(connection: Connection, contact_id: str) -> None:
    """Take the address out of what the journal tells of a contact ("ct_...")."""
    connection.execute(
        "UPDATE events SET data = json_set(data, '$.contact.email', NULL)"
        " WHERE message_id = 0 AND json_extract(data, '$.contact.id') = ?",
        (contact_id,),
    )
