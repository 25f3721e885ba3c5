"""Bodies that are too long, too many, not JSON, or come from clients that leave; over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.control_api.conftest import EMAIL, Api
from tests.control_api.raw_requests import CHUNKED, GET, ask, assert_problem, post
from tests.support.http_peer import Serving, serving


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Serving]:
    async with serving(api.app) as running:
        yield running


async def test_j02_client_reads_the_refusal_of_a_body_it_still_sends(
    api: Api, server: Serving
) -> None:
    size = api.settings.api.max_body_size + 1
    async with server.peer() as peer:
        await peer.send(post(api, b"Content-Length: %d" % size))
        for _ in range(32):
            await peer.send(b" " * 65_536)
        assert_problem(await peer.answer(), 413, "body_too_large")
        assert await peer.rest() == b""


async def test_j02_endless_chunks(api: Api) -> None:
    api = api.with_settings(api=replace(api.settings.api, max_body_size=10_000))
    async with serving(api.app) as server, server.peer() as peer:
        await peer.send(post(api, CHUNKED.strip()), *[b"400\r\n" + b" " * 0x400 + b"\r\n"] * 64)
        assert_problem(await peer.answer(), 413, "body_too_large")


async def test_j02_encoded_body(api: Api, server: Serving) -> None:
    request = post(api, b"Content-Encoding: gzip", b"Content-Length: 5", body=b"\x1f\x8b\0\0\0")
    assert_problem((await ask(server, request))[0], 415, "unsupported_encoding")


async def test_continue_is_said_only_when_the_body_is_wanted(api: Api, server: Serving) -> None:
    body = json.dumps(EMAIL).encode()
    fields = b"Expect: 100-continue", b"Content-Length: %d" % len(body)
    async with server.peer() as peer:
        await peer.send(post(api, *fields))
        assert (await peer.answer()).status == 100
        await peer.send(body)
        assert (await peer.answer()).status == 200
    async with server.peer() as peer:
        await peer.send(post(api, *fields).replace(b"mta_live_", b"mta_dead_"))
        assert (await peer.answer()).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"subject":' + b"9" * 100_000 + b"}",
        b"{" + b",".join(b'"k%d":1' % n for n in range(300_000)) + b"}",
        b"[" + b",".join([b"{}"] * 300_000) + b"]",
        b'{"subject":"a","subject":"b"}',
        b'{"subject":"\\ud800"}',
        b"\xff\xfe",
        b"",
    ],
    ids=[
        "deep",
        "deep names",
        "deep and closed",
        "digits",
        "names",
        "items",
        "twice",
        "half",
        "no utf-8",
        "none",
    ],
)
async def test_j03_json_bombs(api: Api, server: Serving, body: bytes) -> None:
    async with server.peer() as peer:
        await peer.send(post(api, b"Content-Length: %d" % len(body), body=body))
        assert (await peer.answer()).status == 422
        await peer.send(GET)
        assert (await peer.answer()).status == 200


# --- Clients that leave --------------------------------------------------------------------------


async def test_j15_client_that_leaves_does_not_stop_its_request(api: Api) -> None:
    has_body, is_handled = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if not has_body.is_set():
            has_body.set()
            assert (await receive())["type"] == "http.disconnect"

        async def receive_again() -> Any:
            return message

        await api.app(scope, receive_again, send)
        is_handled.set()

    body = json.dumps(EMAIL).encode()
    request = post(api, b"Idempotency-Key: once", b"Content-Length: %d" % len(body), body=body)
    async with serving(app) as server, asyncio.timeout(20):
        async with server.peer() as peer:
            await peer.send(request)
            await has_body.wait()
        await is_handled.wait()
        assert api.count("messages") == 1
        answer, _ = await ask(server, request.replace(b"Host", b"Connection: close\r\nHost"))
    assert (answer.status, answer.headers["idempotent-replayed"]) == (200, "true")
    assert api.count("messages") == 1


async def test_client_that_leaves_amid_its_body(api: Api, server: Serving) -> None:
    async with server.peer() as peer:
        await peer.send(post(api, b"Content-Length: 100"), b"{")
    async with server.peer() as peer:
        await peer.send(GET)
        assert (await peer.answer()).status == 200
    assert api.count("messages") == 0
