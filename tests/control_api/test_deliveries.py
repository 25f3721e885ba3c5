"""What happened to an email, event by event and attempt by attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.control_api.conftest import EMAIL, Api
from tests.storage import builders


async def sent(api: Api, *results: str) -> str:
    """Send an email whose attempts end so, one after the other."""
    reply = await api.client.post("/v1/emails", EMAIL)

    def attempt(db: Any) -> None:
        for day, result in enumerate(results):
            entries = builders.claim(db, at=api.clock.now + timedelta(days=day))
            builders.settle_all(db, entries, result)

    api.database.write_now(attempt)
    return str(reply.json["id"])


async def test_every_attempt_is_told(api: Api) -> None:
    email_id = await sent(api, "deferred", "delivered")
    reply = await api.client.get(f"/v1/emails/{email_id}/deliveries")
    assert (reply.json["object"], reply.json["has_more"]) == ("list", False)
    first, second = reply.json["data"]
    assert first.pop("id").startswith("ev_")
    assert first.pop("recipient_id").startswith("dl_")
    assert first == {
        "object": "delivery",
        "recipient": "bee@example.net",
        "attempt": 1,
        "result": "deferred",
        "started_at": "2026-03-01T12:00:00.000Z",
        "duration_ms": 1500,
        "host": "mx.example.net",
        "address": "192.0.2.25",
        "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
        "command": "rcpt",
        "stage": None,
        "code": 451,
        "enhanced": "4.7.1",
        "text": "try later",
        "class": "greylist",
        "why": "reply",
        "next_attempt_at": "2026-03-01T12:05:00.000Z",
    }
    assert (second["result"], second["attempt"], second["code"]) == ("delivered", 2, 250)


async def test_an_attempt_without_an_answer(api: Api) -> None:
    email_id = await sent(api, "expired")
    [only] = (await api.client.get(f"/v1/emails/{email_id}/deliveries")).json["data"]
    assert (only["result"], only["stage"], only["code"]) == ("expired", "connect", None)
    assert only["text"] == "connection refused"


async def test_what_was_never_tried_has_none(api: Api) -> None:
    email_id = await sent(api)
    await api.client.post(f"/v1/emails/{email_id}/cancel")
    assert (await api.client.get(f"/v1/emails/{email_id}/deliveries")).json["data"] == []


async def test_events_in_pages(api: Api) -> None:
    email_id = await sent(api, "deferred", "deferred", "bounced")
    everything = (await api.client.get(f"/v1/emails/{email_id}/events")).json
    types = [one["type"] for one in everything["data"]]
    assert types == ["email.queued", "email.delayed", "email.delayed", "email.bounced"]
    assert everything["next"] is None
    found, after = [], ""
    while True:
        reply = await api.client.get(f"/v1/emails/{email_id}/events?limit=3{after}")
        found += reply.json["data"]
        if not reply.json["has_more"]:
            break
        after = f"&after={reply.json['next']}"
    assert found == everything["data"]
    assert found == (await api.client.get(f"/v1/emails/{email_id}")).json["events"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("before=ev_00000000000000000000000001", "before"),
        ("after=em_00000000000000000000000001", "after"),
        ("limit=0", "limit"),
        ("x=1", "x"),
    ],
)
async def test_bad_queries(api: Api, query: str, field: str) -> None:
    email_id = await sent(api)
    for rest in ("events", "deliveries"):
        reply = await api.client.get(f"/v1/emails/{email_id}/{rest}?{query}")
        assert reply.status == 422
        assert [error["field"] for error in reply.json["errors"]] == [field]
