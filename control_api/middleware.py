"""What every request passes through: a request id, the last word on errors, limits on the body.

Pure ASGI (no BaseHTTPMiddleware, which cancels handlers when a client goes away). Errors that have
an answer of their own are rendered inside these, by the exception handlers that app.py installs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.errors import INTERNAL, ApiError, Problem, render

BODY_GRACE = 60.0
"""Seconds that a request body may take, and one more for each SLOWEST_BODY bytes of it."""
SLOWEST_BODY = 16_384

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
    """Answers a defect of ours with 500 and a request id, and logs its traceback under that id."""

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


class BodyGuard:
    """Refuses bodies that are too long, too slow or encoded, before they are buffered.

    A request that is answered while its body is still on the way closes the connection: nothing
    else would end an endless one.
    """

    def __init__(self, app: ASGIApp, max_size: int) -> None:
        self._app = app
        self._max_size = max_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, self._max_size, Headers(scope=scope))

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.is_complete:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        error = body.refusal()
        if error is not None:
            await render(error, Request(scope, receive))(scope, receive, send_and_close)
            return
        await self._app(scope, body.receive, send_and_close)


class _Body:
    """The receiving side of one request, counted and timed."""

    def __init__(self, receive: Receive, max_size: int, headers: Headers) -> None:
        self._receive = receive
        self._max_size = max_size
        self._headers = headers
        self._size = 0
        self._started_at = asyncio.get_running_loop().time()
        length = headers.get("content-length", "0")
        self._declared = int(length) if length.isascii() and length.isdigit() else 0
        self.is_complete = not self._declared and "transfer-encoding" not in headers

    def refusal(self) -> Problem | None:
        """Return why the header alone rules the body out, None when it does not."""
        if self._headers.get("content-encoding", "identity").lower() != "identity":
            return Problem(415, "unsupported_encoding", "Send the body without a Content-Encoding.")
        return self._too_large() if self._declared > self._max_size else None

    async def receive(self) -> Message:
        """Receive the next ASGI message.

        Raises:
            ApiError: 413 when the body has become too long, 408 when it takes too long.
        """
        if self.is_complete:
            return await self._receive()
        deadline = self._started_at + BODY_GRACE + self._size / SLOWEST_BODY
        try:
            async with asyncio.timeout_at(deadline):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                Problem(408, "request_timeout", "The body took too long to arrive.")
            ) from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
            if self._size > self._max_size:
                raise ApiError(self._too_large())
        return message

    def _too_large(self) -> Problem:
        return Problem(413, "body_too_large", f"A body may have {self._max_size} bytes at most.")
