"""Memberships: which contacts are in which audiences, with status and field values.

Not here: changes of status (membership_status.py), contacts and audiences themselves.
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.contact import Status
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import contact_events
from storage.contact_events import News
from storage.database import Connection
from storage.sql import given


@frozen
class NewMember:
    """A contact that joins an audience: its row number, status, and values of fields by tag."""

    contact_row: int
    status: Status
    values: Mapping[str, JsonValue]


@frozen
class MemberRecord:
    """A contact in an audience.

    Attributes:
        row: the membership's row number; pages go by it.
        id: "mem_...".
        contact_row, contact_id, key, email, name, properties: of the contact.
        status: and status_at, since when (aware, UTC).
        values: tag of a field -> value.
        created_at: when the contact joined (aware, UTC).
        audience_row, audience_id: which audience, "aud_...".
    """

    row: int
    id: str
    contact_row: int
    contact_id: str
    key: str
    email: str
    name: str
    properties: Mapping[str, JsonValue]
    status: Status
    values: Mapping[str, JsonValue]
    created_at: datetime
    status_at: datetime
    audience_row: int
    audience_id: str


@frozen
class MemberFilter:
    """Which members are meant: those that meet all that is given; None and "" ask nothing.

    Attributes:
        status: exactly this one.
        tag: of the contact.
        has_opened, has_clicked: whether the contact has ever done so with tracked mail.
    """

    status: Status | None = None
    tag: str = ""
    has_opened: bool | None = None
    has_clicked: bool | None = None


_KNOWN = """
SELECT contact_id, status FROM memberships
WHERE audience_id = ? AND contact_id IN (SELECT value FROM json_each(?) AS given)
"""
_ADD = """
INSERT INTO memberships (
    audience_id, contact_id, status, field_values, created_at, status_at, has_opened, has_clicked
)
SELECT ?1, c.id, given.value ->> 1, json_patch('{}', given.value ->> 2), ?2, ?2,
    c.opened_at IS NOT NULL, c.clicked_at IS NOT NULL
FROM json_each(?3) AS given CROSS JOIN contacts c ON c.id = given.value ->> 0 WHERE TRUE
"""
_KEEP = f"{_ADD} ON CONFLICT (audience_id, contact_id) DO NOTHING RETURNING contact_id"
_MERGE = f"""{_ADD}
ON CONFLICT (audience_id, contact_id) DO UPDATE SET
    field_values = json_patch(field_values, excluded.field_values),
    status_at = CASE WHEN status = 'unconfirmed' AND excluded.status = 'subscribed'
        THEN excluded.status_at ELSE status_at END,
    status = CASE WHEN status = 'unconfirmed' AND excluded.status = 'subscribed'
        THEN 'subscribed' ELSE status END
WHERE field_values <> json_patch(field_values, excluded.field_values)
    OR status = 'unconfirmed' AND excluded.status = 'subscribed'
RETURNING contact_id
"""
"""The condition is core.contact.resubmitted; a test compares the two."""


@frozen
class Joined:
    """What add_all did.

    Attributes:
        known: row number of each contact that was a member before -> its status then.
        news: what there is to tell.
    """

    known: Mapping[int, Status]
    news: tuple[News, ...]


def add_all(
    connection: Connection,
    audience_row: int,
    members: Sequence[NewMember],
    *,
    now: datetime,
    overwrite: bool = True,
) -> Joined:
    """Let contacts join an audience; of members, values are merged and the status hardly changes.

    Which changes of status count is core.contact.resubmitted's decision. The journal is told by the
    caller, or of the import that they come from.

    Args:
        connection: of a write.
        audience_row: which.
        members: who; each contact once.
        now: aware, UTC.
        overwrite: False leaves members as they are.
    """
    contact_rows = given([one.contact_row for one in members])
    known = {
        row: Status(word)
        for row, word in connection.execute(_KNOWN, (audience_row, contact_rows)).fetchall()
    }
    rows = [
        (one.contact_row, one.status.value, json_text.encode(one.values).decode())
        for one in members
    ]
    touched = connection.execute(
        _MERGE if overwrite else _KEEP, (audience_row, ids.milliseconds(now), given(rows))
    ).fetchall()
    wished = {one.contact_row: one.status for one in members}
    news = [
        News(kind, row, audience_row)
        for (row,) in touched
        if (kind := _what_happened(known.get(row), wished[row])) is not None
    ]
    return Joined(known, tuple(news))


def _what_happened(old: Status | None, wished: Status) -> EventKind | None:
    """Return what there is to tell of somebody who has joined, or has changed by joining again."""
    if wished is Status.SUBSCRIBED and old in (None, Status.UNCONFIRMED):
        return EventKind.CONTACT_SUBSCRIBED
    return None if old is None else EventKind.CONTACT_UPDATED


_SELECT = """
SELECT m.id, m.created_at, c.id, c.created_at, c.email, c.name, c.properties, m.status,
    m.field_values, m.status_at, m.audience_id, a.created_at,
    c.key
FROM {}
CROSS JOIN contacts c ON c.id = m.contact_id
CROSS JOIN audiences a ON a.id = m.audience_id
"""
_MEMBERS = _SELECT.format("memberships m")


def members_after(
    connection: Connection,
    audience_row: int,
    after_row: int,
    limit: int,
    filters: MemberFilter = MemberFilter(),  # noqa: B008 - frozen
) -> list[MemberRecord]:
    """Return members in the order in which they joined, those behind a membership's row number.

    An index gives the page, wherever it is; with several filters it is that of one of them, and
    members are looked at until the page is full.
    """
    source, column, where, values = _source(audience_row, filters)
    rows = connection.execute(
        f"{_SELECT.format(source)} WHERE {where} AND {column} > ? ORDER BY {column} LIMIT ?",
        (*values, after_row, limit),
    )
    return [_record(row) for row in rows]


def members_before(
    connection: Connection,
    audience_row: int,
    before_row: int,
    limit: int,
    filters: MemberFilter = MemberFilter(),  # noqa: B008 - frozen
    *,
    skip: int = 0,
) -> list[MemberRecord]:
    """Return members, those who joined last first, of those before a membership's row number.

    So many as `skip` says are left out at the start.
    """
    source, column, where, values = _source(audience_row, filters)
    rows = connection.execute(
        f"{_SELECT.format(source)} WHERE {where} AND {column} < ?"
        f" ORDER BY {column} DESC LIMIT ? OFFSET ?",
        (*values, before_row, limit, skip),
    )
    return [_record(row) for row in rows]


def total(
    connection: Connection,
    audience_row: int,
    filters: MemberFilter = MemberFilter(),  # noqa: B008 - frozen
) -> int:
    """Return how many members the filter means; counts them unless it asks for a status at most."""
    if filters == MemberFilter(filters.status):
        counts = count(connection, audience_row)
        return counts.get(filters.status.value, 0) if filters.status else sum(counts.values())
    source, _, where, values = _source(audience_row, filters)
    rows = connection.execute(f"SELECT COUNT(*) FROM {source} WHERE {where}", values)
    return int(rows.fetchone()[0])


def _source(audience_row: int, filters: MemberFilter) -> tuple[str, str, str, list[object]]:
    """Return tables, the column that orders the page, conditions and their parameters."""
    source, column = "memberships m", "m.id"
    where, values = ["m.audience_id = ?"], list[object]([audience_row])
    if filters.tag:
        source = "member_tags g CROSS JOIN memberships m ON m.id = g.membership_id"
        column, where = "g.membership_id", ["g.audience_id = ? AND g.tag = ?"]
        values.append(filters.tag)
    flags = {"m.has_opened": filters.has_opened, "m.has_clicked": filters.has_clicked}
    for name, wanted in flags.items():
        if wanted is not None:
            where.append(f"{name} = {int(wanted)}")
    if filters.status is not None:
        where.append("m.status = ?")
        values.append(filters.status.value)
    return source, column, " AND ".join(where), values


def get(connection: Connection, audience_row: int, contact_row: int) -> MemberRecord | None:
    """Return the membership of a contact; None when it is not in the audience."""
    row = connection.execute(
        f"{_MEMBERS} WHERE m.audience_id = ? AND m.contact_id = ?", (audience_row, contact_row)
    ).fetchone()
    return _record(row) if row else None


def by_id(connection: Connection, tenant_id: int, membership_id: str) -> MemberRecord | None:
    """Return the membership with this "mem_..." id; None when the tenant has none."""
    number = ids.number_of(membership_id, "mem")
    if number is None:
        return None
    row = connection.execute(
        f"{_MEMBERS} WHERE m.id = ? AND a.tenant_id = ?", (number, tenant_id)
    ).fetchone()
    return _record(row) if row else None


def statuses(connection: Connection, rows: Sequence[int]) -> dict[int, Status]:
    """Return the status of memberships by row number, of those that there are."""
    found = connection.execute(
        "SELECT id, status FROM memberships WHERE id IN (SELECT value FROM json_each(?))",
        (given(list(rows)),),
    )
    return {row: Status(status) for row, status in found}


def of_contact(connection: Connection, contact_row: int) -> list[MemberRecord]:
    """Return all memberships of a contact."""
    rows = connection.execute(f"{_MEMBERS} WHERE m.contact_id = ? ORDER BY m.id", (contact_row,))
    return [_record(row) for row in rows]


def count(connection: Connection, audience_row: int) -> dict[str, int]:
    """Return status -> number of members, those that there are; from counters."""
    rows = connection.execute(
        "SELECT status, count FROM membership_counts WHERE audience_id = ? AND count > 0",
        (audience_row,),
    )
    return dict(rows.fetchall())


def merge_values(
    connection: Connection,
    membership_row: int,
    values: Mapping[str, JsonValue],
    *,
    now: datetime,
) -> None:
    """Merge values of fields into a member's (RFC 7396), with an event when any changes."""
    changed = connection.execute(
        "UPDATE memberships SET field_values = json_patch(field_values, ?1)"
        " WHERE id = ?2 AND field_values <> json_patch(field_values, ?1)"
        " RETURNING contact_id, audience_id",
        (json_text.encode(values).decode(), membership_row),
    ).fetchall()
    news = [News(EventKind.CONTACT_UPDATED, row, where) for row, where in changed]
    contact_events.tell(connection, news, now=now)


def remove(connection: Connection, membership_row: int) -> None:
    """Take a contact out of an audience."""
    connection.execute("DELETE FROM memberships WHERE id = ?", (membership_row,))


def remove_some(connection: Connection, audience_row: int, *, limit: int) -> int:
    """Take at most `limit` out of an audience; return how many. Call it while that is `limit`."""
    removed = connection.execute(
        "DELETE FROM memberships WHERE id IN"
        " (SELECT id FROM memberships WHERE audience_id = ? ORDER BY id LIMIT ?)",
        (audience_row, limit),
    )
    return removed.rowcount


def _record(row: tuple[Any, ...]) -> MemberRecord:
    number, created_at, contact, contact_at, email, name, properties, status, values = row[:9]
    return MemberRecord(
        row=number,
        id=ids.numbered_id("mem", created_at, number),
        contact_row=contact,
        contact_id=ids.numbered_id("ct", contact_at, contact),
        key=row[12],
        email=email,
        name=name,
        properties=cast("dict[str, JsonValue]", json_text.decode(properties)),
        status=Status(status),
        values=cast("dict[str, JsonValue]", json_text.decode(values)),
        created_at=ids.moment(created_at),
        status_at=ids.moment(row[9]),
        audience_row=row[10],
        audience_id=ids.numbered_id("aud", row[11], row[10]),
    )
