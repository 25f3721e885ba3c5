"""The forms that endpoints can ask for."""

from __future__ import annotations

import json
from dataclasses import replace

from control_api.app import WEBHOOK_FORMATS, build_app
from control_api.schemas.webhooks import FORMATS
from control_api.webhook_message import NATIVE, format_named
from tests.control_api.conftest import Api
from tests.support.asgi import Client

WISH = {"url": "https://127.0.0.1:8443/hook", "events": ["email.delivered"]}


def test_the_documentation_names_them_all() -> None:
    assert set(FORMATS) == {NATIVE.name, *WEBHOOK_FORMATS}


def test_a_form_that_is_gone_is_the_native_one() -> None:
    assert format_named(WEBHOOK_FORMATS, "lost") is NATIVE


async def test_an_endpoint_keeps_its_form_until_it_is_changed(api: Api) -> None:
    app = build_app(replace(api.services, webhook_formats=WEBHOOK_FORMATS))
    client = Client(app, {"Authorization": f"Bearer {api.key}"})
    made = (await client.post("/v1/webhooks", WISH | {"format": "sk_live"})).json
    path = f"/v1/webhooks/{made['id']}"
    assert made["format"] == "sk_live"
    renamed = await client.request("PATCH", path, body=b'{"description": "Shop"}')
    assert renamed.json["format"] == "sk_live"
    changed = await client.request("PATCH", path, body=b'{"format": "native"}')
    assert changed.json["format"] == "native"


async def test_an_unknown_form_is_refused(api: Api) -> None:
    body = json.dumps(WISH | {"format": "x"}).encode()
    reply = await api.client.request("POST", "/v1/webhooks", body=body)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "format")
