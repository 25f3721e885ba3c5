"""What mail to an address means, also below the domains of tenants.

core/report_address.py reads the addresses of the server's own reports domain. A tenant's host is
read the same way once the DNS has led it here (storage/return_hosts.py), but for return paths of
that tenant only: whoever can write one tenant's zone has no say in another's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mta.core.address import Address
from mta.core.report_address import AddressRules, Role, Sealed, read_address
from mta.core.return_path import Flaw, Purpose
from storage import return_hosts
from storage.database import Connection


def read_known(
    connection: Connection, address: Address, rules: AddressRules, now: datetime
) -> Sealed | Role | Flaw:
    """Return what mail to an address means; MALFORMED where it is none of ours."""
    host = address.domain
    if host in rules.role_domains or not return_hosts.is_known(connection, host):
        return read_address(address, rules, now)
    there = replace(rules, domain=host, role_domains=frozenset({host}))
    found = read_address(address, there, now)
    if isinstance(found, Sealed) and not _belongs(connection, host, found):
        return Flaw.FORGED
    return found


def _belongs(connection: Connection, host: str, found: Sealed) -> bool:
    is_return_path = found.purpose is Purpose.BOUNCE
    return is_return_path and return_hosts.is_known(connection, host, found.path.tenant_id)
