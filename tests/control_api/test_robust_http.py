"""The application behind its real server, asked by peers that mean no good; bytes on sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest

from mta.core.http_request import MAX_FIELDS, MAX_HEAD, MAX_TARGET
from mta.http_protocol import ConnectionLimits
from tests.control_api.conftest import EMAIL, Api
from tests.control_api.raw_requests import CHUNKED, GET, HOST, ask, assert_problem, post, sending
from tests.support.http_peer import Peer, Serving, serving

LAST = GET.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"


@pytest.fixture
async def server(api: Api) -> AsyncIterator[Serving]:
    async with serving(api.app) as running:
        yield running


# --- What cannot be read -------------------------------------------------------------------------

HEADS = [
    ("two lengths and chunks", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n" + CHUNKED),
    ("chunks and a length", b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"Content-Length: 5\r\n"),
    ("two lengths", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("list of lengths", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n"),
    ("signed length", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n"),
    ("endless length", b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 40 + b"\r\n"),
    ("space before colon", b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n"),
    ("folded line", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n"),
    ("folded coding", b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n chunked\r\n"),
    ("bare LF", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\nC: d\r\n"),
    ("bare LF in request line", b"GET / HTTP/1.1\n" + HOST),
    ("bare CR", b"GET / HTTP/1.1\r\n" + HOST + b"A: b\rC: d\r\n"),
    ("NUL", b"GET / HTTP/1.1\r\n" + HOST + b"A: \0\r\n"),
    ("no name", b"GET / HTTP/1.1\r\n" + HOST + b": b\r\n"),
    ("space in name", b"GET / HTTP/1.1\r\n" + HOST + b"A b: c\r\n"),
    ("coding twice", b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + CHUNKED),
    ("chunks in HTTP/1.0", b"POST / HTTP/1.0\r\n" + HOST + CHUNKED),
    ("no host", b"GET / HTTP/1.1\r\n"),
    ("two hosts", b"GET / HTTP/1.1\r\n" + HOST + HOST),
    ("two keys", b"GET / HTTP/1.1\r\n" + HOST + b"X-API-Key: a\r\nX-API-Key: b\r\n"),
    ("tunnel", b"CONNECT example.net:25 HTTP/1.1\r\n" + HOST),
    ("unknown method", b"FROBNICATE / HTTP/1.1\r\n" + HOST),
    ("bytes in target", b"GET /\xff HTTP/1.1\r\n" + HOST),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n"),
    ("SMTP", b"EHLO mail.sender.test\r\n"),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
]


@pytest.mark.parametrize(("head"), [head for _, head in HEADS], ids=[name for name, _ in HEADS])
async def test_j05_ambiguous_request_is_refused_and_nothing_behind_it_read(
    server: Serving, head: bytes
) -> None:
    answer, rest = await ask(server, head + b"\r\n0\r\n\r\n", GET)
    assert_problem(answer, 400, "malformed_request")
    assert rest == b""


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET / HTTP/2.0\r\n" + HOST, 505, "version_unsupported"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: tea\r\n", 417, "expectation_failed"),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n",
            501,
            "coding_unsupported",
        ),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n",
            501,
            "coding_unsupported",
        ),
        (b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n" + HOST, 414, "target_too_long"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * MAX_FIELDS, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * MAX_HEAD + b"\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A" * 10 * MAX_HEAD, 431, "headers_too_large"),
        (b"GET /" + b"x" * 100_000, 414, "target_too_long"),
    ],
)
async def test_head_beyond_limits(server: Serving, head: bytes, status: int, code: str) -> None:
    answer, rest = await ask(server, head + b"\r\n", GET)
    assert_problem(answer, status, code)
    assert rest == b""


async def test_head_within_limits(server: Serving) -> None:
    fields = [b"A%d: " % n + b"b" * 140 + b"\r\n" for n in range(MAX_FIELDS - 1)]
    async with server.peer() as peer:
        await peer.send(b"GET /healthz?" + b"x" * 500 + b" HTTP/1.1\r\n" + HOST, *fields, b"\r\n")
        assert (await peer.answer()).status == 200


@pytest.mark.parametrize(
    "chunks",
    [
        b"2\r\n{}XX0\r\n\r\n",
        b"2\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nA: " + b"b" * MAX_HEAD + b"\r\n\r\n",
        b"2;" + b"x" * 5 * MAX_HEAD + b"\r\n{}\r\n0\r\n\r\n",
    ],
)
async def test_j05_bad_chunks_end_the_request(api: Api, server: Serving, chunks: bytes) -> None:
    answer, rest = await ask(server, post(api, CHUNKED.strip()), chunks, GET)
    assert answer.status in (400, 431)
    assert answer.headers["connection"] == "close"
    assert rest == b""
    assert api.count("messages") == 0


async def test_trailer_fields_are_dropped(api: Api, server: Serving) -> None:
    body = json.dumps(EMAIL).encode()
    head = b"POST /v1/emails HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n"
    key = b"X-API-Key: " + api.key.encode() + b"\r\n\r\n"
    async with server.peer() as peer:
        await peer.send(head, b"%x\r\n" % len(body), body, b"\r\n0\r\n", key)
        assert (await peer.answer()).status == 401


async def test_byte_by_byte_is_the_same(api: Api, server: Serving) -> None:
    async with server.peer() as peer:
        await peer.send(*(bytes([byte]) for byte in sending(api)))
        assert (await peer.answer()).status == 200


# --- Connections ---------------------------------------------------------------------------------


async def test_keep_alive_and_pipelining(api: Api, server: Serving) -> None:
    async with server.peer() as peer:
        await peer.send(b"\r\n" + GET)
        assert (await peer.answer()).status == 200
        requests = b"".join(sending(api, f"Number {n}") + GET for n in range(50))
        await peer.send(requests, b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"\r\n", GET)
        for _ in range(50):
            assert (await peer.answer()).json["object"] == "email"
            assert (await peer.answer()).json == {"status": "ok"}
        head = await peer.answer(has_body=False)
        assert head.headers["content-length"] == str(len(b'{"status":"ok"}'))
        assert (await peer.answer()).status == 200
    assert api.count("messages") == 50


@pytest.mark.parametrize("cut", [1, 4096, 70_000, 10_000_000])
async def test_bodies_arrive_as_they_were_sent(cut: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        length = b"%d" % len(body)
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    sizes = (0, 1, 4000, 4096, 5000, 0) + ((130_000, 3, 70_000) if cut > 1 else ())
    bodies = [bytes([number + 65]) * size for number, size in enumerate(sizes)]
    sent = b""
    for body in bodies:
        lines = b"POST / HTTP/1.1\r\n" + HOST
        sent += lines + b"Content-Length: %d\r\n\r\n" % len(body) + body
        chunk = b"%x\r\n" % len(body) + body + b"\r\n" if body else b""
        sent += lines + CHUNKED + b"\r\n" + chunk + b"0\r\n\r\n"
    async with serving(app) as server, server.peer() as peer:
        parts = [sent[start : start + cut] for start in range(0, len(sent), cut)]
        sending_all = asyncio.create_task(peer.send(*parts))
        for body in bodies:
            assert [(await peer.answer()).body for _ in range(2)] == [body, body]
        await sending_all


async def test_garbage_is_answered_after_the_requests_before_it(api: Api, server: Serving) -> None:
    async with server.peer() as peer:
        await peer.send(sending(api) + sending(api, "Second") + b"garbage\r\n\r\n" + GET)
        assert [(await peer.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await peer.rest() == b""
    assert api.count("messages") == 2


async def test_http_1_0_and_closing(server: Serving) -> None:
    for head in (
        b"GET /healthz HTTP/1.0\r\n\r\n",
        GET.replace(b"Host", b"Connection: close\r\nHost"),
    ):
        answer, rest = await ask(server, head, GET)
        assert (answer.status, answer.headers["connection"], rest) == (200, "close", b"")


UPGRADE = b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"


async def test_offer_to_upgrade_is_ignored(server: Serving) -> None:
    offer = b"\r\n".join((b"GET /healthz HTTP/1.1", b"Host: x", *UPGRADE, b"\r\n"))
    answer, rest = await ask(server, offer, GET)
    assert (answer.status, answer.headers["connection"], rest) == (200, "close", b"")


async def test_offer_to_upgrade_amid_a_body_is_refused(api: Api, server: Serving) -> None:
    request = post(api, *UPGRADE, b"Content-Length: %d" % len(GET), body=GET)
    answer, rest = await ask(server, request)
    assert_problem(answer, 501, "upgrade_unsupported")
    assert rest == b""


async def test_absolute_target_and_foreign_host(api: Api, server: Serving) -> None:
    """J06: the host that a client names turns up nowhere."""
    async with server.peer() as peer:
        await peer.send(
            b"GET http://evil.example/v1/openapi.json HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        )
        answer = await peer.answer()
    assert answer.status == 200
    assert b"evil" not in answer.body + repr(answer.headers).encode()


async def test_j01_idle_and_dripping_clients_are_closed(api: Api) -> None:
    async with serving(api.app, ConnectionLimits(head_time=0.2)) as server:
        silent, blank, dripping = [await _open(server) for _ in range(3)]
        await blank.send(b"\r\n")
        task = asyncio.create_task(
            _drip(dripping, GET.replace(b"\r\n\r\n", b"\r\nA: b") + b"c" * 90)
        )
        assert await silent.rest() == b""
        assert await blank.rest() == b""
        assert_problem(await dripping.answer(), 408, "request_timeout")
        task.cancel()
        for peer in (silent, blank, dripping):
            await peer.close()


async def test_idle_connection_is_kept_for_its_time(api: Api) -> None:
    limits = ConnectionLimits(keep_alive=1, head_time=0.1)
    async with serving(api.app, limits) as server, server.peer() as peer:
        await peer.send(GET)
        started = asyncio.get_running_loop().time()
        assert (await peer.answer()).status == 200
        assert await peer.rest() == b""
        assert asyncio.get_running_loop().time() - started > 0.9


async def test_j01_client_that_does_not_read_is_ended(api: Api) -> None:
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await _now(receive)) is None:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        ended.set()

    async with serving(app, ConnectionLimits(write_time=0.3)) as server, server.peer() as peer:
        await peer.send(GET)
        async with asyncio.timeout(10):
            await ended.wait()


async def test_too_many_connections(api: Api) -> None:
    async with serving(api.app, ConnectionLimits(connections=2)) as server:
        peers = [await _open(server) for _ in range(2)]
        for peer in peers:
            await peer.send(GET)
            assert (await peer.answer()).status == 200
        answer, _ = await ask(server, GET)
        assert_problem(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "2"
        await peers[0].send(GET)
        assert (await peers[0].answer()).status == 200
        for peer in peers:
            await peer.close()


async def test_too_many_connections_from_one_address(api: Api) -> None:
    limits = ConnectionLimits(connections_per_address=2)
    async with serving(api.app, limits) as server:
        peers = [await _open(server) for _ in range(2)]
        answer, _ = await ask(server, GET)
        assert_problem(answer, 503, "overloaded")
        for peer in peers:
            await peer.close()
        async with asyncio.timeout(10):
            while answer.status != 200:
                answer, _ = await ask(server, LAST)


async def test_a_proxy_may_have_as_many_connections_as_there_are(api: Api) -> None:
    exempt = (ip_network("127.0.0.0/8"),)
    limits = ConnectionLimits(connections=4, connections_per_address=1, exempt=exempt)
    async with serving(api.app, limits) as server:
        peers = [await _open(server) for _ in range(3)]
        answer, _ = await ask(server, LAST)
        assert answer.status == 200
        for peer in peers:
            await peer.close()


# --- Methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS", b"PUT", b"PROPFIND"])
async def test_j12_other_methods(server: Serving, method: bytes) -> None:
    origin = b"Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
    async with server.peer() as peer:
        await peer.send(method + b" /v1/emails HTTP/1.1\r\n" + HOST + origin + b"\r\n")
        answer = await peer.answer()
    assert answer.status == 405
    assert answer.json["code"] == "method_not_allowed"
    assert "POST" in answer.headers["allow"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert b"evil" not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/emails",
        b"/v1/emails/",
        b"/v1/..;/v1/emails",
        b"/v1/%2e%2e/healthz",
        b"/%00",
        b"/%ff%fe",
    ],
)
async def test_j12_odd_paths(server: Serving, path: bytes) -> None:
    async with server.peer() as peer:
        await peer.send(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = await peer.answer()
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def _open(server: Serving) -> Peer:
    return Peer(*await asyncio.open_connection(*server.server.endpoint))


async def _drip(peer: Peer, data: bytes) -> None:
    for byte in data:
        await peer.send(bytes([byte]))
        await asyncio.sleep(0.01)


async def _now(receive: Any) -> Any:
    """Return "http.disconnect" when the client has left, None when it has not."""
    task = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        return None
    message = task.result()
    return message if message["type"] == "http.disconnect" else None
