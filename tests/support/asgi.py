"""Requests to an ASGI application without a server, a socket or an HTTP library."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to an application, all with the same headers unless told otherwise."""

    def __init__(
        self,
        app: ASGIApp,
        headers: Mapping[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
    ) -> None:
        self._app = app
        self.address = address
        self.headers = dict(headers or {})

    async def get(self, target: str, **headers: str) -> Reply:
        return await self.request("GET", target, headers=headers)

    async def delete(self, target: str, **headers: str) -> Reply:
        return await self.request("DELETE", target, headers=headers)

    async def post(self, target: str, json_body: Any = None, **headers: str) -> Reply:
        """Post a value as JSON; underscores in header names become dashes."""
        body = b"" if json_body is None else json.dumps(json_body).encode()
        return await self.request("POST", target, body=body, headers=headers)

    async def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes | AsyncIterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request; a body that is an iterable goes out chunk by chunk, without a length."""
        exchange = _Exchange(body)
        all_headers = {**self.headers, **(headers or {})}
        if isinstance(body, bytes):
            all_headers.setdefault("content-length", str(len(body)))
        else:
            all_headers["transfer-encoding"] = "chunked"
        scope = _scope(method, target, all_headers)
        scope["client"] = (self.address, 50_000)
        await self._app(scope, exchange.receive, exchange.send)
        return exchange.reply()


class _Exchange:
    def __init__(self, body: bytes | AsyncIterable[bytes]) -> None:
        self._chunks = _chunks(body)
        self._sent: list[Message] = []
        self._is_complete = False

    async def receive(self) -> Message:
        if self._is_complete:
            return {"type": "http.disconnect"}
        async for chunk in self._chunks:
            return {"type": "http.request", "body": chunk, "more_body": True}
        self._is_complete = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        self._sent.append(message)

    def reply(self) -> Reply:
        start, *parts = self._sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers, b"".join(part.get("body", b"") for part in parts))


async def _chunks(body: bytes | AsyncIterable[bytes]) -> AsyncIterable[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    async for chunk in body:
        yield chunk


def _scope(method: str, target: str, headers: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    pairs = [
        (name.replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": pairs,
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8025),
        "state": {},
    }
