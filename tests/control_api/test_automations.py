"""Automations over HTTP: made, changed, paused, set off; and all that is wrong with a body."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mta.core.access import Access
from tests.control_api.conftest import Api
from tests.control_api.test_templates import published
from tests.support.asgi import Client

PATH = "/v1/automations"
STOP = {"type": "stop"}
BASE: dict[str, Any] = {"name": "a", "trigger": {"type": "api"}, "steps": [STOP]}
UNKNOWN_TEMPLATE = "tpl_01KJMQ0R000000000000000009"
UNKNOWN_AUDIENCE = "aud_01KJMQ0R000000000000000009"
UNKNOWN = "aut_01KJMQ0R000000000000000009"


def errors(reply: Any) -> list[tuple[str, str]]:
    assert reply.status == 422, reply.json
    return [(one["field"], one["code"]) for one in reply.json["errors"]]


async def make(api: Api, **fields: Any) -> Any:
    reply = await api.client.post(PATH, BASE | fields)
    assert reply.status == 200, reply.json
    return reply.json


async def ask(client: Client, method: str, path: str, body: Any = None) -> Any:
    return await client.request(method, path, body=json.dumps(body).encode() if body else b"")


class TestMaking:
    async def test_made_looked_at_and_deleted(self, api: Api) -> None:
        made = await make(api)
        assert made.pop("webhook_secret").startswith("whsec_")
        assert made | {"id": ""} == {
            "object": "automation",
            "id": "",
            "name": "a",
            "status": "active",
            "trigger": {"type": "api"},
            "conditions": [],
            "steps": [STOP],
            "reentry": "after_end",
            "version": 1,
            "counts": {"runs": 0, "active": 0, "completed": 0, "failed": 0, "canceled": 0},
            "created_at": "2026-03-01T12:00:00.000Z",
            "updated_at": "2026-03-01T12:00:00.000Z",
        }
        path = f"{PATH}/{made['id']}"
        assert (await api.client.get(path)).json == made
        gone = await api.client.delete(path)
        assert gone.json == {"object": "automation", "id": made["id"], "deleted": True}
        assert (await api.client.delete(path)).status == 200
        assert (await api.client.get(path)).status == 404
        assert (await api.client.get(PATH)).json["data"] == []

    async def test_list_is_newest_first_in_pages(self, api: Api) -> None:
        ids = [(await make(api, name=name))["id"] for name in "abc"]
        await api.client.post(f"{PATH}/{ids[0]}/pause")
        first = (await api.client.get(f"{PATH}?limit=2&include=total")).json
        assert [one["id"] for one in first["data"]] == ids[:0:-1]
        assert (first["has_more"], first["total"]) == (True, 3)
        rest = (await api.client.get(f"{PATH}?limit=2&after={ids[1]}")).json
        assert [one["id"] for one in rest["data"]] == ids[:1]
        assert (await api.client.get(f"{PATH}?limit=2&page=2")).json["data"] == rest["data"]
        newer = (await api.client.get(f"{PATH}?limit=2&before={ids[0]}")).json
        assert [one["id"] for one in newer["data"]] == ids[:0:-1]
        paused = (await api.client.get(f"{PATH}?status=paused&include=total")).json
        assert ([one["id"] for one in paused["data"]], paused["total"]) == (ids[:1], 1)

    async def test_the_same_request_twice_makes_one(self, api: Api) -> None:
        made = [await api.client.post(PATH, BASE, Idempotency_Key="one") for _ in range(2)]
        assert made[0].json == made[1].json
        assert len((await api.client.get(PATH)).json["data"]) == 1

    async def test_changes(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}"
        changed = await ask(api.client, "PATCH", path, {"name": "b", "reentry": "always"})
        assert (changed.json["name"], changed.json["version"]) == ("b", 2)
        same = await ask(api.client, "PATCH", path, {"name": "b"})
        assert (same.json["version"], same.json["steps"]) == (2, [STOP])
        wrong = await ask(api.client, "PATCH", path, {"steps": []})
        assert errors(wrong) == [("steps", "required")]
        assert errors(await ask(api.client, "PATCH", path, {"trigger": 7})) == [
            ("trigger", "invalid_type")
        ]

    async def test_pauses_and_resumes(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}"
        for word, status in (("pause", "paused"), ("pause", "paused"), ("resume", "active")):
            assert (await api.client.post(f"{path}/{word}")).json["status"] == status

    async def test_another_secret(self, api: Api) -> None:
        made = await make(api)
        again = (await api.client.post(f"{PATH}/{made['id']}/rotate-secret")).json
        assert again["webhook_secret"] != made["webhook_secret"]

    async def test_others_automations_are_not_there(self, api: Api) -> None:
        made = await make(api)
        await api.client.post("/v1/contacts", {"email": "bee@dest.test"})
        path = f"{PATH}/{made['id']}"
        run = (await api.client.post(f"{path}/execute", {"email": "bee@dest.test"})).json["id"]
        other = api.client_with(api.new_key(2))
        replies = [
            await other.get(path),
            await ask(other, "PATCH", path, {"name": "mine"}),
            await other.post(f"{path}/pause"),
            await other.post(f"{path}/resume"),
            await other.post(f"{path}/rotate-secret"),
            await other.post(f"{path}/execute", {"email": "bee@dest.test"}),
            await other.get(f"{path}/runs"),
            await other.get(f"{path}/runs/{run}"),
            await other.post(f"{path}/runs/{run}/cancel"),
            await other.get("/v1/contacts/bee@dest.test/automation-runs"),
        ]
        assert [one.status for one in replies] == [404] * len(replies)
        assert (await other.get(PATH)).json["data"] == []
        assert (await other.delete(path)).status == 200
        assert (await api.client.get(path)).json["counts"]["active"] == 1

    async def test_scopes(self, api: Api) -> None:
        reader = api.client_with(api.new_key(access=Access(("automations:read",))))
        assert (await reader.get(PATH)).status == 200
        assert (await reader.post(PATH, BASE)).status == 403


LONG = [f"{number:0100}" for number in range(50)]
DEEP: Any = {"tag": "x"}
for _ in range(5):
    DEEP = {"not": DEEP}
BRANCHES: Any = [STOP]
for _ in range(5):
    BRANCHES = [{"type": "branch", "then": BRANCHES}]


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "field", "code"),
        [
            ({"name": None}, "name", "required"),
            ({"name": "x" * 257}, "name", "too_long"),
            ({"name": 7}, "name", "invalid_type"),
            ({"status": "deleted"}, "status", "invalid_value"),
            ({"reentry": "often"}, "reentry", "invalid_value"),
            ({"no": 1}, "no", "unknown_field"),
            ({"steps": None}, "steps", "required"),
            ({"steps": []}, "steps", "required"),
            ({"steps": STOP}, "steps", "invalid_type"),
            ({"steps": [STOP] * 101}, "steps", "too_many"),
            ({"steps": [{"type": "branch", "then": [STOP] * 100}]}, "steps", "too_many"),
            ({"steps": [{"type": "tag", "add": LONG}] * 20}, "steps", "too_long"),
            ({"conditions": {"tag": "x"}}, "conditions", "invalid_type"),
            ({"conditions": [{"tag": "x"}] * 51}, "conditions", "too_many"),
        ],
    )
    async def test_fields(self, api: Api, fields: Any, field: str, code: str) -> None:
        assert (field, code) in errors(await api.client.post(PATH, BASE | fields))
        assert (await api.client.get(PATH)).json["data"] == []

    @pytest.mark.parametrize(
        ("trigger", "field", "code"),
        [
            (None, "trigger.type", "required"),
            ("api", "trigger", "invalid_type"),
            ({"type": "cron"}, "trigger.type", "invalid_value"),
            ({"type": "api", "tag": "x"}, "trigger.tag", "unknown_field"),
            ({"type": "api", "audience_id": "x"}, "trigger.audience_id", "invalid_id"),
            ({"type": "contact.tagged"}, "trigger.tag", "required"),
            ({"type": "contact.tagged", "tag": "x" * 101}, "trigger.tag", "too_long"),
            ({"type": "date"}, "trigger.property", "required"),
            ({"type": "date", "property": "a", "field": "b"}, "trigger.property", "required"),
            ({"type": "date", "property": "$.a"}, "trigger.property", "invalid_value"),
            ({"type": "date", "field": "DUE"}, "trigger.audience_id", "required"),
            (
                {"type": "date", "property": "a", "offset_days": 367},
                "trigger.offset_days",
                "invalid_value",
            ),
            (
                {"type": "date", "property": "a", "offset_days": True},
                "trigger.offset_days",
                "invalid_value",
            ),
            ({"type": "date", "property": "a", "time": "9:00"}, "trigger.time", "invalid_time"),
            ({"type": "date", "property": "a", "time": "24:00"}, "trigger.time", "invalid_time"),
            ({"type": "date", "property": "a", "yearly": 1}, "trigger.yearly", "invalid_type"),
            (
                {"type": "contact.subscribed", "audience_id": UNKNOWN_AUDIENCE},
                "trigger.audience_id",
                "unknown_audience",
            ),
        ],
    )
    async def test_triggers(self, api: Api, trigger: Any, field: str, code: str) -> None:
        reply = await api.client.post(PATH, BASE | {"trigger": trigger})
        assert (field, code) in errors(reply)

    @pytest.mark.parametrize(
        ("condition", "field", "code"),
        [
            ("vip", "", "invalid_type"),
            ({}, "", "invalid_condition"),
            ({"tag": "x", "property": "y", "value": 1}, "", "invalid_condition"),
            ({"tag": ""}, ".tag", "required"),
            ({"tag": 7}, ".tag", "invalid_type"),
            ({"tag": "x", "op": "eq"}, ".op", "unknown_field"),
            ({"property": "x"}, ".value", "required"),
            ({"property": "x", "op": "like", "value": 1}, ".op", "invalid_value"),
            ({"property": "x", "op": "in", "value": 1}, ".value", "invalid_type"),
            ({"property": "x", "op": "exists", "value": 1}, ".value", "unknown_field"),
            ({"property": "x", "value": "y" * 2001}, ".value", "too_long"),
            ({"property": "x" * 101, "value": 1}, ".property", "too_long"),
            ({"contact": "phone", "value": 1}, ".contact", "invalid_value"),
            ({"field": "X", "value": 1, "audience_id": "x"}, ".audience_id", "invalid_id"),
            ({"member": "x"}, ".member", "invalid_id"),
            ({"member": UNKNOWN_AUDIENCE, "status": "x"}, ".status", "invalid_value"),
            ({"engaged": "bought"}, ".engaged", "invalid_value"),
            ({"any": {"tag": "x"}}, ".any", "invalid_type"),
            ({"any": [{"tag": ""}]}, ".any[0].tag", "required"),
            ({"not": []}, ".not", "invalid_type"),
            (DEEP, ".not.not.not.not.not", "too_deep"),
        ],
    )
    async def test_conditions(self, api: Api, condition: Any, field: str, code: str) -> None:
        reply = await api.client.post(PATH, BASE | {"conditions": [condition]})
        assert errors(reply) == [(f"conditions[0]{field}", code)]
        steps = [{"type": "branch", "conditions": [condition], "else": [STOP]}]
        reply = await api.client.post(PATH, BASE | {"steps": steps})
        assert errors(reply) == [(f"steps[0].conditions[0]{field}", code)]

    @pytest.mark.parametrize(
        ("step", "field", "code"),
        [
            ("stop", "", "invalid_type"),
            ({}, ".type", "required"),
            ({"type": "sms"}, ".type", "invalid_value"),
            ({**STOP, "x": 1}, ".x", "unknown_field"),
            ({"type": "wait"}, "", "required"),
            ({"type": "wait", "days": -1}, ".days", "invalid_value"),
            ({"type": "wait", "days": 1.5}, ".days", "invalid_value"),
            ({"type": "wait", "days": 730, "hours": 1}, "", "too_long"),
            ({"type": "wait", "until": "tomorrow"}, ".until", "invalid_time"),
            ({"type": "wait", "until": "2030-01-01T00:00:00Z", "days": 1}, ".until", "conflict"),
            ({"type": "wait", "until": "9999-12-31T23:59:59Z"}, ".until", "too_far"),
            ({"type": "wait", "days": 2**70}, ".days", "invalid_value"),
            ({"type": "wait", "time": "noon"}, ".time", "invalid_time"),
            ({"type": "tag"}, "", "required"),
            ({"type": "tag", "add": "x"}, ".add", "invalid_type"),
            ({"type": "tag", "remove": ["a\nb"]}, ".remove[0]", "invalid_text"),
            ({"type": "webhook"}, ".url", "required"),
            ({"type": "webhook", "url": "ftp://x.example"}, ".url", "invalid_url"),
            ({"type": "webhook", "url": "http://10.0.0.1/"}, ".url", "invalid_url"),
            ({"type": "copy"}, ".to_audience_id", "required"),
            (
                {"type": "copy", "to_audience_id": UNKNOWN_AUDIENCE},
                ".to_audience_id",
                "unknown_audience",
            ),
            ({"type": "move", "to_audience_id": "x"}, ".from_audience_id", "required"),
            (
                {"type": "condition", "conditions": [{"member": UNKNOWN_AUDIENCE}]},
                ".conditions",
                "unknown_audience",
            ),
            ({"type": "branch", "then": [{"type": "tag"}]}, ".then[0]", "required"),
            ({"type": "branch", "else": 1}, ".else", "invalid_type"),
            (
                {"type": "branch", "then": BRANCHES},
                ".then[0].then[0].then[0].then[0].then",
                "too_deep",
            ),
        ],
    )
    async def test_steps(self, api: Api, step: Any, field: str, code: str) -> None:
        reply = await api.client.post(PATH, BASE | {"steps": [STOP, step]})
        assert (f"steps[1]{field}", code) in errors(reply)

    @pytest.mark.parametrize(
        ("fields", "field", "code"),
        [
            ({"template_id": None}, "template_id", "required"),
            ({"template_id": "welcome"}, "template_id", "invalid_id"),
            ({"template_id": UNKNOWN_TEMPLATE}, "template_id", "not_found"),
            ({"from": None}, "from", "required"),
            ({"from": "nobody"}, "from", "invalid_address"),
            ({"from": 7}, "from", "invalid_type"),
            ({"reply_to": "x@"}, "reply_to", "invalid_address"),
            ({"subject": "a\r\nBcc: x"}, "subject", "invalid_text"),
            ({"subject": "x" * 999}, "subject", "too_long"),
            ({"audience_id": UNKNOWN_AUDIENCE}, "audience_id", "unknown_audience"),
            ({"tracking": {"sounds": True}}, "tracking.sounds", "unknown_field"),
            ({"tracking": "all"}, "tracking", "invalid_type"),
            ({"variables": []}, "variables", "invalid_type"),
            ({"marketing": "no"}, "marketing", "invalid_type"),
            ({"marketing": True}, "marketing", "not_configured"),
        ],
    )
    async def test_mails(self, api: Api, fields: Any, field: str, code: str) -> None:
        step = {"type": "send", "template_id": await published(api), "from": "shop@sender.example"}
        reply = await api.client.post(
            PATH, BASE | {"steps": [step | {"marketing": False} | fields]}
        )
        assert (f"steps[0].{field}", code) in errors(reply)

    async def test_a_sender_that_the_key_may_not_use(self, api: Api) -> None:
        access = Access(("automations:*",), domains=("other.example",))
        client = api.client_with(api.new_key(access=access))
        step = {"type": "send", "template_id": await published(api), "marketing": False}
        reply = await client.post(PATH, BASE | {"steps": [step | {"from": "shop@sender.example"}]})
        assert errors(reply) == [("steps[0].from", "forbidden")]

    async def test_marketing_where_there_is_a_page_to_unsubscribe_at(self, api: Api) -> None:
        served = replace(api.settings.api, public_url="https://mail.sender.test")
        api = api.with_settings(api=served)
        step = {"type": "send", "template_id": await published(api), "from": "shop@sender.example"}
        assert (await api.client.post(PATH, BASE | {"steps": [step]})).status == 200

    @pytest.mark.parametrize(
        ("query", "field"),
        [("status=deleted", "status"), ("limit=0", "limit"), ("after=x", "after"), ("x=1", "x")],
    )
    async def test_queries(self, api: Api, query: str, field: str) -> None:
        made = await make(api)
        for path in (PATH, f"{PATH}/{made['id']}/runs"):
            assert field in [name for name, _ in errors(await api.client.get(f"{path}?{query}"))]


class TestExecuting:
    async def contact(self, api: Api, email: str = "bee@dest.test", **more: Any) -> str:
        reply = await api.client.post("/v1/contacts", {"email": email} | more)
        assert reply.status == 200
        return str(reply.json["id"])

    async def test_a_run_begins(self, api: Api) -> None:
        contact_id = await self.contact(api)
        made = await make(api)
        path = f"{PATH}/{made['id']}"
        kicks = api.kicks
        body = {"email": "bee@DEST.test", "data": {"n": 1}}
        run = (await api.client.post(f"{path}/execute", body)).json
        assert api.kicks == kicks + 1
        assert run | {"id": ""} == {
            "object": "automation_run",
            "id": "",
            "automation_id": made["id"],
            "version": 1,
            "contact_id": contact_id,
            "email": "bee@dest.test",
            "audience_id": None,
            "data": {"n": 1},
            "status": "active",
            "reason": None,
            "next_at": "2026-03-01T12:00:00.000Z",
            "created_at": "2026-03-01T12:00:00.000Z",
            "ended_at": None,
        }
        assert (await api.client.get(f"{path}/runs/{run['id']}")).json == run | {"steps": []}
        for where in (
            f"{path}/runs",
            f"{path}/runs?contact_id={contact_id}&status=active",
            f"/v1/contacts/{contact_id}/automation-runs",
            "/v1/contacts/bee@dest.test/automation-runs",
        ):
            assert (await api.client.get(where)).json["data"] == [run]
        for where in ("status=failed", f"contact_id={UNKNOWN}", f"after={run['id']}"):
            assert (await api.client.get(f"{path}/runs?{where}")).json["data"] == []

    async def test_once_at_a_time(self, api: Api) -> None:
        contact_id = await self.contact(api)
        path = f"{PATH}/{(await make(api))['id']}"
        body = {"contact_id": contact_id}
        run = (await api.client.post(f"{path}/execute", body)).json
        again = await api.client.post(f"{path}/execute", body)
        assert (again.status, again.json["code"]) == (409, "already_running")
        canceled = await api.client.post(f"{path}/runs/{run['id']}/cancel")
        assert (canceled.json["status"], canceled.json["next_at"]) == ("canceled", None)
        twice = await api.client.post(f"{path}/runs/{run['id']}/cancel")
        assert (twice.status, twice.json["code"]) == (409, "invalid_state")
        assert (await api.client.post(f"{path}/execute", body)).status == 200

    @pytest.mark.parametrize(
        ("reentry", "code"), [("never", "already_ran"), ("after_end", ""), ("always", "")]
    )
    async def test_again_after_the_end(self, api: Api, reentry: str, code: str) -> None:
        await self.contact(api)
        path = f"{PATH}/{(await make(api, reentry=reentry))['id']}"
        body = {"email": "bee@dest.test"}
        run = (await api.client.post(f"{path}/execute", body)).json
        await api.client.post(f"{path}/runs/{run['id']}/cancel")
        again = await api.client.post(f"{path}/execute", body)
        assert (again.json["code"] if code else again.status) == (code or 200)

    async def test_twice_at_a_time_where_that_is_allowed(self, api: Api) -> None:
        await self.contact(api)
        path = f"{PATH}/{(await make(api, reentry='always'))['id']}"
        body = {"email": "bee@dest.test"}
        assert {(await api.client.post(f"{path}/execute", body)).status for _ in range(3)} == {200}

    async def test_the_same_request_twice_begins_one(self, api: Api) -> None:
        await self.contact(api)
        path = f"{PATH}/{(await make(api, reentry='always'))['id']}"
        body = {"email": "bee@dest.test"}
        runs = [
            await api.client.post(f"{path}/execute", body, Idempotency_Key="k") for _ in range(2)
        ]
        assert runs[0].json["id"] == runs[1].json["id"]

    async def test_conditions_and_pauses(self, api: Api) -> None:
        await self.contact(api)
        conditions = [{"data": "n", "op": "gt", "value": 1}]
        path = f"{PATH}/{(await make(api, conditions=conditions))['id']}"
        body = {"email": "bee@dest.test", "data": {"n": 1}}
        unmet = await api.client.post(f"{path}/execute", body)
        assert (unmet.status, unmet.json["code"]) == (409, "conditions_not_met")
        assert (await api.client.post(f"{path}/execute", body | {"data": {"n": 2}})).status == 200
        await api.client.post(f"{path}/pause")
        paused = await api.client.post(f"{path}/execute", body)
        assert (paused.status, paused.json["code"]) == (409, "invalid_state")

    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ({}, ("email", "required")),
            ({"email": None}, ("email", "required")),
            ({"email": "nobody"}, ("email", "invalid_address")),
            ({"email": 7}, ("email", "invalid_type")),
            ({"email": "elk@dest.test"}, ("contact_id", "not_found")),
            ({"contact_id": "ct_01KJMQ0R000000000000000009"}, ("contact_id", "not_found")),
            ({"contact_id": 7}, ("contact_id", "invalid_type")),
            ({"contact_id": "x" * 65}, ("contact_id", "too_long")),
            ({"contact_id": "x", "email": "bee@dest.test"}, ("email", "conflict")),
            ({"email": "bee@dest.test", "data": []}, ("data", "invalid_type")),
            ({"email": "bee@dest.test", "data": {"a": "x" * 17_000}}, ("data", "too_long")),
            ({"email": "bee@dest.test", "data": {"a": 2**60}}, ("data", "invalid_value")),
            ({"email": "bee@dest.test", "x": 1}, ("x", "unknown_field")),
        ],
    )
    async def test_bad_input(self, api: Api, body: Any, found: tuple[str, str]) -> None:
        await self.contact(api)
        path = f"{PATH}/{(await make(api))['id']}"
        assert errors(await api.client.post(f"{path}/execute", body)) == [found]
        assert (await api.client.get(f"{path}/runs")).json["data"] == []

    async def test_what_there_is_not(self, api: Api) -> None:
        await self.contact(api)
        body = {"email": "bee@dest.test"}
        made = [await make(api) for _ in range(2)]
        run = (await api.client.post(f"{PATH}/{made[0]['id']}/execute", body)).json["id"]
        replies = [
            await api.client.post(f"{PATH}/{UNKNOWN}/execute", body),
            await api.client.get(f"{PATH}/{made[1]['id']}/runs/{run}"),
            await api.client.post(f"{PATH}/{made[1]['id']}/runs/{run}/cancel"),
            await api.client.get(f"{PATH}/{UNKNOWN}/runs/{run}"),
            await api.client.get(f"/v1/contacts/{UNKNOWN}/automation-runs"),
        ]
        assert [one.status for one in replies] == [404] * len(replies)

    async def test_with_a_test_key_mail_goes_to_the_sandbox(self, api: Api) -> None:
        client = api.client_with(api.new_key(access=Access(is_test=True)))
        assert (await client.post(PATH, BASE)).status == 200
        row = api.database.read_now(
            lambda db: db.execute("SELECT is_test FROM automations").fetchone()
        )
        assert row == (1,)
