"""What every request passes through: a request id, the last word on errors, shedding of load.

Pure ASGI (no BaseHTTPMiddleware, which cancels handlers when a client goes away). Errors that have
an answer of their own are rendered inside these, by the exception handlers that app.py installs.
Not here: limits on the body (body_guard.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.errors import INTERNAL, Problem, render

MAX_REQUESTS = 500
"""Requests that are handled at once."""
BUSY_REQUESTS = 50
MAX_LAG = 1.0
"""With more than BUSY_REQUESTS under way, seconds that the event loop may be late."""
_PROBE_TIME = 0.1
_OVERLOADED = Problem(
    503,
    "overloaded",
    "This server is busy; nothing was done. Try again with the same Idempotency-Key.",
    headers={"Retry-After": "2"},
)
_BROKEN_OFF = Problem(
    503,
    "restarting",
    "This server is starting anew; perhaps it was done. Try again with the same Idempotency-Key.",
    headers={"Retry-After": "2"},
)

_log = logging.getLogger(__name__)


class RequestId:
    """Gives each request an id: request.state.request_id, and Request-Id on the response."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Request-Id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


class Unexpected:
    """Answers a defect of ours with 500 and a request id, and logs its traceback under that id.

    A request that is broken off, because the server ends at once, is answered with 503.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        has_started = False

        async def watching_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watching_send)
        except ClientDisconnect:
            _log.debug("the client left before its request was complete")
        except asyncio.CancelledError:
            if scope["type"] != "http" or has_started:
                raise
            await render(_BROKEN_OFF, Request(scope, receive))(scope, receive, send)
        except Exception:
            if scope["type"] != "http" or has_started:
                raise
            request = Request(scope, receive)
            _log.exception(
                "%s %r failed, request_id=%s",
                request.method,
                request.scope["path"],
                request.state.request_id,
            )
            await render(INTERNAL, request)(scope, receive, send)


class Overload:
    """Turns requests away while there are too many to be served well; those accepted go on."""

    def __init__(
        self, app: ASGIApp, exempt: Collection[str], max_requests: int = MAX_REQUESTS
    ) -> None:
        """Take the paths that are always served, for they are cheap or wait most of the time."""
        self._app = app
        self._exempt = exempt
        self._max_requests = max_requests
        self._count = 0
        self._lag = LoopLag()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if self._is_overloaded():
            await render(_OVERLOADED, Request(scope, receive))(scope, receive, send)
            return
        self._count += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1

    def _is_overloaded(self) -> bool:
        lag = self._lag.seconds()
        is_late = self._count >= BUSY_REQUESTS and lag > MAX_LAG
        return is_late or self._count >= self._max_requests


class LoopLag:
    """How late the event loop runs what is due; measured only while somebody asks."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = 0.0

    def seconds(self) -> float:
        """Return how late it is now, or was a moment ago; and see to it that the next one knows."""
        loop = asyncio.get_running_loop()
        if self._due is not None:
            return max(self._last, loop.time() - self._due)
        last, self._last = self._last, 0.0
        self._due = loop.time() + _PROBE_TIME
        loop.call_at(self._due, self._note)
        return last

    def _note(self) -> None:
        if self._due is not None:
            self._last = asyncio.get_running_loop().time() - self._due
            self._due = None
