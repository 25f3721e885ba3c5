"""Contacts: the people that a tenant writes to, with properties and tags.

Compared by the address's key (core/address.py). Not here: which audiences they are in
(memberships.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import campaign_people, campaign_queue, contact_events
from storage.contact_events import News
from storage.database import Connection
from storage.sql import chunks, given, marks


@frozen
class NewContact:
    """A contact to be added, or to be brought up to date.

    Attributes:
        key: what addresses are compared by.
        email: the address as given.
        name: "" leaves that of a known contact as it is.
        properties: merged into those of a known contact; null removes one (RFC 7396).
        tags: added to those of a known contact.
    """

    key: str
    email: str
    name: str = ""
    properties: Mapping[str, JsonValue] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


@frozen
class ContactRecord:
    """One contact.

    Attributes:
        row: its row number.
        id: "ct_...".
        key, email, name, properties: as in NewContact.
        tags: in alphabetical order.
        created_at, updated_at: aware, UTC.
        opened_at, clicked_at: when it last did either with tracked mail, as far as persons and
            programs can be told apart (aware, UTC); None: never.
    """

    row: int
    id: str
    key: str
    email: str
    name: str
    properties: Mapping[str, JsonValue]
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    opened_at: datetime | None
    clicked_at: datetime | None


@frozen
class ContactFilter:
    """Which contacts are meant: those that meet all that is given; "" asks nothing.

    Attributes:
        text: the address contains it; upper and lower case of ASCII letters are the same.
        tag: with this tag.
        audience_row: members of the audience with this row number, whatever their status; 0: any.
    """

    text: str = ""
    tag: str = ""
    audience_row: int = 0


@frozen
class Upserted:
    """What upsert_all did.

    Attributes:
        rows: key -> row number, of all that were given.
        added: keys that were not known.
        news: what there is to tell of them.
    """

    rows: Mapping[str, int]
    added: frozenset[str]
    news: tuple[News, ...] = ()


_KNOWN = """
SELECT c.key, c.id FROM json_each(?) AS given
CROSS JOIN contacts c ON c.tenant_id = ? AND c.key = given.value
"""
_INSERT = """
INSERT INTO contacts (tenant_id, key, email, name, properties, created_at, updated_at)
SELECT ?1, value ->> 0, value ->> 1, value ->> 2, json_patch('{}', value ->> 3), ?2, ?2
FROM json_each(?3) AS given
RETURNING key, id
"""
_UPDATE = """
UPDATE contacts SET
    name = CASE WHEN given.value ->> 1 = '' THEN name ELSE given.value ->> 1 END,
    properties = json_patch(properties, given.value ->> 2),
    updated_at = ?
FROM json_each(?) AS given
WHERE contacts.id = given.value ->> 0 AND (
    given.value ->> 1 NOT IN ('', name)
    OR properties <> json_patch(properties, given.value ->> 2)
)
RETURNING contacts.id
"""
"""Of those, that is, which change."""
_ADD_TAGS = """
INSERT OR IGNORE INTO contact_tags (tenant_id, tag, contact_id)
SELECT ?, value ->> 0, value ->> 1 FROM json_each(?) AS given
RETURNING contact_id, tag
"""


def upsert_all(
    connection: Connection,
    tenant_id: int,
    new: Sequence[NewContact],
    *,
    now: datetime,
    overwrite: bool = True,
) -> Upserted:
    """Add contacts, and bring those that are known up to date; a few statements for all.

    The journal is told by the caller, or of the import that they come from: see joining.py.

    Args:
        connection: of a write.
        tenant_id: whose.
        new: which; of equal keys the last one counts.
        now: aware, UTC.
        overwrite: False leaves known contacts as they are.
    """
    now_ms = ids.milliseconds(now)
    by_key = {one.key: one for one in new}
    known = dict(connection.execute(_KNOWN, (given(list(by_key)), tenant_id)).fetchall())
    fresh = [one for key, one in by_key.items() if key not in known]
    added = dict(connection.execute(_INSERT, (tenant_id, now_ms, _given(fresh))).fetchall())
    news = [News(EventKind.CONTACT_CREATED, row) for row in added.values()]
    touched = fresh
    if overwrite and known:
        old = [one for key, one in by_key.items() if key in known]
        changes = [(known[one.key], one.name, _json(one.properties)) for one in old]
        changed = connection.execute(_UPDATE, (now_ms, given(changes))).fetchall()
        news += [News(EventKind.CONTACT_UPDATED, row) for (row,) in changed]
        touched = [*fresh, *old]
    rows = known | added
    tags = [(tag, rows[one.key]) for one in touched for tag in one.tags]
    news += _add_tags(connection, tenant_id, tags)
    return Upserted(rows, frozenset(added), tuple(news))


def _add_tags(
    connection: Connection, tenant_id: int, tags: Sequence[tuple[str, int]]
) -> list[News]:
    """Put tags on contacts, and return what there is to tell of those that had them not."""
    if not tags:
        return []
    found: dict[int, list[str]] = {}
    for row, tag in connection.execute(_ADD_TAGS, (tenant_id, given(tags))).fetchall():
        found.setdefault(row, []).append(tag)
    return [News(EventKind.CONTACT_TAGGED, row, tags=tuple(got)) for row, got in found.items()]


def _given(contacts: Sequence[NewContact]) -> str:
    return given([(one.key, one.email, one.name, _json(one.properties)) for one in contacts])


def _json(properties: Mapping[str, JsonValue]) -> str:
    return json_text.encode(properties).decode()


_SELECT = """
SELECT c.id, c.key, c.email, c.name, c.properties, c.created_at, c.updated_at,
    c.opened_at, c.clicked_at,
    (SELECT json_group_array(tag) FROM contact_tags t WHERE t.contact_id = c.id)
FROM contacts c
"""


def get(connection: Connection, tenant_id: int, name: str) -> ContactRecord | None:
    """Return the contact with this "ct_..." id or key; None when there is none."""
    number = ids.number_of(name, "ct")
    condition, value = ("c.key = ?", name) if number is None else ("c.id = ?", number)
    row = connection.execute(
        f"{_SELECT} WHERE c.tenant_id = ? AND {condition}", (tenant_id, value)
    ).fetchone()
    return record(row) if row else None


def get_rows(
    connection: Connection, tenant_id: int, rows: Sequence[int]
) -> dict[int, ContactRecord]:
    """Return row number -> contact for those of the rows that there are."""
    found: dict[int, ContactRecord] = {}
    for chunk in chunks(rows):
        cursor = connection.execute(
            f"{_SELECT} WHERE c.tenant_id = ? AND c.id IN ({marks(chunk)})", (tenant_id, *chunk)
        )
        found.update((row[0], record(row)) for row in cursor)
    return found


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    filters: ContactFilter = ContactFilter(),  # noqa: B008 - frozen
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[ContactRecord]:
    """Return contacts, newest first.

    An index gives the page; with `text` one after the other in it is looked at until that is full.

    Args:
        connection: any.
        tenant_id: whose.
        filters: which.
        limit: at most so many.
        after: go on after the one with this id, to older ones.
        before: instead, those just before this one, newer ones. Another kind of id gives none.
        skip: leave out so many at the start.
    """
    source, column, where, values = _source(tenant_id, filters)
    cursor = ids.number_of(after or before, "ct")
    if after or before:
        where = f"{where} AND {column} {'<' if after else '>'} ?"
        values.append((0 if after else 2**63 - 1) if cursor is None else cursor)
    direction = "ASC" if before and not after else "DESC"
    rows = connection.execute(
        f"{_SELECT}{source} WHERE {where} ORDER BY {column} {direction} LIMIT ? OFFSET ?",
        (*values, limit, skip),
    ).fetchall()
    return [record(row) for row in (rows if direction == "DESC" else reversed(rows))]


def total(connection: Connection, tenant_id: int) -> int:
    """Return how many contacts a tenant has, from a counter."""
    row = connection.execute(
        "SELECT count FROM contact_counts WHERE tenant_id = ?", (tenant_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def count(
    connection: Connection,
    tenant_id: int,
    filters: ContactFilter = ContactFilter(),  # noqa: B008 - frozen
) -> int:
    """Return how many the filter means; looks at each of them, or at none where it means all."""
    if filters == ContactFilter():
        return total(connection, tenant_id)
    source, _, where, values = _source(tenant_id, filters)
    sql = f"SELECT COUNT(*) FROM contacts c{source} WHERE {where}"
    return int(connection.execute(sql, values).fetchone()[0])


def _source(tenant_id: int, filters: ContactFilter) -> tuple[str, str, str, list[object]]:
    """Return joins, the column that orders the page, conditions and their parameters.

    The most selective index leads: CROSS JOIN keeps the planner from turning it round.
    """
    joins, column, values = "", "c.id", list[object]([tenant_id])
    where = ["c.tenant_id = ?"]
    if filters.tag:
        joins, column = " JOIN contact_tags g ON g.contact_id = c.id", "g.contact_id"
        where.append("g.tenant_id = ? AND g.tag = ?")
        values += [tenant_id, filters.tag]
    if filters.audience_row:
        where.append(
            "EXISTS (SELECT 1 FROM memberships m WHERE m.audience_id = ? AND m.contact_id = c.id)"
        )
        values.append(filters.audience_row)
    if filters.text:
        escaped = filters.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.append("c.key LIKE ? ESCAPE '\\'")
        values.append(f"%{escaped}%")
    return joins, column, " AND ".join(where), values


def change(
    connection: Connection,
    contact: ContactRecord,
    *,
    name: str | None,
    properties: Mapping[str, JsonValue],
    now: datetime,
) -> None:
    """Change name (None: as it is) and merge properties (RFC 7396), with an event."""
    connection.execute(
        "UPDATE contacts SET name = COALESCE(?, name), properties = json_patch(properties, ?),"
        " updated_at = ? WHERE id = ?",
        (name, _json(properties), ids.milliseconds(now), contact.row),
    )
    contact_events.tell(connection, [News(EventKind.CONTACT_UPDATED, contact.row)], now=now)


def add_tags(
    connection: Connection, tenant_id: int, contact_row: int, tags: Sequence[str], *, now: datetime
) -> None:
    """Put tags on a contact, with an event of new ones; those that it has stay."""
    news = _add_tags(connection, tenant_id, [(tag, contact_row) for tag in tags])
    contact_events.tell(connection, news, now=now)


def remove_tags(
    connection: Connection, tenant_id: int, contact_row: int, tags: Sequence[str], *, now: datetime
) -> None:
    """Take tags off a contact, with an event; those that it has not are passed over."""
    removed = connection.execute(
        "DELETE FROM contact_tags WHERE tenant_id = ? AND contact_id = ?"
        " AND tag IN (SELECT value FROM json_each(?) AS given)",
        (tenant_id, contact_row, given(list(tags))),
    )
    if removed.rowcount:
        contact_events.tell(connection, [News(EventKind.CONTACT_UPDATED, contact_row)], now=now)


def note_engagement(
    connection: Connection, tenant_id: int, key: str, *, has_clicked: bool, at_ms: int
) -> None:
    """Note that a person with this address has opened mail, or followed a link of it."""
    column = "clicked_at" if has_clicked else "opened_at"
    connection.execute(
        f"UPDATE contacts SET {column} = ?1 WHERE tenant_id = ?2 AND key = ?3"
        f" AND COALESCE({column}, 0) < ?1",
        (at_ms, tenant_id, key),
    )


def delete(connection: Connection, contact: ContactRecord, *, now: datetime) -> None:
    """Forget a contact, its tags and memberships, and what imports, campaigns and events say of it.

    An event tells of it, the last one that has the address. What waits of campaigns is canceled.
    Suppressions of the address stay.
    """
    contact_events.erase(connection, contact.id)
    contact_events.tell(connection, [News(EventKind.CONTACT_DELETED, contact.row)], now=now)
    for table, column in (("memberships", "contact_id"), ("contact_tags", "contact_id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (contact.row,))
    connection.execute(
        "DELETE FROM import_errors WHERE email IN (?, ?) AND import_id IN"
        " (SELECT id FROM imports WHERE tenant_id = (SELECT tenant_id FROM contacts WHERE id = ?))",
        (contact.email, contact.key, contact.row),
    )
    [(tenant_id,)] = connection.execute(
        "SELECT tenant_id FROM contacts WHERE id = ?", (contact.row,)
    ).fetchall()
    campaign_queue.cancel_for(connection, tenant_id, contact.email, now=now)
    campaign_people.forget(connection, tenant_id, contact.key, contact.email)
    connection.execute("DELETE FROM contacts WHERE id = ?", (contact.row,))


def record(row: tuple[Any, ...]) -> ContactRecord:
    """Return the contact in a row of _SELECT."""
    number, key, email, name, properties, created_at, updated_at, opened_at, clicked_at, tags = row
    return ContactRecord(
        row=number,
        id=ids.numbered_id("ct", created_at, number),
        key=key,
        email=email,
        name=name,
        properties=cast("dict[str, JsonValue]", json_text.decode(properties)),
        tags=tuple(sorted(cast("list[str]", json_text.decode(tags)))),
        created_at=ids.moment(created_at),
        updated_at=ids.moment(updated_at),
        opened_at=None if opened_at is None else ids.moment(opened_at),
        clicked_at=None if clicked_at is None else ids.moment(clicked_at),
    )
