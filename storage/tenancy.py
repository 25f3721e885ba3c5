"""Tenants themselves: made, listed and deleted by operators. Their numbers are never used again.

Not here: their keys (tenants.py) and quotas (quotas.py).
"""

from __future__ import annotations

import enum
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from mta.core.quota import Quota
from storage import quotas
from storage.database import Connection
from storage.tenants import DEFAULT_TENANT

_PREFIX = "ten"


@frozen
class TenantRecord:
    """One tenant.

    Attributes:
        id: "ten_..."; number is the row id.
        name: unique.
        created_at: aware, UTC.
        quota: its own; None: that of mta.toml.
        keys, domains: how many valid API keys and sender domains it has.
        dsn: whether its senders over SMTP get delivery reports; None: as mta.toml says.
    """

    id: str
    number: int
    name: str
    created_at: datetime
    quota: Quota | None
    keys: int
    domains: int
    dsn: bool | None = None


class Undeletable(enum.Enum):
    """Why a tenant cannot be deleted now."""

    DEFAULT = "default"
    """It is the one that exists from the start."""
    DOMAINS = "domains"
    """It still has sender domains, whose private keys are files."""
    QUEUE = "queue"
    """Mail of it is still in the queue."""
    CONTENT = "content"
    """It still has contacts, audiences, templates or campaigns."""


def number_of(tenant: str) -> int | None:
    """Return the row id in a "ten_..." id; None when it is not such an id."""
    return ids.number_of(tenant, _PREFIX)


def create(connection: Connection, *, name: str, now: datetime) -> TenantRecord | None:
    """Make a tenant; None when the name is taken."""
    taken = connection.execute("SELECT 1 FROM tenants WHERE name = ?", (name,)).fetchone()
    if taken:
        return None
    [(number,)] = connection.execute(
        "SELECT MAX((SELECT MAX(id) FROM tenants),"
        " COALESCE((SELECT value FROM counters WHERE name = 'tenants'), 0)) + 1"
    ).fetchall()
    connection.execute(
        "INSERT INTO counters (name, value) VALUES ('tenants', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (number,),
    )
    connection.execute(
        "INSERT INTO tenants (id, name, created_at) VALUES (?, ?, ?)",
        (number, name, ids.milliseconds(now)),
    )
    return get(connection, number)


_SELECT = """
SELECT id, name, created_at,
    (SELECT COUNT(*) FROM api_keys k WHERE k.tenant_id = t.id AND k.revoked_at IS NULL),
    (SELECT COUNT(*) FROM domains d WHERE d.tenant_id = t.id), dsn
FROM tenants t
"""


def get(connection: Connection, number: int) -> TenantRecord | None:
    """Return a tenant by its row id; None when there is none."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone()
    return _record(connection, row) if row else None


def list_(connection: Connection, *, limit: int, after: str = "") -> list[TenantRecord]:
    """Return tenants, oldest first.

    Args:
        connection: any.
        limit: at most so many.
        after: go on after the one with this "ten_..." id; "" is the start. Another kind gives none.
    """
    start = number_of(after) if after else 0
    rows = connection.execute(
        f"{_SELECT} WHERE id > ? ORDER BY id LIMIT ?",
        (2**63 - 1 if start is None else start, limit),
    ).fetchall()
    return [_record(connection, row) for row in rows]


def obstacle(connection: Connection, number: int) -> Undeletable | None:
    """Return what keeps a tenant from being deleted; None: nothing does."""
    if number == DEFAULT_TENANT:
        return Undeletable.DEFAULT
    if connection.execute("SELECT 1 FROM domains WHERE tenant_id = ?", (number,)).fetchone():
        return Undeletable.DOMAINS
    # One literal for each state and the "+": so the partial indexes of what is queued are read.
    for state in (0, 1, 2):
        sql = f"SELECT 1 FROM entries WHERE state = {state} AND +tenant_id = ? LIMIT 1"  # noqa: S608
        if connection.execute(sql, (number,)).fetchone():
            return Undeletable.QUEUE
    for table in _CONTENT:
        sql = f"SELECT 1 FROM {table} WHERE tenant_id = ? LIMIT 1"  # noqa: S608
        if connection.execute(sql, (number,)).fetchone():
            return Undeletable.CONTENT
    return None


_CONTENT = ("contacts", "audiences", "templates", "campaigns")
"""Tables whose rows have others below them, perhaps many: they are deleted one by one."""


_WITH_IT = (
    *("api_keys", "users", "webhooks", "suppressions", "tenant_quotas"),
    *("credit_accounts", "credit_transactions", "imports", "channel_items"),
)
"""Tables whose rows go with their tenant."""


def delete(connection: Connection, number: int) -> Undeletable | None:
    """Delete a tenant with all that it has; or return what keeps it.

    Its settled mail and its figures stay until retention lets them go; nobody can ask for them.
    Many suppressions are better removed before, in steps.
    """
    found = obstacle(connection, number)
    if found is not None:
        return found
    for table in _WITH_IT:
        connection.execute(f"DELETE FROM {table} WHERE tenant_id = ?", (number,))  # noqa: S608
    # Their runs are many, perhaps: the runner removes them in steps.
    connection.execute("UPDATE automations SET status = 'deleted' WHERE tenant_id = ?", (number,))
    connection.execute("DELETE FROM tenants WHERE id = ?", (number,))
    return None


def set_dsn(connection: Connection, number: int, dsn: bool | None) -> None:
    """Switch a tenant's delivery reports on or off; None leaves it to mta.toml."""
    connection.execute("UPDATE tenants SET dsn = ? WHERE id = ?", (dsn, number))


def _record(
    connection: Connection, row: tuple[int, str, int, int, int, int | None]
) -> TenantRecord:
    number, name, created_at, keys, domains, dsn = row
    return TenantRecord(
        id=ids.numbered_id(_PREFIX, created_at, number),
        number=number,
        name=name,
        created_at=ids.moment(created_at),
        quota=quotas.own_quota(connection, number),
        keys=keys,
        domains=domains,
        dsn=None if dsn is None else bool(dsn),
    )
