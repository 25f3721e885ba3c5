"""Noting which requests were answered: lines for the tenants' logs, and counts for monitoring.

Lines are kept in memory and written a second later, many at once, so that no answer waits for its
own log line; a crash loses that second. Noted are requests with a valid key, or of a user who logs
in, and of those nothing of query, body, key or token. Not here: reading the log (request_log.py).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.client_address import client_address
from mta.core.frozen import frozen
from mta.core.network import IpNetwork
from storage import request_log
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.request_log import LoggedRequest
from storage.tenants import KeyRecord

INTERVAL = 1.0
"""Seconds between two writes."""
MAX_PENDING = 5000
"""Lines in memory; more of them within a second, or while storage has trouble, are forgotten."""
MAX_TEXT = 500
"""Characters of a path or user agent that are kept."""
OTHER = "other"
"""The route of requests that matched none."""

_STATE = "answered_for"
_SECRET_PART = "{token}"  # noqa: S105 - the name of a parameter
"""In the path of routes that are reached by a secret."""


@frozen
class Asker:
    """Whose a request is.

    Attributes:
        id: of the key, or of the user.
    """

    tenant_id: int
    id: str


class RequestMeter:
    """The requests of one process.

    Attributes:
        counts: method, route and status class ("2xx") -> answers, since the process began.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._pending: deque[LoggedRequest] = deque(maxlen=MAX_PENDING)

    async def run(self, database: Database) -> None:
        """Write pending lines every second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush(database)

    async def flush(self, database: Database) -> None:
        """Write pending lines; they stay pending while storage has trouble."""
        lines = list(self._pending)
        if not lines:
            return
        self._pending.clear()
        try:
            await database.write(lambda connection: request_log.append(connection, lines))
        except (StorageFull, StorageUnavailable):
            self._pending.extendleft(reversed(lines))

    def note(self, line: LoggedRequest | None, method: str, route: str, status: int) -> None:
        """Count an answer; with a line, keep that too."""
        self.counts[method, route, f"{status // 100}xx"] += 1
        if line is not None:
            self._pending.append(line)


class Metered:
    """ASGI middleware that notes every answer."""

    def __init__(
        self,
        app: ASGIApp,
        meter: RequestMeter,
        now: Callable[[], datetime],
        proxies: Sequence[IpNetwork] = (),
    ) -> None:
        """Take where to note, the clock, and the proxies that are trusted to name the client."""
        self._app = app
        self._meter = meter
        self._now = now
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        at, started = self._now(), asyncio.get_running_loop().time()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                duration = asyncio.get_running_loop().time() - started
                self._note(scope, message["status"], at, int(duration * 1000))
            await send(message)

        await self._app(scope, receive, send_and_note)

    def _note(self, scope: Scope, status: int, at: datetime, duration_ms: int) -> None:
        route, asker = scope["state"].get(_STATE, (OTHER, None))
        method = scope["method"] if route != OTHER else OTHER
        line = None
        if asker is not None:
            path = route if _SECRET_PART in route else scope["path"][:MAX_TEXT]
            line = LoggedRequest(
                tenant_id=asker.tenant_id,
                key_id=asker.id,
                at=at,
                request_id=scope["state"]["request_id"],
                method=scope["method"],
                path=path,
                status=status,
                duration_ms=duration_ms,
                client=self._client(scope),
                user_agent=Headers(scope=scope).get("user-agent", "")[:MAX_TEXT],
            )
        self._meter.note(line, method, route, status)

    def _client(self, scope: Scope) -> str:
        if self._proxies:
            return client_address(Request(scope), self._proxies).text
        client = scope.get("client")
        return str(client[0]) if client else ""


def attribute(scope: Scope, route: str, asker: KeyRecord | Asker | None) -> None:
    """Leave word which route (its path, with braces) a request goes to, and whose it is."""
    scope["state"][_STATE] = route, asker


def attribute_to_user(scope: Scope, asker: Asker) -> None:
    """Leave word who it is that shows a password or a link to the route that was named before."""
    route, _ = scope["state"][_STATE]
    attribute(scope, route, asker)
