"""Word that a tenant's part of the journal has grown, for requests that wait for events.

The webhook sender looks at the journal anyway and passes on what it sees, so that a waiting request
costs storage nothing until there is something to read. Lives in one event loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_LISTENERS = 50
"""Requests of one tenant that wait at a time."""


class JournalNews:
    """Tells those who listen. close() wakes them all, for good.

    Attributes:
        is_closed: whether the server is about to end, so that nobody is to wait any more.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._listeners: dict[int, set[asyncio.Event]] = defaultdict(set)

    def tell(self, tenants: Iterable[int]) -> None:
        """Say that the journal has new events of these tenants."""
        for tenant_id in tenants:
            for heard in self._listeners.get(tenant_id, ()):
                heard.set()

    def close(self) -> None:
        """Wake everybody: nothing more will be told."""
        self.is_closed = True
        self.tell(list(self._listeners))

    @contextmanager
    def listening(self, tenant_id: int) -> Iterator[asyncio.Event | None]:
        """Give an event that is set at each word of a tenant; None when too many listen already."""
        listeners = self._listeners[tenant_id]
        if len(listeners) >= MAX_LISTENERS:
            yield None
            return
        heard = asyncio.Event()
        listeners.add(heard)
        try:
            yield heard
        finally:
            listeners.discard(heard)
            if not listeners:
                self._listeners.pop(tenant_id, None)
