"""One endpoint's way through the journal: real sockets, a clock that tests move."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from control_api import webhook_lane
from control_api.webhook_formats import WebhookFormat
from control_api.webhook_lane import WINDOW, Lane, Tools
from control_api.webhook_message import SECRET_SIZE, format_secret
from control_api.webhook_plan import FAILURES_TO_PAUSE, FIRST_PAUSE, RETRY_AFTER
from mta.core import ids
from mta.core.event import EventKind
from storage import events, webhook_attempts, webhook_history, webhook_retries, webhooks
from storage.database import Connection
from storage.webhook_attempts import Result, WebhookAttempt
from storage.webhook_outbox import MAX_ROWS
from storage.webhook_retries import Retry
from storage.webhooks import WebhookRecord
from tests.control_api.conftest import Api
from tests.storage import builders
from tests.support.http_receiver import HttpReceiver, Received, hang, raw, status

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Rig:
    """An endpoint, its lane and the journal."""

    def __init__(self, api: Api, receiver: HttpReceiver) -> None:
        self.api = api
        self.clock = api.clock
        self.database = api.database
        self.receiver = receiver
        self.record = add_webhook(api, receiver.url)
        self.lane = self.new_lane()

    def new_lane(self) -> Lane:
        """Start over from what is stored, as after a restart."""
        return Lane(stored(self.api, self.record.id), tools(self.api))

    def queue(self, count: int = 1, **fields: Any) -> list[str]:
        """Put emails into the queue; return their ids."""
        return queue(self.api, count, **fields)

    def seqs(self) -> list[int]:
        """Return the numbers of the events that were received."""
        return [number_of(request) for request in self.receiver.received]

    def retries(self) -> list[Retry]:
        return self.database.read_now(
            lambda db: webhook_retries.oldest(db, self.record.id, limit=100_000)
        )

    def settle(self, result: str = "delivered") -> None:
        """Let one attempt at all that waits end so."""
        self.database.write_now(
            lambda db: builders.settle_all(db, builders.claim(db, at=self.clock.now), result)
        )

    def attempts(self, seq: int) -> list[WebhookAttempt]:
        return self.database.read_now(
            lambda db: webhook_attempts.of_event(db, self.record.id, seq, limit=100)
        )

    def refuse(self, *seqs: int) -> None:
        """Answer 422 to these events from now on, 200 to the others."""
        ok, bad = status(200), status(422)

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            await (bad if number_of(request) in seqs else ok)(request, writer)

        self.receiver.answer = answer

    @property
    def cursor(self) -> int:
        return stored(self.api, self.record.id).cursor


def add_webhook(
    api: Api, url: str, *, tenant_id: int = 1, kinds: tuple[EventKind, ...] | None = None
) -> WebhookRecord:
    return api.database.write_now(
        lambda db: webhooks.create(
            db,
            tenant_id=tenant_id,
            webhook_id=api.services.new_id("wh"),
            url=url,
            kinds=kinds,
            secret=SECRET,
            description="",
            now=api.clock.now,
        )
    )


def stored(api: Api, webhook_id: str) -> WebhookRecord:
    found = api.database.read_now(lambda db: webhooks.get(db, webhook_id))
    assert found is not None
    return found


def queue(api: Api, count: int = 1, **fields: Any) -> list[str]:
    return api.database.write_now(
        lambda db: [builders.accept(db, at=api.clock.now, **fields).public_id for _ in range(count)]
    )


def tools(api: Api, concurrency: int = 10) -> Tools:
    return Tools(api.database, api.http, api.clock, random.Random(1), concurrency)


def number_of(request: Received) -> int:
    """Return the seq in an event's id."""
    found = ids.number_of(request.headers["webhook-id"], "ev")
    assert found is not None
    return found


def data_of(request: Received) -> dict[str, Any]:
    body = json.loads(request.body)
    return dict(body["data"])


@pytest.fixture
async def rig(api: Api) -> AsyncIterator[Rig]:
    async with HttpReceiver() as receiver:
        yield Rig(api, receiver)


class TestPosting:
    async def test_an_event_that_we_fail_at_is_a_post_that_failed(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object) -> WebhookFormat:
            monkeypatch.undo()
            raise LookupError("nobody expected this")

        monkeypatch.setattr(webhook_lane, "format_named", fail)
        rig.queue(3)
        await rig.lane.step()
        assert sorted(rig.seqs()) == [2, 3]
        [attempt] = rig.attempts(1)
        assert (attempt.result, attempt.error) == (Result.FAILED, webhook_lane.OUR_FAULT)
        assert "nobody expected this" in caplog.text
        rig.clock.now += 2 * RETRY_AFTER[0]
        await rig.lane.step()
        assert sorted(rig.seqs()) == [1, 2, 3]

    async def test_event_arrives_signed(self, rig: Rig) -> None:
        rig.clock.now = datetime.now(UTC)
        [email_id] = rig.queue(tags=(("kind", "invoice"),), metadata={"order": 7})
        assert await rig.lane.step() is None
        [request] = rig.receiver.received
        body = Webhook(SECRET).verify(request.body, request.headers)
        assert body["type"] == "email.queued"
        assert body["data"]["email_id"] == email_id
        assert body["data"]["tags"] == {"kind": "invoice"}
        assert body["data"]["metadata"] == {"order": 7}
        assert rig.cursor == 1

    async def test_new_endpoints_begin_at_the_end_of_the_journal(self, rig: Rig) -> None:
        rig.queue(3)
        late = Lane(add_webhook(rig.api, rig.receiver.url), tools(rig.api))
        await late.step()
        assert rig.receiver.received == []

    async def test_details_of_an_attempt_are_told(self, rig: Rig) -> None:
        rig.queue()

        def settle(db: Any) -> None:
            builders.settle_all(db, builders.claim(db, at=rig.clock.now), "bounced")

        rig.database.write_now(settle)
        await rig.lane.step()
        queued, bounced = rig.receiver.received
        assert json.loads(bounced.body)["type"] == "email.bounced"
        details = data_of(bounced)["details"]
        assert (details["code"], details["enhanced"]) == (550, "5.1.1")
        assert data_of(queued)["email_id"] == data_of(bounced)["email_id"]

    async def test_only_chosen_kinds_and_own_tenant(self, rig: Rig) -> None:
        rig.api.new_key(tenant_id=2)
        record = add_webhook(rig.api, rig.receiver.url, kinds=(EventKind.CANCELED,))
        rig.queue(2)
        rig.queue(2, tenant_id=2)
        lane = Lane(record, tools(rig.api))
        assert await lane.step() is None
        assert rig.receiver.received == []
        await rig.lane.step()
        assert rig.seqs() == [1, 2]

    async def test_more_than_a_window(self, rig: Rig) -> None:
        rig.queue(2 * WINDOW + 5)
        await rig.lane.step()
        assert sorted(rig.seqs()) == list(range(1, 2 * WINDOW + 6))
        assert rig.cursor == 2 * WINDOW + 5

    async def test_events_of_one_email_come_in_order(self, rig: Rig) -> None:
        for _ in range(5):
            rig.queue()
            rig.database.write_now(
                lambda db: builders.settle_all(db, builders.claim(db, at=rig.clock.now))
            )
        await rig.lane.step()
        seen: dict[str, list[int]] = {}
        for request in rig.receiver.received:
            seen.setdefault(data_of(request)["email_id"], []).append(number_of(request))
        assert len(seen) == 5
        assert all(numbers == sorted(numbers) for numbers in seen.values())

    async def test_as_many_at_once_as_allowed(self, rig: Rig) -> None:
        under_way = most = 0
        ok = status(200)

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            await ok(request, writer)

        rig.receiver.answer = answer
        rig.queue(20)
        await Lane(rig.record, tools(rig.api, concurrency=3)).step()
        assert most == 3


class TestFailures:
    async def test_retried_on_schedule_until_it_succeeds(self, rig: Rig) -> None:
        rig.receiver.answer = status(500)
        rig.queue()
        for attempts, wait in enumerate(RETRY_AFTER[:4], start=1):
            due = await rig.lane.step()
            assert due is not None
            assert wait <= due - rig.clock.now <= wait * 1.1
            assert len(rig.receiver.received) == attempts
            [retry] = rig.retries()
            assert (retry.attempts, retry.message_row) == (attempts, 1)
            rig.clock.now = due - timedelta(milliseconds=1)
            await rig.lane.step()
            assert len(rig.receiver.received) == attempts
            rig.clock.now = due
        rig.receiver.answer = status(200)
        assert await rig.lane.step() is None
        assert rig.retries() == []
        seen = {request.headers["webhook-id"] for request in rig.receiver.received}
        assert len(seen) == 1
        stamps = [request.headers["webhook-timestamp"] for request in rig.receiver.received]
        assert len(set(stamps)) == 5

    async def test_given_up_after_the_last(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig.receiver.answer = status(500)
        rig.queue()
        due = await rig.lane.step()
        while due is not None:
            rig.clock.now = due
            due = await rig.lane.step()
        assert len(rig.receiver.received) == len(RETRY_AFTER) + 1
        assert rig.retries() == []
        assert "gave up" in caplog.text

    async def test_one_bad_event_does_not_hold_up_the_others(self, rig: Rig) -> None:
        ok, bad = status(200), status(422)

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            await (bad if number_of(request) == 3 else ok)(request, writer)

        rig.receiver.answer = answer
        rig.queue(6)
        await rig.lane.step()
        assert sorted(rig.seqs()) == [1, 2, 3, 4, 5, 6]
        assert rig.cursor == 6
        assert [retry.event_seq for retry in rig.retries()] == [3]

    async def test_k04_410_disables(self, rig: Rig) -> None:
        rig.receiver.answer = status(410)
        rig.queue(3)
        await rig.lane.step()
        assert rig.lane.is_over
        assert stored(rig.api, rig.record.id).disabled_at == rig.clock.now

    async def test_k07_dead_endpoint_costs_few_rows(self, rig: Rig) -> None:
        rig.receiver.answer = status(503)
        rig.queue(500)
        due = await rig.lane.step()
        assert due == rig.clock.now + FIRST_PAUSE
        for _ in range(20):
            assert due is not None
            rig.clock.now = due
            due = await rig.lane.step()
        assert len(rig.receiver.received) < 40
        assert len(rig.retries()) < 40

    async def test_k06_back_again_everything_arrives(self, rig: Rig) -> None:
        rig.receiver.answer = status(503)
        rig.queue(150)
        due = await rig.lane.step()
        for _ in range(5):
            assert due is not None
            rig.clock.now = due
            due = await rig.lane.step()
        rig.receiver.answer = status(200)
        rig.receiver.received.clear()
        while due is not None:
            rig.clock.now = due
            due = await rig.lane.step()
        assert set(rig.seqs()) == set(range(1, 151))
        assert rig.cursor == 150
        assert rig.retries() == []

    async def test_paused_endpoint_is_left_alone_when_kicked(self, rig: Rig) -> None:
        rig.receiver.answer = status(503)
        rig.queue(FAILURES_TO_PAUSE)
        until = await rig.lane.step()
        count = len(rig.receiver.received)
        rig.queue(5)
        assert await rig.lane.step() == until
        assert len(rig.receiver.received) == count

    async def test_lost_event_does_not_hide_news_from_a_probe(self, rig: Rig) -> None:
        rig.receiver.answer = status(503)
        rig.queue(FAILURES_TO_PAUSE)
        until = await rig.lane.step()
        assert until is not None
        rig.database.write_now(lambda db: db.execute("DELETE FROM events"))
        rig.receiver.answer = status(200)
        rig.receiver.received.clear()
        rig.queue(2)
        rig.clock.now = until
        assert await rig.lane.step() is None
        assert rig.seqs() == [FAILURES_TO_PAUSE + 1, FAILURES_TO_PAUSE + 2]

    async def test_event_that_retention_removed_is_not_retried(self, rig: Rig) -> None:
        rig.receiver.answer = status(500)
        rig.queue()
        due = await rig.lane.step()
        assert due is not None
        rig.database.write_now(lambda db: db.execute("DELETE FROM events"))
        rig.clock.now = due
        assert await rig.lane.step() is None
        assert rig.retries() == []
        assert len(rig.receiver.received) == 1


class TestOrder:
    async def test_failing_event_holds_back_its_own_email_only(self, rig: Rig) -> None:
        rig.queue(2)
        rig.settle()
        rig.refuse(1)
        due = await rig.lane.step()
        assert sorted(rig.seqs()) == [1, 2, 4]  # 3 is of the same email as 1
        assert rig.cursor == 4
        rig.receiver.answer = status(200)
        assert due is not None
        rig.clock.now = due
        assert await rig.lane.step() is None
        assert rig.seqs()[3:] == [1, 3]
        assert rig.retries() == []

    async def test_what_happens_later_waits_too(self, rig: Rig) -> None:
        rig.queue(2)
        rig.refuse(1)
        due = await rig.lane.step()
        rig.settle()
        assert await rig.lane.step() == due
        assert sorted(rig.seqs()) == [1, 2, 4]
        assert rig.cursor == 4

    async def test_after_giving_up_the_next_of_the_email_comes(self, rig: Rig) -> None:
        rig.queue()
        rig.settle()
        rig.refuse(1)
        due = await rig.lane.step()
        while due is not None:
            rig.clock.now = due
            due = await rig.lane.step()
        assert rig.seqs() == [1] * (len(RETRY_AFTER) + 1) + [2]

    async def test_hanging_event_holds_up_no_other_email(self, rig: Rig) -> None:
        ok = status(200)

        async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
            await (hang if number_of(request) == 1 else ok)(request, writer)

        rig.receiver.answer = answer
        rig.queue(WINDOW)
        step = asyncio.create_task(rig.lane.step())
        await rig.receiver.wait_for(WINDOW)
        rig.queue(50)
        rig.lane.wake()
        await rig.receiver.wait_for(WINDOW + 50)
        assert sorted(rig.seqs()) == list(range(1, WINDOW + 51))
        step.cancel()
        with suppress(asyncio.CancelledError):
            await step


class TestHealth:
    async def test_retry_after_is_heeded(self, rig: Rig) -> None:
        rig.receiver.answer = status(429, headers="Retry-After: 600\r\n")
        rig.queue()
        assert await rig.lane.step() == rig.clock.now + timedelta(minutes=10)
        rig.queue(5)
        await rig.lane.step()
        assert len(rig.receiver.received) == 1
        assert stored(rig.api, rig.record.id).health.paused_until is not None

    async def test_five_days_of_failures_disable(self, rig: Rig) -> None:
        rig.receiver.answer = status(503)
        rig.queue(20)
        begin = rig.clock.now
        due = await rig.lane.step()
        while not rig.lane.is_over:
            rig.clock.now = due or rig.clock.now + timedelta(hours=1)
            rig.queue()
            due = await rig.lane.step()
        assert timedelta(days=5) <= rig.clock.now - begin < timedelta(days=5, hours=1)
        record = stored(rig.api, rig.record.id)
        assert (record.disabled_for, record.disabled_at) == ("failing", rig.clock.now)
        assert record.health.failing_since == begin
        assert await rig.lane.step() is None

    async def test_disabling_is_told_to_others(self, rig: Rig) -> None:
        rig.receiver.answer = status(410)
        rig.queue()
        kicks: list[None] = []
        rig.lane = Lane(rig.record, replace(tools(rig.api), kick=lambda: kicks.append(None)))
        await rig.lane.step()
        event = rig.database.read_now(lambda db: events.by_seq(db, 2))
        assert event is not None
        assert event.kind is EventKind.WEBHOOK_DISABLED
        assert (event.data["webhook_id"], event.data["reason"]) == (rig.record.id, "gone")
        assert "127.0.0.1" not in str(event)  # URLs may hold secrets
        assert kicks
        other = HttpReceiver()
        async with other:
            record = add_webhook(rig.api, other.url)
            rig.database.write_now(
                lambda db: db.execute("UPDATE webhooks SET cursor = 1 WHERE id = ?", [record.id])
            )
            await Lane(stored(rig.api, record.id), tools(rig.api)).step()
            [request] = other.received
        body = json.loads(request.body)
        assert body["type"] == "webhook.disabled"
        assert body["data"]["reason"] == "gone"

    async def test_success_ends_the_streak(self, rig: Rig) -> None:
        rig.receiver.answer = status(500)
        rig.queue()
        due = await rig.lane.step()
        assert stored(rig.api, rig.record.id).health.failing_since == rig.clock.now
        assert due is not None
        rig.clock.now, rig.receiver.answer = due, status(200)
        await rig.new_lane().step()
        assert stored(rig.api, rig.record.id).health.failing_since is None

    async def test_streak_survives_a_restart(self, rig: Rig) -> None:
        begin = rig.clock.now
        rig.receiver.answer = status(500)
        rig.queue()
        due = await rig.lane.step()
        assert due is not None
        rig.clock.now = due
        await rig.new_lane().step()
        assert stored(rig.api, rig.record.id).health.failing_since == begin


class TestAttempts:
    async def test_every_post_is_written_down(self, rig: Rig) -> None:
        rig.receiver.answer = status(500, body=b"no\x1b[31m\n" + b"x" * 9000, after=0.05)
        rig.queue()
        due = await rig.lane.step()
        assert due is not None
        rig.clock.now, rig.receiver.answer = due, status(204, body=b"")
        await rig.lane.step()
        second, first = rig.attempts(1)
        assert (first.status, first.result, first.error) == (500, Result.FAILED, "")
        assert first.reply.startswith(r"no\x1b[31m\nxxx")
        assert len(first.reply) < 4200
        assert (second.status, second.result, second.reply) == (204, Result.DELIVERED, "")
        assert second.at == due
        assert timedelta(seconds=0.05) <= first.latency < timedelta(seconds=10)

    async def test_what_did_not_answer_has_an_error(self, rig: Rig) -> None:
        rig.receiver.answer = raw(b"nonsense\r\n\r\n")
        rig.queue()
        await rig.lane.step()
        [attempt] = rig.attempts(1)
        assert attempt.status is None
        assert "not HTTP" in attempt.error

    async def test_the_last_failure_is_marked(self, rig: Rig) -> None:
        rig.queue()
        rig.refuse(1)
        due = await rig.lane.step()
        while due is not None:
            rig.clock.now = due
            due = await rig.lane.step()
        results = [one.result for one in rig.attempts(1)]
        assert results == [Result.GIVEN_UP] + [Result.FAILED] * len(RETRY_AFTER)


class TestBounds:
    async def test_k07_backlog_drops_the_oldest(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig.queue(30)
        rig.lane = Lane(rig.record, replace(tools(rig.api), max_backlog=10))
        await rig.lane.step()
        assert sorted(rig.seqs()) == list(range(21, 31))
        assert rig.cursor == 30
        assert stored(rig.api, rig.record.id).dropped == 20
        assert "20 events dropped" in caplog.text

    async def test_k07_retries_drop_the_oldest(self, rig: Rig) -> None:
        rig.queue()

        def fill(db: Connection) -> None:
            rows = [(rig.record.id, -seq, None, 1, 9**13) for seq in range(MAX_ROWS)]
            db.executemany("INSERT INTO webhook_retries VALUES (?, ?, ?, ?, ?)", rows)

        rig.database.write_now(fill)
        rig.refuse(1)
        await rig.lane.step()
        kept = rig.retries()
        assert len(kept) == MAX_ROWS
        assert kept[-1].event_seq == 1
        assert kept[0].event_seq == 2 - MAX_ROWS
        assert stored(rig.api, rig.record.id).dropped == 1


class TestChanges:
    async def test_both_secrets_sign_while_the_old_one_is_valid(self, rig: Rig) -> None:
        rig.clock.now = datetime.now(UTC)
        until = rig.clock.now + timedelta(hours=1)
        new = format_secret(bytes(SECRET_SIZE))
        rig.lane.update(
            rig.database.write_now(
                lambda db: webhooks.rotate(db, rig.record.id, new, old_until=until)
            )
        )
        rig.queue()
        await rig.lane.step()
        [request] = rig.receiver.received
        for secret in (SECRET, new):
            Webhook(secret).verify(request.body, request.headers)
        rig.clock.now = until
        rig.queue()
        await rig.lane.step()
        assert rig.receiver.received[1].headers["webhook-signature"].count("v1,") == 1

    async def test_another_url_is_not_paused(self, rig: Rig) -> None:
        rig.queue(FAILURES_TO_PAUSE)
        rig.receiver.answer = status(503)
        until = await rig.lane.step()
        assert until == rig.clock.now + FIRST_PAUSE
        rig.receiver.answer = status(200)
        url = rig.receiver.url + "/fixed"
        rig.lane.update(
            rig.database.write_now(lambda db: webhooks.change(db, replace(rig.record, url=url)))
        )
        rig.queue()
        await rig.lane.step()
        assert rig.receiver.received[-1].path == "/hook/fixed"

    async def test_replayed_event_comes_at_once_and_holds_up_nothing(self, rig: Rig) -> None:
        rig.queue()
        rig.settle()
        await rig.lane.step()
        rig.refuse(1)
        record = stored(rig.api, rig.record.id)

        def replay(db: Connection) -> None:
            event = events.by_seq(db, 1)
            assert event is not None
            webhook_history.replay(db, record, event, rig.clock.now)

        rig.database.write_now(replay)
        rig.queue()
        due = await rig.lane.step()
        assert due is not None
        assert sorted(rig.seqs()[2:]) == [1, 3]
        rig.settle()
        assert await rig.lane.step() == due
        assert rig.seqs()[4:] == [4]
        rig.receiver.answer = status(200)
        rig.clock.now = due
        assert await rig.lane.step() is None
        assert rig.seqs()[5:] == [1]
        assert rig.retries() == []

    async def test_replay_brings_a_retry_forward(self, rig: Rig) -> None:
        rig.queue()
        rig.settle()
        rig.refuse(1)
        await rig.lane.step()
        rig.receiver.answer = status(200)
        record = stored(rig.api, rig.record.id)

        def replay(db: Connection) -> None:
            event = events.by_seq(db, 2)
            assert event is not None
            webhook_history.replay(db, record, event, rig.clock.now)

        rig.database.write_now(replay)
        assert await rig.lane.step() is None
        assert rig.seqs() == [1, 1, 2]


class TestRestart:
    async def test_cursor_survives(self, rig: Rig) -> None:
        rig.queue(3)
        await rig.lane.step()
        rig.queue(2)
        await rig.new_lane().step()
        assert sorted(rig.seqs()) == [1, 2, 3, 4, 5]

    async def test_retries_survive(self, rig: Rig) -> None:
        rig.receiver.answer = status(500)
        rig.queue()
        due = await rig.lane.step()
        assert due is not None
        rig.receiver.answer = status(200)
        assert await rig.new_lane().step() == due
        rig.clock.now = due
        await rig.new_lane().step()
        assert rig.seqs() == [1, 1]

    async def test_k06_what_was_under_way_is_posted_again(self, rig: Rig) -> None:
        rig.receiver.answer = hang
        rig.queue(2)
        step = asyncio.create_task(rig.lane.step())
        await rig.receiver.wait_for(2)
        step.cancel()
        with suppress(asyncio.CancelledError):
            await step
        rig.receiver.answer = status(200)
        await rig.new_lane().step()
        assert Counter(rig.seqs()) == {1: 2, 2: 2}
