"""Sender domains and their DKIM keys. A name belongs to one tenant.

Not here: what DNS records they need and whether those are right (mta), and the private keys, which
are files.
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mta.core import ids
from storage import directives
from storage.database import Connection
from storage.sql import marks


class DomainExists(Exception):  # noqa: N818 - named after the condition
    """The name is taken, by this tenant or another."""


@dataclass(frozen=True, slots=True)
class DkimKeyRecord:
    """A key that mail of a domain is signed with.

    Attributes:
        selector: label under _domainkey (RFC 6376 3.1).
        algorithm: "rsa-sha256" or "ed25519-sha256".
        key_file: private key, relative to the data directory.
        public_key: base64, as in p= of the DNS record.
    """

    selector: str
    algorithm: str
    key_file: str
    public_key: str


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """A sender domain.

    Attributes:
        id: "dom_...".
        tenant_id: who may send from it.
        name: A-label, lower case.
        created_at: aware, UTC.
        verified_at: when its DNS records were last found right; None: never, or wrong since.
        checked_at: when they were last looked up; None: never.
        keys: its DKIM keys, by selector.
    """

    id: str
    tenant_id: int
    name: str
    created_at: datetime
    verified_at: datetime | None
    checked_at: datetime | None
    keys: tuple[DkimKeyRecord, ...]


def add_domain(
    connection: Connection,
    *,
    tenant_id: int,
    domain_id: str,
    name: str,
    keys: Sequence[DkimKeyRecord],
    now: datetime,
) -> DomainRecord:
    """Add a domain, not verified yet, with its keys.

    Raises:
        DomainExists: the name is taken.
    """
    added = connection.execute(
        "INSERT INTO domains (id, tenant_id, name, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO NOTHING",
        (domain_id, tenant_id, name, ids.milliseconds(now)),
    )
    if added.rowcount == 0:
        raise DomainExists(f"{name} has been added already")
    connection.executemany(
        "INSERT INTO dkim_keys (domain_id, selector, algorithm, key_file, public_key)"
        " VALUES (?, ?, ?, ?, ?)",
        [(domain_id, k.selector, k.algorithm, k.key_file, k.public_key) for k in keys],
    )
    _keys_changed(connection, name)
    return DomainRecord(domain_id, tenant_id, name, now, None, None, tuple(keys))


def list_domains(connection: Connection, *, tenant_id: int | None = None) -> list[DomainRecord]:
    """Return the domains of a tenant (None: of all), by name."""
    return _domains(connection, "? IS NULL OR tenant_id = ?", (tenant_id, tenant_id))


def get_domain(connection: Connection, tenant_id: int | None, name: str) -> DomainRecord | None:
    """Return the domain with this name or "dom_..." id; None when the tenant has none such.

    Args:
        connection: any.
        tenant_id: whose; None is anybody's.
        name: A-label in lower case, or the id.
    """
    found = _domains(
        connection,
        "(name = ? OR id = ?) AND (? IS NULL OR tenant_id = ?)",
        (name, name, tenant_id, tenant_id),
    )
    return found[0] if found else None


def mark_checked(connection: Connection, name: str, *, verified: bool, now: datetime) -> None:
    """Record a look at the domain's DNS records and whether they were right."""
    at = ids.milliseconds(now)
    connection.execute(
        "UPDATE domains SET checked_at = ?, verified_at = ? WHERE name = ?",
        (at, at if verified else None, name),
    )


def delete_domain(connection: Connection, tenant_id: int | None, name: str) -> DomainRecord | None:
    """Remove a domain, by name or id, with its keys; None when the tenant (None: anybody) has none.

    What is returned tells which key files may go.
    """
    record = get_domain(connection, tenant_id, name)
    if record is not None:
        connection.execute("DELETE FROM domains WHERE id = ?", (record.id,))
        _keys_changed(connection, record.name)
    return record


def signing_keys(connection: Connection) -> dict[str, tuple[DkimKeyRecord, ...]]:
    """Return domain name -> its keys, for all domains that have any."""
    return {domain.name: domain.keys for domain in list_domains(connection) if domain.keys}


def keys_version(connection: Connection) -> int:
    """Return a number that grows with every change of what signing_keys gives."""
    row = connection.execute("SELECT value FROM counters WHERE name = 'dkim_keys'").fetchone()
    return int(row[0]) if row else 0


def verified_among(connection: Connection, tenant_id: int, names: Sequence[str]) -> bool:
    """Return whether one of the names is a verified domain of the tenant."""
    row = connection.execute(
        f"SELECT 1 FROM domains WHERE name IN ({marks(names)})"
        " AND tenant_id = ? AND verified_at IS NOT NULL",
        (*names, tenant_id),
    ).fetchone()
    return row is not None


def _domains(
    connection: Connection, condition: str, parameters: tuple[object, ...]
) -> list[DomainRecord]:
    rows = connection.execute(
        "SELECT id, tenant_id, name, created_at, verified_at, checked_at FROM domains"
        f" WHERE {condition} ORDER BY name",
        parameters,
    ).fetchall()
    return [_domain(row, _keys(connection, row[0])) for row in rows]


def _keys(connection: Connection, domain_id: str) -> tuple[DkimKeyRecord, ...]:
    rows = connection.execute(
        "SELECT selector, algorithm, key_file, public_key FROM dkim_keys"
        " WHERE domain_id = ? ORDER BY selector",
        (domain_id,),
    )
    return tuple(DkimKeyRecord(*row) for row in rows)


def _domain(row: tuple[Any, ...], keys: tuple[DkimKeyRecord, ...]) -> DomainRecord:
    domain_id, tenant_id, name, created_at, verified_at, checked_at = row
    return DomainRecord(
        id=domain_id,
        tenant_id=tenant_id,
        name=name,
        created_at=ids.moment(created_at),
        verified_at=None if verified_at is None else ids.moment(verified_at),
        checked_at=None if checked_at is None else ids.moment(checked_at),
        keys=keys,
    )


def _keys_changed(connection: Connection, name: str) -> None:
    connection.execute(
        "INSERT INTO counters (name, value) VALUES ('dkim_keys', 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )
    directives.record(connection, directives.KEYS_CHANGED, name)
