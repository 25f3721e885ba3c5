"""Idempotency-Key: whatever happens to answers, a request is carried out once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from tests.control_api.conftest import Api

EMAIL: dict[str, Any] = {"from": "ant@sender.example", "to": "bee@example.net", "text": "Hi"}


async def test_same_request_gets_the_same_answer(api: Api) -> None:
    first = await api.client.post("/v1/emails", EMAIL, idempotency_key="a key")
    again = await api.client.post("/v1/emails", EMAIL, idempotency_key="a key")
    assert (again.status, again.body) == (200, first.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["request-id"] != first.headers["request-id"]
    assert api.count("messages") == 1
    assert api.kicks == 1


async def test_other_body_is_refused(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    reply = await api.client.post("/v1/emails", EMAIL | {"text": "Ho"}, idempotency_key="k")
    assert (reply.status, reply.json["code"]) == (422, "idempotency_mismatch")
    assert api.count("messages") == 1


async def test_without_a_key_each_request_counts(api: Api) -> None:
    for _ in range(2):
        assert (await api.client.post("/v1/emails", EMAIL)).status == 200
    assert api.count("messages") == 2


async def test_keys_count_per_tenant_and_path(api: Api) -> None:
    other = api.client_with(api.new_key(tenant_id=2))
    for client, target in (
        (api.client, "/v1/emails"),
        (api.client, "/v1/emails/batch"),
        (other, "/v1/emails"),
    ):
        body = [EMAIL] if target.endswith("batch") else EMAIL
        reply = await client.post(target, body, idempotency_key="k")
        assert (reply.status, reply.headers.get("idempotent-replayed")) == (200, None)


async def test_keys_are_forgotten_after_a_day(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    api.clock.advance(hours=23, minutes=59)
    await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    assert api.count("messages") == 1
    api.clock.advance(minutes=1)
    await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    assert api.count("messages") == 2


@pytest.mark.parametrize("key", ["x" * 256, "ä", "a\tb", " ", "\x7f"])
async def test_malformed_keys(api: Api, key: str) -> None:
    reply = await api.client.post("/v1/emails", EMAIL, idempotency_key=key)
    assert reply.status == 422
    assert reply.json["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b~!"])
async def test_well_formed_keys(api: Api, key: str) -> None:
    assert (await api.client.post("/v1/emails", EMAIL, idempotency_key=key)).status == 200


async def test_errors_are_not_stored(api: Api) -> None:
    reply = await api.client.post("/v1/emails", EMAIL | {"to": "x"}, idempotency_key="k")
    assert reply.status == 422
    reply = await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    assert (reply.status, reply.headers.get("idempotent-replayed")) == (200, None)


async def test_j07_twenty_at_once_make_one_message(api: Api) -> None:
    replies = await asyncio.gather(
        *(api.client.post("/v1/emails", EMAIL, idempotency_key="k") for _ in range(20))
    )
    counts = Counter(reply.status for reply in replies)
    assert counts[200] >= 1
    assert counts[200] + counts[409] == 20
    assert {reply.json["code"] for reply in replies if reply.status == 409} <= {
        "idempotency_in_flight"
    }
    assert api.count("messages") == 1
    assert (await api.client.post("/v1/emails", EMAIL, idempotency_key="k")).status == 200
    assert api.count("messages") == 1


async def test_j07_two_processes_at_once_make_one_message(api: Api) -> None:
    other = Api(api.database, api.settings, api.http, api.clock)
    clients = [api.client, other.client_with(api.key)]
    replies = await asyncio.gather(
        *(client.post("/v1/emails", EMAIL, idempotency_key="k") for client in clients)
    )
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].json == replies[1].json
    assert api.count("messages") == 1


async def test_j15_client_that_leaves_before_the_answer_may_ask_again(api: Api) -> None:
    request = asyncio.create_task(api.client.post("/v1/emails", EMAIL, idempotency_key="k"))
    while not api.services.in_flight:  # noqa: ASYNC110 - there is nothing to wait on
        await asyncio.sleep(0)
    request.cancel()  # harsher than a server, which lets the handler finish
    broken_off = await request
    assert (broken_off.status, broken_off.json["code"]) == (503, "restarting")
    reply = await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    assert reply.status == 200
    assert api.count("messages") == 1


async def test_j07_answer_lost_in_a_crash_is_given_again(api: Api, tmp_path: Path) -> None:
    first = await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    database = Database.open(tmp_path / "data")  # what a restarted process sees
    try:
        restarted = Api(database, api.settings, api.http, api.clock)
        again = await restarted.client_with(api.key).post("/v1/emails", EMAIL, idempotency_key="k")
        assert again.body == first.body
        assert restarted.count("messages") == 1
    finally:
        database.close()


async def test_webhook_secret_is_told_again_to_the_same_request(api: Api) -> None:
    body = {"url": "http://127.0.0.1:8080/"}
    first = await api.client.post("/v1/webhooks", body, idempotency_key="k")
    again = await api.client.post("/v1/webhooks", body, idempotency_key="k")
    assert first.status == 200, first.json
    assert again.body == first.body
    assert api.count("webhooks") == 1


RAW = {"raw": "From: ant@sender.example\nTo: bee@example.net\n\nHi\n"}


@pytest.mark.parametrize(
    ("target", "body", "other"),
    [
        ("/v1/emails/send", EMAIL, EMAIL | {"text": "Ho"}),
        ("/v1/emails/raw", RAW, {"raw": RAW["raw"] + "Ho\n"}),
        ("/v1/emails/batch", [EMAIL], [EMAIL, EMAIL]),
        ("/v1/emails/batch", {"emails": [EMAIL]}, [EMAIL]),
    ],
)
async def test_every_way_to_send(api: Api, target: str, body: Any, other: Any) -> None:
    first = await api.client.post(target, body, idempotency_key="k")
    again = await api.client.post(target, body, idempotency_key="k")
    assert (first.status, again.status) == (200, 200), first.json
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    reply = await api.client.post(target, other, idempotency_key="k")
    assert (reply.status, reply.json["code"]) == (422, "idempotency_mismatch")
    assert api.count("messages") == 1


async def test_an_old_answer_is_not_given_although_it_is_still_there(api: Api) -> None:
    first = await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    api.clock.advance(hours=24)
    assert api.count("idempotency") == 1
    again = await api.client.post("/v1/emails", EMAIL, idempotency_key="k")
    assert again.json["id"] != first.json["id"]
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize("target", ["/v1/emails", "/v1/emails/batch"])
async def test_what_it_names_may_be_gone_when_it_is_sent_again(api: Api, target: str) -> None:
    made = (await api.client.post("/v1/templates", {"name": "t", "text": "Hi"})).json["id"]
    await api.client.post(f"/v1/templates/{made}/publish")
    bare = {"from": EMAIL["from"], "to": EMAIL["to"], "template": {"id": made}}
    body = [bare] if target.endswith("batch") else bare
    first = await api.client.post(target, body, idempotency_key="k")
    assert first.status == 200, first.body
    await api.client.delete(f"/v1/templates/{made}")
    again = await api.client.post(target, body, idempotency_key="k")
    assert (again.status, again.body) == (200, first.body)
    other = await api.client.post(target, body, idempotency_key="l")
    assert (other.status, other.json["code"]) == (422, "validation_error")
