"""Text messages and letters that were handed in.

Not here: what becomes of them (core/channel.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.channel import Channel
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage.database import Connection

PREFIXES: Mapping[Channel, str] = {Channel.SMS: "sms", Channel.MAIL: "pm"}


@frozen
class NewItem:
    """An item to be added.

    Attributes:
        provider: who carries it.
        recipient: number, or name of who gets a letter.
        content: what was asked for.
    """

    channel: Channel
    provider: str
    recipient: str
    content: Mapping[str, JsonValue]


@frozen
class ItemRecord:
    """An item.

    Attributes:
        row: its row number.
        id: "sms_..." or "pm_...".
        item: what it is.
        created_at, canceled_at: aware, UTC; None: it was not canceled.
    """

    row: int
    id: str
    item: NewItem
    created_at: datetime
    canceled_at: datetime | None


_SELECT = """
SELECT id, channel, provider, recipient, content, created_at, canceled_at
FROM channel_items WHERE tenant_id = ? AND channel = ?
"""


def add(connection: Connection, tenant_id: int, item: NewItem, *, now: datetime) -> ItemRecord:
    """Add an item."""
    row = connection.execute(
        "INSERT INTO channel_items (tenant_id, channel, provider, recipient, content, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id, channel, provider, recipient, content,"
        " created_at, canceled_at",
        (
            *(tenant_id, item.channel.value, item.provider, item.recipient),
            *(json_text.encode(item.content).decode(), ids.milliseconds(now)),
        ),
    ).fetchone()
    return _record(row)


def get(
    connection: Connection, tenant_id: int, channel: Channel, item_id: str
) -> ItemRecord | None:
    """Return the item with this id; None when the tenant has none."""
    number = ids.number_of(item_id, PREFIXES[channel])
    if number is None:
        return None
    row = connection.execute(f"{_SELECT} AND id = ?", (tenant_id, channel.value, number)).fetchone()
    return _record(row) if row else None


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    channel: Channel,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[ItemRecord]:
    """Return items, newest first; the cursors as of contacts.list_, `skip` left out in front."""
    cursor = ids.number_of(after or before, PREFIXES[channel])
    if before and not after:
        number = 2**63 - 1 if cursor is None else cursor
        sql = f"{_SELECT} AND id > ? ORDER BY id LIMIT ?"
        rows = connection.execute(sql, (tenant_id, channel.value, number, limit)).fetchall()[::-1]
    else:
        number = (0 if after else 2**63 - 1) if cursor is None else cursor
        sql = f"{_SELECT} AND id < ? ORDER BY id DESC LIMIT ? OFFSET ?"
        values = (tenant_id, channel.value, number, limit, skip)
        rows = connection.execute(sql, values).fetchall()
    return [_record(row) for row in rows]


def count(connection: Connection, tenant_id: int, channel: Channel) -> int:
    """Return how many items of a channel a tenant has."""
    row = connection.execute(
        "SELECT COUNT(*) FROM channel_items WHERE tenant_id = ? AND channel = ?",
        (tenant_id, channel.value),
    ).fetchone()
    return int(row[0])


def cancel(connection: Connection, row: int, *, now: datetime) -> None:
    """Cancel an item; what was canceled before stays so."""
    connection.execute(
        "UPDATE channel_items SET canceled_at = ? WHERE id = ? AND canceled_at IS NULL",
        (ids.milliseconds(now), row),
    )


def _record(row: tuple[Any, ...]) -> ItemRecord:
    number, channel, provider, recipient, content, created_at, canceled_at = row
    kind = Channel(channel)
    kept = cast("dict[str, JsonValue]", json_text.decode(content))
    return ItemRecord(
        row=number,
        id=ids.numbered_id(PREFIXES[kind], created_at, number),
        item=NewItem(kind, provider, recipient, kept),
        created_at=ids.moment(created_at),
        canceled_at=None if canceled_at is None else ids.moment(canceled_at),
    )
