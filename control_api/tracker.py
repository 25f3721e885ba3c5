"""Openings and clicks on their way into storage, and what answering them takes from there.

Hits are gathered in memory, those of one recipient, target and kind of program as one, and written
a quarter of a second later, many at once, so that a flood of them is a few updates; a crash loses
that quarter.
Not here: the answers (tracking.py), what is counted (storage/tracking.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import field, replace

from mta.core.frozen import frozen
from mta.core.tracking import Hit
from mta.core.tracking_agents import Machine, machine_of
from storage import domains, instance_secrets, tracking
from storage.database import Connection, Database
from storage.errors import StorageFull, StorageUnavailable
from storage.tracking import CountedHit

INTERVAL = 0.25
"""Seconds between two writes."""
MAX_PENDING = 20_000
"""Recipients, targets and kinds of programs in memory; beyond them no others are counted."""
FRESH = 5.0
"""Seconds between two looks at secrets and tracking hosts."""


@frozen
class _Known:
    """What answering takes from storage."""

    secrets: tuple[bytes, ...] = ()
    hosts: Mapping[tuple[int, str], str] = field(default_factory=dict)
    read_at: float = float("-inf")


class Tracker:
    """The hits of one process, and what it knows of links."""

    def __init__(
        self, database: Database, public_url: str, *, on_events: Callable[[], object] = bool
    ) -> None:
        """Take the collaborators.

        Args:
            database: where hits go.
            public_url: where links of domains without a tracking host lead; "" for nowhere.
            on_events: called when the journal has grown by what was counted.
        """
        self._database = database
        self._public_url = public_url
        self._on_events = on_events
        self._known = _Known()
        self._pending: dict[tuple[Hit, Machine], CountedHit] = {}

    @property
    def pending(self) -> int:
        """Recipients, targets and kinds of programs whose hits are not written yet."""
        return len(self._pending)

    def base_url(self, tenant_id: int, sender_domain: str) -> str:
        """Return where tracked links of a sender lead, without a slash at the end; "" for nowhere.

        A domain's own tracking host counts from when it was last seen to lead here.
        """
        host = self._known.hosts.get((tenant_id, sender_domain), "")
        scheme = self._public_url.partition(":")[0] or "https"
        return f"{scheme}://{host}" if host else self._public_url

    async def secrets(self) -> tuple[bytes, ...]:
        """Return what tokens are sealed with, the newest first."""
        return (await self._current()).secrets

    def note(self, hit: CountedHit) -> None:
        """Count a hit, soon."""
        kind = machine_of(hit.agent, hit.method, None)
        who = (Hit(hit.tenant_id, hit.entry_id, hit.target), kind)
        earlier = self._pending.get(who)
        if earlier is not None:
            self._pending[who] = replace(earlier, count=earlier.count + hit.count)
        elif len(self._pending) < MAX_PENDING:
            self._pending[who] = hit

    async def run(self) -> None:
        """Write what is pending, until cancelled."""
        while True:
            await self._current()
            await asyncio.sleep(INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending; it stays pending while storage has trouble."""
        if not self._pending:
            return
        hits, self._pending = self._pending, {}
        try:
            told = await self._database.write(lambda db: tracking.record(db, list(hits.values())))
        except (StorageFull, StorageUnavailable):
            for hit in hits.values():
                self.note(hit)
            return
        if told:
            self._on_events()

    async def _current(self) -> _Known:
        clock = asyncio.get_running_loop().time()
        if clock - self._known.read_at > FRESH:
            secrets, hosts = await self._database.read(_read_known)
            self._known = _Known(secrets, hosts, clock)
        return self._known


def _read_known(
    connection: Connection,
) -> tuple[tuple[bytes, ...], Mapping[tuple[int, str], str]]:
    return instance_secrets.load(connection), domains.tracking_hosts(connection)
