"""The sandbox as a route: sessions that are with nobody and answer as recipients are called.

It stands in front of the router and of the connector, so that scheduling, settling, retries, events
and webhooks are the real ones, while no name is looked up and no connection opened. What it answers
is decided in core/sandbox.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta.core.extensions import Extensions
from mta.core.outcome import Outcome, Peer
from mta.core.route import Route, Routed
from mta.core.sandbox import SITE, answer
from mta.core.transaction import Transaction
from mta.delivery import MailSession, SessionOpener
from mta.scheduler import RouteFinder
from mta.smtp_client import NotOpened
from mta.smtp_transaction import Following, Stale, nothing_follows


class SandboxRouter:
    """Routes the sandbox's domain to the sandbox, whatever the pins; other domains as they go."""

    def __init__(self, router: RouteFinder, domain: str) -> None:
        """Take who routes the others, and the sandbox's domain, A-label in lower case."""
        self._router = router
        self._domain = domain

    async def route(self, domain: str) -> Routed:
        """Return where mail for a domain goes, or why nowhere."""
        return Route(SITE, ()) if domain == self._domain else await self._router.route(domain)


class SandboxConnector:
    """Opens a sandbox session where the route leads to the sandbox, real ones elsewhere."""

    def __init__(self, connector: SessionOpener, domain: str) -> None:
        """Take who opens the real ones, and the sandbox's domain."""
        self._connector = connector
        self._domain = domain

    async def connect(self, route: Route) -> MailSession | NotOpened:
        """Return a session with the route, or why there is none."""
        if route.site == SITE and not route.hops:
            return SandboxSession(self._domain)
        return await self._connector.connect(route)


class SandboxSession:
    """A session with nobody.

    Attributes:
        peer: the sandbox, at no address.
        extensions: it offers none.
        is_open: until it is closed.
    """

    def __init__(self, domain: str) -> None:
        self.peer = Peer(domain)
        self.extensions = Extensions()
        self.is_open = True
        self._domain = domain

    async def deliver(
        self, transaction: Transaction, following: Following = nothing_follows
    ) -> Sequence[Outcome] | Stale:
        """Return an outcome for each recipient, in the same order; nobody is asked what follows."""
        return [answer(recipient.address, self._domain) for recipient in transaction.recipients]

    async def close(self) -> None:
        """Take no more transactions."""
        self.is_open = False
