"""Users over the API: nobody makes more of others than of himself, and no password comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mta.core.access import ADMIN, Access
from mta.core.rate_limit import parse_limit
from mta.core.role import Role
from tests.control_api.conftest import Api
from tests.control_api.test_login import ANT, PASSWORD, add_user, logged_in, switched_on
from tests.support.asgi import Client, Reply

BEE: dict[str, Any] = {"email": "bee@shop.example", "password": PASSWORD, "first_name": "Bee"}
OTHER = "tall oak 1024"


async def patch(client: Client, path: str, body: Any) -> Reply:
    return await client.request("PATCH", path, body=json.dumps(body).encode())


async def test_added_listed_changed_and_removed(api: Api) -> None:
    made = await api.client.post("/v1/users", BEE)
    assert made.status == 200
    assert made.json | {"id": ""} == {
        "object": "user",
        "id": "",
        "email": "bee@shop.example",
        "role": "member",
        "first_name": "Bee",
        "last_name": "",
        "image_url": None,
        "created_at": "2026-03-01T12:00:00.000Z",
        "last_login_at": None,
    }
    path = f"/v1/users/{made.json['id']}"
    assert (await api.client.get(path)).json == made.json
    assert (await api.client.get("/v1/users")).json["data"] == [made.json]
    changed = await patch(api.client, path, {"role": "viewer", "last_name": "B"})
    assert changed.json == made.json | {"role": "viewer", "last_name": "B"}
    assert (await api.client.delete(path)).json == {
        "object": "user",
        "id": made.json["id"],
        "deleted": True,
    }
    assert (await api.client.delete(path)).status == 200
    assert (await api.client.get(path)).status == 404


async def test_lists_come_in_pages(api: Api) -> None:
    made = []
    for number in range(3):
        body = {"email": f"u{number}@shop.example"}
        made.append((await api.client.post("/v1/users", body)).json["id"])
        api.clock.advance(seconds=1)
    first = (await api.client.get("/v1/users?limit=2")).json
    assert ([user["id"] for user in first["data"]], first["has_more"]) == (made[:2], True)
    rest = (await api.client.get(f"/v1/users?limit=2&after={made[1]}")).json
    assert ([user["id"] for user in rest["data"]], rest["has_more"]) == (made[2:], False)
    numbered = (await api.client.get("/v1/users?limit=2&page=2")).json
    assert [user["id"] for user in numbered["data"]] == made[2:]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        (BEE | {"email": "x"}, "email"),
        (BEE | {"email": 7}, "email"),
        (BEE | {"role": "king"}, "role"),
        (BEE | {"password": "short"}, "password"),
        (BEE | {"password": "bee@shop.example"}, "password"),
        (BEE | {"password": "x\n" * 10}, "password"),
        (BEE | {"password": "ab3d" * 65}, "password"),
        (BEE | {"first_name": "x" * 101}, "first_name"),
        (BEE | {"image_url": "javascript:alert(1)"}, "image_url"),
        (BEE | {"image_url": "https://["}, "image_url"),
        (BEE | {"admin": True}, "admin"),
    ],
)
async def test_bad_bodies(api: Api, body: Any, field: str) -> None:
    reply = await api.client.post("/v1/users", body)
    assert reply.status == 422
    assert field in [error["field"] for error in reply.json["errors"]]
    assert api.count("users") == 0


async def test_an_address_exists_once(api: Api) -> None:
    assert (await api.client.post("/v1/users", BEE)).status == 200
    again = await api.client.post("/v1/users", BEE | {"email": "Bee@shop.example"})
    assert (again.status, again.json["code"]) == (409, "user_exists")


async def test_a_password_is_nowhere_in_the_file(api: Api) -> None:
    await api.client.post("/v1/users", BEE, idempotency_key="k")
    assert api.count("idempotency") == 0  # a fast hash of the body would be one of the password
    stored = api.database.read_now(lambda db: db.execute("SELECT * FROM users").fetchall())
    assert PASSWORD not in str(stored)


async def test_nobody_makes_more_than_himself(api: Api) -> None:
    refused = await api.client.post("/v1/users", BEE | {"role": "operator"})
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    limited = api.client_with(api.new_key(access=Access(scopes=("users:*",))))
    assert (await limited.post("/v1/users", BEE | {"role": "owner"})).status == 403
    assert (await limited.post("/v1/users", BEE | {"role": "viewer"})).status == 403
    operator = api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))
    made = await operator.post("/v1/users", BEE | {"role": "operator"})
    assert made.status == 200
    path = f"/v1/users/{made.json['id']}"
    assert (await patch(api.client, path, {"password": OTHER})).status == 403
    assert (await api.client.delete(path)).status == 403


async def test_another_tenants_user_is_not_there(api: Api) -> None:
    user_id = add_user(api, tenant_id=2)
    path = f"/v1/users/{user_id}"
    assert (await api.client.get(path)).status == 404
    assert (await patch(api.client, path, {"role": "viewer"})).status == 404
    assert (await api.client.delete(path)).status == 200
    assert (await api.client_with(api.new_key(2)).get(path)).status == 200
    assert (await api.client.get("/v1/users")).json["data"] == []


async def test_operators_add_users_to_other_tenants(api: Api) -> None:
    operator = api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))
    tenant = (await operator.post("/v1/tenants", {"name": "acme"})).json["id"]
    made = await operator.post(f"/v1/tenants/{tenant}/users", BEE)
    assert made.status == 200
    assert (await operator.get("/v1/users")).json["data"] == []
    for missing in ("ten_x", "ten_00000000000000000000000009"):
        assert (await operator.post(f"/v1/tenants/{missing}/users", BEE)).status == 404


async def test_another_password_ends_the_tokens(api: Api) -> None:
    on = switched_on(api)
    user_id = add_user(on)
    client = await logged_in(on)
    assert (await client.get("/v1/me")).status == 200
    assert (await patch(on.client, f"/v1/users/{user_id}", {"password": OTHER})).status == 200
    assert (await client.get("/v1/me")).status == 401
    reply = await on.anonymous.post("/v1/login", {"email": ANT, "password": OTHER})
    assert reply.status == 200


async def test_another_role_counts_at_once(api: Api) -> None:
    on = switched_on(api)
    user_id = add_user(on)
    client = await logged_in(on)
    assert (await client.get("/v1/api-keys")).status == 200
    await patch(on.client, f"/v1/users/{user_id}", {"role": "viewer"})
    assert (await client.post("/v1/templates", {})).status == 403


async def test_the_own_password_takes_the_one_before(api: Api) -> None:
    on = switched_on(api)
    add_user(on, role=Role.VIEWER)
    client = await logged_in(on)
    path = "/v1/me/password"
    wrong = await client.post(path, {"current_password": "x" * 20, "password": OTHER})
    assert wrong.json["errors"][0]["field"] == "current_password"
    assert (await client.post(path, {"current_password": PASSWORD})).status == 422
    changed = await client.post(path, {"current_password": PASSWORD, "password": OTHER})
    assert changed.status == 200
    assert (await client.get("/v1/me")).status == 401
    assert (await on.client.post(path, {"password": OTHER})).status == 409


async def test_guesses_at_the_own_password_are_braked(api: Api) -> None:
    on = switched_on(api, attempts=(parse_limit("10/m"),))
    add_user(on)
    add_user(on, "bee@shop.example")
    client, other = await logged_in(on), await logged_in(on, "bee@shop.example")
    other.address = "198.51.100.7"
    body = {"current_password": "x" * 20, "password": OTHER}
    path = "/v1/me/password"
    statuses = [(await client.post(path, body)).status for _ in range(11)]
    assert (set(statuses[:8]), statuses[-1]) == ({422}, 429)
    good = {"current_password": PASSWORD, "password": OTHER}
    assert (await other.post(path, good)).status == 200  # nobody else is kept waiting
