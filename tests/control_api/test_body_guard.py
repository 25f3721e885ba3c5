"""Slow bodies, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from control_api.body_guard import BODY_GRACE, SLOWEST_BODY, BodyGuard
from control_api.errors import ApiError
from tests.support.asgi import Client
from tests.support.virtual_time import run


async def read_all(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def dripping(count: int, size: int, seconds: float) -> AsyncIterator[bytes]:
    for _ in range(count):
        await asyncio.sleep(seconds)
        yield b"x" * size


async def send(body: AsyncIterator[bytes]) -> int:
    client = Client(BodyGuard(read_all, max_size=10**9))
    return (await client.request("POST", "/", body=body)).status


def test_j01_dripping_body_is_ended() -> None:
    with pytest.raises(ApiError) as caught:
        run(send(dripping(count=10_000, size=1, seconds=1)))
    assert caught.value.problem.status == 408


def test_slow_line_may_take_its_time() -> None:
    seconds = BODY_GRACE / 2
    assert run(send(dripping(count=20, size=int(seconds * SLOWEST_BODY), seconds=seconds))) == 200
