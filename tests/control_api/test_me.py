from __future__ import annotations

from dataclasses import replace

from config.settings import ApiLimits, SendingQuota
from mta.core.access import Access
from mta.core.rate_limit import parse_limit
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Client


async def test_who_a_key_is(api: Api) -> None:
    client = api.client_with(api.new_key(access=Access(scopes=("stats:read",))))
    body = (await client.get("/v1/me")).json
    assert body["tenant"] == {"name": "default"}
    assert body["api_key"]["scopes"] == ["stats:read"]
    assert "token" not in body["api_key"]


async def test_usage_without_limits(api: Api) -> None:
    table = replace(api.settings.api, limits=ApiLimits(requests=()))
    body = (await api.with_settings(api=table).client.get("/v1/usage")).json
    month = body.pop("month")
    assert month["since"] == "2026-03-01T00:00:00.000Z"
    assert set(month["counts"].values()) == {0}
    assert body == {
        "object": "usage",
        "requests": [],
        "quota": {"per_hour": None, "per_day": None, "windows": []},
    }


async def test_usage_tells_what_is_left(api: Api) -> None:
    limits = ApiLimits(requests=(parse_limit("10/m"),))
    busy = api.with_settings(
        api=replace(api.settings.api, limits=limits), quota=SendingQuota(per_hour=2)
    )
    client = Client(busy.app, {"Authorization": f"Bearer {busy.key}"}, address="198.51.100.1")
    for _ in range(3):
        assert (await client.post("/v1/emails", EMAIL)).status == 200
    body = (await client.get("/v1/usage")).json
    [rate] = body["requests"]
    assert (rate["policy"], rate["limit"], rate["remaining"]) == ("10/m", 10, 6)
    assert body["month"]["counts"]["accepted"] == 3
    assert body["quota"]["per_hour"] == 2
    [window] = body["quota"]["windows"]
    assert window == {
        "span": "hour",
        "limit": 2,
        "used": 2,
        "remaining": 0,
        "resets_at": "2026-03-01T13:00:00.000Z",
    }
