"""One site as the engine knows it: its ready queue, its connections, and how it has answered.

State and bookkeeping only. The decisions are in core/shaping.py, the dispatcher acts on them.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from mta.core.envelope import Priority
from mta.core.frozen import frozen
from mta.core.route import Route
from mta.core.shaping import PROBE, Limits, Load, SiteState, Wait, Window
from mta.ready_queue import ReadyQueue


@frozen
class SiteView:
    """What a site waits for, to explain it to people.

    Attributes:
        site: its name, Route.site.
        ready: deliveries that wait for a connection.
        entries: queue entries in memory, waiting or in a transaction.
        connections: open or being opened.
        window: connections that its answers allow.
        waits_for: what keeps it from another connection; None when nothing does.
        last_error: what led to the last suspension, "" when there was none.
    """

    site: str
    ready: int
    entries: int
    connections: int
    window: int
    waits_for: Wait | None
    last_error: str


class Site:
    """Where mail goes over the same servers (Route.site), with everything that is known of it.

    Attributes:
        route: the most recent one of its domains; new connections use it.
        ready: deliveries that wait for a connection.
        window: how many connections it bears.
        connections: open or being opened.
        established: open.
        idle: what its idle connections await, the one that became idle last at the end.
        strikes: suspensions in a row.
        suspended_until: None when it was never suspended or has worked since.
        last_error: what led to the last suspension.
        entries, weight: in memory, waiting or in a transaction.
        used_at: when it last got or finished work.
    """

    __slots__ = (
        "_parked",
        "_parked_at",
        "_parked_entries",
        "_rate",
        "alarm",
        "connections",
        "entries",
        "established",
        "idle",
        "last_error",
        "ready",
        "route",
        "strikes",
        "suspended_until",
        "used_at",
        "weight",
        "window",
    )

    def __init__(self, route: Route, limits: Limits, now: datetime) -> None:
        self.route = route
        self.ready = ReadyQueue(limits.max_recipients_per_transaction)
        self.window = Window()
        self.connections = 0
        self.established = 0
        self.idle: list[asyncio.Future[bool]] = []
        self.strikes = 0
        self.suspended_until: datetime | None = None
        self.last_error = ""
        self.entries = 0
        self.weight = 0
        self.used_at = now
        self.alarm: asyncio.TimerHandle | None = None
        self._parked: set[str] = set()
        self._parked_at = now
        self._parked_entries = 0
        self._rate = 0.0

    def state(self) -> SiteState:
        """Return what core.shaping.may_open decides on."""
        return SiteState(
            len(self.ready),
            self.ready.oldest_at,
            self.connections,
            self.connections - self.established,
            self.window.size,
            self.ready.has(Priority.TRANSACTIONAL),
            self.suspended_until,
        )

    def load(self) -> Load:
        """Return what core.shaping.room decides on."""
        return Load(self.entries, self.weight, self._rate)

    def is_suspended(self, now: datetime) -> bool:
        """True while it is left alone."""
        return self.suspended_until is not None and now < self.suspended_until

    def suspend(self, until: datetime, error: str) -> None:
        """Leave it alone until then, and start again with one connection."""
        self.strikes += 1
        self.suspended_until = until
        self.last_error = error
        self.window = PROBE

    def recover(self) -> None:
        """It works: the next suspension, if any, is a first one again."""
        self.strikes = 0
        self.suspended_until = None

    def park(self, domain: str, now: datetime) -> None:
        """Remember that `domain` has more due entries than there is room for."""
        if not self._parked:
            self._parked_at, self._parked_entries = now, self.entries
        self._parked.add(domain)

    def released(self, entries: int, weight: int, now: datetime) -> set[str]:
        """Note that entries have left memory.

        Returns:
            The parked domains, which may go on: half of what was here when they were parked is
            done. Empty while it is not.
        """
        self.entries -= entries
        self.weight -= weight
        self.used_at = now
        if not self._parked or self.entries > self._parked_entries // 2:
            return _NONE
        elapsed = (now - self._parked_at).total_seconds()
        self._rate = (self._parked_entries - self.entries) / max(elapsed, 0.001)
        domains, self._parked = self._parked, set()
        return domains

    def is_unused(self, since: datetime) -> bool:
        """True when nothing of it is left and nothing has happened since then."""
        last = max(self.used_at, self.suspended_until or self.used_at)
        return not (self.connections or self.entries or self._parked) and last < since


_NONE: set[str] = set()
