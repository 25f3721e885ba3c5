"""Sender domains and their DKIM keys. A name belongs to one tenant.

Not here: what the DNS has for them (domain_checks.py), the change from one key to the next
(dkim_rotation.py), and the private keys, which are files.
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from mta.core import ids
from mta.core.domain_records import DkimKey, DomainFacts, KeyState
from mta.core.domain_standing import Standing, next_look
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage import directives, return_hosts
from storage.database import Connection
from storage.events import decoded_object
from storage.sql import marks


class DomainExists(Exception):  # noqa: N818 - named after the condition
    """The name is taken, by this tenant or another."""


@frozen
class DkimKeyRecord:
    """A key that mail of a domain is signed with, was, or will be.

    Attributes:
        selector: label under _domainkey (RFC 6376 3.1).
        algorithm: "rsa-sha256" or "ed25519-sha256".
        key_file: private key, relative to the data directory.
        public_key: base64, as in p= of the DNS record.
        state: where it stands in its rotation.
    """

    selector: str
    algorithm: str
    key_file: str
    public_key: str
    state: KeyState = KeyState.ACTIVE


@frozen
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
        return_path: host below it that return paths are in; "" for the server's own.
        tracking_host: host below it that tracked links lead to; "" for none.
        failed_at: when it ceased to be verified; None: it did not, or is again.
        failures: looks since verified_at that found something required not to be right.
        report: the last look as core.domain_report keeps it; {} before the first.
    """

    id: str
    tenant_id: int
    name: str
    created_at: datetime
    verified_at: datetime | None
    checked_at: datetime | None
    keys: tuple[DkimKeyRecord, ...]
    return_path: str = ""
    tracking_host: str = ""
    failed_at: datetime | None = None
    failures: int = 0
    report: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing(
            created_at=self.created_at,
            checked_at=self.checked_at,
            verified_at=self.verified_at,
            failed_at=self.failed_at,
            failures=self.failures,
        )

    @property
    def facts(self) -> DomainFacts:
        """What its DNS records depend on."""
        keys = tuple(DkimKey(k.selector, k.algorithm, k.public_key, k.state) for k in self.keys)
        return DomainFacts(self.name, keys, self.return_path, self.tracking_host)

    def keys_in(self, state: KeyState) -> tuple[DkimKeyRecord, ...]:
        """Return its keys in that state, by selector."""
        return tuple(key for key in self.keys if key.state is state)


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
    first_look = next_look(Standing(now), is_rotating=False, interval=timedelta(days=1), now=now)
    added = connection.execute(
        "INSERT INTO domains (id, tenant_id, name, created_at, next_check_at)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        (domain_id, tenant_id, name, ids.milliseconds(now), ids.milliseconds(first_look)),
    )
    if added.rowcount == 0:
        raise DomainExists(f"{name} has been added already")
    insert_keys(connection, domain_id, keys, now)
    keys_changed(connection, name)
    return DomainRecord(domain_id, tenant_id, name, now, None, None, tuple(keys))


def set_hosts(
    connection: Connection, domain_id: str, *, return_path: str, tracking_host: str, now: datetime
) -> None:
    """Set the hosts that belong to a domain, and have the DNS looked at soon."""
    connection.execute(
        "UPDATE domains SET return_path = ?, tracking_host = ?, next_check_at = ? WHERE id = ?",
        (return_path, tracking_host, ids.milliseconds(now), domain_id),
    )
    record = get_domain(connection, None, domain_id)
    if record is not None and return_hosts.retire(connection, record.name, but=return_path):
        keys_changed(connection, record.name)


def list_domains(connection: Connection, *, tenant_id: int | None = None) -> list[DomainRecord]:
    """Return the domains of a tenant (None: of all), by name."""
    return select(connection, "? IS NULL OR tenant_id = ? ORDER BY name", (tenant_id, tenant_id))


def page(
    connection: Connection, tenant_id: int, *, limit: int, after: str = "", before: str = ""
) -> list[DomainRecord]:
    """Return some of a tenant's domains, the newest first.

    Args:
        connection: any.
        tenant_id: whose.
        limit: at most so many.
        after: only those behind the one with this id.
        before: only those in front of the one with this id, the nearest of them.
    """
    if before:
        condition, bound, order = "tenant_id = ? AND id > ?", before, "ASC"
    else:
        condition, bound, order = "tenant_id = ? AND id < ?", after or _LAST_ID, "DESC"
    sql = f"{condition} ORDER BY id {order} LIMIT ?"
    found = select(connection, sql, (tenant_id, bound, limit))
    return found[::-1] if before else found


_LAST_ID = "dom_~"
"""Comes after every id."""


def count(connection: Connection, tenant_id: int) -> int:
    """Return how many domains a tenant has."""
    row = connection.execute("SELECT COUNT(*) FROM domains WHERE tenant_id = ?", (tenant_id,))
    return int(row.fetchone()[0])


def get_domain(connection: Connection, tenant_id: int | None, name: str) -> DomainRecord | None:
    """Return the domain with this name or "dom_..." id; None when the tenant has none such.

    Args:
        connection: any.
        tenant_id: whose; None is anybody's.
        name: A-label in lower case, or the id.
    """
    found = select(
        connection,
        "(name = ? OR id = ?) AND (? IS NULL OR tenant_id = ?)",
        (name, name, tenant_id, tenant_id),
    )
    return found[0] if found else None


def mark_checked(connection: Connection, name: str, *, verified: bool, now: datetime) -> None:
    """Set whether a domain is verified, whatever looks have found."""
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
        return_hosts.retire(connection, record.name)
        keys_changed(connection, record.name)
    return record


def signing_keys(connection: Connection) -> dict[str, tuple[DkimKeyRecord, ...]]:
    """Return domain name -> the keys that its mail is signed with, for all that have any."""
    rows = connection.execute(
        "SELECT d.name, k.selector, k.algorithm, k.key_file, k.public_key"
        " FROM dkim_keys k JOIN domains d ON d.id = k.domain_id"
        " WHERE k.state = ? ORDER BY d.name, k.selector",
        (KeyState.ACTIVE.value,),
    )
    found: dict[str, tuple[DkimKeyRecord, ...]] = {}
    for name, *key in rows:
        found[name] = (*found.get(name, ()), DkimKeyRecord(*key))
    return found


def keys_version(connection: Connection) -> int:
    """Return a number that grows with every change of signing_keys and return_hosts.used."""
    row = connection.execute("SELECT value FROM counters WHERE name = 'dkim_keys'").fetchone()
    return int(row[0]) if row else 0


def tracking_hosts(connection: Connection) -> dict[tuple[int, str], str]:
    """Return tenant and domain -> tracking host, where it was last seen to lead here; few rows."""
    return {
        (tenant_id, name): host
        for tenant_id, name, host in connection.execute(
            "SELECT tenant_id, name, tracking_host FROM domains WHERE tracking_host <> ''"
            " AND EXISTS (SELECT 1 FROM json_each(report, '$.records') found"
            " WHERE json_extract(found.value, '$.record') = 'Tracking'"
            " AND json_extract(found.value, '$.name') = tracking_host"
            " AND json_extract(found.value, '$.status') = 'good')"
        )
    }


def verified_among(connection: Connection, tenant_id: int, names: Sequence[str]) -> bool:
    """Return whether one of the names is a verified domain of the tenant."""
    row = connection.execute(
        f"SELECT 1 FROM domains WHERE name IN ({marks(names)})"
        " AND tenant_id = ? AND verified_at IS NOT NULL",
        (*names, tenant_id),
    ).fetchone()
    return row is not None


def insert_keys(
    connection: Connection, domain_id: str, keys: Iterable[DkimKeyRecord], now: datetime
) -> None:
    """Add keys to a domain, in the state that they have."""
    since = ids.milliseconds(now)
    connection.executemany(
        "INSERT INTO dkim_keys"
        " (domain_id, selector, algorithm, key_file, public_key, state, since)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (domain_id, k.selector, k.algorithm, k.key_file, k.public_key, k.state.value, since)
            for k in keys
        ],
    )


def keys_changed(connection: Connection, name: str) -> None:
    """Note that signing keys or the return path of a domain are not what they were."""
    connection.execute(
        "INSERT INTO counters (name, value) VALUES ('dkim_keys', 1)"
        " ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )
    directives.record(connection, directives.KEYS_CHANGED, name)


def select(
    connection: Connection, condition: str, parameters: tuple[object, ...]
) -> list[DomainRecord]:
    """Return the domains for which a condition of SQL holds, with their keys."""
    rows = connection.execute(
        "SELECT id, tenant_id, name, created_at, verified_at, checked_at, return_path,"
        f" tracking_host, failed_at, failures, report FROM domains WHERE {condition}",
        parameters,
    ).fetchall()
    return [_domain(row, _keys(connection, row[0])) for row in rows]


def _keys(connection: Connection, domain_id: str) -> tuple[DkimKeyRecord, ...]:
    rows = connection.execute(
        "SELECT selector, algorithm, key_file, public_key, state FROM dkim_keys"
        " WHERE domain_id = ? ORDER BY selector",
        (domain_id,),
    )
    return tuple(
        DkimKeyRecord(selector, algorithm, file, public_key, KeyState(state))
        for selector, algorithm, file, public_key, state in rows
    )


def _domain(row: tuple[Any, ...], keys: tuple[DkimKeyRecord, ...]) -> DomainRecord:
    domain_id, tenant_id, name, created_at, verified_at, checked_at = row[:6]
    return_path, tracking_host, failed_at, failures, report = row[6:]
    return DomainRecord(
        id=domain_id,
        tenant_id=tenant_id,
        name=name,
        created_at=ids.moment(created_at),
        verified_at=_moment(verified_at),
        checked_at=_moment(checked_at),
        keys=keys,
        return_path=return_path,
        tracking_host=tracking_host,
        failed_at=_moment(failed_at),
        failures=failures,
        report=decoded_object(report),
    )


def _moment(at: int | None) -> datetime | None:
    return None if at is None else ids.moment(at)
