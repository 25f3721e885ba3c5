"""Tenants and the API keys that act for them. Keys are found by the hash of the secret only.

Not here: making, hashing and checking the form of a key (core/api_key.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mta.core import ids
from storage.database import Connection

DEFAULT_TENANT = 1
"""The tenant that exists from the start."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key, without the secret.

    Attributes:
        id: "key_...".
        tenant_id, tenant_name: for whom it acts.
        name: what the operator calls it.
        last4: the last characters of the secret.
        created_at: aware, UTC.
        revoked_at: aware, UTC; None: it is valid.
    """

    id: str
    tenant_id: int
    tenant_name: str
    name: str
    last4: str
    created_at: datetime
    revoked_at: datetime | None


_SELECT = """
SELECT k.id, k.tenant_id, t.name, k.name, k.last4, k.created_at, k.revoked_at
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
"""


def create_key(  # noqa: PLR0913 - one parameter for each column
    connection: Connection,
    *,
    tenant_id: int,
    name: str,
    key_id: str,
    key_hash: bytes,
    last4: str,
    now: datetime,
) -> None:
    """Keep a new key: "key_..." id, SHA-256 of its secret, and the last characters of that."""
    connection.execute(
        "INSERT INTO api_keys (id, tenant_id, name, key_hash, last4, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (key_id, tenant_id, name, key_hash, last4, ids.milliseconds(now)),
    )


def list_keys(connection: Connection, *, tenant_id: int | None = None) -> list[KeyRecord]:
    """Return the keys of a tenant (None: of all), oldest first, revoked ones included."""
    rows = connection.execute(
        f"{_SELECT} WHERE ? IS NULL OR k.tenant_id = ? ORDER BY k.created_at, k.id",
        (tenant_id, tenant_id),
    )
    return [_key(row) for row in rows]


def revoke_key(
    connection: Connection, key_id: str, now: datetime, *, tenant_id: int | None = None
) -> bool:
    """End a key's validity; False when there is no such valid key (of that tenant)."""
    changed = connection.execute(
        "UPDATE api_keys SET revoked_at = ?"
        " WHERE id = ? AND revoked_at IS NULL AND (? IS NULL OR tenant_id = ?)",
        (ids.milliseconds(now), key_id, tenant_id, tenant_id),
    )
    return changed.rowcount == 1


def authenticate(connection: Connection, key_hash: bytes) -> KeyRecord | None:
    """Return the valid key with this SHA-256; None when it is unknown or revoked."""
    row = connection.execute(
        f"{_SELECT} WHERE k.key_hash = ? AND k.revoked_at IS NULL", (key_hash,)
    ).fetchone()
    return _key(row) if row else None


def _key(row: tuple[Any, ...]) -> KeyRecord:
    key_id, tenant_id, tenant_name, name, last4, created_at, revoked_at = row
    return KeyRecord(
        id=key_id,
        tenant_id=tenant_id,
        tenant_name=tenant_name,
        name=name,
        last4=last4,
        created_at=ids.moment(created_at),
        revoked_at=None if revoked_at is None else ids.moment(revoked_at),
    )
