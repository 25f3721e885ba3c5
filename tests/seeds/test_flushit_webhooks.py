"""FlushIt's webhooks, row by row; posts that really arrive are in test_flushit_mail.py."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from control_api.dialects.flushit_webhooks import FORMAT, NATIVE_NAMES, told_name
from control_api.event_types import TYPES, example
from control_api.webhook_message import format_secret
from mta.core.event import EventKind
from tests.control_api.conftest import Api
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

URL = "https://127.0.0.1:8443/webhook"
EVENTS = ["delivery.sent", "delivery.bounced", "campaign.completed"]
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVENT_ID = "ev_01KJMQ0R000000000000000007"


@pytest.fixture
def flushit(api: Api) -> Service:
    return Service(api, "", {"X-API-Key": api.key})


@row("F-15", "F-16", "F-17", "F-23")
async def test_webhooks(flushit: Service) -> None:
    made = await flushit.ok("POST", "/api/webhooks", {"url": URL, "events": EVENTS})
    shown = {"url": URL, "events": EVENTS, "active": True}
    assert_shape(made, {"webhook": {"id": str, **shown}, "secret": str})
    assert made["secret"].startswith("whsec_")
    listed = await flushit.ok("GET", "/api/webhooks")
    assert_shape(listed, {"webhooks": [{"id": made["webhook"]["id"], **shown, "createdAt": str}]})
    assert "secret" not in listed["webhooks"][0]
    native = await flushit.native_ok("GET", f"/v1/webhooks/{made['webhook']['id']}")
    assert native["format"] == "flushit"
    assert native["events"] == ["email.delivered", "email.bounced", "campaign.completed"]
    path = f"/api/webhooks/{made['webhook']['id']}"
    assert await flushit.ok("DELETE", path) == {"success": True}
    assert await flushit.ok("GET", "/api/webhooks") == {"webhooks": []}


@row("F-15")
async def test_an_endpoint_that_is_disabled_is_not_active(flushit: Service) -> None:
    wish = {"url": URL, "events": ["*"], "enabled": False}
    await flushit.native_ok("POST", "/v1/webhooks", wish)
    [one] = (await flushit.ok("GET", "/api/webhooks"))["webhooks"]
    assert (one["active"], one["events"]) == (False, ["*"])


@row("F-16", "F-21")
@pytest.mark.parametrize(
    "wish",
    [
        {"events": EVENTS},
        {"url": "ftp://127.0.0.1/"},
        {"url": URL, "events": ["email.delivered"]},
        {"url": URL, "events": [7]},
        {"url": URL, "events": "delivery.sent"},
    ],
)
async def test_webhooks_that_cannot_be(flushit: Service, wish: dict[str, Any]) -> None:
    reply = await flushit.call("POST", "/api/webhooks", wish)
    assert reply.status == 400
    assert_shape(reply.json, {"error": {"code": str, "message": str, "status": 400}})


@row("F-23")
def test_every_event_has_one_name_here() -> None:
    assert set(NATIVE_NAMES.values()) == {kind.webhook_type for kind in EventKind}
    assert set(EVENTS) <= NATIVE_NAMES.keys()
    assert told_name("email.delivered") == "delivery.sent"


@row("F-23")
@pytest.mark.parametrize("event_type", TYPES, ids=lambda one: one.kind.value)
def test_bodies(event_type: Any) -> None:
    event = example(event_type, EVENT_ID, AT)
    body = json.loads(FORMAT.body_of(event))
    name = told_name(event_type.kind.webhook_type)
    told = {"id": EVENT_ID, "event": name, "createdAt": "2026-03-01T12:00:00.000Z", "data": dict}
    assert_shape(body, told)
    if event_type.is_mail:
        assert_shape(body["data"], {"emailId": event.email_id, "email": "ant@example.net"})
    if name.startswith("campaign."):
        assert body["data"]["jobId"].startswith("cmp_")


@row("F-24")
def test_signatures() -> None:
    body, secret = b'{"event":"delivery.sent"}', format_secret(b"0123456789abcdef" * 2)
    old = format_secret(b"fedcba9876543210" * 2)
    headers = FORMAT.headers_of(EVENT_ID, datetime.now(UTC), body, [secret, old])
    for known in (secret, old):
        Webhook(known).verify(body, headers)
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Webhook-Signature"] == expected
