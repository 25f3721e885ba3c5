"""Contacts join an audience: added or brought up to date, and members with a status that fits.

Who is suppressed joins as what the suppression says, never as subscribed. Not here: reading what a
client or a file says (control_api), contacts and memberships one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mta.core.contact import Status, status_of_suppression
from mta.core.event import JsonValue
from storage import contacts, memberships, suppressions, unsubscribes
from storage.audiences import AudienceRecord
from storage.contacts import NewContact, Upserted
from storage.database import Connection
from storage.memberships import NewMember


@dataclass(frozen=True, slots=True)
class Joiner:
    """Somebody who joins: the contact, the status wished for, and values of fields by tag."""

    contact: NewContact
    status: Status = Status.SUBSCRIBED
    values: Mapping[str, JsonValue] = field(default_factory=dict)


def join(
    connection: Connection,
    tenant_id: int,
    audience: AudienceRecord,
    joiners: Sequence[Joiner],
    *,
    now: datetime,
    overwrite: bool = True,
) -> Upserted:
    """Let people join an audience of the tenant; members keep a status that they have decided.

    Args:
        connection: of a write.
        tenant_id: whose.
        audience: which.
        joiners: who; of equal keys the last one counts.
        now: aware, UTC.
        overwrite: False leaves known contacts as they are; they join nevertheless.
    """
    by_key = {one.contact.key: one for one in joiners}
    new = [one.contact for one in by_key.values()]
    made = contacts.upsert_all(connection, tenant_id, new, now=now, overwrite=overwrite)
    keys = list(by_key)
    reasons = unsubscribes.lookup(connection, tenant_id, audience.id, keys)
    reasons |= suppressions.lookup(connection, tenant_id, keys, now)
    members = [
        NewMember(made.rows[key], _status(one.status, reasons.get(key)), one.values)
        for key, one in by_key.items()
    ]
    memberships.add_all(connection, audience.row, members, now=now)
    return made


def _status(wished: Status, reason: str | None) -> Status:
    return wished if reason is None else status_of_suppression(reason)
