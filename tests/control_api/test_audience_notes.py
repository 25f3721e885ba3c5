"""What owners note of audiences, how many audiences there are, and members by their own id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.control_api.conftest import Api
from tests.support.asgi import Reply

AUDIENCES = "/v1/audiences"
NOTE = {"contact": {"company": "Ants Inc.", "city": "Antville"}}


async def patch(api: Api, path: str, body: Any) -> Reply:
    return await api.client.request("PATCH", path, body=json.dumps(body).encode())


async def made(api: Api, **fields: Any) -> Any:
    reply = await api.client.post(AUDIENCES, {"name": "News", **fields})
    assert reply.status == 200, reply.json
    return reply.json


async def test_metadata_is_kept_until_it_is_replaced(api: Api) -> None:
    one = await made(api, metadata=NOTE)
    path = f"{AUDIENCES}/{one['id']}"
    assert one["metadata"] == NOTE
    assert (await patch(api, path, {"name": "Other"})).json["metadata"] == NOTE
    assert (await patch(api, path, {"metadata": {"a": 1}})).json["metadata"] == {"a": 1}
    assert (await patch(api, path, {"metadata": None})).json["metadata"] == {}
    assert (await made(api))["metadata"] == {}


@pytest.mark.parametrize(
    ("metadata", "code"),
    [("text", "invalid_type"), ({"a": "x" * 17_000}, "too_long"), ({"a": 2**60}, "invalid_value")],
)
async def test_bad_metadata(api: Api, metadata: Any, code: str) -> None:
    reply = await api.client.post(AUDIENCES, {"name": "News", "metadata": metadata})
    assert reply.status == 422
    assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [("metadata", code)]


async def test_audiences_are_counted_for_each_tenant(api: Api) -> None:
    for _ in range(3):
        await made(api)
    assert (await api.client.get(f"{AUDIENCES}?limit=1&include=total")).json["total"] == 3
    other = api.client_with(api.new_key(2))
    assert (await other.get(f"{AUDIENCES}?include=total")).json["total"] == 0


async def test_a_member_is_found_by_the_id_of_the_membership(api: Api) -> None:
    one = await made(api)
    joined = await api.client.post(f"{AUDIENCES}/{one['id']}/contacts", {"email": "ant@a.example"})
    path = f"/v1/memberships/{joined.json['id']}"
    assert (await api.client.get(path)).json == joined.json
    other = api.client_with(api.new_key(2))
    assert (await other.get(path)).status == 404
    for name in (joined.json["contact_id"], "ant@a.example"):
        found = await api.client.get(f"/v1/contacts/{name}/memberships")
        assert found.json == {"object": "list", "data": [joined.json], "has_more": False}
        assert (await other.get(f"/v1/contacts/{name}/memberships")).status == 404


@pytest.mark.parametrize("name", ["mem_0", "ct_01KJMQ0R000000000000000001", "mem_" + "Z" * 26])
async def test_unknown_memberships(api: Api, name: str) -> None:
    assert (await api.client.get(f"/v1/memberships/{name}")).status == 404
