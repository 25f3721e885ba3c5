"""Wrong keys cost their sender more than us. (I02)"""

from __future__ import annotations

import pytest

from config.settings import Api as ApiSettings
from config.settings import ApiLimits
from config.units import rate
from control_api.brake import MAX_CLIENTS, Brake
from control_api.errors import ApiError
from tests.control_api.conftest import Api, Clock, random_key


async def test_i02_who_tries_keys_is_told_to_wait(api: Api) -> None:
    strict = api.with_settings(api=ApiSettings(limits=ApiLimits(wrong_keys=(rate("3/m"),))))
    wrong = [await strict.client_with(random_key()).get("/v1/me") for _ in range(4)]
    assert [one.status for one in wrong] == [401, 401, 401, 429]
    assert int(wrong[3].headers["retry-after"]) > 0
    assert (await strict.client.get("/v1/me")).status == 200
    strict.clock.advance(minutes=2)
    assert (await strict.client_with(random_key()).get("/v1/me")).status == 401


async def test_right_keys_are_not_counted(api: Api) -> None:
    strict = api.with_settings(api=ApiSettings(limits=ApiLimits(wrong_keys=(rate("3/m"),))))
    statuses = {(await strict.client.get("/v1/me")).status for _ in range(20)}
    assert statuses == {200}


async def test_pages_behind_links_are_limited_for_each_client(api: Api) -> None:
    limits = ApiLimits(pages=(rate("3/m"),), exempt_networks=())
    strict = api.with_settings(api=ApiSettings(limits=limits, trusted_proxies=()))
    stranger = strict.client_with("")
    answers = [await stranger.get("/u/forged") for _ in range(4)]
    assert [one.status for one in answers] == [404, 404, 404, 429]
    assert int(answers[3].headers["retry-after"]) > 0
    assert (await stranger.post("/u/forged", {})).status == 429
    assert (await strict.client.get("/v1/me")).status == 200, "the API is another matter"
    strict.clock.advance(minutes=2)
    assert (await stranger.get("/u/forged")).status == 404


async def test_an_untrusted_proxy_is_not_taken_for_one_client(api: Api) -> None:
    limits = ApiLimits(pages=(rate("1/m"),), exempt_networks=())
    strict = api.with_settings(api=ApiSettings(limits=limits, trusted_proxies=()))
    statuses = {
        (await strict.client.get("/u/forged", x_forwarded_for="192.0.2.1")).status for _ in range(5)
    }
    assert statuses == {404}


def test_memory_is_bounded() -> None:
    brake = Brake([rate("3/m")], Clock())
    for number in range(MAX_CLIENTS + 100):
        brake.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(brake._meters) == MAX_CLIENTS


def test_an_ipv6_site_is_one_client() -> None:
    brake = Brake([rate("2/m")], Clock())
    brake.note("2001:db8::1")
    brake.note("2001:db8::2")
    brake.note("2001:db8:1::1")
    with pytest.raises(ApiError):
        brake.note("2001:db8::3")
