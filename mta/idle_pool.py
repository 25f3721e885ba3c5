"""Open connections that wait for more work, of all sites: who is woken, who is closed and when.

One timer serves them all; becoming idle and being woken set none.
"""

from __future__ import annotations

import asyncio

from mta.site import Site


class IdlePool:
    """Idle connections, each one a future: True means work has come, False means close."""

    def __init__(self, timeout: float) -> None:
        """Take how long, in seconds, a connection may be idle."""
        self._timeout = timeout
        self._idle: dict[asyncio.Future[bool], tuple[Site, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._idle)

    async def rest(self, site: Site) -> bool:
        """Wait for work of the site; return whether it has come. False: close the connection."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._idle[future] = (site, loop.time() + self._timeout)
        site.idle.append(future)
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._close_overdue)
        try:
            return await future
        finally:
            if future in self._idle:  # cancelled
                self._remove(future)

    def wake(self, site: Site) -> None:
        """Give work to the connection of the site that was busy last, if any is idle."""
        if site.idle:
            self._end(site.idle[-1], has_work=True)

    def close_oldest(self) -> None:
        """Close the connection that has been idle longest, if any is."""
        if self._idle:
            self._end(next(iter(self._idle)), has_work=False)

    def close_all(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self.close_oldest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, future: asyncio.Future[bool], *, has_work: bool) -> None:
        self._remove(future)
        if not future.done():  # else cancelled in this very moment
            future.set_result(has_work)

    def _remove(self, future: asyncio.Future[bool]) -> None:
        site, _ = self._idle.pop(future)
        site.idle.remove(future)

    def _close_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._idle:
            _, ends_at = next(iter(self._idle.values()))
            if ends_at > loop.time():
                self._timer = loop.call_at(ends_at, self._close_overdue)
                break
            self.close_oldest()
