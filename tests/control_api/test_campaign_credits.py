"""Campaigns with credits: all of it is reserved at the start, and what is left comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.credits import Credits
from storage import credit_ledger
from storage.credits import account
from tests.control_api.conftest import Api
from tests.control_api.test_credit_accounts import give, standing

CAMPAIGNS = "/v1/campaigns"
PEOPLE = [f"p{number}@example.net" for number in range(5)]


@pytest.fixture
def paid(api: Api) -> Api:
    own = replace(api.settings.api, public_url="https://mail.sender.example")
    return api.with_settings(api=own, credits=Credits(enabled=True))


async def made(api: Api, **fields: Any) -> str:
    body = {
        "name": "Spring",
        "from": "shop@sender.example",
        "subject": "Spring",
        "text": "Spring is here",
        "recipients": PEOPLE,
    }
    reply = await api.client.post(CAMPAIGNS, body | fields)
    assert reply.status == 200, reply.json
    return f"{CAMPAIGNS}/{reply.json['id']}"


async def test_a_start_takes_credits_for_everybody(paid: Api) -> None:
    path = await made(paid)
    await give(paid, 4)
    refused = await paid.client.post(f"{path}/send")
    assert (refused.status, refused.json["code"]) == (402, "insufficient_credits")
    assert (refused.json["needed"], refused.json["available"]) == (5, 4)
    assert (await paid.client.get(path)).json["status"] == "draft"
    assert await standing(paid) == (4, 0, 4)
    await give(paid, 1)
    assert (await paid.client.post(f"{path}/send")).status == 200
    assert await standing(paid) == (5, 5, 0)
    [reserve, *_] = (await paid.client.get("/v1/credits/transactions")).json["data"]
    assert (reserve["type"], reserve["amount"], reserve["description"]) == ("reserve", -5, "Spring")
    assert path.endswith(reserve["campaign_id"])


async def test_canceling_gives_everything_back_once(paid: Api) -> None:
    path = await made(paid)
    await give(paid, 5)
    await paid.client.post(f"{path}/send")
    await paid.client.post(f"{path}/pause")
    assert await standing(paid) == (5, 5, 0)
    await paid.client.post(f"{path}/resume")
    assert await standing(paid) == (5, 5, 0)
    assert (await paid.client.post(f"{path}/cancel")).status == 200
    assert await standing(paid) == (5, 0, 5)


async def test_a_scheduled_campaign_takes_them_when_it_starts(paid: Api) -> None:
    path = await made(paid)
    sent = await paid.client.post(f"{path}/send", {"send_at": "in 2 hours"})
    assert (sent.status, sent.json["status"]) == (200, "scheduled")
    assert await standing(paid) == (0, 0, 0)


async def test_a_test_mail_takes_credits_too(paid: Api) -> None:
    path = await made(paid)
    body = {"to": ["ant@example.net", "bee@example.net"]}
    await give(paid, 1)
    assert (await paid.client.post(f"{path}/test", body)).status == 402
    assert await standing(paid) == (1, 0, 1)
    await give(paid, 1)
    assert (await paid.client.post(f"{path}/test", body)).status == 200
    ledger = paid.database.read_now(lambda db: credit_ledger.summed(db, 1))
    assert ledger == paid.database.read_now(lambda db: account(db, 1))
    assert ledger.reserved == 2
