"""All endpoints together: waking, coming and going, and none that delays another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from control_api import webhook_sender
from control_api.webhook_sender import WebhookSender
from storage import webhook_outbox, webhook_retries, webhooks
from storage.database import Connection, Database
from storage.errors import StorageUnavailable
from storage.webhook_outbox import Outbox, Place
from storage.webhook_retries import Retry
from storage.webhooks import WebhookRecord
from tests.control_api.conftest import Api
from tests.control_api.test_webhook_lane import add_webhook, queue
from tests.support.http_receiver import HttpReceiver, hang


@asynccontextmanager
async def running(
    api: Api, now: Callable[[], datetime] | None = None, database: Database | None = None
) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(
        database or api.database,
        api.http,
        now=now or api.clock,
        rng=random.Random(1),
        concurrency=10,
    )
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class TestSender:
    async def test_kick_wakes_it(self, api: Api) -> None:
        async with HttpReceiver() as receiver:
            add_webhook(api, receiver.url)
            async with running(api) as sender:
                for count in range(1, 4):
                    queue(api)
                    sender.kick()
                    await receiver.wait_for(count)
                    assert len(receiver.received) == count

    async def test_slow_endpoint_does_not_delay_another(self, api: Api) -> None:
        async with HttpReceiver() as slow, HttpReceiver() as fast:
            slow.answer = hang
            add_webhook(api, slow.url)
            add_webhook(api, fast.url)
            async with running(api) as sender:
                for count in range(1, 31):
                    queue(api)
                    sender.kick()
                    await fast.wait_for(count)
            assert len(slow.received) <= 10

    async def test_a_damaged_endpoint_and_a_damaged_event_hold_up_nobody(self, api: Api) -> None:
        async with HttpReceiver() as receiver:
            damaged = add_webhook(api, "https://damaged.test/")
            add_webhook(api, receiver.url)
            queue(api)
            api.database.write_now(
                lambda db: db.execute("UPDATE webhooks SET kinds = '{' WHERE id = ?", (damaged.id,))
            )
            api.database.write_now(lambda db: db.execute("UPDATE events SET data = '{'"))
            queue(api)
            async with running(api):
                await receiver.wait_for(2)

    async def test_an_endpoint_that_we_fail_at_goes_on_later_and_the_others_at_once(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(
            connection: Connection, webhook: WebhookRecord, place: Place, now: datetime
        ) -> Outbox:
            if webhook.id == poor.id and faults:
                raise faults.pop()
            return read(connection, webhook, place, now)

        faults = [LookupError("nobody expected this") for _ in range(9)]
        read = webhook_outbox.read
        monkeypatch.setattr(webhook_outbox, "read", fail)
        async with HttpReceiver() as first, HttpReceiver() as second:
            poor = add_webhook(api, first.url)
            add_webhook(api, second.url)
            async with running(api) as sender:
                for count in (1, 2, 3):
                    queue(api)
                    sender.kick()
                    await second.wait_for(count)
            assert len(faults) == 8, "it is left alone, also when there is news"
            monkeypatch.setattr(webhook_sender, "FAULT_PAUSE", 0.01)
            async with running(api):
                await first.wait_for(3)
        assert not faults
        assert caplog.text.count("goes on later") == 9

    async def test_endpoints_come_and_go(self, api: Api) -> None:
        async with HttpReceiver() as first, HttpReceiver() as second:
            one = add_webhook(api, first.url)
            async with running(api) as sender:
                queue(api)
                sender.kick()
                await first.wait_for(1)
                add_webhook(api, second.url)
                api.database.write_now(lambda db: webhooks.delete(db, one.id))
                queue(api)
                sender.kick()
                await second.wait_for(1)
                queue(api)
                sender.kick()
                await second.wait_for(2)
            assert len(first.received) <= 2

    async def test_what_came_while_it_was_down_is_sent_at_start(self, api: Api) -> None:
        async with HttpReceiver() as receiver:
            add_webhook(api, receiver.url)
            queue(api, 3)
            async with running(api):
                await receiver.wait_for(3)
            assert len(receiver.received) == 3

    async def test_sleeps_until_a_retry_is_due(self, api: Api) -> None:
        async with HttpReceiver() as receiver:
            queue(api)
            record = add_webhook(api, receiver.url)
            due_at = datetime.now(UTC) + timedelta(milliseconds=200)
            retry = Retry(record.id, 1, attempts=1, due_at=due_at)
            api.database.write_now(lambda db: webhook_retries.keep(db, retry))
            async with running(api, now=lambda: datetime.now(UTC)):
                await receiver.wait_for(1)
                assert datetime.now(UTC) >= due_at

    async def test_storage_that_fails_is_tried_again(self, api: Api) -> None:
        broken = BrokenOnce(api.database)
        async with HttpReceiver() as receiver:
            add_webhook(api, receiver.url)
            queue(api)
            async with running(api, database=cast("Database", broken)) as sender:
                await broken.has_failed.wait()
                sender.kick()
                await receiver.wait_for(1)
            assert len(receiver.received) == 1


class BrokenOnce:
    """A database whose first read fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.has_failed = asyncio.Event()
        self.write = database.write

    async def read(self, work: Callable[[Connection], Any]) -> Any:
        if not self.has_failed.is_set():
            self.has_failed.set()
            raise StorageUnavailable("lock")
        return await self._database.read(work)

    read_durable = read
