"""Batches looked at as a whole, and canceled."""

from __future__ import annotations

from mta.core.ids import new_id
from tests.control_api.conftest import EMAIL, Api


async def send_batch(api: Api) -> str:
    emails = [EMAIL, EMAIL | {"to": ["a@x.example", "b@x.example"], "send_at": "in 1 hour"}]
    reply = await api.client.post("/v1/emails/batch", emails)
    assert reply.status == 200, reply.json
    return str(reply.json["id"])


async def test_a_batch(api: Api) -> None:
    batch_id = await send_batch(api)
    await send_batch(api)
    reply = await api.client.get(f"/v1/batches/{batch_id}")
    assert reply.json == {
        "object": "batch",
        "id": batch_id,
        "created_at": "2026-03-01T12:00:00.000Z",
        "total": 2,
        "recipients": 3,
        "statuses": {"queued": 1, "scheduled": 1},
    }


async def test_cancelled_as_a_whole(api: Api) -> None:
    batch_id, other = await send_batch(api), await send_batch(api)
    target = f"/v1/batches/{batch_id}/cancel"
    reply = await api.client.post(target, idempotency_key="k")
    assert reply.status == 200
    assert (reply.json["canceled"], reply.json["statuses"]) == (3, {"canceled": 2})
    assert (await api.client.post(target, idempotency_key="k")).body == reply.body
    again = await api.client.post(target)
    assert (again.status, again.json["code"]) == (409, "not_cancelable")
    assert "canceled" not in (await api.client.get(f"/v1/batches/{other}")).json["statuses"]


async def test_unknown_ones_and_those_of_others_are_404(api: Api) -> None:
    batch_id = await send_batch(api)
    other = api.client_with(api.new_key(tenant_id=2))
    for client, target in (
        (other, batch_id),
        (api.client, new_id("bt", 0, bytes(10))),
        (api.client, "x"),
    ):
        assert (await client.get(f"/v1/batches/{target}")).status == 404
        assert (await client.post(f"/v1/batches/{target}/cancel")).status == 404
    assert (await api.client.get(f"/v1/batches/{batch_id}")).json["statuses"] == {
        "queued": 1,
        "scheduled": 1,
    }
