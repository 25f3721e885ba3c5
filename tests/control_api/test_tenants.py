"""Tenants and egress sources, for operators."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from config.settings import Domains
from mta.core.access import ADMIN, Access
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Client


@pytest.fixture
def admin(api: Api) -> Client:
    return api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))


async def create(admin: Client, name: str, **fields: Any) -> Any:
    reply = await admin.post("/v1/tenants", {"name": name} | fields)
    assert reply.status == 200, reply.json
    return reply.json


async def test_made_listed_and_looked_at(admin: Client) -> None:
    made = await create(admin, "acme", quota={"per_hour": 100})
    assert made | {"id": ""} == {
        "object": "tenant",
        "id": "",
        "name": "acme",
        "created_at": "2026-03-01T12:00:00.000Z",
        "quota": {"per_hour": 100, "per_day": None},
        "keys": 0,
        "domains": 0,
        "dsn": None,
    }
    listed = (await admin.get("/v1/tenants")).json
    assert [one["name"] for one in listed["data"]] == ["default", "acme"]
    first = (await admin.get("/v1/tenants?limit=1")).json
    assert first["has_more"]
    rest = (await admin.get(f"/v1/tenants?after={first['data'][0]['id']}")).json
    assert rest["data"] == [made]
    assert (await admin.get(f"/v1/tenants/{made['id']}")).json == made


async def test_the_quota_is_changed_and_given_up(admin: Client) -> None:
    target = f"/v1/tenants/{(await create(admin, 'acme'))['id']}"
    changed = await admin.request("PATCH", target, body=b'{"quota": {"per_day": 5}}')
    assert changed.json["quota"] == {"per_hour": None, "per_day": 5}
    assert (await admin.request("PATCH", target, body=b"{}")).json["quota"]["per_day"] == 5
    assert (await admin.request("PATCH", target, body=b'{"quota": null}')).json["quota"] is None
    for wrong in (b'{"quota": {"per_day": 0}}', b'{"quota": 1}', b'{"name": "x"}'):
        assert (await admin.request("PATCH", target, body=wrong)).status == 422
    assert (await admin.request("PATCH", "/v1/tenants/x", body=b"{}")).status == 404


async def test_names_are_unique(admin: Client) -> None:
    await create(admin, "acme")
    assert (await admin.post("/v1/tenants", {"name": "acme"})).status == 409
    assert (await admin.post("/v1/tenants", {})).status == 422


async def test_deleted_with_its_keys_and_never_used_again(api: Api, admin: Client) -> None:
    made = await create(admin, "acme")
    number = int(
        api.database.read_now(
            lambda db: db.execute("SELECT id FROM tenants WHERE name = 'acme'").fetchone()
        )[0]
    )
    client = api.client_with(api.new_key(tenant_id=number))
    await client.post("/v1/suppressions", {"emails": [f"u{n}@x.test" for n in range(1000)]})
    await client.post("/v1/suppressions", {"emails": ["a@x.test"]})
    gone = await admin.delete(f"/v1/tenants/{made['id']}")
    assert gone.json == {"object": "tenant", "id": made["id"], "deleted": True}
    assert (await client.get("/v1/emails")).status == 401
    assert (await admin.get(f"/v1/tenants/{made['id']}")).status == 404
    assert (await admin.delete(f"/v1/tenants/{made['id']}")).status == 200
    again = await create(admin, "acme")
    assert again["id"][-4:] != made["id"][-4:]  # the number


async def test_not_while_its_mail_waits(api: Api, admin: Client) -> None:
    other = api.client_with(api.new_key(tenant_id=2))
    await other.post("/v1/emails", EMAIL | {"to": ["a@one.test"]})
    listed = (await admin.get("/v1/tenants")).json["data"]
    for tenant in listed:
        reply = await admin.delete(f"/v1/tenants/{tenant['id']}")
        assert (reply.status, reply.json["code"]) == (409, "tenant_in_use")
    await other.post("/v1/queue/cancel", {"all": True})
    assert (await admin.delete(f"/v1/tenants/{listed[1]['id']}")).status == 200


async def test_not_while_it_has_contacts_or_campaigns(api: Api, admin: Client) -> None:
    other = api.client_with(api.new_key(tenant_id=2))
    made = [
        await other.post("/v1/contacts", {"email": "a@one.test"}),
        await other.post("/v1/audiences", {"name": "News"}),
        await other.post("/v1/templates", {"name": "t", "text": "x"}),
        await other.post(
            "/v1/campaigns",
            {"name": "c", "recipients": ["a@one.test"], "from": "s@sender.example", "text": "x"},
        ),
    ]
    [tenant] = [
        one["id"]
        for one in (await admin.get("/v1/tenants")).json["data"]
        if one["name"] != "default"
    ]
    for reply in made:
        assert reply.status == 200, reply.body
        refused = await admin.delete(f"/v1/tenants/{tenant}")
        assert (refused.status, refused.json["code"]) == (409, "tenant_in_use")
        area = "campaigns" if reply.json["object"] == "campaign" else f"{reply.json['object']}s"
        assert (await other.delete(f"/v1/{area}/{reply.json['id']}")).status == 200
    assert (await admin.delete(f"/v1/tenants/{tenant}")).status == 200


async def test_it_takes_an_admin(api: Api) -> None:
    for method, path in (
        ("GET", "/v1/tenants"),
        ("POST", "/v1/tenants"),
        ("DELETE", "/v1/tenants/x"),
        ("GET", "/v1/egress-sources"),
    ):
        assert (await api.client.request(method, path)).status == 403


async def test_egress_sources(api: Api, admin: Client) -> None:
    [source] = (await admin.get("/v1/egress-sources")).json["data"]
    assert (source["id"], source["ehlo_name"]) == ("default", "mta.sender.test")
    named = api.with_settings(domains=replace(Domains(), egress_addresses=("192.0.2.7",)))
    client = named.client_with(named.new_key(access=Access(scopes=(ADMIN,))))
    [source] = (await client.get("/v1/egress-sources")).json["data"]
    assert source["addresses"] == ["192.0.2.7"]


async def test_its_first_key_comes_from_an_admin(api: Api, admin: Client) -> None:
    made = await create(admin, "acme")
    target = f"/v1/tenants/{made['id']}/api-keys"
    key = (await admin.post(target, {"name": "app"})).json["token"]
    assert (await api.client_with(key).get("/v1/me")).json["tenant"]["name"] == "acme"
    assert (await admin.get(f"/v1/tenants/{made['id']}")).json["keys"] == 1
    assert (await admin.post("/v1/tenants/x/api-keys", {"name": "app"})).status == 404
    assert (await api.client.post(target, {"name": "app"})).status == 403


async def test_delivery_reports_are_switched_for_each_tenant(api: Api) -> None:
    operator = api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))
    made = (await operator.post("/v1/tenants", {"name": "quiet"})).json
    assert made["dsn"] is None
    path = f"/v1/tenants/{made['id']}"
    for wish in (False, True, None):
        answer = await operator.request("PATCH", path, body=json.dumps({"dsn": wish}).encode())
        assert (answer.status, answer.json["dsn"]) == (200, wish)
    wrong = await operator.request("PATCH", path, body=b'{"dsn": "no"}')
    assert [error["field"] for error in wrong.json["errors"]] == ["dsn"]
