"""Request limits of API keys: counted in memory, told in headers, written down every few seconds.

The headers are RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11) with an
item for each limit, and X-RateLimit-Limit, -Remaining and -Reset for the one with the least left.
Clients of exempt networks are not counted and get none. A crash forgets a few seconds of counting.

The decision is core/rate_limit.py. Memory is bounded by the number of keys: who has none is told so
before anything is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.client_address import ClientAddress
from control_api.errors import ApiError, Problem
from mta.core.network import IpNetwork, in_networks
from mta.core.rate_limit import Limit, Meter, Ruling, Standing, is_idle, rule, whole_seconds
from storage import rate_limits
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable

INTERVAL = 5.0
"""Seconds between two writes, at least: what a crash may forget."""

_STATE = "rate_limit_headers"


class RateLimiter:
    """The meters of all keys that were used lately."""

    def __init__(
        self,
        database: Database,
        limits: Sequence[Limit],
        exempt: Sequence[IpNetwork],
        now: Callable[[], datetime],
    ) -> None:
        """Take the limits and who is exempt from them, and read what the last run has saved."""
        self._database = database
        self._limits = limits
        self._exempt = exempt
        self._now = now
        self._meters: dict[str, Meter] = database.read_now(lambda db: rate_limits.load(db, limits))
        self._unsaved: set[str] = set()
        self._changed = asyncio.Event()

    def count(self, request: Request, key_id: str, client: ClientAddress) -> None:
        """Count one request of a key, and leave the headers for its response.

        Raises:
            ApiError: 429; it is one too many.
        """
        if not self._limits or self.is_exempt(client):
            return
        ruling = rule(self._limits, self._meters.get(key_id), self._now())
        self._meters[key_id] = ruling.meter
        self._unsaved.add(key_id)
        self._changed.set()
        leave_headers(request, ruling)
        if ruling.retry_after is not None:
            raise ApiError(too_many(ruling.retry_after))

    def standings(self, key_id: str) -> tuple[Standing, ...]:
        """Return where a key stands with each limit; empty when there are none."""
        if not self._limits:
            return ()
        return rule(self._limits, self._meters.get(key_id), self._now(), cost=0).standings

    async def run(self) -> None:
        """Write down what has changed some seconds after it has, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(INTERVAL)
            self._changed.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write down what has changed, in one write, and forget keys whose buckets are empty."""
        unsaved, self._unsaved = self._unsaved, set()
        now = self._now()
        idle = [key for key, meter in self._meters.items() if is_idle(self._limits, meter, now)]
        for key_id in idle:
            del self._meters[key_id]
        saved = {key: self._meters[key] for key in unsaved if key in self._meters}
        if not saved and not idle:
            return
        try:
            await self._database.write(
                lambda db: rate_limits.save(db, self._limits, saved, gone=idle)
            )
        except (StorageFull, StorageUnavailable):
            self._unsaved |= saved.keys()
            self._changed.set()

    def is_exempt(self, client: ClientAddress) -> bool:
        """Tell whether requests of a client are not counted."""
        # A proxy on this machine that nobody has called trusted brings strangers from loopback.
        return bool(client.text) and client.is_certain and in_networks(client.text, self._exempt)


class RateLimitHeaders:
    """Puts the headers that RateLimiter.count left onto the response, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(scope["state"].get(_STATE, {}))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def leave_headers(request: Request, ruling: Ruling) -> None:
    """Leave word where a key stands, in place of what was left before, for RateLimitHeaders."""
    setattr(request.state, _STATE, _headers(ruling))


def too_many(wait: timedelta) -> Problem:
    """Return the error for one request too many; `wait` until there may be another."""
    seconds = whole_seconds(wait)
    return Problem(
        429,
        "rate_limit_exceeded",
        f"This API key has made too many requests; wait {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _headers(ruling: Ruling) -> dict[str, str]:
    tightest = ruling.tightest
    return {
        "RateLimit-Policy": ", ".join(
            f'"{one.limit.name}";q={one.limit.quota};w={whole_seconds(one.limit.window)}'
            for one in ruling.standings
        ),
        "RateLimit": ", ".join(
            f'"{one.limit.name}";r={one.remaining};t={whole_seconds(one.reset)}'
            for one in ruling.standings
        ),
        "X-RateLimit-Limit": str(tightest.limit.quota),
        "X-RateLimit-Remaining": str(tightest.remaining),
        "X-RateLimit-Reset": str(whole_seconds(tightest.reset)),
    }
