"""Which addresses the reports listener takes, and what mail to each means.

Return paths and unsubscribe addresses are sealed; fbl@, abuse@ and postmaster@ have to exist
(RFC 2142 4, RFC 5321 4.5.1). Not here: whether the entry exists, and refusing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mta.core.address import Address
from mta.core.frozen import frozen
from mta.core.return_path import Flaw, Purpose, ReturnPath, decode

ROLES = frozenset({"fbl", "abuse", "postmaster"})
"""Local parts that complaints and people write to, in any case."""


@frozen
class AddressRules:
    """What addresses are read with.

    Attributes:
        domain: of return paths and unsubscribe addresses, A-label in lower case.
        role_domains: domains in which ROLES exist, `domain` among them.
        secrets: that seals count of.
        valid_for: how long a return path does; unsubscribe addresses never end.
    """

    domain: str
    role_domains: frozenset[str]
    secrets: Sequence[bytes]
    valid_for: timedelta


@frozen
class Sealed:
    """A sealed address: what for, and what it says."""

    purpose: Purpose
    path: ReturnPath


@frozen
class Role:
    """An address that has to exist; name is one of ROLES."""

    name: str


def read_address(address: Address, rules: AddressRules, now: datetime) -> Sealed | Role | Flaw:
    """Return what mail to an address means; MALFORMED where it is none of ours."""
    if address.local.lower() in ROLES and address.domain in rules.role_domains:
        return Role(address.local.lower())
    if address.domain != rules.domain:
        return Flaw.MALFORMED
    return read_local(address.local, rules, now)


def read_local(local: str, rules: AddressRules, now: datetime) -> Sealed | Flaw:
    """Return what a sealed local part of ours says; now is aware."""
    for purpose, valid_for in ((Purpose.BOUNCE, rules.valid_for), (Purpose.UNSUBSCRIBE, None)):
        found = decode(local, rules.secrets, now=now, valid_for=valid_for, purpose=purpose)
        if isinstance(found, ReturnPath):
            return Sealed(purpose, found)
        if found is not Flaw.MALFORMED:
            return found
    return Flaw.MALFORMED


def digest_of(recipients: Iterable[str], body_hash: bytes) -> bytes:
    """Return what tells two reports apart: to whom they came, and their text without the header.

    A server that lost our 250 sends the same report again with other Received fields.
    """
    names = "\0".join(sorted(recipient.lower() for recipient in recipients))
    return hashlib.sha256(names.encode() + b"\0\0" + body_hash).digest()
