"""Suppressions: addresses that a tenant's mail no longer goes to.

Compared by the address's key (core/address.py). Not here: deciding to add one.
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mta.core import ids
from storage.database import Connection
from storage.sql import chunks, marks


@dataclass(frozen=True, slots=True)
class SuppressionRecord:
    """One suppressed address.

    Attributes:
        id: "sup_...".
        key: what addresses are compared by.
        address: as it was given.
        reason: "bounce", "complaint", "unsubscribe", "manual", ...
        created_at: when it was first suppressed (aware, UTC).
    """

    id: str
    key: str
    address: str
    reason: str
    created_at: datetime


def add(
    connection: Connection, *, tenant_id: int, key: str, address: str, reason: str, now: datetime
) -> bool:
    """Suppress an address; False, and nothing changed, when it is suppressed already."""
    added = connection.execute(
        "INSERT INTO suppressions (tenant_id, key, address, reason, created_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant_id, key) DO NOTHING",
        (tenant_id, key, address, reason, ids.milliseconds(now)),
    )
    return added.rowcount == 1


def remove(connection: Connection, *, tenant_id: int, key: str) -> bool:
    """Let mail go to the address again; False when it was not suppressed."""
    removed = connection.execute(
        "DELETE FROM suppressions WHERE tenant_id = ? AND key = ?", (tenant_id, key)
    )
    return removed.rowcount == 1


def lookup(connection: Connection, tenant_id: int, keys: Sequence[str]) -> dict[str, str]:
    """Return key -> reason for those of the keys that are suppressed."""
    found: dict[str, str] = {}
    for chunk in chunks(keys):
        rows = connection.execute(
            f"SELECT key, reason FROM suppressions WHERE tenant_id = ? AND key IN ({marks(chunk)})",
            (tenant_id, *chunk),
        )
        found.update(rows)
    return found


def list_(
    connection: Connection, tenant_id: int, *, limit: int, after: str = "", reason: str = ""
) -> list[SuppressionRecord]:
    """Return suppressions, newest first.

    Args:
        connection: any.
        tenant_id: whose.
        limit: at most so many.
        after: go on after the one with this id; "" is from the start. Another kind gives none.
        reason: only those with this reason; "" is all.
    """
    ceiling = ids.number_of(after, "sup") if after else 2**63 - 1
    rows = connection.execute(
        "SELECT id, key, address, reason, created_at FROM suppressions"
        " WHERE tenant_id = ? AND id < ? AND (? = '' OR reason = ?) ORDER BY id DESC LIMIT ?",
        (tenant_id, ceiling or 0, reason, reason, limit),
    )
    return [
        SuppressionRecord(ids.numbered_id("sup", at, row), key, address, why, ids.moment(at))
        for row, key, address, why, at in rows
    ]
