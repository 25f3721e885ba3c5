"""Tokens of users, kept as hashes: sessions, which are good for what keys are, and one-time links.

Not here: making and hashing them (core/api_key.py), passwords (users.py).
"""

from __future__ import annotations

import enum
from datetime import datetime

from mta.core import ids
from storage.database import Connection
from storage.tenants import KeyRecord
from storage.users import COLUMNS, Credentials, credentials_of, user_of

MAX_TOKENS = 100
"""Tokens of one kind that a user has at once; the oldest end."""
_SWEPT = 1000
"""Expired tokens that are removed when one is made."""


class Purpose(enum.Enum):
    """What a token is for."""

    SESSION = "session"
    LINK = "link"


def issue(
    connection: Connection,
    credentials: Credentials,
    purpose: Purpose,
    token_hash: bytes,
    *,
    now: datetime,
    expires_at: datetime,
) -> bool:
    """Keep a token (SHA-256); False when the user, or that password, has gone meanwhile."""
    now_ms = ids.milliseconds(now)
    connection.execute(
        "DELETE FROM user_tokens WHERE hash IN"
        " (SELECT hash FROM user_tokens WHERE expires_at <= ? LIMIT ?)",
        (now_ms, _SWEPT),
    )
    kept = connection.execute(
        "INSERT INTO user_tokens (hash, user_id, purpose, created_at, expires_at)"
        " SELECT ?, id, ?, ?, ? FROM users WHERE id = ? AND password = ?",
        (
            *(token_hash, purpose.value, now_ms, ids.milliseconds(expires_at)),
            *(credentials.user_id, credentials.password),
        ),
    )
    connection.execute(
        "DELETE FROM user_tokens WHERE hash IN (SELECT hash FROM user_tokens"
        " WHERE user_id = ? AND purpose = ? ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        (credentials.user_id, purpose.value, MAX_TOKENS),
    )
    return kept.rowcount == 1


def log_in(
    connection: Connection,
    credentials: Credentials,
    token_hash: bytes,
    *,
    now: datetime,
    expires_at: datetime,
) -> bool:
    """Begin a session; arguments and answer as of issue()."""
    connection.execute(
        "UPDATE users SET login_at = ? WHERE id = ?", (ids.milliseconds(now), credentials.user_id)
    )
    return issue(
        connection, credentials, Purpose.SESSION, token_hash, now=now, expires_at=expires_at
    )


_AUTHENTICATE = f"""
SELECT {COLUMNS} FROM user_tokens k JOIN users u ON u.id = k.user_id
JOIN tenants t ON t.id = u.tenant_id
WHERE k.hash = ? AND k.purpose = 'session' AND k.expires_at > ?
"""  # noqa: S608 - put together from constants


def authenticate(connection: Connection, token_hash: bytes, now: datetime) -> KeyRecord | None:
    """Return whose session has this SHA-256, as a key; None when it is unknown or over."""
    row = connection.execute(_AUTHENTICATE, (token_hash, ids.milliseconds(now))).fetchone()
    if row is None:
        return None
    user = user_of(row)
    return KeyRecord(
        id=user.id,
        tenant_id=user.tenant_id,
        tenant_name=user.tenant_name,
        name=user.email,
        last4="",
        created_at=user.created_at,
        revoked_at=None,
        access=user.role.access,
        user=user,
    )


def redeem(connection: Connection, token_hash: bytes, now: datetime) -> Credentials | None:
    """Use a one-time link up; None when it is unknown, was used, or is over."""
    row = connection.execute(
        "DELETE FROM user_tokens WHERE hash = ? AND purpose = 'link' AND expires_at > ?"
        " RETURNING user_id",
        (token_hash, ids.milliseconds(now)),
    ).fetchone()
    return credentials_of(connection, row[0]) if row else None


def revoke(connection: Connection, token_hash: bytes) -> None:
    """End a token; unknown ones are no error."""
    connection.execute("DELETE FROM user_tokens WHERE hash = ?", (token_hash,))
