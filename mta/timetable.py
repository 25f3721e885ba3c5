"""When each domain next has an entry due: all that is kept in memory of the scheduled queue.

A time here is never later than the truth in storage; it may be earlier, which costs one claim that
finds nothing. Whoever makes an entry due (a kick, a deferral, room in a ready queue) notes it here.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import datetime


class Timetable:
    """Domain -> earliest due time, with an event for "the first one comes sooner than thought"."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._due: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def __len__(self) -> int:
        return len(self._due)

    def note(self, domain: str, due_at: datetime) -> None:
        """Remember that an entry of `domain` is due at `due_at`, unless an earlier one is known."""
        known = self._due.get(domain)
        if known is not None and known <= due_at:
            return
        self._due[domain] = due_at
        if len(self._heap) > 2 * len(self._due) + 64:
            self._forget_outdated()
        heapq.heappush(self._heap, (due_at, domain))
        if self._heap[0][1] == domain:
            self.changed.set()

    def next_at(self) -> datetime | None:
        """Return the earliest due time of any domain; None when nothing is scheduled."""
        while self._heap:
            due_at, domain = self._heap[0]
            if self._due.get(domain) == due_at:
                return due_at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: datetime, limit: int) -> list[str]:
        """Remove and return up to `limit` domains that are due, the longest overdue first.

        The caller claims their entries, and notes what storage says is still waiting.
        """
        domains: list[str] = []
        while len(domains) < limit:
            due_at = self.next_at()
            if due_at is None or due_at > now:
                break
            _, domain = heapq.heappop(self._heap)
            del self._due[domain]
            domains.append(domain)
        return domains

    def _forget_outdated(self) -> None:
        """Rebuild the heap without replaced times, so that it stays linear in domains."""
        self._heap = [(due_at, domain) for domain, due_at in self._due.items()]
        heapq.heapify(self._heap)
