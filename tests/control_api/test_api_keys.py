"""Keys made, changed, rotated and revoked over the API; secrets told once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mta.core.access import ADMIN, Access
from mta.core.api_key import looks_like_key
from tests.control_api.conftest import Api
from tests.support.asgi import Reply

FULL_WISH = {
    "name": "shop",
    "description": "the shop's",
    "scopes": ["emails:send", "stats:read"],
    "allowed_domains": ["Sender.Example", "faß.de"],
    "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
    "expires_at": "2027-01-01T00:00:00Z",
    "test": True,
}


async def create(api: Api, **wish: Any) -> dict[str, Any]:
    reply = await api.client.post("/v1/api-keys", {"name": "shop", **wish})
    assert reply.status == 200, reply.json
    return dict(reply.json)


async def patch(api: Api, key_id: str, **wish: Any) -> Reply:
    return await api.client.request("PATCH", f"/v1/api-keys/{key_id}", body=_body(wish), headers={})


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


async def test_a_new_key_works_at_once_and_is_told_once(api: Api) -> None:
    created = await create(api)
    assert looks_like_key(created["token"])
    assert created["token"].startswith("mta_live_")
    assert created["scopes"] == ["full"]
    assert (await api.client_with(created["token"]).get("/v1/me")).status == 200
    shown = (await api.client.get(f"/v1/api-keys/{created['id']}")).json
    assert shown == {name: value for name, value in created.items() if name != "token"}
    assert created["token"][-4:] == shown["last4"]


async def test_everything_that_a_key_can_be(api: Api) -> None:
    created = await create(api, **FULL_WISH)
    assert created["token"].startswith("mta_test_")
    assert created["allowed_domains"] == ["sender.example", "xn--fa-hia.de"]
    assert created["allowed_networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    assert created["expires_at"] == "2027-01-01T00:00:00.000Z"
    assert created["test"] is True


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"scopes": ["emails:send", "emails:eat"]}, "scopes[1]"),
        ({"scopes": "full"}, "scopes"),
        ({"scopes": []}, "scopes"),  # nothing asked for is not everything
        ({"allowed_domains": ["a b"]}, "allowed_domains[0]"),
        ({"allowed_domains": [5]}, "allowed_domains[0]"),
        ({"allowed_networks": ["10.0.0.1/8"]}, "allowed_networks[0]"),
        ({"allowed_networks": [5]}, "allowed_networks[0]"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"test": "yes"}, "test"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, wish: dict[str, Any], field: str) -> None:
    reply = await api.client.post("/v1/api-keys", {"name": "shop", **wish})
    assert reply.status == 422
    assert [error["field"] for error in reply.json["errors"]] == [field]


async def test_i04_a_repeated_request_makes_one_key_and_hides_the_secret(api: Api) -> None:
    first, second = [
        await api.client.post("/v1/api-keys", {"name": "shop"}, idempotency_key="k1")
        for _ in range(2)
    ]
    assert first.json["id"] == second.json["id"]
    assert "token" not in second.json
    assert second.headers["idempotent-replayed"] == "true"
    body = api.database.read_now(lambda db: db.execute("SELECT body FROM idempotency").fetchone())
    assert first.json["token"].encode() not in bytes(body[0])


async def test_list_pages(api: Api) -> None:
    made = []
    for _ in range(3):
        api.clock.advance(seconds=1)
        made.append((await create(api))["id"])
    first = (await api.client.get("/v1/api-keys?limit=2")).json
    assert (len(first["data"]), first["has_more"]) == (2, True)
    after = (await api.client.get(f"/v1/api-keys?after={made[0]}")).json
    assert [key["id"] for key in after["data"]] == made[1:]
    before = (await api.client.get(f"/v1/api-keys?before={made[2]}&limit=1")).json
    assert [key["id"] for key in before["data"]] == [made[1]]
    assert before["has_more"] is True
    assert (await api.client.get("/v1/api-keys?limit=0")).status == 422


async def test_changing_only_what_is_named(api: Api) -> None:
    created = await create(api, **FULL_WISH)
    reply = await patch(api, created["id"], name="new", allowed_networks=[], expires_at=None)
    expected = {
        **created,
        "name": "new",
        "allowed_networks": [],
        "expires_at": None,
    }
    del expected["token"]
    assert reply.json == expected


async def test_i06_a_change_counts_at_once(api: Api) -> None:
    created = await create(api)
    client = api.client_with(created["token"])
    assert (await client.get("/v1/emails")).status == 200
    await patch(api, created["id"], scopes=["emails:send"])
    assert (await client.get("/v1/emails")).status == 403


async def test_rotation_with_overlap(api: Api) -> None:
    created = await create(api)
    url = f"/v1/api-keys/{created['id']}/rotate"
    rotated = (await api.client.post(url, {"grace_seconds": 60})).json
    assert rotated["previous_valid_until"] == "2026-03-01T12:01:00.000Z"
    old, new = (api.client_with(one["token"]) for one in (created, rotated))
    assert (await old.get("/v1/me")).status == (await new.get("/v1/me")).status == 200
    api.clock.advance(seconds=60)
    assert (await old.get("/v1/me")).status == 401
    assert (await new.get("/v1/me")).status == 200


async def test_rotation_without_overlap(api: Api) -> None:
    created = await create(api)
    await api.client.post(f"/v1/api-keys/{created['id']}/rotate", {"grace_seconds": 0})
    assert (await api.client_with(created["token"]).get("/v1/me")).status == 401


@pytest.mark.parametrize("grace", [-1, 2_592_001, "1", True, 1.5])
async def test_a_grace_out_of_range(api: Api, grace: object) -> None:
    created = await create(api)
    reply = await api.client.post(f"/v1/api-keys/{created['id']}/rotate", {"grace_seconds": grace})
    assert reply.status == 422


async def test_i06_a_revoked_key_is_refused_at_once(api: Api) -> None:
    created = await create(api)
    client = api.client_with(created["token"])
    assert (await client.get("/v1/me")).status == 200
    for _ in range(2):
        reply = await api.client.delete(f"/v1/api-keys/{created['id']}")
        assert reply.json == {"object": "api_key", "id": created["id"], "deleted": True}
    assert (await client.get("/v1/me")).status == 401
    assert (await api.client.get(f"/v1/api-keys/{created['id']}")).status == 404


async def test_i05_keys_of_another_tenant_are_not_there(api: Api) -> None:
    created = await create(api)
    stranger = api.client_with(api.new_key(tenant_id=2))
    url = f"/v1/api-keys/{created['id']}"
    assert (await stranger.get(url)).status == 404
    assert (await stranger.post(f"{url}/rotate")).status == 404
    assert (await stranger.request("PATCH", url, body=b"{}")).status == 404
    await stranger.delete(url)
    assert (await api.client_with(created["token"]).get("/v1/me")).status == 200
    listed = (await stranger.get("/v1/api-keys")).json["data"]
    assert created["id"] not in {key["id"] for key in listed}


async def test_i05_a_weaker_key_gets_no_stronger(api: Api) -> None:
    weak = api.client_with(api.new_key(access=Access(scopes=("keys:*", "emails:send"))))
    strong = await create(api)
    assert (await weak.post("/v1/api-keys", {"name": "x"})).status == 403
    assert (await weak.post(f"/v1/api-keys/{strong['id']}/rotate")).status == 403
    created = await weak.post("/v1/api-keys", {"name": "x", "scopes": ["emails:send"]})
    assert created.status == 200
    wider = await weak.request(
        "PATCH", f"/v1/api-keys/{created.json['id']}", body=_body({"scopes": ["full"]})
    )
    assert wider.status == 403
    assert "lacks the scope full itself" in wider.json["detail"]
    assert (await api.client.post("/v1/api-keys", {"name": "x", "scopes": [ADMIN]})).status == 403


async def test_there_is_a_limit(api: Api) -> None:
    rows = [(f"key_{number:026d}", f"{number}".encode(), number) for number in range(999)]
    api.database.write_now(
        lambda db: db.executemany(
            "INSERT INTO api_keys (id, tenant_id, name, key_hash, last4, created_at)"
            " VALUES (?, 1, 'x', ?, 'abcd', ?)",
            rows,
        )
    )
    reply = await api.client.post("/v1/api-keys", {"name": "one too many"})
    assert reply.status == 422
    assert reply.json["code"] == "too_many_api_keys"
