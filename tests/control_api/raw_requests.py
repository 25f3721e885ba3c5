"""Requests as bytes, for tests that talk to the server over sockets."""

from __future__ import annotations

import json

from tests.control_api.conftest import EMAIL, Api
from tests.support.http_peer import Answer, Serving

HOST = b"Host: mta.sender.test\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(api: Api, *fields: bytes, path: bytes = b"/v1/emails", body: bytes = b"") -> bytes:
    """Return a POST with a key and these header fields, each without its line end."""
    head = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: x",
        b"Authorization: Bearer " + api.key.encode(),
    ]
    return b"\r\n".join([*head, *fields]) + b"\r\n\r\n" + body


def sending(api: Api, subject: str = "Hello") -> bytes:
    body = json.dumps(EMAIL | {"subject": subject}).encode()
    return post(api, b"Content-Length: %d" % len(body), body=body)


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["request_id"] == answer.headers["request-id"]
    assert answer.headers["connection"] == "close"


async def ask(server: Serving, *parts: bytes) -> tuple[Answer, bytes]:
    """Send bytes; return the answer and what came after it."""
    async with server.peer() as peer:
        await peer.send(*parts)
        return await peer.answer(), await peer.rest()
