"""How many messages come in at the same time: other sessions wait for their 354 meanwhile.

Between a client's final dot and our 250 a lost connection makes a duplicate, so that time is to be
short (RFC 1047). However many sessions there are, a message that was let in waits for the few
before it, not for a message of each. Who takes long with the octets is let in besides: its place
lapses, so that slow clients keep nobody waiting. Not here: limits of sessions (smtp_session.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count

PLACES = 48
"""One batch of the acceptor that is being committed, and half of one that gathers meanwhile. More
bring a hundredth or two of the pace for each fifth of the time that a message takes."""
LAPSE = 0.1
"""Seconds after which a place is somebody else's. An accepted message of some KB takes 20 ms."""


class Intake:
    """The places for messages, first come first served; all on one event loop."""

    def __init__(self, places: int = PLACES, lapse: float = LAPSE) -> None:
        """Take how many there are, at least 1, and for how long (seconds) each is kept."""
        self._places = places
        self._lapse = lapse
        self._numbers = count()
        self._taken: dict[int, float] = {}  # until when, the earliest first
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self) -> bool:
        """Whether enter() returns at once."""
        if len(self._taken) >= self._places:
            self._forget_lapsed()
        return len(self._taken) < self._places and not self._waiting

    async def enter(self) -> int:
        """Wait for a place, and return what to leave() it with."""
        if self.has_room():
            return self._take()
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if self._timer is None:
            self._set_timer()
        return await place

    def leave(self, place: int) -> None:
        """Give a place back; no harm when it has lapsed."""
        if self._taken.pop(place, None) is not None:
            self._let_in()

    def _take(self) -> int:
        place = next(self._numbers)
        self._taken[place] = asyncio.get_running_loop().time() + self._lapse
        return place

    def _let_in(self) -> None:
        while self._waiting and len(self._taken) < self._places:
            place = self._waiting.popleft()
            if not place.done():  # else its session was given up
                place.set_result(self._take())

    def _forget_lapsed(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._taken:
            place, until = next(iter(self._taken.items()))
            if until > now:
                break
            del self._taken[place]

    def _set_timer(self) -> None:
        until = next(iter(self._taken.values()))
        self._timer = asyncio.get_running_loop().call_at(until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._forget_lapsed()
        self._let_in()
        if self._waiting:
            self._set_timer()
