"""The webhook endpoints of the API: what may be registered, and what is told of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from control_api.webhooks import MAX_WEBHOOKS
from mta.core.ids import new_id
from tests.control_api.conftest import Api

URL = "http://127.0.0.1:8080/hook"
HOOK: dict[str, Any] = {"url": URL}


async def test_secret_is_told_once(api: Api) -> None:
    created = await api.client.post("/v1/webhooks", HOOK | {"description": "Orders"})
    assert created.status == 200
    webhook = created.json
    secret = webhook.pop("secret")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert webhook == {
        "object": "webhook",
        "id": webhook["id"],
        "url": URL,
        "events": ["*"],
        "description": "Orders",
        "status": "enabled",
        "created_at": "2026-03-01T12:00:00.000Z",
        "disabled_at": None,
    }
    assert webhook["id"].startswith("wh_")
    assert (await api.client.get(f"/v1/webhooks/{webhook['id']}")).json == webhook
    listed = (await api.client.get("/v1/webhooks")).json
    assert listed == {"object": "list", "data": [webhook], "has_more": False}
    assert api.kicks == 1


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (None, ["*"]),
        ([], ["*"]),
        (["*"], ["*"]),
        (["email.delivered", "*"], ["*"]),
        (["email.delivered"], ["email.delivered"]),
        (["email.bounced", "email.failed", "email.bounced"], ["email.bounced", "email.failed"]),
    ],
)
async def test_events(api: Api, events: Any, expected: list[str]) -> None:
    reply = await api.client.post("/v1/webhooks", HOOK | {"events": events})
    assert reply.status == 200
    assert sorted(reply.json["events"]) == expected


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "url", "required"),
        ({"url": ""}, "url", "required"),
        ({"url": 1}, "url", "invalid_type"),
        ({"url": "ftp://example.com"}, "url", "invalid_url"),
        ({"url": "https://10.0.0.1/"}, "url", "invalid_url"),
        ({"url": "https://user:pw@127.0.0.1:8080/"}, "url", "invalid_url"),
        ({"url": "https://example.com/\n"}, "url", "invalid_text"),
        ({"url": f"https://example.com/{'x' * 2048}"}, "url", "too_long"),
        (HOOK | {"events": "email.delivered"}, "events", "invalid_type"),
        (HOOK | {"events": ["email.opened"]}, "events[0]", "invalid_value"),
        (HOOK | {"events": [{}]}, "events[0]", "invalid_value"),
        (HOOK | {"description": 1}, "description", "invalid_type"),
        (HOOK | {"secret": "whsec_x"}, "secret", "unknown_field"),
        ([], "", "invalid_type"),
    ],
)
async def test_bad_bodies(api: Api, body: Any, field: str, code: str) -> None:
    reply = await api.client.post("/v1/webhooks", body)
    assert reply.status == 422
    assert [(error["field"], error["code"]) for error in reply.json["errors"]] == [(field, code)]
    assert api.count("webhooks") == 0


async def test_tenants_have_a_bound(api: Api) -> None:
    for _ in range(MAX_WEBHOOKS):
        assert (await api.client.post("/v1/webhooks", HOOK)).status == 200
    reply = await api.client.post("/v1/webhooks", HOOK)
    assert (reply.status, reply.json["code"]) == (422, "too_many_webhooks")
    other = api.client_with(api.new_key(tenant_id=2))
    assert (await other.post("/v1/webhooks", HOOK)).status == 200


async def test_delete_may_be_repeated(api: Api) -> None:
    webhook_id = (await api.client.post("/v1/webhooks", HOOK)).json["id"]
    for _ in range(2):
        reply = await api.client.delete(f"/v1/webhooks/{webhook_id}")
        assert reply.status == 200
        assert reply.json == {"object": "webhook", "id": webhook_id, "deleted": True}
    assert (await api.client.get(f"/v1/webhooks/{webhook_id}")).status == 404
    assert api.kicks == 2


async def test_other_tenants_see_nothing(api: Api) -> None:
    webhook_id = (await api.client.post("/v1/webhooks", HOOK)).json["id"]
    other = api.client_with(api.new_key(tenant_id=2))
    assert (await other.get(f"/v1/webhooks/{webhook_id}")).status == 404
    assert (await other.get("/v1/webhooks")).json["data"] == []
    await other.delete(f"/v1/webhooks/{webhook_id}")
    assert (await api.client.get(f"/v1/webhooks/{webhook_id}")).status == 200


async def test_unknown_id(api: Api) -> None:
    assert (await api.client.get(f"/v1/webhooks/{new_id('wh', 0, bytes(10))}")).status == 404
