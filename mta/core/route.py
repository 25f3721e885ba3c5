"""Where mail for a domain goes: pins, smarthosts and the order of MX hosts, as values.

Not here: looking anything up (mta/resolver.py) or connecting (mta/smtp_client.py).
"""

from __future__ import annotations

import enum

from mta.core.frozen import frozen
from mta.core.outcome import Unreachable


class TlsMode(enum.Enum):
    """How a hop is spoken to."""

    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where offered, unverified, in clear where it breaks (RFC 7435)."""
    IMPLICIT = "implicit"
    """TLS from the first byte (smtps://), certificate verified."""
    VERIFIED = "verified"
    """STARTTLS required and verified: a smarthost that is given a password."""


@frozen
class Credentials:
    """User name and password for a smarthost; repr shows neither."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "Credentials(...)"


@frozen
class Hop:
    """One address to try.

    Attributes:
        host: its name, A-label, or the address itself for literals.
        address: IPv4 or IPv6 address as text.
        port: TCP port.
    """

    host: str
    address: str
    port: int


@frozen
class Route:
    """Where a domain's mail goes.

    Attributes:
        site: name of the ready queue that shares this destination: the sorted MX host names, or
            the pin; equal names mean the same servers.
        hops: addresses in the order to try them, at least one; none lead to the sandbox.
        tls: how to secure the session.
        credentials: for AUTH with a smarthost, None for MX delivery.
    """

    site: str
    hops: tuple[Hop, ...]
    tls: TlsMode = TlsMode.OPPORTUNISTIC
    credentials: Credentials | None = None


Routed = Route | Unreachable
"""A route, or why there is none (stage ROUTE; is_permanent for NXDOMAIN, null MX, ...)."""
