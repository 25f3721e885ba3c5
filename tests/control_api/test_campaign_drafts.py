"""Campaigns that are still being written, and requests to send one that come twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.control_api.conftest import Api

CAMPAIGNS = "/v1/campaigns"
BARE = {
    "name": "Spring",
    "from": "shop@sender.example",
    "subject": "Spring",
    "recipients": ["ant@example.net"],
}


@pytest.fixture
def public(api: Api) -> Api:
    own = replace(api.settings.api, public_url="https://mail.sender.example")
    return api.with_settings(api=own)


async def made(api: Api, **fields: Any) -> str:
    reply = await api.client.post(CAMPAIGNS, BARE | fields)
    assert reply.status == 200, reply.json
    return f"{CAMPAIGNS}/{reply.json['id']}"


async def test_a_draft_may_lack_what_it_says_until_it_is_sent(public: Api) -> None:
    path = await made(public)
    refused = await public.client.post(f"{path}/send")
    assert (refused.status, refused.json["code"]) == (422, "validation_error")
    body = b'{"text": "Spring is here"}'
    assert (await public.client.request("PATCH", path, body=body)).status == 200
    sent = await public.client.post(f"{path}/send")
    assert (sent.status, sent.json["status"]) == (200, "sending")


async def test_what_is_under_way_cannot_be_emptied(public: Api) -> None:
    path = await made(public, text="Spring is here")
    await public.client.post(f"{path}/send")
    await public.client.post(f"{path}/pause")
    refused = await public.client.request("PATCH", path, body=b'{"text": null}')
    assert [one["field"] for one in refused.json["errors"]] == ["html"]


async def test_sending_under_the_same_key_twice_is_sending_once(public: Api) -> None:
    path = await made(public, text="Spring is here")
    replies = [
        await public.client.post(f"{path}/send", Idempotency_Key="one", json_body={})
        for _ in range(2)
    ]
    assert [one.status for one in replies] == [200, 200]
    assert replies[1].headers["idempotent-replayed"] == "true"
    assert (await public.client.post(f"{path}/send")).status == 409
