"""What the API tells of events at an endpoint, and replays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_api.webhook_events import MAX_REPLAY, MAX_WAITING
from control_api.webhook_lane import Lane
from control_api.webhook_plan import RETRY_AFTER
from mta.core.ids import new_id
from storage import events, webhook_retries, webhooks
from tests.control_api.conftest import Api
from tests.control_api.test_webhook_lane import Rig, tools
from tests.support.asgi import Reply
from tests.support.http_receiver import HttpReceiver, status


class Events(Rig):
    """A rig whose endpoint is asked about through the API."""

    @property
    def target(self) -> str:
        return f"/v1/webhooks/{self.record.id}"

    async def get(self, path: str = "/events") -> Any:
        reply = await self.api.client.get(f"{self.target}{path}")
        assert reply.status == 200
        return reply.json

    async def post(self, path: str, body: Any = None) -> Reply:
        return await self.api.client.post(f"{self.target}{path}", body)

    async def statuses(self, query: str = "") -> list[str]:
        return [one["status"] for one in (await self.get(f"/events{query}"))["data"]]

    async def event_id(self, index: int) -> str:
        """Return an event's id; 0 is the newest."""
        return str((await self.get())["data"][index]["id"])

    async def give_up(self) -> None:
        """Let all that waits fail to the end."""
        self.receiver.answer = status(500, body=b"sorry\n")
        due = await self.lane.step()
        while due is not None:
            self.clock.now = due
            due = await self.lane.step()


@pytest.fixture
async def rig(api: Api) -> AsyncIterator[Events]:
    async with HttpReceiver() as receiver:
        yield Events(api, receiver)


class TestLists:
    async def test_newest_first_with_what_became_of_it(self, rig: Events) -> None:
        [email_id] = rig.queue()
        await rig.lane.step()
        rig.queue()
        listed = await rig.get()
        assert listed["has_more"] is False
        pending, delivered = listed["data"]
        assert (pending["status"], pending["attempts"]) == ("pending", 0)
        assert pending["last_attempt"] is None
        last = delivered.pop("last_attempt")
        assert delivered == {
            "object": "webhook_event",
            "id": delivered["id"],
            "type": "email.queued",
            "created_at": "2026-03-01T12:00:00.000Z",
            "email_id": email_id,
            "recipient": "ant@example.net",
            "status": "delivered",
            "attempts": 1,
            "next_attempt_at": None,
        }
        assert last["latency_ms"] >= 0
        assert last | {"latency_ms": 0} == {
            "object": "webhook_attempt",
            "at": "2026-03-01T12:00:00.000Z",
            "result": "delivered",
            "status": 200,
            "latency_ms": 0,
            "error": None,
            "reply": "ok",
        }

    async def test_pages_and_filters(self, rig: Events) -> None:
        rig.queue(5)
        rig.refuse(2)
        await rig.lane.step()
        first = await rig.get("/events?limit=2")
        assert first["has_more"] is True
        rest = await rig.get(f"/events?after={first['data'][-1]['id']}")
        assert len(rest["data"]) == 3
        back = await rig.get(f"/events?limit=2&before={rest['data'][0]['id']}")
        assert back["data"] == first["data"]
        assert await rig.statuses("?status=retrying") == ["retrying"]
        assert await rig.statuses("?status=failed") == []
        assert await rig.statuses("?status=pending") == []

    @pytest.mark.parametrize("query", ["status=delivered", "limit=0", "after=x", "color=red"])
    async def test_bad_queries(self, rig: Events, query: str) -> None:
        reply = await rig.api.client.get(f"{rig.target}/events?{query}")
        assert reply.status == 422

    async def test_one_with_its_body(self, rig: Events) -> None:
        [email_id] = rig.queue()
        event_id = await rig.event_id(0)
        shown = await rig.get(f"/events/{event_id}")
        assert shown["id"] == event_id
        assert shown["body"]["type"] == "email.queued"
        assert shown["body"]["data"]["email_id"] == email_id

    async def test_attempts(self, rig: Events) -> None:
        rig.queue()
        await rig.give_up()
        attempts = await rig.get(f"/events/{await rig.event_id(0)}/attempts")
        assert attempts["has_more"] is False
        results = [one["result"] for one in attempts["data"]]
        assert results == ["given_up"] + ["failed"] * len(RETRY_AFTER)
        assert {one["reply"] for one in attempts["data"]} == {r"sorry\n"}
        times = [one["at"] for one in attempts["data"]]
        assert times == sorted(times, reverse=True)

    async def test_others_events_are_not_there(self, rig: Events) -> None:
        rig.api.new_key(tenant_id=2)
        rig.queue()
        rig.queue(tenant_id=2)
        assert await rig.statuses() == ["pending"]
        mine = await rig.event_id(0)
        theirs = mine[:-1] + "2"
        wrong_time = new_id("ev", 0, (1).to_bytes(10, "big"))
        for event_id in (theirs, wrong_time, "ev_1", f"em_{mine[3:]}"):
            for path in ("", "/attempts"):
                reply = await rig.api.client.get(f"{rig.target}/events/{event_id}{path}")
                assert reply.status == 404
            assert (await rig.post(f"/events/{event_id}/replay")).status == 404


class TestReplays:
    async def test_one(self, rig: Events) -> None:
        rig.queue()
        await rig.give_up()
        assert await rig.statuses() == ["failed"]
        rig.receiver.answer = status(200)
        rig.receiver.received.clear()
        kicks = rig.api.kicks
        reply = await rig.post(f"/events/{await rig.event_id(0)}/replay")
        assert (reply.status, reply.json["status"]) == (200, "retrying")
        assert rig.api.kicks == kicks + 1
        await rig.lane.step()
        assert rig.seqs() == [1]
        assert await rig.statuses() == ["delivered"]

    async def test_what_failed_in_a_time(self, rig: Events) -> None:
        for _ in range(3):
            rig.queue(2)
            rig.clock.advance(days=30)
        await rig.give_up()
        assert await rig.statuses("?status=failed") == ["failed"] * 6
        wish = {"since": "2026-03-15T00:00:00Z", "until": "2026-04-15T00:00:00Z"}
        reply = await rig.post("/replay", wish)
        assert reply.json == {
            "object": "webhook_replay",
            "webhook_id": rig.record.id,
            "events": 2,
            "has_more": False,
            "next": None,
        }
        rig.receiver.answer = status(200)
        await rig.lane.step()
        assert await rig.statuses("?status=failed") == ["failed"] * 4

    async def test_all_of_a_time_is_replayed_in_parts(self, rig: Events) -> None:
        rig.queue()
        rows = [(1, 1, 1, "deferred", 0, "{}")] * MAX_REPLAY
        rig.database.write_now(lambda db: events.append(db, rows))
        rig.database.write_now(lambda db: webhooks.advance(db, rig.record.id, MAX_REPLAY + 1))
        first = (await rig.post("/replay", {"status": "all"})).json
        assert (first["events"], first["has_more"]) == (MAX_REPLAY, True)
        rest = (await rig.post("/replay", {"status": "all", "after": first["next"]})).json
        assert (rest["events"], rest["next"]) == (1, None)
        assert len(rig.retries()) == MAX_REPLAY + 1

    async def test_disabled_endpoint_is_not_replayed_to(self, rig: Events) -> None:
        rig.queue()
        event_id = await rig.event_id(0)
        rig.database.write_now(
            lambda db: webhooks.disable(db, rig.record.id, rig.clock.now, "gone")
        )
        for path in ("/replay", f"/events/{event_id}/replay"):
            reply = await rig.post(path, {})
            assert (reply.status, reply.json["code"]) == (409, "webhook_disabled")

    async def test_too_many_waiting(self, rig: Events) -> None:
        rows = [(rig.record.id, seq, None, 1, 9**13) for seq in range(MAX_WAITING)]
        rig.database.write_now(
            lambda db: db.executemany("INSERT INTO webhook_retries VALUES (?, ?, ?, ?, ?)", rows)
        )
        reply = await rig.post("/replay", {})
        assert (reply.status, reply.json["code"]) == (409, "too_many_waiting")

    @pytest.mark.parametrize(
        "body",
        [
            {"status": "delivered"},
            {"since": "yesterday"},
            {"until": 7},
            {"after": "em_1"},
            {"limit": 1},
            [],
        ],
    )
    async def test_bad_wishes(self, rig: Events, body: Any) -> None:
        assert (await rig.post("/replay", body)).status == 422

    async def test_replays_survive_a_restart(self, rig: Events) -> None:
        rig.queue()
        await rig.lane.step()
        await rig.post("/replay", {"status": "all"})
        lane = Lane(rig.record, tools(rig.api))
        await lane.step()
        assert rig.seqs() == [1, 1]
        left = rig.database.read_now(lambda db: webhook_retries.count(db, rig.record.id))
        assert left == 0
