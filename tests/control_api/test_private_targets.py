"""Every door that takes a URL to post to refuses those inside the network. (K01)"""

from __future__ import annotations

from typing import Any

import pytest

from tests.control_api.conftest import Api
from tests.seeds.services import Service

INSIDE = [
    "http://10.0.0.1/",
    "http://[::1]/",
    "http://169.254.169.254/latest/meta-data",
    "http://0.0.0.0/",
    "http://167772161/",  # 10.0.0.1
    "http://0x0a000001/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://100.64.0.1/",
    "http://192.168.0.1.:80/",
    "https://user@example.com/",
    "file:///etc/passwd",
    "http://example.com:25/",
]
GOOD = "http://127.0.0.1:8443/hook"
"""Allowed to this API."""


def step(url: str) -> dict[str, Any]:
    return {"type": "webhook", "url": url}


def branch(url: str) -> dict[str, Any]:
    return {"type": "branch", "then": [{"type": "stop"}], "else": [step(url)]}


def automation(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Welcome", "trigger": {"type": "api"}, "steps": list(steps)}


DOORS: dict[str, Any] = {
    "webhooks": ("/v1/webhooks", lambda url: {"url": url}),
    "automations": ("/v1/automations", lambda url: automation(step(url))),
    "branches": ("/v1/automations", lambda url: automation(branch(url))),
    "flushit": ("/compat/flushit/api/webhooks", lambda url: {"url": url, "events": ["*"]}),
    "sk_live": (
        "/compat/sk_live/api/v1/webhooks",
        lambda url: {"url": url, "events": ["email.sent"]},
    ),
}


def serving(api: Api) -> Service:
    key = {"Authorization": f"Bearer {api.key}", "X-API-Key": api.key}
    return Service(api, headers=key)


@pytest.mark.parametrize("door", DOORS)
async def test_k01_every_door_refuses_urls_inside_the_network(api: Api, door: str) -> None:
    (path, body_of), service = DOORS[door], serving(api)
    made = await service.call("POST", path, body_of(GOOD))
    assert made.status in {200, 201}, made.body
    before = api.count("webhooks"), api.count("automations")
    for url in INSIDE:
        reply = await service.call("POST", path, body_of(url))
        assert reply.status in {400, 422}, (url, reply.body)
    assert (api.count("webhooks"), api.count("automations")) == before


async def test_k01_changes_are_looked_at_too(api: Api) -> None:
    service = serving(api)
    hook = (await service.ok("POST", "/v1/webhooks", {"url": GOOD}))["id"]
    flow = (await service.ok("POST", "/v1/automations", automation(step(GOOD))))["id"]
    for url in INSIDE:
        for path, body in (
            (f"/v1/webhooks/{hook}", {"url": url}),
            (f"/v1/automations/{flow}", {"steps": [branch(url)]}),
        ):
            reply = await service.call("PATCH", path, body)
            assert reply.status == 422, (url, reply.body)
