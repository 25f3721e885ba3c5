"""The queue over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mta.core.access import ADMIN, Access
from mta.core.disposition import Why
from mta.core.explain import Constraint
from storage import engine_state, queue, tenancy
from storage.queue import ClaimRequest
from storage.tenancy import TenantRecord
from tests.control_api.conftest import EMAIL, NOW, Api
from tests.support.asgi import Client

ADMIN_KEY = Access(scopes=(ADMIN,))


def admin(api: Api) -> Client:
    return api.client_with(api.new_key(access=ADMIN_KEY))


async def send(client: Client, *to: str, **fields: Any) -> str:
    reply = await client.post("/v1/emails", EMAIL | {"to": list(to)} | fields)
    assert reply.status == 200, reply.json
    return str(reply.json["id"])


async def change(api: Api, what: str, client: Client | None = None, **wish: Any) -> Any:
    reply = await (client or api.client).post(f"/v1/queue/{what}", wish)
    assert reply.status == 200, reply.json
    return reply.json["count"]


class TestShowing:
    async def test_depths_and_what_holds_them(self, api: Api) -> None:
        await send(api.client, "a@one.test", "b@two.test", "c@two.test")
        api.clock.advance(minutes=1)
        await send(api.client, "d@one.test", send_at="in 1 hour")
        await change(api, "hold", domain="two.test")
        until = api.clock.now + timedelta(minutes=10)
        api.database.write_now(
            lambda db: engine_state.suspend(db, "one.test", until, Why.DNS, "no answer")
        )
        shown = (await api.client.get("/v1/queue")).json
        held_back = {
            "name": "one.test",
            "by": "engine",
            "until": "2026-03-01T12:11:00.000Z",
            "detail": "no answer",
        }
        assert shown == {
            "object": "queue",
            "waiting": 2,
            "claimed": 0,
            "held": 2,
            "oldest_at": "2026-03-01T12:00:00.000Z",
            "domains": [
                {
                    "domain": "one.test",
                    "waiting": 2,
                    "claimed": 0,
                    "held": 0,
                    "oldest_at": "2026-03-01T12:00:00.000Z",
                    "next_due_at": "2026-03-01T12:00:00.000Z",
                    "suspension": held_back,
                },
                {
                    "domain": "two.test",
                    "waiting": 0,
                    "claimed": 0,
                    "held": 2,
                    "oldest_at": "2026-03-01T12:00:00.000Z",
                    "next_due_at": None,
                    "suspension": None,
                },
            ],
            "has_more": False,
            "suspensions": [held_back],
        }
        narrow = (await api.client.get("/v1/queue?domain=TWO.test")).json
        assert [one["domain"] for one in narrow["domains"]] == ["two.test"]
        short = (await api.client.get("/v1/queue?limit=1")).json
        assert (len(short["domains"]), short["has_more"]) == (1, True)

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "domain=a..b", "x=1", "tenant=1"])
    async def test_wrong_queries(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/queue?{query}")).status == 422

    async def test_each_sees_its_own_and_an_admin_all(self, api: Api) -> None:
        other = api.client_with(api.new_key(tenant_id=2))
        await send(api.client, "a@one.test")
        await send(other, "b@two.test")
        seen = (await other.get("/v1/queue")).json
        assert [one["domain"] for one in seen["domains"]] == ["two.test"]
        everything = (await admin(api).get("/v1/queue")).json
        assert everything["waiting"] == 2
        second = api.database.read_now(lambda db: tenancy.get(db, 2))
        assert isinstance(second, TenantRecord)
        of_one = (await admin(api).get(f"/v1/queue?tenant={second.id}")).json
        assert [one["domain"] for one in of_one["domains"]] == ["two.test"]
        assert (await admin(api).get("/v1/queue?tenant=x")).status == 422


class TestChanging:
    async def test_what_the_command_line_can(self, api: Api) -> None:
        email_id = await send(api.client, "a@one.test", "b@two.test", tags={"campaign": "x"})
        await send(api.client, "c@one.test", send_at="in 1 hour")
        assert await change(api, "hold", ids=[email_id]) == 2
        assert await change(api, "release", tag="campaign", tag_value="x", domain="one.test") == 1
        assert await change(api, "retry", all=True) == 1
        assert await change(api, "flush", domain="one.test") == 0
        assert await change(api, "cancel", tag="campaign", tag_value="x") == 2
        assert (await api.client.get("/v1/queue")).json["waiting"] == 1
        assert api.kicks == 7

    async def test_others_mail_is_out_of_reach(self, api: Api) -> None:
        email_id = await send(api.client, "a@one.test")
        other = api.client_with(api.new_key(tenant_id=2))
        assert await change(api, "cancel", other, ids=[email_id]) == 0
        assert await change(api, "hold", other, all=True) == 0
        assert await change(api, "hold", admin(api), all=True) == 1
        assert (await other.post("/v1/queue/hold", {"all": True, "tenant": "x"})).status == 422

    @pytest.mark.parametrize(
        "wish",
        [
            {},
            {"ids": []},
            {"ids": ["em_1"], "all": True},
            {"domain": "a.test", "all": True},
            {"ids": [1]},
            {"all": "yes"},
            {"domain": "a..b"},
            {"tag_value": "x"},
            {"ids": ["x"] * 1001},
            {"all": True, "x": 1},
        ],
    )
    async def test_a_selection_is_needed_and_only_one(self, api: Api, wish: Any) -> None:
        await send(api.client, "a@one.test")
        assert (await api.client.post("/v1/queue/cancel", wish)).status == 422
        assert (await api.client.get("/v1/queue")).json["waiting"] == 1

    async def test_a_key_makes_a_repeat_harmless(self, api: Api) -> None:
        await send(api.client, "a@one.test")
        wish = {"all": True}
        first = await api.client.post("/v1/queue/hold", wish, idempotency_key="k")
        await change(api, "release", all=True)
        again = await api.client.post("/v1/queue/hold", wish, idempotency_key="k")
        assert again.json == first.json
        assert (await api.client.get("/v1/queue")).json["held"] == 0


class TestSuspending:
    async def test_nothing_is_claimed_until_it_is_resumed(self, api: Api) -> None:
        operator = admin(api)
        await send(api.client, "a@one.test")
        reply = await operator.post(
            "/v1/queue/suspend",
            {"domain": "ONE.test", "until": "2026-03-01T14:00:00Z", "reason": "moving"},
        )
        assert reply.json == {
            "object": "suspension",
            "name": "one.test",
            "by": "operator",
            "until": "2026-03-01T14:00:00.000Z",
            "detail": "moving",
        }

        def claimed() -> int:
            requests = [ClaimRequest("one.test", 9)]
            claim = api.database.write_now(
                lambda db: queue.claim(db, requests, now=NOW, owner="me")
            )
            return len(claim.messages)

        assert claimed() == 0
        [domain] = (await api.client.get("/v1/queue")).json["domains"]
        assert domain["suspension"]["detail"] == "moving"
        wish = {"domain": "one.test"}
        assert (await operator.post("/v1/queue/resume", wish)).json["resumed"]
        assert not (await operator.post("/v1/queue/resume", wish)).json["resumed"]
        assert claimed() == 1

    async def test_it_takes_an_admin(self, api: Api) -> None:
        wish = {"domain": "one.test", "until": "2026-03-01T14:00:00Z"}
        assert (await api.client.post("/v1/queue/suspend", wish)).status == 403
        assert (await api.client.post("/v1/queue/resume", wish)).status == 403

    @pytest.mark.parametrize(
        "wish",
        [
            {},
            {"domain": "one.test"},
            {"domain": "one.test", "until": "2020-01-01T00:00:00Z"},
            {"domain": "one.test", "until": "later"},
            {"until": "2027-01-01T00:00:00Z"},
            {"domain": "a..b", "until": "2027-01-01T00:00:00Z"},
        ],
    )
    async def test_wrong_wishes(self, api: Api, wish: Any) -> None:
        assert (await admin(api).post("/v1/queue/suspend", wish)).status == 422


class TestExplaining:
    async def test_each_recipient_that_waits_says_for_what(self, api: Api) -> None:
        email_id = await send(api.client, "a@one.test", "b@two.test", send_at="in 1 hour")
        await change(api, "hold", domain="two.test")
        email = (await api.client.get(f"/v1/emails/{email_id}")).json
        first, second = (one["explain"] for one in email["recipients"])
        assert (
            first
            == {
                "constraint": Constraint.SCHEDULE.value,
                "sentence": "it was not to be sent before this time, as its sender asked",
                "until": "2026-03-01T13:00:00.000Z",
            }
            or first["constraint"] == "schedule"
        )
        assert (second["constraint"], second["until"]) == ("hold", None)
        await change(api, "cancel", all=True)
        email = (await api.client.get(f"/v1/emails/{email_id}")).json
        assert [one["explain"] for one in email["recipients"]] == [None, None]


async def test_a_site_can_be_named(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL)
    api.database.write_now(
        lambda db: db.execute("UPDATE entries SET host = 'mx1.example.net', due_at = due_at + 1")
    )
    other = await api.client.post("/v1/queue/hold", {"site": "mx9.example.net"})
    held = await api.client.post("/v1/queue/hold", {"site": "MX1.example.net,mx2.example.net"})
    assert (other.json["count"], held.json["count"]) == (0, 1)


async def test_a_suspended_site_is_left_alone_until_it_is_resumed(api: Api) -> None:
    operator = admin(api)
    await api.client.post("/v1/emails", EMAIL)
    until = api.clock.now + timedelta(hours=1)
    wish = {"site": "mx1.example.net", "until": until.isoformat()}
    suspended = await operator.post("/v1/queue/suspend", wish)
    assert suspended.status == 200, suspended.json

    def claimed(site: str) -> int:
        request = [queue.ClaimRequest("example.net", 10, site)]
        return len(
            api.database.write_now(
                lambda db: queue.claim(db, request, now=api.clock.now, owner="test")
            ).messages
        )

    assert claimed("mx1.example.net,mx2.example.net") == 0
    assert (await operator.post("/v1/queue/resume", {"site": "mx1.example.net"})).json["resumed"]
    assert claimed("mx1.example.net,mx2.example.net") == 1


@pytest.mark.parametrize(
    "wish", [{}, {"domain": "a.example", "site": "mx.a.example"}, {"site": "a b"}]
)
async def test_domain_or_site(api: Api, wish: dict[str, str]) -> None:
    operator = admin(api)
    answer = await operator.post("/v1/queue/suspend", wish | {"until": "2040-01-01T00:00:00Z"})
    assert answer.status == 422
