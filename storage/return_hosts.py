"""Hosts of sender domains that return paths are in: which the DNS has led here, and when last.

A host is used for new mail while its records are right. Reports to it are taken for good from the
first time on that they were, because mail that names it may be answered weeks later. Not here: the
looking (mta/domain_lookup.py), and the return paths themselves (core/return_path.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from mta.core.domain_check import Status
from mta.core.domain_records import RecordKind
from mta.core.event import JsonValue
from storage.database import Connection

_UNKNOWN = {Status.UNREACHABLE.value, Status.NOT_CHECKED.value}


def note(
    connection: Connection,
    *,
    tenant_id: int,
    domain: str,
    host: str,
    report: Mapping[str, JsonValue],
) -> bool:
    """Write down what a look found of a domain's host; return whether new mail changes by it.

    Args:
        connection: in a write.
        tenant_id: whose the domain is.
        domain: its name.
        host: its return path as it is set now, "" for none; what was looked at may be older.
        report: the look, as core.domain_report keeps it.
    """
    records = cast("list[dict[str, JsonValue]]", report.get("records", []))
    found = {
        record["status"]
        for record in records
        if record["record"] == RecordKind.RETURN_PATH.value and record["name"] == host
    }
    if not host or not found or found & _UNKNOWN:
        return False
    if found != {Status.GOOD.value}:
        return retire(connection, domain)
    changed = connection.execute(
        "INSERT INTO return_hosts (host, tenant_id, domain, is_used) VALUES (?, ?, ?, 1)"
        " ON CONFLICT DO UPDATE SET is_used = 1 WHERE is_used = 0",
        (host, tenant_id, domain),
    )
    return changed.rowcount > 0


def retire(connection: Connection, domain: str, *, but: str = "") -> bool:
    """Use no host of a domain for new mail (but one); return whether any was used."""
    changed = connection.execute(
        "UPDATE return_hosts SET is_used = 0 WHERE domain = ? AND host <> ? AND is_used",
        (domain, but),
    )
    return changed.rowcount > 0


def used(connection: Connection) -> dict[tuple[int, str], str]:
    """Return tenant and sender domain -> the host that return paths of its new mail are in."""
    rows = connection.execute("SELECT tenant_id, domain, host FROM return_hosts WHERE is_used")
    return {(tenant_id, domain): host for tenant_id, domain, host in rows}


def is_known(connection: Connection, host: str, tenant_id: int | None = None) -> bool:
    """Return whether return paths of a tenant (None: of any) may be in a host."""
    row = connection.execute(
        "SELECT 1 FROM return_hosts WHERE host = ? AND (? IS NULL OR tenant_id = ?)",
        (host, tenant_id, tenant_id),
    ).fetchone()
    return row is not None
