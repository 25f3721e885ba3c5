"""The webhook endpoints of the API: what may be registered, and what is told of it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from control_api.webhooks import MAX_WEBHOOKS
from mta.core.ids import new_id
from storage import webhooks
from storage.webhooks import Health
from tests.control_api.conftest import EMAIL, NOW, Api
from tests.support.asgi import Client, Reply

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
        "format": "native",
        "description": "Orders",
        "status": "enabled",
        "created_at": "2026-03-01T12:00:00.000Z",
        "disabled_at": None,
        "disabled_reason": None,
        "failing_since": None,
        "paused_until": None,
        "old_secret_until": None,
        "dropped_events": 0,
        "lag": {"events": 0, "retrying": 0, "oldest_at": None, "seconds": 0},
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
        (HOOK | {"events": ["email.seen"]}, "events[0]", "invalid_value"),
        (HOOK | {"events": [{}]}, "events[0]", "invalid_value"),
        (HOOK | {"description": 1}, "description", "invalid_type"),
        (HOOK | {"secret": "whsec_x"}, "secret", "unknown_field"),
        (HOOK | {"format": "postmark"}, "format", "invalid_value"),
        (HOOK | {"enabled": 1}, "enabled", "invalid_type"),
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


async def patch(client: Client, webhook_id: str, body: Any) -> Reply:
    target = f"/v1/webhooks/{webhook_id}"
    return await client.request("PATCH", target, body=json.dumps(body).encode())


class TestChanging:
    async def test_what_is_left_out_stays(self, api: Api) -> None:
        wish = HOOK | {"events": ["email.bounced"], "description": "Orders"}
        created = (await api.client.post("/v1/webhooks", wish)).json
        del created["secret"]
        for change in ({}, {"url": None, "events": None}, {"format": "native"}):
            changed = await patch(api.client, created["id"], change)
            assert (changed.status, changed.json) == (200, created)
        for field, value in (
            ("url", "http://127.0.0.1:8081/"),
            ("events", ["*"]),
            ("events", ["email.delivered"]),
            ("description", ""),
        ):
            created[field] = value
            assert (await patch(api.client, created["id"], {field: value})).json == created
        assert (await api.client.get(f"/v1/webhooks/{created['id']}")).json == created

    async def test_sender_is_told(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        await patch(api.client, created["id"], {"description": "x"})
        assert api.kicks == 2

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"url": ""}, "url", "required"),
            ({"url": "https://10.0.0.1/"}, "url", "invalid_url"),
            ({"events": ["email.seen"]}, "events[0]", "invalid_value"),
            ({"format": "resend"}, "format", "invalid_value"),
            ({"format": ""}, "format", "invalid_value"),
            ({"enabled": "no"}, "enabled", "invalid_type"),
            ({"secret": "whsec_x"}, "secret", "unknown_field"),
            ([], "", "invalid_type"),
        ],
    )
    async def test_bad_changes(self, api: Api, body: Any, field: str, code: str) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        reply = await patch(api.client, created["id"], body)
        assert reply.status == 422
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [(field, code)]

    async def test_disabling_and_enabling(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK | {"enabled": False})).json
        assert (created["status"], created["disabled_reason"]) == ("disabled", "requested")
        assert created["lag"] is None
        enabled = (await patch(api.client, created["id"], {"enabled": True})).json
        assert (enabled["status"], enabled["disabled_reason"]) == ("enabled", None)
        disabled = (await patch(api.client, created["id"], {"enabled": False})).json
        assert disabled["disabled_at"] == "2026-03-01T12:00:00.000Z"
        events = {"events": ["email.delivered"]}
        assert (await patch(api.client, created["id"], events)).json["status"] == "disabled"

    async def test_health_is_shown(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        health = Health(NOW, NOW, NOW + timedelta(minutes=1))
        api.database.write_now(lambda db: webhooks.note_health(db, created["id"], health))
        shown = (await api.client.get(f"/v1/webhooks/{created['id']}")).json
        assert shown["failing_since"] == "2026-03-01T12:00:00.000Z"
        assert shown["paused_until"] == "2026-03-01T12:01:00.000Z"
        api.clock.advance(minutes=1)
        shown = (await api.client.get(f"/v1/webhooks/{created['id']}")).json
        assert shown["paused_until"] is None

    async def test_k07_lag_is_shown(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        await api.client.post("/v1/emails", EMAIL | {"to": ["a@example.net", "b@example.net"]})
        api.clock.advance(seconds=90)
        shown = (await api.client.get("/v1/webhooks")).json["data"][0]
        assert shown["lag"] == {
            "events": 2,
            "retrying": 0,
            "oldest_at": "2026-03-01T12:00:00.000Z",
            "seconds": 90,
        }
        assert created["lag"]["events"] == 0


class TestRotating:
    async def test_new_secret_is_told_once(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        target = f"/v1/webhooks/{created['id']}"
        rotated = (await api.client.post(f"{target}/rotate-secret")).json
        assert rotated["secret"] not in ("", created["secret"])
        assert rotated["old_secret_until"] == "2026-03-02T12:00:00.000Z"
        assert "secret" not in (await api.client.get(target)).json
        api.clock.advance(days=1)
        assert (await api.client.get(target)).json["old_secret_until"] is None

    async def test_without_grace_the_old_secret_ends_now(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        target = f"/v1/webhooks/{created['id']}/rotate-secret"
        rotated = (await api.client.post(target, {"grace_seconds": 0})).json
        assert rotated["old_secret_until"] is None

    async def test_repeated_request_rotates_once(self, api: Api) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        target = f"/v1/webhooks/{created['id']}/rotate-secret"
        answers = [await api.client.post(target, {}, Idempotency_Key="k") for _ in range(2)]
        assert answers[0].json == answers[1].json

    @pytest.mark.parametrize("value", [-1, 604_801, "1", True, 1.5])
    async def test_bad_grace(self, api: Api, value: Any) -> None:
        created = (await api.client.post("/v1/webhooks", HOOK)).json
        target = f"/v1/webhooks/{created['id']}/rotate-secret"
        assert (await api.client.post(target, {"grace_seconds": value})).status == 422


async def test_others_cannot_touch_it(api: Api) -> None:
    webhook_id = (await api.client.post("/v1/webhooks", HOOK)).json["id"]
    other = api.client_with(api.new_key(tenant_id=2))
    assert (await patch(other, webhook_id, {"enabled": False})).status == 404
    for action in ("rotate-secret", "test", "replay"):
        assert (await other.post(f"/v1/webhooks/{webhook_id}/{action}", {})).status == 404
    assert (await other.get(f"/v1/webhooks/{webhook_id}/events")).status == 404
    assert (await api.client.get(f"/v1/webhooks/{webhook_id}")).json["status"] == "enabled"
