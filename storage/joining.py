"""Contacts join an audience: added or brought up to date, and members with a status that fits.

Who is suppressed joins as what the suppression says, never as subscribed; who is to confirm it
joins as unconfirmed, and is asked (confirmations.py). Not here: reading what a client or a file
says (control_api), contacts and memberships one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from mta.core.contact import Status, status_of_suppression
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import (
    confirmations,
    contact_events,
    contacts,
    memberships,
    suppressions,
    unsubscribes,
)
from storage.audiences import AudienceRecord
from storage.contact_events import News
from storage.contacts import NewContact, Upserted
from storage.database import Connection
from storage.memberships import Joined, NewMember


@frozen
class Joiner:
    """Somebody who joins: the contact, the status wished for, and values of fields by tag."""

    contact: NewContact
    status: Status = Status.SUBSCRIBED
    values: Mapping[str, JsonValue] = field(default_factory=dict)


def put(
    connection: Connection,
    tenant_id: int,
    new: Sequence[NewContact],
    *,
    now: datetime,
    overwrite: bool = True,
) -> Upserted:
    """Do what contacts.upsert_all does, and tell the journal."""
    made = contacts.upsert_all(connection, tenant_id, new, now=now, overwrite=overwrite)
    contact_events.tell(connection, made.news, now=now)
    return made


def join(  # noqa: PLR0913 - of which three have defaults
    connection: Connection,
    tenant_id: int,
    audience: AudienceRecord,
    joiners: Sequence[Joiner],
    *,
    now: datetime,
    overwrite: bool = True,
    is_test: bool = False,
) -> Upserted:
    """Let people join an audience of the tenant; members keep a status that they have decided.

    With double opt-in whoever would be subscribed is asked by mail first. The journal is told.

    Args:
        connection: of a write.
        tenant_id: whose.
        audience: which.
        joiners: who; of equal keys the last one counts.
        now: aware, UTC.
        overwrite: False leaves known contacts and members as they are; contacts join nevertheless.
        is_test: mail that asks goes to the sandbox.
    """
    asks = audience.opt_in.is_double
    if asks:
        joiners = [_unconfirmed(one) for one in joiners]
    made, joined = join_untold(
        connection, tenant_id, audience, joiners, now=now, overwrite=overwrite
    )
    where = audience.row
    news = [
        replace(one, audience_row=where) if one.kind is not EventKind.CONTACT_TAGGED else one
        for one in made.news
    ]
    is_told = {one.contact_row for one in news if one.kind is EventKind.CONTACT_UPDATED}
    news += [one for one in joined.news if not _repeats(one, is_told)]
    contact_events.tell(connection, news, now=now)
    if asks:
        rows = list(made.rows.values())
        confirmations.ask(connection, where, rows, now=now, is_test=is_test)
    return made


def _unconfirmed(joiner: Joiner) -> Joiner:
    wished = joiner.status
    return replace(joiner, status=Status.UNCONFIRMED) if wished is Status.SUBSCRIBED else joiner


def _repeats(news: News, is_told: set[int]) -> bool:
    return news.kind is EventKind.CONTACT_UPDATED and news.contact_row in is_told


def join_untold(
    connection: Connection,
    tenant_id: int,
    audience: AudienceRecord,
    joiners: Sequence[Joiner],
    *,
    now: datetime,
    overwrite: bool = True,
) -> tuple[Upserted, Joined]:
    """Do what join does, with the statuses as given, asking nobody and telling nothing."""
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
    joined = memberships.add_all(connection, audience.row, members, now=now, overwrite=overwrite)
    return made, joined


def _status(wished: Status, reason: str | None) -> Status:
    return wished if reason is None else status_of_suppression(reason)
