"""Tenants and the API keys that act for them. Keys are found by the hash of the secret only.

The hash is looked up in an index, whose time tells something about hashes, not about keys: a key
has 190 random bits and is stored as its SHA-256, so that nobody can choose a key whose hash comes
near another's. A comparison in constant time would hide nothing more.

Not here: making, hashing and checking the form of a key (core/api_key.py), what it may do
(core/access.py), quotas of tenants (quotas.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.access import UNRESTRICTED, Access
from mta.core.frozen import frozen
from storage.database import Connection
from storage.users import User

DEFAULT_TENANT = 1
"""The tenant that exists from the start."""


@frozen
class KeyRecord:
    """An API key, without the secret; or a user's token, which is good for the same.

    Attributes:
        id: "key_...", or the user's "usr_...".
        tenant_id, tenant_name: for whom it acts.
        name: what the operator calls it.
        last4: the last characters of the secret.
        created_at: aware, UTC.
        revoked_at: aware, UTC; None: it is valid.
        access: what it may do. Of a key found by a secret that was rotated away, it expires when
            that secret does.
        description: for people, "" for none.
        used_at: when it was last used, up to a minute late (aware, UTC); None: never.
        old_until: until when the secret before the last rotation works too; None: there is none.
        user: whose token it is; None: it is a key.
    """

    id: str
    tenant_id: int
    tenant_name: str
    name: str
    last4: str
    created_at: datetime
    revoked_at: datetime | None
    access: Access = UNRESTRICTED
    description: str = ""
    used_at: datetime | None = None
    old_until: datetime | None = None
    user: User | None = None


_SELECT = """
SELECT k.id, k.tenant_id, t.name, k.name, k.last4, k.created_at, k.revoked_at, k.scopes,
    k.sender_domains, k.networks, k.expires_at, k.is_test, k.description, k.used_at, k.old_until
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
"""


def number_of(connection: Connection, name: str) -> int | None:
    """Return the row id of the tenant with this name; None when there is none."""
    row = connection.execute("SELECT id FROM tenants WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else None


def create_key(  # noqa: PLR0913 - one parameter for each column
    connection: Connection,
    *,
    tenant_id: int,
    name: str,
    key_id: str,
    key_hash: bytes,
    last4: str,
    now: datetime,
    access: Access = UNRESTRICTED,
    description: str = "",
) -> None:
    """Keep a new key: "key_..." id, SHA-256 of its secret, the last characters of that."""
    connection.execute(
        "INSERT INTO api_keys (id, tenant_id, name, key_hash, last4, created_at, description,"
        " scopes, sender_domains, networks, expires_at, is_test)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(key_id, tenant_id, name, key_hash, last4, ids.milliseconds(now), description),
            *_access_columns(access),
            access.is_test,
        ),
    )


def list_keys(
    connection: Connection, *, tenant_id: int | None = None, is_valid_only: bool = False
) -> list[KeyRecord]:
    """Return the keys of a tenant (None: of all), oldest first; revoked ones too unless told."""
    rows = connection.execute(
        f"{_SELECT} WHERE (? IS NULL OR k.tenant_id = ?) AND (NOT ? OR k.revoked_at IS NULL)"
        " ORDER BY k.created_at, k.id",
        (tenant_id, tenant_id, is_valid_only),
    )
    return [_key(row) for row in rows]


def get_key(
    connection: Connection, key_id: str, *, tenant_id: int | None = None
) -> KeyRecord | None:
    """Return a key (of that tenant) that is not revoked; None when there is none."""
    row = connection.execute(
        f"{_SELECT} WHERE k.id = ? AND k.revoked_at IS NULL AND (? IS NULL OR k.tenant_id = ?)",
        (key_id, tenant_id, tenant_id),
    ).fetchone()
    return _key(row) if row else None


def change_key(
    connection: Connection, key_id: str, *, name: str, description: str, access: Access
) -> None:
    """Give a key another name, description and access; whether it is a test key stays."""
    connection.execute(
        "UPDATE api_keys SET name = ?, description = ?, scopes = ?, sender_domains = ?,"
        " networks = ?, expires_at = ? WHERE id = ?",
        (name, description, *_access_columns(access), key_id),
    )


def rotate_key(
    connection: Connection, key_id: str, *, key_hash: bytes, last4: str, old_until: datetime
) -> None:
    """Give a key a new secret; the one it has works until `old_until` (aware), earlier ones end."""
    connection.execute(
        "UPDATE api_keys SET old_hash = key_hash, old_until = ?, key_hash = ?, last4 = ?"
        " WHERE id = ? AND revoked_at IS NULL",
        (ids.milliseconds(old_until), key_hash, last4, key_id),
    )


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


def record_uses(connection: Connection, uses: Mapping[str, datetime]) -> None:
    """Write down when keys ("key_..." ids) were last used (aware, UTC)."""
    connection.executemany(
        "UPDATE api_keys SET used_at = MAX(?, COALESCE(used_at, 0)) WHERE id = ?",
        [(ids.milliseconds(at), key_id) for key_id, at in uses.items()],
    )


def authenticate(connection: Connection, key_hash: bytes) -> KeyRecord | None:
    """Return the key with this SHA-256 of a secret; None when it is unknown or revoked.

    Whether it has expired is for core/access.py to say.
    """
    row = connection.execute(
        f"{_SELECT} WHERE k.key_hash = ? AND k.revoked_at IS NULL", (key_hash,)
    ).fetchone()
    return _key(row) if row else _rotated(connection, key_hash)


def _rotated(connection: Connection, key_hash: bytes) -> KeyRecord | None:
    row = connection.execute(
        f"{_SELECT} WHERE k.old_hash = ? AND k.revoked_at IS NULL", (key_hash,)
    ).fetchone()
    return _key(row, is_old=True) if row else None


def _access_columns(access: Access) -> tuple[object, ...]:
    """Return scopes, sender_domains, networks and expires_at."""
    expires_at = None if access.expires_at is None else ids.milliseconds(access.expires_at)
    networks = [str(network) for network in access.networks]
    return _json(access.scopes), _json(access.domains), _json(networks), expires_at


def _json(values: object) -> str:
    return json_text.encode(values).decode()


def _key(row: tuple[Any, ...], *, is_old: bool = False) -> KeyRecord:
    key_id, tenant_id, tenant_name, name, last4, created_at, revoked_at = row[:7]
    scopes, domains, networks, expires_at, is_test, description, used_at, old_until = row[7:]
    if is_old:
        expires_at = min(old_until, expires_at or old_until)
    return KeyRecord(
        id=key_id,
        tenant_id=tenant_id,
        tenant_name=tenant_name,
        name=name,
        last4=last4,
        created_at=ids.moment(created_at),
        revoked_at=_moment(revoked_at),
        access=Access(
            scopes=_texts(scopes),
            domains=_texts(domains),
            networks=tuple(ip_network(text) for text in _texts(networks)),
            expires_at=_moment(expires_at),
            is_test=bool(is_test),
        ),
        description=description,
        used_at=_moment(used_at),
        old_until=_moment(old_until),
    )


def _texts(column: str) -> tuple[str, ...]:
    return tuple(cast("list[str]", json_text.decode(column.encode())))


def _moment(column: int | None) -> datetime | None:
    return None if column is None else ids.moment(column)
