"""Changes of many entries: in steps, whole after a crash, and once for each key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from control_api.app import build_app
from control_api.queue_changes import QueueChanger
from storage import queue_changes
from storage.database import Database
from storage.errors import StorageFull
from storage.operators import Selection
from storage.queue_changes import STEP, Operation, QueueChange
from tests.control_api.conftest import Api
from tests.storage import builders
from tests.support.asgi import Client

MANY = 2 * STEP + 10


def queued(api: Api) -> None:
    recipients = [f"user{number}@example.net" for number in range(MANY)]
    api.database.write_now(lambda connection: builders.accept(connection, *recipients))


async def test_others_write_between_the_steps(api: Api) -> None:
    queued(api)
    request = asyncio.create_task(api.client.post("/v1/queue/hold", {"all": True}))
    seen = set()
    while not request.done():
        seen.add(await api.database.write(_held))
    assert (await request).json == {"object": "queue_change", "count": MANY}
    assert len(seen) > 1
    assert api.database.read_now(queue_changes.unfinished) == []
    assert api.kicks


def _held(connection: builders.Connection) -> int:
    [count] = connection.execute("SELECT COUNT(*) FROM entries WHERE state = 2").fetchone()
    return int(count)


async def test_a_key_makes_a_repeat_harmless(api: Api) -> None:
    queued(api)
    wish = {"domain": "example.net"}
    first = await api.client.post("/v1/queue/hold", wish, idempotency_key="k")
    released = await api.client.post("/v1/queue/release", wish)
    again = await api.client.post("/v1/queue/hold", wish, idempotency_key="k")
    assert again.json == first.json
    assert released.json["count"] == MANY
    assert api.database.read_now(_held) == 0


async def test_what_was_interrupted_is_done_at_the_next_start(api: Api) -> None:
    queued(api)
    change = QueueChange(Operation.CANCEL, Selection(is_all=True), builders.NOW)
    api.database.write_now(lambda connection: queue_changes.begin(connection, change))
    rows = api.database.read_now(lambda connection: queue_changes.entries(connection, change))
    api.database.write_now(lambda connection: queue_changes.apply(connection, change, rows[:STEP]))
    later = builders.LATER
    api.database.write_now(lambda connection: builders.accept(connection, at=later))
    kicks: list[None] = []
    await QueueChanger(api.database, lambda: kicks.append(None)).resume()
    assert (await api.client.get("/v1/queue")).json["waiting"] == 1  # what is newer
    assert api.database.read_now(queue_changes.unfinished) == []
    assert len(kicks) == 1


class Failing:
    """A database that has room for so many writes; then it fails."""

    def __init__(self, database: Database, works: int) -> None:
        self._database = database
        self.works = works
        self.has_failed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, work: Any) -> Any:
        self.works -= 1
        if self.works < 0:
            self.has_failed.set()
            raise StorageFull("the disk is full")
        return await self._database.write(work)


async def test_what_storage_interrupted_comes_before_what_is_asked_for_later(api: Api) -> None:
    queued(api)
    failing = Failing(api.database, works=2)
    database = cast("Database", failing)
    services = replace(
        api.services, database=database, queue_changer=QueueChanger(database, lambda: None)
    )
    client = Client(build_app(services), {"Authorization": f"Bearer {api.key}"})
    reply = await client.post("/v1/queue/hold", {"all": True})
    assert (reply.status, reply.json["code"]) == (507, "storage_full")
    assert api.database.read_now(_held) == STEP
    failing.works = 100
    released = await client.post("/v1/queue/release", {"all": True})
    assert released.json["count"] == MANY
    await services.queue_changer.resume()
    assert api.database.read_now(_held) == 0
    assert api.database.read_now(queue_changes.unfinished) == []


async def test_a_full_disk_at_the_start_ends_nothing(api: Api) -> None:
    queued(api)
    change = QueueChange(Operation.HOLD, Selection(is_all=True), builders.NOW)
    api.database.write_now(lambda connection: queue_changes.begin(connection, change))
    failing = Failing(api.database, works=0)
    changer = QueueChanger(cast("Database", failing), lambda: None)
    task = asyncio.create_task(changer.run())
    await failing.has_failed.wait()
    with pytest.raises(StorageFull):
        await changer.resume()
    assert not task.done()
    failing.works = 100
    await changer.resume()
    task.cancel()
    assert api.database.read_now(_held) == MANY
