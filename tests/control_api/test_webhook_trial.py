"""Test posts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from control_api.event_types import TYPES
from storage import webhooks
from tests.control_api.conftest import Api
from tests.control_api.test_webhook_lane import SECRET, add_webhook
from tests.support.http_receiver import HttpReceiver, status


async def try_it(api: Api, url: str, body: Any = None, *, enabled: bool = True) -> Any:
    record = add_webhook(api, url)
    if not enabled:
        api.database.write_now(lambda db: webhooks.disable(db, record.id, api.clock.now, "gone"))
    reply = await api.client.post(f"/v1/webhooks/{record.id}/test", body)
    assert reply.status == 200
    return reply.json


@pytest.mark.parametrize("enabled", [True, False])
async def test_answer_is_told(api: Api, enabled: bool) -> None:
    api.clock.now = datetime.now(UTC)
    async with HttpReceiver() as receiver:
        told = await try_it(api, receiver.url, enabled=enabled)
        [request] = receiver.received
    assert told | {"event_id": "", "latency_ms": 0} == {
        "object": "webhook_test",
        "event_id": "",
        "type": "email.delivered",
        "result": "delivered",
        "status": 200,
        "latency_ms": 0,
        "error": None,
        "reply": "ok",
    }
    assert request.headers["webhook-id"] == told["event_id"]
    assert Webhook(SECRET).verify(request.body, request.headers)["type"] == "email.delivered"
    assert api.count("events") == api.count("webhook_attempts") == 0


@pytest.mark.parametrize("name", sorted({one.kind.webhook_type for one in TYPES}))
async def test_any_type(api: Api, name: str) -> None:
    async with HttpReceiver() as receiver:
        await try_it(api, receiver.url, {"type": name})
    assert json.loads(receiver.received[0].body)["type"] == name


async def test_failures_are_told(api: Api) -> None:
    async with HttpReceiver() as receiver:
        receiver.answer = status(500, body=b"no\n")
        told = await try_it(api, receiver.url)
    assert (told["result"], told["status"], told["reply"]) == ("failed", 500, r"no\n")
    told = await try_it(api, receiver.url)
    assert (told["result"], told["status"], told["reply"]) == ("failed", None, None)
    assert "cannot connect" in told["error"]


@pytest.mark.parametrize("body", [{"type": "email.seen"}, {"url": "http://x/"}, []])
async def test_bad_wishes(api: Api, body: Any) -> None:
    record = add_webhook(api, "http://127.0.0.1:9/")
    assert (await api.client.post(f"/v1/webhooks/{record.id}/test", body)).status == 422
