"""Whose mail a report is about: sealed addresses, tokens and ids -> queue entries.

A sealed address or token names its entry and is proof enough. The id of an email, which everybody
has who got it, names a message: then the report must name the recipient, unless there was only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mta.core.event import JsonValue
from mta.core.json_text import decode
from storage.database import Connection
from storage.entries import EntryState
from storage.feedback import EntryRef

_SELECT = """
SELECT q.id, q.message_id, m.public_id, q.tenant_id, q.recipient, q.state, q.reported, m.door,
    m.mail_from, q.notify, m.unsubscribe, q.domain, m.is_test
FROM entries q JOIN messages m ON m.id = q.message_id
"""


def entry_of(connection: Connection, number: int, tenant_id: int | None) -> EntryRef | None:
    """Return the entry with this row number; None when it is gone or another tenant's.

    `tenant_id` None is for any tenant.
    """
    row = connection.execute(
        f"{_SELECT} WHERE q.id = ? AND (? IS NULL OR q.tenant_id = ?)",
        (number, tenant_id, tenant_id),
    ).fetchone()
    return _entry(row) if row else None


def entries_of_email(
    connection: Connection, email_id: str, tenant_id: int | None, *, limit: int = 1000
) -> Sequence[EntryRef]:
    """Return the entries of a message, in order; () when it is gone or another tenant's."""
    rows = connection.execute(
        f"{_SELECT} WHERE m.public_id = ? AND (? IS NULL OR m.tenant_id = ?) ORDER BY q.id LIMIT ?",
        (email_id, tenant_id, tenant_id, limit),
    )
    return [_entry(row) for row in rows]


def _entry(row: tuple[Any, ...]) -> EntryRef:
    (number, message_id, email_id, tenant_id, recipient, state, reported) = row[:7]
    (door, mail_from, notify, unsubscribe, domain, is_test) = row[7:]
    return EntryRef(
        id=number,
        message_id=message_id,
        email_id=email_id,
        tenant_id=tenant_id,
        recipient=recipient,
        state=EntryState(state),
        reported=reported,
        door=door,
        mail_from=mail_from,
        notify=notify,
        scope=_scope(unsubscribe),
        route=domain,
        is_test=bool(is_test),
    )


def _scope(text: str | None) -> str:
    offer: JsonValue = decode(text) if text else None
    return str(offer.get("scope", "")) if isinstance(offer, dict) else ""
