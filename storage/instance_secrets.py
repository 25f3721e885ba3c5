"""The secrets that return paths and unsubscribe links of this installation are sealed with.

They are in the database, so that they are backed up and restored with the mail they belong to. Not
here: sealing (mta/core/seal.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mta.core import ids
from storage.database import Connection

SIZE = 32


def load(connection: Connection) -> tuple[bytes, ...]:
    """Return all secrets, the one that seals now first; () before ensure."""
    rows = connection.execute("SELECT secret FROM instance_secrets ORDER BY id DESC")
    return tuple(secret for (secret,) in rows)


def ensure(
    connection: Connection, *, entropy: Callable[[int], bytes], now: datetime
) -> tuple[bytes, ...]:
    """Return what load does, after making the first secret where there is none (a write)."""
    found = load(connection)
    return found or rotate(connection, entropy=entropy, now=now)


def rotate(
    connection: Connection, *, entropy: Callable[[int], bytes], now: datetime
) -> tuple[bytes, ...]:
    """Seal with a new secret from now on; old seals stay good. Return what load does (a write)."""
    connection.execute(
        "INSERT INTO instance_secrets (secret, created_at) VALUES (?, ?)",
        (entropy(SIZE), ids.milliseconds(now)),
    )
    return load(connection)
