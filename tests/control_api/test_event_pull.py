"""GET /v1/events: the journal in order, from a cursor on, with and without waiting."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from control_api.app import build_app
from control_api.journal_news import MAX_LISTENERS, JournalNews
from control_api.webhook_sender import WebhookSender
from mta.core.access import Access
from storage import events
from tests.control_api.conftest import Api
from tests.control_api.test_webhook_lane import queue
from tests.storage import builders
from tests.support.asgi import Client


async def pull(api: Api, query: str = "") -> Any:
    reply = await api.client.get(f"/v1/events?{query}")
    assert reply.status == 200
    return reply.json


def settle(api: Api, result: str = "delivered") -> None:
    api.database.write_now(
        lambda db: builders.settle_all(db, builders.claim(db, at=api.clock.now), result)
    )


class TestReading:
    async def test_events_are_those_of_webhooks(self, api: Api) -> None:
        [email_id] = queue(api, metadata={"order": 7})
        pulled = await pull(api)
        assert pulled["has_more"] is False
        [event] = pulled["data"]
        assert (event["object"], event["type"]) == ("event", "email.queued")
        assert event["timestamp"] == "2026-03-01T12:00:00.000Z"
        assert event["data"]["email_id"] == email_id
        assert event["data"]["metadata"] == {"order": 7}
        assert pulled["next"] == event["id"]

    async def test_cursor_leads_through_everything_once(self, api: Api) -> None:
        queue(api, 5)
        settle(api)
        seen: list[str] = []
        cursor, has_more = "", True
        while has_more:
            pulled = await pull(api, f"limit=3&after={cursor}")
            seen += [event["id"] for event in pulled["data"]]
            cursor, has_more = pulled["next"], pulled["has_more"]
        assert len(seen) == len(set(seen)) == 10
        assert seen == sorted(seen, key=lambda one: one[-10:])
        assert (await pull(api, f"after={cursor}"))["next"] == cursor
        queue(api)
        [event] = (await pull(api, f"after={cursor}"))["data"]
        assert event["type"] == "email.queued"

    async def test_filters(self, api: Api) -> None:
        first, _ = queue(api, 2)
        settle(api, "bounced")
        bounces = await pull(api, "types=email.bounced,email.failed")
        assert [one["type"] for one in bounces["data"]] == ["email.bounced"] * 2
        of_one = await pull(api, f"email_id={first}")
        assert [one["type"] for one in of_one["data"]] == ["email.queued", "email.bounced"]
        [bounce] = (await pull(api, f"email_id={first}&types=email.bounced"))["data"]
        part = await pull(api, f"email_id={first}&limit=1")
        assert part["has_more"] is True
        assert (await pull(api, f"email_id={first}&after={part['next']}"))["data"] == [bounce]

    async def test_empty_page_moves_the_cursor_on(self, api: Api) -> None:
        assert (await pull(api))["next"] == "ev_" + "0" * 26
        queue(api, 2)
        nothing = await pull(api, "types=email.bounced")
        assert nothing["data"] == []
        assert (await pull(api, f"after={nothing['next']}"))["data"] == []

    async def test_latest(self, api: Api) -> None:
        queue(api)
        begin = await pull(api, "after=latest")
        assert begin["data"] == []
        queue(api)
        assert len((await pull(api, f"after={begin['next']}"))["data"]) == 1

    async def test_cursor_of_a_pruned_event_is_good(self, api: Api) -> None:
        queue(api, 2)
        first = (await pull(api, "limit=1"))["next"]
        api.database.write_now(lambda db: db.execute("DELETE FROM events WHERE seq = 1"))
        assert len((await pull(api, f"after={first}"))["data"]) == 1

    async def test_events_without_an_email(self, api: Api) -> None:
        row = (events.NO_ROW, events.NO_ROW, 1, "domain_verified", 0, '{"name":"example.com"}')
        api.database.write_now(lambda db: events.append(db, [row]))
        [event] = (await pull(api))["data"]
        assert (event["type"], event["data"]) == ("domain.verified", {"name": "example.com"})

    async def test_tenants_see_their_own(self, api: Api) -> None:
        other = api.client_with(api.new_key(tenant_id=2))
        [mine] = queue(api)
        queue(api, 2, tenant_id=2)
        assert len((await pull(api))["data"]) == 1
        assert len((await other.get("/v1/events")).json["data"]) == 2
        assert (await other.get(f"/v1/events?email_id={mine}")).status == 404

    async def test_scope(self, api: Api) -> None:
        key = api.new_key(access=Access(scopes=("emails:read",)))
        assert (await api.client_with(key).get("/v1/events")).status == 403

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=1001",
            "limit=x",
            "wait=61",
            "wait=-1",
            "after=em_1",
            "after=5",
            "types=email.seen",
            "color=red",
        ],
    )
    async def test_bad_queries(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/events?{query}")).status == 422


class ObservedNews(JournalNews):
    """Lets a test wait until requests listen: begun is released by each."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Semaphore(0)

    @contextmanager
    def listening(self, tenant_id: int) -> Iterator[asyncio.Event | None]:
        with super().listening(tenant_id) as heard:
            self.begun.release()
            yield heard


@dataclass
class Waiting:
    """An application whose requests for events can be seen to wait."""

    api: Api
    news: ObservedNews

    def __post_init__(self) -> None:
        services = replace(self.api.services, journal_news=self.news)
        self.client = Client(build_app(services), self.api.client.headers)

    async def pull(self) -> list[Any]:
        reply = await self.client.get("/v1/events?wait=60")
        return list(reply.json["data"])

    async def begin(self) -> asyncio.Task[list[Any]]:
        """Begin a request, and return once it listens."""
        task = asyncio.create_task(self.pull())
        async with asyncio.timeout(10):
            await self.news.begun.acquire()
        return task


@pytest.fixture
def waiting(api: Api) -> Waiting:
    return Waiting(api, ObservedNews())


class TestWaiting:
    async def test_word_of_an_event_ends_the_wait(self, waiting: Waiting) -> None:
        task = await waiting.begin()
        queue(waiting.api)
        waiting.news.tell([2])
        waiting.news.tell([1])
        async with asyncio.timeout(10):
            assert len(await task) == 1

    async def test_sender_passes_the_word_on(self, waiting: Waiting) -> None:
        api = waiting.api
        sender = WebhookSender(
            api.database, api.http, now=api.clock, rng=random.Random(1), concurrency=1
        )
        sender.journal_news = waiting.news
        sending = asyncio.create_task(sender.run())
        task = await waiting.begin()
        queue(api)
        sender.kick()
        async with asyncio.timeout(10):
            assert len(await task) == 1
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    async def test_what_is_there_is_not_waited_for(self, waiting: Waiting) -> None:
        queue(waiting.api)
        async with asyncio.timeout(10):
            assert len(await waiting.pull()) == 1

    async def test_time_is_up(self, api: Api) -> None:
        assert (await pull(api, "wait=1"))["data"] == []

    async def test_server_that_ends_answers(self, waiting: Waiting) -> None:
        task = await waiting.begin()
        waiting.news.close()
        async with asyncio.timeout(10):
            assert await task == []
            assert await waiting.pull() == []

    async def test_too_many_do_not_wait(self, waiting: Waiting) -> None:
        tasks = [await waiting.begin() for _ in range(MAX_LISTENERS)]
        async with asyncio.timeout(10):
            assert await waiting.pull() == []
        waiting.news.close()
        await asyncio.gather(*tasks)


def test_only_whom_it_concerns_is_woken() -> None:
    news = JournalNews()
    with news.listening(1) as one, news.listening(2) as two:
        assert one is not None
        assert two is not None
        news.tell([2, 3])
        assert (one.is_set(), two.is_set()) == (False, True)
