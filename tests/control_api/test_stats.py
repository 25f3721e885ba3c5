"""Statistics over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from mta.core import ids
from tests.control_api.conftest import EMAIL, Api
from tests.storage import builders

DRAFT = {
    "name": "Spring",
    "from": "a@sender.example",
    "subject": "Spring",
    "text": "Hi",
    "recipients": ["a@one.test"],
}


async def fill(api: Api) -> None:
    """Three accepted by tag, two of them delivered, one bounced; an hour later one deferred."""
    await api.client.post("/v1/emails", EMAIL | {"to": ["a@one.test"], "tags": {"kind": "news"}})
    await api.client.post("/v1/emails", EMAIL | {"to": ["b@one.test", "c@two.test"]})

    def work(connection: Any) -> None:
        at = api.clock.now
        builders.settle_all(connection, builders.claim(connection, "one.test", at=at))
        builders.settle_all(connection, builders.claim(connection, "two.test", at=at), "bounced")

    api.database.write_now(work)


class TestTotals:
    async def test_counts_classes_and_rates(self, api: Api) -> None:
        await fill(api)
        found = (await api.client.get("/v1/stats")).json
        assert found["object"] == "stats"
        assert (found["since"], found["until"]) == (
            "2026-01-30T13:00:00.000Z",
            "2026-03-01T13:00:00.000Z",
        )
        counts = {name: count for name, count in found["counts"].items() if count}
        assert counts == {"accepted": 3, "delivered": 2, "bounced": 1}
        assert found["classes"]["bounced"] == {"bad_mailbox": 1}
        assert found["rates"] == {"delivered": 0.66667, "bounced": 0.33333, "complained": 0.0}

    async def test_nothing_happened(self, api: Api) -> None:
        found = (await api.client.get("/v1/stats")).json
        assert set(found["counts"].values()) == {0}
        assert set(found["rates"].values()) == {None}

    async def test_narrower(self, api: Api) -> None:
        await fill(api)
        for query, expected in {
            "domain=ONE.test": 2,
            "domain=three.test": 0,
            "tag=kind&tag_value=news": 1,
            "until=2026-03-01T12:00:00Z": 0,
            "since=2026-03-01T12:00:00Z&until=2026-03-01T13:00:00Z": 2,
        }.items():
            found = (await api.client.get(f"/v1/stats?{query}")).json
            assert found["counts"]["delivered"] == expected, query

    async def test_others_see_theirs(self, api: Api) -> None:
        await fill(api)
        other = api.client_with(api.new_key(tenant_id=2))
        assert (await other.get("/v1/stats")).json["counts"]["delivered"] == 0

    @pytest.mark.parametrize(
        "query",
        [
            "since=x",
            "since=2026-03-02T00:00:00Z",
            "domain=a..b",
            "tag_value=x",
            "domain=a.test&tag=x",
            "what=1",
        ],
    )
    async def test_wrong_queries(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/stats?{query}")).status == 422


class TestSeries:
    async def series(self, api: Api, query: str) -> Any:
        reply = await api.client.get(f"/v1/stats/timeseries?{query}")
        assert reply.status == 200, reply.json
        return reply.json

    async def test_every_span_has_a_point(self, api: Api) -> None:
        await fill(api)
        api.clock.advance(hours=2)
        found = await self.series(api, "since=2026-03-01T11:30:00Z")
        assert (found["metric"], found["granularity"], found["group_by"]) == (
            "delivered",
            "hour",
            None,
        )
        [one] = found["series"]
        assert (one["group"], one["total"]) == (None, 2)
        assert [(point["at"][11:13], point["value"]) for point in one["points"]] == [
            ("11", 0),
            ("12", 2),
            ("13", 0),
            ("14", 0),
        ]

    async def test_by_the_day(self, api: Api) -> None:
        await fill(api)
        found = await self.series(api, "granularity=day&metric=accepted")
        points = found["series"][0]["points"]
        assert len(points) == 31
        assert points[-1] == {"at": "2026-03-01T00:00:00.000Z", "value": 3}

    async def test_groups(self, api: Api) -> None:
        await fill(api)
        api.clock.advance(minutes=1)
        found = await self.series(api, "metric=accepted&group_by=domain")
        assert [(one["group"], one["total"]) for one in found["series"]] == [
            ("one.test", 2),
            ("two.test", 1),
        ]
        found = await self.series(api, "metric=accepted&group_by=domain&limit=1")
        assert len(found["series"]) == 1
        found = await self.series(api, "metric=bounced&group_by=mx")
        assert [one["group"] for one in found["series"]] == ["mx.example.net"]
        found = await self.series(api, "group_by=tag")
        assert [one["group"] for one in found["series"]] == ["kind=news"]

    @pytest.mark.parametrize(
        "query",
        [
            "metric=x",
            "granularity=week",
            "group_by=tenant",
            "limit=0",
            "limit=51",
            "since=2020-01-01T00:00:00Z",
            "since=0001-01-01T00:00:00Z&granularity=day",
        ],
    )
    async def test_wrong_queries(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/stats/timeseries?{query}")).status == 422

    async def test_odd_times_are_answered(self, api: Api) -> None:
        for query in (
            "until=9999-12-31T23:59:59Z&since=9999-12-31T23:00:00Z",
            "until=0001-01-01T00:30:00Z&since=0001-01-01T00:00:00Z",
            "until=0001-01-02T00:00:00Z",
        ):
            reply = await api.client.get(f"/v1/stats/timeseries?{query}")
            assert reply.status in (200, 422)
            assert (await api.client.get(f"/v1/stats?{query}")).status in (200, 422)


class TestAccount:
    async def test_totals_of_everything(self, api: Api) -> None:
        await fill(api)
        await api.client.post("/v1/emails", EMAIL | {"send_at": "in 2 hours"})
        for name in ("ant", "bee", "elk"):
            await api.client.post("/v1/contacts", {"email": f"{name}@one.test"})
        await api.client.delete("/v1/contacts/elk@one.test")
        draft = {
            "name": "x",
            "from": "a@sender.example",
            "subject": "x",
            "recipients": ["a@b.test"],
        }
        assert (await api.client.post("/v1/campaigns", draft)).status == 200
        account = (await api.client.get("/v1/stats")).json["account"]
        assert account == {
            "contacts": 2,
            "campaigns": {"total": 1, "sending": 0, "completed": 0},
            "emails_this_month": 4,
            "domains": 0,
        }
        other = api.client_with(api.new_key(tenant_id=2))
        theirs = (await other.get("/v1/stats")).json["account"]
        assert (theirs["contacts"], theirs["campaigns"]["total"]) == (0, 0)

    async def test_the_month_begins_anew(self, api: Api) -> None:
        await fill(api)
        api.clock.advance(days=31)
        assert (await api.client.get("/v1/stats")).json["account"]["emails_this_month"] == 0
        month = (await api.client.get("/v1/usage")).json["month"]
        assert (month["since"], month["counts"]["accepted"]) == ("2026-04-01T00:00:00.000Z", 0)


class TestOtherGroups:
    async def test_by_provider(self, api: Api) -> None:
        await fill(api)
        path = "/v1/stats/timeseries?metric=delivered&group_by=provider"
        [series] = (await api.client.get(path)).json["series"]
        assert (series["group"], series["total"]) == ("other", 2)

    async def test_by_campaign(self, api: Api) -> None:
        made = await api.client.post("/v1/campaigns", DRAFT)
        campaign = ids.number_of(made.json["id"], "cmp")

        def mail(connection: Any) -> None:
            at = api.clock.now
            builders.accept(connection, "a@one.test", at=at, campaign=campaign)
            builders.accept(connection, "b@one.test", at=at)
            builders.settle_all(connection, builders.claim(connection, "one.test", at=at))

        api.database.write_now(mail)
        path = "/v1/stats/timeseries?metric=delivered&group_by=campaign"
        [series] = (await api.client.get(path)).json["series"]
        assert series["group"] == made.json["id"]
        assert series["total"] == 1
        for query in (f"campaign_id={series['group']}", "campaign_id=cmp_x"):
            found = (await api.client.get(f"/v1/stats?{query}")).json["counts"]["delivered"]
            assert found == (query != "campaign_id=cmp_x")

    @pytest.mark.parametrize(
        "query",
        [
            "domain=a.test&campaign_id=cmp_1",
            "tag=x&campaign_id=cmp_1",
            "group_by=tag&domain=a.test",
            "group_by=provider&domain=a.test",
            "group_by=provider&tag=x",
            "group_by=domain&campaign_id=cmp_1",
            "group_by=what",
        ],
    )
    async def test_what_is_not_counted_together(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/stats/timeseries?{query}")).status == 422

    @pytest.mark.parametrize("query", ["group_by=mx&domain=a.test", "group_by=tag&tag=x"])
    async def test_what_is(self, api: Api, query: str) -> None:
        assert (await api.client.get(f"/v1/stats/timeseries?{query}")).status == 200
