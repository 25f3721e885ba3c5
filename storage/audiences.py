"""Audiences: lists of contacts with a sender identity and fields of their own.

Not here: who is in them (memberships.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage.database import Connection


@frozen
class Identity:
    """What an audience is called, and what mail to it says of its sender; "" for nothing said."""

    name: str
    from_email: str = ""
    from_name: str = ""
    reply_to: str = ""
    default_subject: str = ""


@frozen
class OptIn:
    """How people join an audience.

    Attributes:
        is_double: whether who joins is asked by mail first (confirmations.py).
        template_id: "tpl_..." of that mail; "" for ours.
    """

    is_double: bool = False
    template_id: str = ""


@frozen
class AudienceRecord:
    """One audience.

    Attributes:
        row: its row number.
        id: "aud_...", also the scope of unsubscriptions from it.
        identity: name and sender.
        opt_in: how people join.
        reference: what its owner calls it, unique for a tenant; "" for nothing.
        metadata: what its owner notes of it; nothing depends on it.
        created_at, updated_at: aware, UTC.
    """

    row: int
    id: str
    identity: Identity
    created_at: datetime
    updated_at: datetime
    opt_in: OptIn = OptIn()
    reference: str = ""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


@frozen
class AudienceField:
    """What an audience knows of each member.

    Attributes:
        tag: its name in templates, such as FNAME.
        label: for people.
        type: "text", "number" or "datetime".
        default_value: stands in for a missing value; "" for nothing.
        is_required: whether a member must have a value.
    """

    tag: str
    label: str
    type: str
    default_value: str = ""
    is_required: bool = False


_SELECT = """
SELECT id, name, from_email, from_name, reply_to, default_subject, created_at, updated_at,
    double_opt_in, confirmation_template, reference, metadata
FROM audiences WHERE tenant_id = ?
"""


def create(
    connection: Connection,
    tenant_id: int,
    identity: Identity,
    opt_in: OptIn = OptIn(),  # noqa: B008 - frozen
    *,
    now: datetime,
) -> AudienceRecord:
    """Make an audience."""
    now_ms = ids.milliseconds(now)
    row = connection.execute(
        "INSERT INTO audiences (tenant_id, name, from_email, from_name, reply_to,"
        " default_subject, double_opt_in, confirmation_template, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (tenant_id, *_columns(identity, opt_in), now_ms, now_ms),
    ).fetchone()
    shown = _columns(identity, opt_in)[:5]
    return _record((row[0], *shown, now_ms, now_ms, *_opt_in(opt_in), "", "{}"))


def get(connection: Connection, tenant_id: int, name: str) -> AudienceRecord | None:
    """Return the audience with this "aud_..." id or reference; None when the tenant has none."""
    number = ids.number_of(name, "aud")
    condition, value = ("id = ?", number) if number is not None else (_BY_REFERENCE, name)
    row = connection.execute(f"{_SELECT} AND {condition}", (tenant_id, value)).fetchone()
    return _record(row) if row else None


_BY_REFERENCE = "reference = ? AND reference <> ''"


def by_row(connection: Connection, number: int) -> AudienceRecord | None:
    """Return the audience with this row number, whosever it is; None when there is none."""
    sql = f"{_SELECT.replace('tenant_id = ?', 'id = ?')}"
    row = connection.execute(sql, (number,)).fetchone()
    return _record(row) if row else None


def set_reference(connection: Connection, audience_row: int, reference: str) -> None:
    """Give an audience a reference that no other of its tenant has; it must not look like an id."""
    connection.execute("UPDATE audiences SET reference = ? WHERE id = ?", (reference, audience_row))


def set_metadata(
    connection: Connection, audience_row: int, metadata: Mapping[str, JsonValue]
) -> None:
    """Note something of an audience, in place of what was noted."""
    text = json_text.encode(metadata).decode()
    connection.execute("UPDATE audiences SET metadata = ? WHERE id = ?", (text, audience_row))


def count(connection: Connection, tenant_id: int) -> int:
    """Return how many audiences a tenant has."""
    sql = "SELECT COUNT(*) FROM audiences WHERE tenant_id = ?"
    return int(connection.execute(sql, (tenant_id,)).fetchone()[0])


def list_(
    connection: Connection, tenant_id: int, *, limit: int, after: str = "", before: str = ""
) -> list[AudienceRecord]:
    """Return audiences, newest first; the cursors as of contacts.list_."""
    cursor = ids.number_of(after or before, "aud")
    if before and not after:
        number = 2**63 - 1 if cursor is None else cursor
        sql = f"{_SELECT} AND id > ? ORDER BY id LIMIT ?"
        rows = connection.execute(sql, (tenant_id, number, limit)).fetchall()[::-1]
    else:
        number = (0 if after else 2**63 - 1) if cursor is None else cursor
        sql = f"{_SELECT} AND id < ? ORDER BY id DESC LIMIT ?"
        rows = connection.execute(sql, (tenant_id, number, limit)).fetchall()
    return [_record(row) for row in rows]


def change(
    connection: Connection,
    audience: AudienceRecord,
    identity: Identity,
    opt_in: OptIn | None = None,
    *,
    now: datetime,
) -> None:
    """Give an audience another name and sender, and, unless it is None, another way to join."""
    connection.execute(
        "UPDATE audiences SET name = ?, from_email = ?, from_name = ?, reply_to = ?,"
        " default_subject = ?, double_opt_in = ?, confirmation_template = ?, updated_at = ?"
        " WHERE id = ?",
        (*_columns(identity, opt_in or audience.opt_in), ids.milliseconds(now), audience.row),
    )


def delete(connection: Connection, audience: AudienceRecord) -> None:
    """Delete an audience with its fields; its members must be gone (memberships.remove_some)."""
    for table in ("audience_fields", "membership_counts"):
        connection.execute(f"DELETE FROM {table} WHERE audience_id = ?", (audience.row,))  # noqa: S608
    connection.execute("DELETE FROM audiences WHERE id = ?", (audience.row,))


def fields(connection: Connection, audience_row: int) -> Mapping[str, AudienceField]:
    """Return tag -> field, in the order of the tags."""
    rows = connection.execute(
        "SELECT tag, label, type, default_value, is_required FROM audience_fields"
        " WHERE audience_id = ? ORDER BY tag",
        (audience_row,),
    )
    return {
        tag: AudienceField(tag, label, kind, default, bool(required))
        for tag, label, kind, default, required in rows
    }


def put_field(
    connection: Connection, audience_row: int, field: AudienceField, *, now: datetime
) -> bool:
    """Add a field; False, and nothing changed, when the audience has one of that tag."""
    added = connection.execute(
        "INSERT OR IGNORE INTO audience_fields (audience_id, tag, label, type, default_value,"
        " is_required, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(audience_row, field.tag, field.label, field.type, field.default_value),
            *(field.is_required, ids.milliseconds(now)),
        ),
    )
    return added.rowcount == 1


def delete_field(connection: Connection, audience_row: int, tag: str) -> bool:
    """Delete a field and nothing of members' values; False when there is none."""
    deleted = connection.execute(
        "DELETE FROM audience_fields WHERE audience_id = ? AND tag = ?", (audience_row, tag)
    )
    return deleted.rowcount == 1


def _columns(identity: Identity, opt_in: OptIn) -> tuple[str | bool, ...]:
    return (
        *(identity.name, identity.from_email, identity.from_name),
        *(identity.reply_to, identity.default_subject),
        *_opt_in(opt_in),
    )


def _opt_in(opt_in: OptIn) -> tuple[bool, str]:
    return opt_in.is_double, opt_in.template_id


def _record(row: tuple[Any, ...]) -> AudienceRecord:
    number, *identity, created_at, updated_at, is_double, template_id, reference, noted = row
    return AudienceRecord(
        row=number,
        id=ids.numbered_id("aud", created_at, number),
        identity=Identity(*identity),
        opt_in=OptIn(bool(is_double), template_id),
        reference=reference,
        metadata=cast("dict[str, JsonValue]", json_text.decode(noted)),
        created_at=ids.moment(created_at),
        updated_at=ids.moment(updated_at),
    )
