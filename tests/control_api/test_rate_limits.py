"""Limits of a key: counted, told in headers, and remembered over a restart."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from config.settings import ApiLimits
from control_api.auth import Gate
from mta.core.rate_limit import parse_limit
from tests.control_api.conftest import Api
from tests.support.asgi import Client

STRANGER = "198.51.100.1"
LIMITS = (parse_limit("3/s"), parse_limit("5/m"))


@pytest.fixture
def limited(api: Api) -> Api:
    table = replace(api.settings.api, limits=ApiLimits(requests=LIMITS))
    return api.with_settings(api=table)


def client(api: Api, address: str = STRANGER, key: str = "") -> Client:
    return Client(api.app, {"Authorization": f"Bearer {key or api.key}"}, address=address)


async def test_every_response_tells_the_limits(limited: Api) -> None:
    reply = await client(limited).get("/v1/me")
    assert reply.headers["ratelimit-policy"] == '"3/s";q=3;w=1, "5/m";q=5;w=60'
    assert reply.headers["ratelimit"] == '"3/s";r=2;t=1, "5/m";r=4;t=12'
    assert reply.headers["x-ratelimit-limit"] == "3"
    assert reply.headers["x-ratelimit-remaining"] == "2"
    assert reply.headers["x-ratelimit-reset"] == "1"


async def test_errors_tell_them_too(limited: Api) -> None:
    reply = await client(limited).get("/v1/emails/em_00000000000000000000000000")
    assert reply.status == 404
    assert reply.headers["x-ratelimit-remaining"] == "2"


async def test_j08_one_too_many(limited: Api) -> None:
    for _ in range(3):
        assert (await client(limited).get("/v1/me")).status == 200
    reply = await client(limited).get("/v1/me")
    assert reply.status == 429
    assert reply.json["code"] == "rate_limit_exceeded"
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["x-ratelimit-remaining"] == "0"
    limited.clock.advance(seconds=1)
    assert (await client(limited).get("/v1/me")).status == 200


async def test_j08_each_key_has_its_own(limited: Api) -> None:
    other = limited.new_key()
    for _ in range(3):
        await client(limited).get("/v1/me")
    assert (await client(limited, key=other).get("/v1/me")).status == 200


async def test_the_address_does_not_matter(limited: Api) -> None:
    for number in range(3):
        await client(limited, f"198.51.100.{number}").get("/v1/me")
    assert (await client(limited, "203.0.113.1").get("/v1/me")).status == 429


async def test_loopback_is_not_limited(limited: Api) -> None:
    replies = [await client(limited, "127.0.0.1").get("/v1/me") for _ in range(9)]
    assert {reply.status for reply in replies} == {200}
    assert "ratelimit" not in replies[0].headers


async def test_a_proxy_on_loopback_does_not_lift_the_limits(limited: Api) -> None:
    local = client(limited, "127.0.0.1")
    for _ in range(3):
        await local.get("/v1/me", x_forwarded_for=STRANGER)
    assert (await local.get("/v1/me", x_forwarded_for=STRANGER)).status == 429
    assert (await local.get("/v1/me", forwarded=f"for={STRANGER}")).status == 429


async def test_a_trusted_proxy_speaks_for_its_clients(limited: Api) -> None:
    table = replace(limited.settings.api, trusted_proxies=(ip_network("127.0.0.1/32"),))
    behind = limited.with_settings(api=table)
    for _ in range(4):
        reply = await client(behind, "127.0.0.1").get("/v1/me", x_forwarded_for=STRANGER)
    assert reply.status == 429


async def test_who_has_no_key_is_not_counted(limited: Api) -> None:
    stranger = Client(limited.app, {"Authorization": "Bearer x"}, address=STRANGER)
    replies = [await stranger.get("/v1/me") for _ in range(9)]
    assert {reply.status for reply in replies} == {401}
    assert "ratelimit" not in replies[0].headers


async def test_j08_limits_survive_a_restart(limited: Api) -> None:
    for _ in range(3):
        await client(limited).get("/v1/me")
    await limited.services.gate.limiter.flush()
    again = Gate(limited.database, limited.settings.api, limited.uses, limited.clock)
    standings = again.limiter.standings(limited.key_id(limited.key))
    assert [one.remaining for one in standings] == [0, 2]


async def test_j08_state_is_forgotten_when_it_says_nothing(limited: Api) -> None:
    await client(limited).get("/v1/me")
    await limited.services.gate.limiter.flush()
    assert limited.count("rate_meters") == 2
    limited.clock.advance(minutes=2)
    await limited.services.gate.limiter.flush()
    assert limited.count("rate_meters") == 0


async def test_without_limits_there_are_no_headers(api: Api) -> None:
    table = replace(api.settings.api, limits=ApiLimits(requests=()))
    free = api.with_settings(api=table)
    reply = await client(free).get("/v1/me")
    assert reply.status == 200
    assert "ratelimit" not in reply.headers
