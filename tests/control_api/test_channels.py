"""Text messages and letters over HTTP, carried by the sandbox or by nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.channels import Channels
from mta.core.access import Access
from tests.control_api.conftest import Api
from tests.support.asgi import Client, Reply

SMS = {"to": "+4930123456", "from": "Ants", "text": "Your code is 1007"}
ANTS = {"name": "Ant", "line1": "Elk Street 1", "city": "Berlin", "postal_code": "10115"}
LETTER = {"to": ANTS | {"country": "DE"}, "text": "Hello"}
BOTH = Channels(sms="sandbox", mail="sandbox")
EITHER = pytest.mark.parametrize(
    ("path", "body"), [("/v1/sms", SMS), ("/v1/mail/send", LETTER)], ids=["sms", "mail"]
)


@pytest.fixture
def carried(api: Api) -> Api:
    return api.with_settings(channels=BOTH)


async def post(client: Client, path: str, body: Any, **headers: str) -> Reply:
    return await client.request("POST", path, body=json.dumps(body).encode(), headers=headers)


@EITHER
async def test_nobody_carries_them_by_default(api: Api, path: str, body: Any) -> None:
    reply = await post(api.client, path, body)
    assert (reply.status, reply.json["code"]) == (422, "channel_not_configured")
    assert api.count("channel_items") == 0


@EITHER
async def test_a_test_key_has_the_sandbox(api: Api, path: str, body: Any) -> None:
    client = api.client_with(api.new_key(access=Access(is_test=True)))
    reply = await post(client, path, body)
    assert (reply.status, reply.json["provider"]) == (200, "sandbox")


@pytest.mark.parametrize(
    ("to", "states"),
    [
        ("+4930123456", ["queued", "sent", "delivered", "delivered"]),
        ("+4930120000", ["queued", "sent", "failed", "failed"]),
    ],
)
async def test_a_text_message_in_the_sandbox(carried: Api, to: str, states: list[str]) -> None:
    made = (await post(carried.client, "/v1/sms", SMS | {"to": to})).json
    seen = [made["status"]]
    for _ in range(3):
        carried.clock.advance(seconds=1)
        seen.append((await carried.client.get(f"/v1/sms/{made['id']}")).json["status"])
    assert seen == states


async def test_a_letter_that_comes_back(carried: Api) -> None:
    to = LETTER["to"] | {"name": "Fail Elk"}  # type: ignore[operator]
    made = (await post(carried.client, "/v1/mail", LETTER | {"to": to})).json
    carried.clock.advance(minutes=5)
    found = (await carried.client.get(f"/v1/mail/{made['id']}")).json
    walk = ["queued", "printed", "in_transit", "returned"]
    assert [one["status"] for one in found["tracking"]] == walk
    assert found["tracking"][1]["at"] == "2026-03-01T12:01:00.000Z"


async def test_a_letter_is_canceled_while_it_is_queued(carried: Api) -> None:
    made = (await post(carried.client, "/v1/mail/send", LETTER)).json
    path = f"/v1/mail/{made['id']}/cancel"
    carried.clock.advance(seconds=30)
    for _ in range(2):
        assert (await post(carried.client, path, {})).json["status"] == "canceled"
    carried.clock.advance(minutes=5)
    found = (await carried.client.get(f"/v1/mail/{made['id']}")).json
    assert [one["status"] for one in found["tracking"]] == ["queued", "canceled"]


async def test_what_is_on_its_way_is_not_canceled(carried: Api) -> None:
    made = (await post(carried.client, "/v1/mail/send", LETTER)).json
    carried.clock.advance(minutes=1)
    reply = await post(carried.client, f"/v1/mail/{made['id']}/cancel", {})
    assert (reply.status, reply.json["code"]) == (409, "not_cancelable")


@EITHER
async def test_one_request_is_one_item(carried: Api, path: str, body: Any) -> None:
    first = await post(carried.client, path, body, **{"idempotency-key": "k"})
    again = await post(carried.client, path, body, **{"idempotency-key": "k"})
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.json["id"], carried.count("channel_items")) == (first.json["id"], 1)


@pytest.mark.parametrize(
    ("path", "body", "listed"),
    [("/v1/sms", SMS, "/v1/sms"), ("/v1/mail/send", LETTER, "/v1/mail")],
    ids=["sms", "mail"],
)
async def test_lists_pages_and_other_tenants(
    carried: Api, path: str, body: Any, listed: str
) -> None:
    made = [(await post(carried.client, path, body)).json["id"] for _ in range(3)]
    page = (await carried.client.get(f"{listed}?limit=2&page=1&include=total")).json
    assert [one["id"] for one in page["data"]] == [made[2], made[1]]
    assert (page["total"], page["has_more"]) == (3, True)
    rest = (await carried.client.get(f"{listed}?after={made[1]}")).json
    assert [one["id"] for one in rest["data"]] == [made[0]]
    newer = (await carried.client.get(f"{listed}?before={made[1]}")).json
    assert [one["id"] for one in newer["data"]] == [made[2]]
    other = carried.client_with(carried.new_key(tenant_id=2))
    assert (await other.get(listed)).json["data"] == []
    assert (await other.get(f"{listed}/{made[0]}")).status == 404
    kind = "/v1/mail" if listed == "/v1/sms" else "/v1/sms"
    assert (await carried.client.get(f"{kind}/{made[0]}")).status == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "030123456"}, "to"),
        ({"to": None}, "to"),
        ({"to": ["+4930123456"]}, "to"),
        ({"from": "far too long a name"}, "from"),
        ({"text": " "}, "text"),
        ({"text": "x" * 1601}, "text"),
        ({"metadata": {"n": 2**60}}, "metadata"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_what_is_no_text_message(carried: Api, change: Any, field: str) -> None:
    reply = await post(carried.client, "/v1/sms", SMS | change)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": None}, "to"),
        ({"to": "Berlin"}, "to"),
        ({"to": {}}, "to.line1"),
        ({"to": ANTS | {"country": "DE", "shoe": "42"}}, "to.shoe"),
        ({"to": ANTS | {"country": "XX"}}, "to.country"),
        ({"from": ANTS | {"country": "DE", "postal_code": "x"}}, "from.postal_code"),
        ({"type": "pigeon"}, "type"),
        ({"text": None}, "html"),
        ({"text": "x" * 100_001}, "text"),
        ({"metadata": []}, "metadata"),
    ],
)
async def test_what_is_no_letter(carried: Api, change: Any, field: str) -> None:
    reply = await post(carried.client, "/v1/mail/send", LETTER | change)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, field)


async def test_a_parcel_needs_nothing_printed(carried: Api) -> None:
    reply = await post(carried.client, "/v1/mail/send", {"type": "parcel", "to": LETTER["to"]})
    assert (reply.status, reply.json["type"]) == (200, "parcel")


@pytest.mark.parametrize("body", [[], {"country": 7}, {"shoe": "42"}, {"line1": "x" * 201}])
async def test_what_is_not_even_read_as_an_address(api: Api, body: Any) -> None:
    reply = await post(api.client, "/v1/mail/validate-address", body)
    assert (reply.status, reply.json["code"]) == (422, "validation_error")
