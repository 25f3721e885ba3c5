"""The gate: keys that end, change and are used from the wrong place, and what that costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest

from config.settings import Api as ApiTable
from mta.core.access import Access
from mta.core.api_key import key_hash, last4
from storage import tenants
from tests.control_api.conftest import EMAIL, NOW, Api, random_key
from tests.support.asgi import Client

OFFICE = ip_network("192.0.2.0/24")


def at(api: Api, key: str, address: str) -> Client:
    return Client(api.app, {"Authorization": f"Bearer {key}"}, address=address)


async def test_a_key_may_be_in_either_header(api: Api) -> None:
    assert (await api.anonymous.get("/v1/me", x_api_key=api.key)).status == 200
    assert (await api.anonymous.get("/v1/me", authorization=f"bearer {api.key}")).status == 200
    assert (await api.anonymous.get("/v1/me", authorization=f"Basic {api.key}")).status == 401


async def test_an_expired_key_is_told_so(api: Api) -> None:
    key = api.new_key(access=Access(expires_at=NOW + timedelta(minutes=1)))
    client = api.client_with(key)
    assert (await client.get("/v1/me")).status == 200
    api.clock.advance(minutes=1)
    reply = await client.get("/v1/me")
    assert reply.status == 401
    assert reply.json["detail"] == "This API key has expired."


async def test_i06_a_key_revoked_elsewhere_ends_within_a_second(api: Api) -> None:
    assert (await api.client.get("/v1/me")).status == 200
    key_id = api.key_id(api.key)
    api.database.write_now(lambda db: tenants.revoke_key(db, key_id, NOW))
    api.services.gate.forget()  # what the command line's kick does
    assert (await api.client.get("/v1/me")).status == 401


async def test_i06_without_the_kick_it_takes_a_second(api: Api) -> None:
    assert (await api.client.get("/v1/me")).status == 200
    api.database.write_now(lambda db: tenants.revoke_key(db, api.key_id(api.key), NOW))
    assert (await api.client.get("/v1/me")).status == 200
    api.clock.advance(seconds=1)
    assert (await api.client.get("/v1/me")).status == 401


async def test_networks(api: Api) -> None:
    key = api.new_key(access=Access(networks=(OFFICE,)))
    assert (await at(api, key, "192.0.2.9").get("/v1/me")).status == 200
    reply = await at(api, key, "198.51.100.1").get("/v1/me")
    assert reply.status == 403
    assert reply.json["detail"] == "This API key may not be used from 198.51.100.1."


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("192.0.2.9", 200),
        ("198.51.100.1, 192.0.2.9", 200),  # what the proxy wrote counts
        ("192.0.2.9, 198.51.100.1", 403),  # what the client wrote does not
        ("192.0.2.9, 10.0.0.2", 200),  # two proxies
        ("nonsense", 403),
        ("", 403),
    ],
)
async def test_behind_a_trusted_proxy(api: Api, forwarded: str, status: int) -> None:
    table = replace(api.settings.api, trusted_proxies=(ip_network("10.0.0.0/8"),))
    behind = api.with_settings(api=table)
    key = behind.new_key(access=Access(networks=(OFFICE,)))
    client = at(behind, key, "10.0.0.1")
    assert (await client.get("/v1/me", x_forwarded_for=forwarded)).status == status


async def test_nobody_else_is_believed(api: Api) -> None:
    key = api.new_key(access=Access(networks=(OFFICE,)))
    client = at(api, key, "198.51.100.1")
    assert (await client.get("/v1/me", x_forwarded_for="192.0.2.9")).status == 403


async def test_the_last_use_is_written_later(api: Api) -> None:
    for _ in range(3):
        await api.client.get("/v1/me")
    url = f"/v1/api-keys/{api.key_id(api.key)}"
    assert (await api.client.get(url)).json["last_used_at"] is None
    await api.uses.flush()
    assert (await api.client.get(url)).json["last_used_at"] == "2026-03-01T12:00:00.000Z"


async def test_i07_a_sender_domain_that_the_key_lacks(api: Api) -> None:
    client = api.client_with(api.new_key(access=Access(domains=("other.example",))))
    reply = await client.post("/v1/emails", EMAIL)
    assert reply.status == 403
    assert reply.json["code"] == "forbidden"
    assert "sender.example" in reply.json["detail"]
    batch = await client.post("/v1/emails/batch", [EMAIL])
    assert batch.status == 403
    assert batch.json["errors"][0]["field"] == "emails[0].from"


async def test_a_lookup_that_began_before_a_change_is_not_remembered(api: Api) -> None:
    key = random_key()
    api.database.write_now(
        lambda db: tenants.create_key(
            db,
            tenant_id=1,
            name="x",
            key_id="key_x",
            key_hash=key_hash(key),
            last4=last4(key),
            now=NOW,
        )
    )
    client = api.client_with(key)
    request = asyncio.create_task(client.get("/v1/me"))
    await asyncio.sleep(0)  # the lookup is under way
    api.services.gate.forget()
    assert (await request).status == 200
    api.database.write_now(lambda db: tenants.revoke_key(db, "key_x", NOW))
    assert (await client.get("/v1/me")).status == 401


def test_loopback_is_exempt_by_default() -> None:
    assert [str(one) for one in ApiTable().limits.exempt_networks] == ["127.0.0.0/8", "::1/128"]
