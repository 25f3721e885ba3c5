"""What stands before a password is looked at: how often, and how many at once.

Attempts count for their client and for the user that they name, right ones too, before anything is
compared; so nobody can go on guessing, nor learn from a 429 that a guess was right. The meters are
in memory: a restart forgets them. Comparing happens in threads, few at a time, because it takes 25
ms of a core and 19 MiB; whether there is such a user makes no difference to it.

The decisions are core/rate_limit.py and core/password.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from config.api import Login
from control_api.errors import ApiError, Problem
from mta.core import password
from mta.core.network import client_network
from mta.core.rate_limit import Meter, rule, whole_seconds

AT_ONCE = 2
"""Passwords hashed at the same time."""
MAX_WAITING = 20
"""Requests that wait for that; the next are told to come again."""
MAX_METERS = 10_000
"""Clients and users whose attempts are remembered; the oldest are forgotten."""

_BUSY = Problem(
    503, "overloaded", "Too many log in at this moment; try again.", headers={"Retry-After": "5"}
)

T = TypeVar("T")


class Logins:
    """Attempts to log in, of one process.

    Attributes:
        settings: [api.login].
    """

    def __init__(self, settings: Login, now: Callable[[], datetime]) -> None:
        """Take the settings and the clock (aware, UTC)."""
        self.settings = settings
        self._now = now
        self._meters: OrderedDict[str, Meter] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    def count(self, address: str, user: str = "") -> None:
        """Count an attempt.

        Args:
            address: IP address of the client; "" when that is not known.
            user: what stands for the user that is named; "" for nobody in particular.

        Raises:
            ApiError: 429; it is one too many.
        """
        if not self.settings.attempts:
            return
        waits = [self._count(f"client {client_network(address)}")]
        if user:
            waits.append(self._count(f"user {user}"))
        if wait := max(waits):
            raise ApiError(_braked(wait))

    async def matches(self, given: str, stored: str) -> bool:
        """Tell whether a password is the one with this hash; "" is the hash of none.

        Raises:
            ApiError: 503; too many others wait.
        """
        found = await self._aside(lambda: password.is_password(given, stored or password.DECOY))
        return bool(stored) and found

    async def hashed(self, chosen: str, salt: bytes) -> str:
        """Return the hash of a new password (core.password.hash_password); raises as matches()."""
        return await self._aside(lambda: password.hash_password(chosen, salt))

    async def _aside(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise ApiError(_BUSY)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    def _count(self, name: str) -> timedelta:
        ruling = rule(self.settings.attempts, self._meters.get(name), self._now())
        self._meters[name] = ruling.meter
        self._meters.move_to_end(name)
        if len(self._meters) > MAX_METERS:
            self._meters.popitem(last=False)
        return ruling.retry_after or timedelta(0)


def _braked(wait: timedelta) -> Problem:
    seconds = whole_seconds(wait)
    message = f"Too many attempts to log in; wait {seconds} s."
    return Problem(429, "too_many_failures", message, headers={"Retry-After": str(seconds)})
