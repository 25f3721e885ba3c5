"""Answers remembered by Idempotency-Key, so that a client may repeat a request safely.

Remembered in the transaction that does what the answer says. Not here: which answers to remember
and how requests are compared (control_api).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection

LIFETIME = timedelta(hours=24)
"""How long an answer counts."""


@frozen
class StoredAnswer:
    """An answer given before.

    Attributes:
        fingerprint: hash of the request that it answered.
        status: HTTP status, or reply code.
        body: response body; over SMTP the "em_..." that the message became.
        created_at: aware, UTC.
    """

    fingerprint: bytes
    status: int
    body: bytes
    created_at: datetime


def find(connection: Connection, *, tenant_id: int, scope: str, key: str) -> StoredAnswer | None:
    """Return the answer given to this key of this tenant for `scope`, however old, or None."""
    row = connection.execute(
        "SELECT fingerprint, status, body, created_at FROM idempotency"
        " WHERE tenant_id = ? AND scope = ? AND key = ?",
        (tenant_id, scope, key),
    ).fetchone()
    if row is None:
        return None
    fingerprint, status, body, created_at = row
    return StoredAnswer(fingerprint, status, body, ids.moment(created_at))


def fresh(
    connection: Connection, *, tenant_id: int, scope: str, key: str, now: datetime
) -> StoredAnswer | None:
    """Return what find() does, unless it has outlived LIFETIME: upkeep may be late."""
    stored = find(connection, tenant_id=tenant_id, scope=scope, key=key)
    return stored if stored is not None and stored.created_at + LIFETIME > now else None


def remember(
    connection: Connection, *, tenant_id: int, scope: str, key: str, answer: StoredAnswer
) -> None:
    """Keep an answer, in place of one that the same key had."""
    connection.execute(
        "INSERT INTO idempotency (tenant_id, scope, key, fingerprint, status, body, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant_id, scope, key) DO UPDATE SET"
        " fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body,"
        " created_at = excluded.created_at",
        (
            tenant_id,
            scope,
            key,
            answer.fingerprint,
            answer.status,
            answer.body,
            ids.milliseconds(answer.created_at),
        ),
    )


def forget_before(connection: Connection, moment: datetime, *, limit: int = 1000) -> int:
    """Remove up to `limit` answers given before `moment` (aware), oldest first; return how many."""
    removed = connection.execute(
        "DELETE FROM idempotency WHERE (tenant_id, scope, key) IN (SELECT tenant_id, scope, key"
        " FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        (ids.milliseconds(moment), limit),
    )
    return removed.rowcount
