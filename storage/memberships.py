"""Memberships: which contacts are in which audiences, with status and field values.

What suppresses an address changes its memberships in the same transaction (follow). Not here: which
changes of status are allowed (core/contact.py), contacts and audiences themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.contact import Status, status_of_suppression
from mta.core.event import JsonValue
from storage.database import Connection
from storage.sql import given


@dataclass(frozen=True, slots=True)
class NewMember:
    """A contact that joins an audience: its row number, status, and values of fields by tag."""

    contact_row: int
    status: Status
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members are meant: those that meet all that is given; None and "" ask nothing."""

    status: Status | None = None
    tag: str = ""


_ADD = """
INSERT INTO memberships (audience_id, contact_id, status, field_values, created_at, status_at)
SELECT ?1, value ->> 0, value ->> 1, json_patch('{}', value ->> 2), ?2, ?2
FROM json_each(?3) AS given WHERE TRUE
ON CONFLICT (audience_id, contact_id) DO UPDATE SET
    field_values = json_patch(field_values, excluded.field_values),
    status_at = CASE WHEN status = 'unconfirmed' AND excluded.status = 'subscribed'
        THEN excluded.status_at ELSE status_at END,
    status = CASE WHEN status = 'unconfirmed' AND excluded.status = 'subscribed'
        THEN 'subscribed' ELSE status END
"""
"""The condition is core.contact.resubmitted; a test compares the two."""


def add_all(
    connection: Connection, audience_row: int, members: Sequence[NewMember], *, now: datetime
) -> None:
    """Let contacts join an audience; of members, values are merged and the status hardly changes.

    Which changes of status count is core.contact.resubmitted's decision.
    """
    rows = [
        (one.contact_row, one.status.value, json_text.encode(one.values).decode())
        for one in members
    ]
    connection.execute(_ADD, (audience_row, ids.milliseconds(now), given(rows)))


_SELECT = """
SELECT m.id, m.created_at, c.id, c.created_at, c.email, c.name, c.properties, m.status,
    m.field_values, m.status_at, m.audience_id, a.created_at,
    c.key
FROM memberships m
CROSS JOIN contacts c ON c.id = m.contact_id
CROSS JOIN audiences a ON a.id = m.audience_id
"""

_COUNT = "SELECT COUNT(*) FROM memberships m CROSS JOIN contacts c ON c.id = m.contact_id"


def members_after(
    connection: Connection,
    audience_row: int,
    after_row: int,
    limit: int,
    filters: MemberFilter = MemberFilter(),
) -> list[MemberRecord]:
    """Return members in the order in which they joined, those behind a membership's row number.

    The cost of a page does not depend on where it is. With `tag`, one member after the other is
    looked at.
    """
    where, values = _conditions(audience_row, filters)
    rows = connection.execute(
        f"{_SELECT} WHERE {where} AND m.id > ? ORDER BY m.id LIMIT ?", (*values, after_row, limit)
    )
    return [_record(row) for row in rows]


def members_before(
    connection: Connection,
    audience_row: int,
    before_row: int,
    limit: int,
    filters: MemberFilter = MemberFilter(),
    *,
    skip: int = 0,
) -> list[MemberRecord]:
    """Return members, those who joined last first, of those before a membership's row number.

    So many as `skip` says are left out at the start.
    """
    where, values = _conditions(audience_row, filters)
    rows = connection.execute(
        f"{_SELECT} WHERE {where} AND m.id < ? ORDER BY m.id DESC LIMIT ? OFFSET ?",
        (*values, before_row, limit, skip),
    )
    return [_record(row) for row in rows]


def total(connection: Connection, audience_row: int, filters: MemberFilter = MemberFilter()) -> int:
    """Return how many members the filter means; looks at each of them."""
    where, values = _conditions(audience_row, filters)
    rows = connection.execute(f"{_COUNT} WHERE {where}", values)
    return int(rows.fetchone()[0])


def get(connection: Connection, audience_row: int, contact_row: int) -> MemberRecord | None:
    """Return the membership of a contact; None when it is not in the audience."""
    row = connection.execute(
        f"{_SELECT} WHERE m.audience_id = ? AND m.contact_id = ?", (audience_row, contact_row)
    ).fetchone()
    return _record(row) if row else None


def of_contact(connection: Connection, contact_row: int) -> list[MemberRecord]:
    """Return all memberships of a contact."""
    rows = connection.execute(f"{_SELECT} WHERE m.contact_id = ? ORDER BY m.id", (contact_row,))
    return [_record(row) for row in rows]


def count(connection: Connection, audience_row: int) -> dict[str, int]:
    """Return status -> number of members, by reading an index."""
    rows = connection.execute(
        "SELECT status, COUNT(*) FROM memberships WHERE audience_id = ? GROUP BY status",
        (audience_row,),
    )
    return dict(rows.fetchall())


def set_status(
    connection: Connection, membership_row: int, status: Status, *, now: datetime
) -> None:
    """Change a member's status at somebody's wish, whatever it was."""
    connection.execute(
        "UPDATE memberships SET status = ?1, status_at = ?2 WHERE id = ?3 AND status <> ?1",
        (status.value, ids.milliseconds(now), membership_row),
    )


def merge_values(
    connection: Connection, membership_row: int, values: Mapping[str, JsonValue]
) -> None:
    """Merge values of fields into a member's (RFC 7396)."""
    connection.execute(
        "UPDATE memberships SET field_values = json_patch(field_values, ?) WHERE id = ?",
        (json_text.encode(values).decode(), membership_row),
    )


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
"""
"""LIMIT keeps the planner from merging the two, after which it would look at all memberships."""


def follow(
    connection: Connection,
    tenant_id: int,
    suppressed: Sequence[tuple[str, str]],
    *,
    scope: str,
    now_ms: int,
) -> None:
    """Let memberships follow suppressions, in their transaction.

    Args:
        connection: of a write.
        tenant_id: whose.
        suppressed: key and reason of each address.
        scope: "aud_..." of the one audience that is meant; "" all of the tenant's; that of
            something else changes nothing.
        now_ms: when the suppressions were written.
    """
    audience = ids.number_of(scope, "aud")
    if not suppressed or (scope and audience is None):
        return
    rows = [(key, status_of_suppression(reason).value) for key, reason in suppressed]
    connection.execute(_FOLLOW, (tenant_id, now_ms, given(rows), audience))


def undo_unsubscription(
    connection: Connection, tenant_id: int, key: str, *, suppressed_at_ms: int, now_ms: int
) -> None:
    """Subscribe again where the suppression written at that moment had unsubscribed."""
    connection.execute(
        "UPDATE memberships SET status = 'subscribed', status_at = ?"
        " WHERE contact_id = (SELECT id FROM contacts WHERE tenant_id = ? AND key = ?)"
        " AND status = 'unsubscribed' AND status_at = ?",
        (now_ms, tenant_id, key, suppressed_at_ms),
    )


def _conditions(audience_row: int, filters: MemberFilter) -> tuple[str, list[object]]:
    conditions, values = ["m.audience_id = ?"], list[object]([audience_row])
    if filters.status is not None:
        conditions.append("m.status = ?")
        values.append(filters.status.value)
    if filters.tag:
        conditions.append(
            "EXISTS (SELECT 1 FROM contact_tags g WHERE g.tenant_id = c.tenant_id"
            " AND g.tag = ? AND g.contact_id = c.id)"
        )
        values.append(filters.tag)
    return " AND ".join(conditions), values


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
