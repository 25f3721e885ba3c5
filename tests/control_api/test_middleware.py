"""Shedding of load; the rest of the middleware is tested through the application."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from control_api.app import UNSHED
from control_api.body_guard import BodyGuard, Streamed
from control_api.errors import ApiError
from control_api.middleware import MAX_LAG, LoopLag, Overload, RequestId, Unexpected
from tests.support.asgi import Client
from tests.support.virtual_time import run


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.count += 1
        await self.may_end.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


async def test_too_many_requests_are_turned_away_and_the_others_served() -> None:
    app = Slow()
    client = Client(RequestId(Overload(app, UNSHED, max_requests=3), lambda: "req_1"))
    async with asyncio.TaskGroup() as tasks:
        accepted = [tasks.create_task(client.get("/v1/emails")) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await client.get("/v1/emails")
        health = tasks.create_task(client.get("/healthz"))
        await asyncio.sleep(0)
        app.may_end.set()
    assert (refused.status, refused.json["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"] == "2"
    assert [task.result().status for task in (*accepted, health)] == [200] * 4
    assert (await client.get("/v1/emails")).status == 200


async def test_a_request_that_is_broken_off_is_answered_with_later() -> None:
    app = Slow()
    client = Client(RequestId(Unexpected(app), lambda: "req_1"))
    asking = asyncio.create_task(client.post("/v1/emails", {}))
    await asyncio.sleep(0)
    asking.cancel()
    answer = await asking
    assert (answer.status, answer.json["code"]) == (503, "restarting")
    assert answer.headers["retry-after"] == "2"


async def test_late_event_loop_is_noticed_and_forgotten() -> None:
    lag = LoopLag()
    assert lag.seconds() == 0
    time.sleep(0.3)  # noqa: ASYNC251 - this is the defect
    assert lag.seconds() > 0.1
    await asyncio.sleep(0.01)
    assert lag.seconds() > 0.1
    await asyncio.sleep(0.15)
    assert lag.seconds() < 0.1


async def test_lag_alone_turns_nobody_away() -> None:
    app = Slow()
    app.may_end.set()
    client = Client(RequestId(Overload(app, UNSHED), lambda: "req_1"))
    await client.get("/")
    time.sleep(MAX_LAG + 0.2)  # noqa: ASYNC251 - this is the defect
    assert (await client.get("/")).status == 200


def test_bodies_of_all_requests_have_so_much_room() -> None:
    async def read_all(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await asyncio.sleep(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def story() -> None:
        client = Client(BodyGuard(read_all, 100, {"/streamed": Streamed(1000)}, max_buffered=250))

        async def post(path: str = "/") -> int:
            try:
                return (await client.request("POST", path, body=b"x" * 100)).status
            except ApiError as error:
                return error.problem.status

        statuses = await asyncio.gather(*(post() for _ in range(4)), post("/streamed"))
        assert sorted(statuses) == [200, 200, 200, 503, 503]
        assert await asyncio.gather(post(), post()) == [200, 200]

    run(story())
