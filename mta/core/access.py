"""What an API key may do: its scopes, sender domains, client networks, the time it ends.

Every door asks here, HTTP and SMTP alike, and gets a value: None, or a Denial that names what is
missing. Not here: the key itself (api_key.py), keeping it (storage/tenants.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from mta.core.frozen import frozen
from mta.core.network import IpNetwork, in_networks

FULL = "full"
"""Everything that belongs to the key's tenant."""
ADMIN = "admin"
"""Everything of its tenant, and what operators ask: all tenants, the whole installation."""
ANY_KEY = "any"
"""What routes ask that every valid key may call, such as GET /v1/me. Keys never have it."""

AREAS: Mapping[str, tuple[str, ...]] = {
    "emails": ("send", "read"),
    "domains": ("read", "write"),
    "suppressions": ("read", "write"),
    "contacts": ("read", "write"),
    "templates": ("read", "write"),
    "campaigns": ("read", "write", "send"),
    "channels": ("send", "read"),
    "automations": ("read", "write"),
    "webhooks": ("read", "write"),
    "events": ("read",),
    "stats": ("read",),
    "queue": ("read", "write"),
    "feedback": ("write",),
    "logs": ("read",),
    "keys": ("read", "write"),
    "users": ("read", "write"),
    "billing": ("read",),
}
"""The areas of the API and what can be asked of each: scopes are "area:verb", or "area:*"."""
SCOPES: tuple[str, ...] = (
    *(f"{area}:{verb}" for area, verbs in AREAS.items() for verb in (*verbs, "*")),
    FULL,
    ADMIN,
)
"""Every scope that a key can have."""
EMAILS_SEND = "emails:send"


@frozen
class Access:
    """What one key may do.

    Attributes:
        scopes: some of SCOPES.
        domains: sender domains, A-labels, that it may send from, names below them included; empty:
            from all domains of its tenant.
        networks: where its clients may be; empty: anywhere.
        expires_at: when it ends (aware, UTC); None: never.
        is_test: its mail goes to the sandbox, whoever it is for.
    """

    scopes: tuple[str, ...] = (FULL,)
    domains: tuple[str, ...] = ()
    networks: tuple[IpNetwork, ...] = ()
    expires_at: datetime | None = None
    is_test: bool = False

    def is_over(self, now: datetime) -> bool:
        """Tell whether the key has expired (now: aware, UTC)."""
        return self.expires_at is not None and now >= self.expires_at


UNRESTRICTED = Access()
"""Everything of its tenant, from anywhere, for ever."""


class Reason(enum.Enum):
    """What a key lacks."""

    EXPIRED = "expired"
    SCOPE = "scope"
    DOMAIN = "domain"
    NETWORK = "network"
    WIDER = "wider"
    """The key it would make or show may do more than itself."""


@frozen
class Denial:
    """Why a key may not; the message is one sentence that names the missing thing."""

    reason: Reason
    message: str


def may_use(access: Access, scope: str, *, address: str, now: datetime) -> Denial | None:
    """Return why a key may not be used for something; None when it may.

    Args:
        access: the key's.
        scope: what is asked, "area:verb", ADMIN or ANY_KEY.
        address: IP address of the client; "" when that is not known.
        now: aware, UTC.
    """
    if access.is_over(now):
        return Denial(Reason.EXPIRED, "This API key has expired.")
    if access.networks and not (address and in_networks(address, access.networks)):
        where = address or "an unknown address"
        return Denial(Reason.NETWORK, f"This API key may not be used from {where}.")
    if scope != ANY_KEY and not grants(access.scopes, scope):
        return Denial(Reason.SCOPE, f"This API key lacks the scope {scope}.")
    return None


def may_send_from(domains: tuple[str, ...], domain: str) -> Denial | None:
    """Return why a key with these sender domains may not send from `domain`; None when it may.

    Args:
        domains: as Access.domains.
        domain: A-label, lower case; "" when the message names none.
    """
    if not domains or any(_is_within(domain, allowed) for allowed in domains):
        return None
    named = domain or "a message without a sender domain"
    return Denial(Reason.DOMAIN, f"This API key may not send from {named}.")


def grants(scopes: Iterable[str], wanted: str) -> bool:
    """Tell whether a key with these scopes may do what `wanted` (a scope) stands for."""
    area, _, _ = wanted.partition(":")
    is_ordinary = wanted != ADMIN
    return any(
        scope in (wanted, ADMIN) or (is_ordinary and scope in (FULL, f"{area}:*"))
        for scope in scopes
    )


def exceeds(wanted: Access, own: Access) -> Denial | None:
    """Return in what a key would be allowed more than `own`; None when it would not.

    A key that manages keys must not make, change or show one that may do more than itself.
    """
    message = next(_excesses(wanted, own), "")
    return Denial(Reason.WIDER, message) if message else None


def _excesses(wanted: Access, own: Access) -> Iterator[str]:
    if own.is_test and not wanted.is_test:
        yield "A test key manages test keys only."
    for scope in wanted.scopes:
        if not grants(own.scopes, scope):
            yield f"This API key lacks the scope {scope} itself."
    if own.domains and not wanted.domains:
        yield "This API key may not send from all domains itself."
    for domain in wanted.domains:
        if denial := may_send_from(own.domains, domain):
            yield denial.message
    if own.networks and not _all_within(wanted.networks, own.networks):
        yield "This API key may be used from fewer networks itself."
    if own.expires_at and (wanted.expires_at is None or wanted.expires_at > own.expires_at):
        yield "This API key ends earlier itself."


def _is_within(domain: str, allowed: str) -> bool:
    return domain == allowed or domain.endswith(f".{allowed}")


def _all_within(wanted: tuple[IpNetwork, ...], own: tuple[IpNetwork, ...]) -> bool:
    return bool(wanted) and all(any(_covers(wide, one) for wide in own) for one in wanted)


def _covers(wide: IpNetwork, narrow: IpNetwork) -> bool:
    return wide.prefixlen <= narrow.prefixlen and narrow.network_address in wide
