"""Limits on request bodies: how long, how slow, how many at once, and not encoded.

Also the place where requests end that the server could not read (core/http_request.py): nobody is
to take half a body for a whole one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_api.errors import ApiError, Problem, render
from mta.core.frozen import frozen
from mta.core.http_request import REFUSAL, Refusal

BODY_GRACE = 60.0
"""Seconds that a request body may take, and one more for each SLOWEST_BODY bytes of it."""
SLOWEST_BODY = 16_384
MAX_BUFFERED = 256 * 2**20
"""Bytes of bodies in memory, of all requests together."""

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_NO_ROOM = Problem(
    503,
    "overloaded",
    "Too many large requests are under way; try again with the same Idempotency-Key.",
    headers={"Retry-After": "5"},
)


def require_media(request: Request, accepted: Collection[str]) -> None:
    """Refuse a body of another media type than those accepted; none said is as good.

    Raises:
        ApiError: 415.
    """
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    if not accepted or not media or not _has_body(request):
        return
    if media.strip().lower() not in accepted:
        wanted = " or ".join(accepted)
        raise ApiError(Problem(415, "unsupported_media_type", f"Send the body as {wanted}."))
    charset = _CHARSET.search(parameters)
    if charset is not None and charset[1].lower() not in ("utf-8", "us-ascii"):
        raise ApiError(Problem(415, "unsupported_charset", "Send the body in UTF-8."))


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    )


@frozen
class Streamed:
    """Bodies that are used as they come: their bytes at most, and their media type; "" for any."""

    size: int
    media: str = ""


class BodyGuard:
    """Refuses bodies that are too long, too slow or encoded, before they are buffered.

    A request that is answered while its body is still on the way closes the connection: nothing
    else would end an endless one.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_size: int,
        streamed: Mapping[str, Streamed] = MappingProxyType({}),
        max_buffered: int = MAX_BUFFERED,
    ) -> None:
        """Take the limits.

        Args:
            app: what handles the requests.
            max_size: bytes of a body.
            streamed: path, which may have parameters in braces -> those of its bodies that are
                used as they come.
            max_buffered: bytes of all other bodies together.
        """
        self._app = app
        self._max_size = max_size
        self._streamed = [(_pattern(path), bodies) for path, bodies in streamed.items()]
        self._room = Room(max(max_buffered, max_size))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        streamed = self._size_of_streamed(scope)
        if streamed is not None:
            body = _Body(scope, receive, streamed, Room(streamed))
        else:
            body = _Body(scope, receive, self._max_size, self._room)

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.is_complete:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        error = body.refusal()
        if error is not None:
            await render(error, Request(scope, receive))(scope, receive, send_and_close)
            return
        try:
            await self._app(scope, body.receive, send_and_close)
        finally:
            body.leave()

    def _size_of_streamed(self, scope: Scope) -> int | None:
        """Return the bytes that a body may have which is used as it comes; None: it is not."""
        for pattern, bodies in self._streamed:
            if pattern.fullmatch(scope["path"]):
                media = Headers(scope=scope).get("content-type", "").partition(";")[0]
                is_meant = bodies.media in ("", media.strip().lower())
                return bodies.size if is_meant else None
        return None


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", path)))


class Room:
    """Bytes of memory for several bodies."""

    def __init__(self, size: int) -> None:
        self.left = size


class _Body:
    """The receiving side of one request, counted and timed."""

    def __init__(self, scope: Scope, receive: Receive, max_size: int, room: Room) -> None:
        self._scope = scope
        self._receive = receive
        self._max_size = max_size
        self._room = room
        self._headers = Headers(scope=scope)
        self._size = 0
        self._started_at = asyncio.get_running_loop().time()
        length = self._headers.get("content-length", "0")
        self._declared = int(length) if length.isascii() and length.isdigit() else 0
        is_read = not self._declared and "transfer-encoding" not in self._headers
        self.is_complete = is_read and self._unreadable() is None

    def refusal(self) -> Problem | None:
        """Return why the request ends here, as far as its head tells; None when it does not."""
        unreadable = self._unreadable()
        if unreadable is not None:
            return unreadable
        if self._headers.get("content-encoding", "identity").lower() != "identity":
            return Problem(415, "unsupported_encoding", "Send the body without a Content-Encoding.")
        return self._too_large() if self._declared > self._max_size else None

    async def receive(self) -> Message:
        """Receive the next ASGI message.

        Raises:
            ApiError: 400 when it cannot be read, 413 when the body has become too long, 408 when it
                takes too long, 503 when there is no room for it now.
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
        unreadable = self._unreadable()
        if unreadable is not None:
            raise ApiError(unreadable)
        if message["type"] == "http.request":
            self._take(message)
        return message

    def leave(self) -> None:
        """Give back the room of the body."""
        self._room.left += self._size

    def _take(self, message: Message) -> None:
        size = len(message.get("body", b""))
        self._size += size
        self._room.left -= size
        self.is_complete = not message.get("more_body", False)
        if self._size > self._max_size:
            raise ApiError(self._too_large())
        if self._room.left < 0:
            raise ApiError(_NO_ROOM)

    def _unreadable(self) -> Problem | None:
        """Return what the server could not read of the request, which may turn out at any time."""
        refusal: Refusal | None = self._scope.get("state", {}).get(REFUSAL)
        if refusal is None:
            return None
        headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
        return Problem(refusal.status, refusal.code, refusal.message, headers=headers)

    def _too_large(self) -> Problem:
        return Problem(413, "body_too_large", f"A body may have {self._max_size} bytes at most.")
