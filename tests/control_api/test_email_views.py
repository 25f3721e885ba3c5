"""Emails read back: single ones, and pages of them."""

from __future__ import annotations

from typing import Any

import pytest

from mta.core.ids import new_id
from tests.control_api.conftest import EMAIL, Api


class TestReading:
    async def test_unknown_ids_are_404(self, api: Api) -> None:
        unknown = new_id("em", 0, bytes(10))
        for target in (f"/v1/emails/{unknown}", "/v1/emails/x", "/v1/emails/%F0%9F%91%8B"):
            assert (await api.client.get(target)).status == 404
        for rest in ("events", "deliveries", "content", "raw"):
            assert (await api.client.get(f"/v1/emails/{unknown}/{rest}")).status == 404, rest
        for rest in ("cancel", "retry"):
            assert (await api.client.post(f"/v1/emails/{unknown}/{rest}")).status == 404, rest

    async def test_other_tenants_see_nothing(self, api: Api) -> None:
        email_id = (await api.client.post("/v1/emails", EMAIL)).json["id"]
        other = api.client_with(api.new_key(tenant_id=2))
        assert (await other.get(f"/v1/emails/{email_id}")).status == 404
        for rest in ("events", "deliveries", "content", "raw"):
            assert (await other.get(f"/v1/emails/{email_id}/{rest}")).status == 404, rest
        for rest in ("cancel", "retry"):
            assert (await other.post(f"/v1/emails/{email_id}/{rest}")).status == 404, rest
        body = b'{"send_at": "in 1 hour"}'
        assert (await other.request("PATCH", f"/v1/emails/{email_id}", body=body)).status == 404
        assert (await other.get("/v1/emails")).json["data"] == []
        assert (await other.get(f"/v1/emails?after={email_id}")).json["data"] == []
        assert (await api.client.get(f"/v1/emails/{email_id}")).json["status"] == "queued"

    async def test_addressees(self, api: Api) -> None:
        fields = {"cc": "Elk <elk@x.example>", "bcc": ["z@x.example"], "reply_to": "r@x.example"}
        sent = await api.client.post("/v1/emails", EMAIL | fields)
        full = (await api.client.get(f"/v1/emails/{sent.json['id']}")).json
        assert full["cc"] == ["Elk <elk@x.example>"]
        assert (full["bcc"], full["reply_to"]) == (["z@x.example"], ["r@x.example"])
        assert full["counts"] == {"waiting": 3}
        assert full["has_content"] is True

    async def test_events_are_told(self, api: Api) -> None:
        email_id = (await api.client.post("/v1/emails", EMAIL)).json["id"]
        [event] = (await api.client.get(f"/v1/emails/{email_id}")).json["events"]
        assert event.pop("id").startswith("ev_")
        assert event.pop("recipient_id").startswith("dl_")
        assert event == {
            "object": "event",
            "type": "email.queued",
            "kind": "queued",
            "at": "2026-03-01T12:00:00.000Z",
            "recipient": "bee@example.net",
            "data": {},
        }


class TestListing:
    async def send(self, api: Api, count: int, **fields: Any) -> list[str]:
        """Send emails, one a second; return their ids, the newest first."""
        found = []
        for number in range(count):
            api.clock.advance(seconds=1)
            reply = await api.client.post("/v1/emails", EMAIL | {"subject": str(number)} | fields)
            found.append(reply.json["id"])
        return found[::-1]

    async def page(self, api: Api, query: str) -> tuple[list[str], bool]:
        reply = await api.client.get(f"/v1/emails?{query}")
        assert reply.status == 200, reply.json
        assert reply.json["object"] == "list"
        return [one["id"] for one in reply.json["data"]], reply.json["has_more"]

    async def test_forth_and_back(self, api: Api) -> None:
        ids = await self.send(api, 5)
        assert await self.page(api, "") == (ids, False)
        assert await self.page(api, "limit=2") == (ids[:2], True)
        assert await self.page(api, f"limit=2&after={ids[1]}") == (ids[2:4], True)
        assert await self.page(api, f"limit=2&after={ids[3]}") == (ids[4:], False)
        assert await self.page(api, f"limit=2&before={ids[4]}") == (ids[2:4], True)
        assert await self.page(api, f"limit=2&before={ids[2]}") == (ids[:2], False)
        assert await self.page(api, f"before={ids[0]}") == ([], False)

    async def test_pages_do_not_shift_when_mail_arrives(self, api: Api) -> None:
        ids = await self.send(api, 3)
        await self.page(api, "limit=2")
        await self.send(api, 2)
        assert await self.page(api, f"limit=2&after={ids[1]}") == (ids[2:], False)

    async def test_filters(self, api: Api) -> None:
        [tagged] = await self.send(api, 1, tags={"kind": "invoice"})
        [other] = await self.send(api, 1, to="elk@Bücher.example", tags={"kind": "news"})
        [later] = await self.send(api, 1, **{"from": "x@other.example", "send_at": "in 1 hour"})
        for query, expected in {
            "tag=kind": [other, tagged],
            "tag=kind&tag_value=invoice": [tagged],
            "to=elk@b%C3%BCcher.example": [other],
            "domain=B%C3%BCcher.example": [other],
            "from=x@other.example": [later],
            "status=scheduled": [later],
            "status=bounced": [],
            "since=2026-03-01T12:00:02Z": [later, other],
            "until=2026-03-01T12:00:02Z": [tagged],
            "since=2026-03-01T12:00:02Z&status=queued": [other],
            "q=OTHER.example": [later],
            "q=nothing": [],
            "to=bee@example.net&tag=kind&status=queued": [tagged],
            "campaign_id=cmp_1": [],
        }.items():
            assert (await self.page(api, query))[0] == expected, query

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=-1", "limit"),
            ("limit=1e2", "limit"),
            ("limit=99999999999999999999", "limit"),
            ("limit=%EF%BC%91", "limit"),  # a fullwidth digit
            ("after=x", "after"),
            ("after=em_1", "after"),
            ("after=em_' OR 1=1 --", "after"),
            ("before=%00", "before"),
            ("after=em_00000000000000000000000000&before=em_00000000000000000000000000", "before"),
            ("since=yesterday", "since"),
            ("until=2026-01-01", "until"),
            ("to=x", "to"),
            ("from=a@b@c", "from"),
            ("domain=..", "domain"),
            ("per_page=2", "per_page"),
            ("status=sent", "status"),
            ("include=everything", "include"),
        ],
    )
    async def test_j09_bad_queries(self, api: Api, query: str, field: str) -> None:
        reply = await api.client.get(f"/v1/emails?{query}")
        assert reply.status == 422
        assert [error["field"] for error in reply.json["errors"]] == [field]

    async def test_items_are_summaries(self, api: Api) -> None:
        [email_id] = await self.send(api, 1)
        [item] = (await api.client.get("/v1/emails")).json["data"]
        full = (await api.client.get(f"/v1/emails/{email_id}")).json
        assert item == {
            name: value
            for name, value in full.items()
            if name not in {"recipients", "events", "counts", "has_content"}
        }

    async def test_a_page_names_the_next(self, api: Api) -> None:
        ids = await self.send(api, 3)
        first = (await api.client.get("/v1/emails?limit=2")).json
        assert (first["has_more"], first["next"]) == (True, ids[1])
        last = (await api.client.get(f"/v1/emails?limit=2&after={first['next']}")).json
        assert (last["has_more"], last["next"]) == (False, None)

    async def test_total_on_demand(self, api: Api) -> None:
        await self.send(api, 3)
        listed = (await api.client.get("/v1/emails?limit=1&include=total&to=bee@example.net")).json
        assert (listed["total"], listed["total_is_exact"]) == (3, True)
        assert "total" not in (await api.client.get("/v1/emails")).json
        none = (await api.client.get("/v1/emails?include=total&campaign_id=cmp_1")).json
        assert (none["data"], none["total"]) == ([], 0)
