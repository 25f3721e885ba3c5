"""Meters of dialects: those that say nothing any more are forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.requests import Request

from config.settings import ApiLimits
from control_api.dialects.limits import _SWEEP, DialectLimits
from control_api.dialects.sendflare import DIALECT
from control_api.errors import ApiError
from tests.control_api.conftest import Api

SEND = DIALECT.operations[0]


@pytest.fixture
def held(api: Api) -> Api:
    limits = ApiLimits(exempt_networks=(), wrong_keys=())
    return api.with_settings(api=replace(api.settings.api, limits=limits))


def request() -> Request:
    return Request({"type": "http", "headers": [], "client": ("192.0.2.1", 1), "state": {}})


def test_keys_do_not_count_for_one_another(held: Api) -> None:
    limits = DialectLimits(held.services, held.clock)
    for _ in range(5):
        limits.count(request(), "key_1", DIALECT, SEND)
    with pytest.raises(ApiError) as refused:
        limits.count(request(), "key_1", DIALECT, SEND)
    assert refused.value.problem.status == 429
    limits.count(request(), "key_2", DIALECT, SEND)


def test_idle_meters_go_and_busy_ones_stay(held: Api) -> None:
    limits = DialectLimits(held.services, held.clock)
    for number in range(_SWEEP - 1):
        limits.count(request(), f"key_{number}", DIALECT, SEND)
    held.clock.advance(minutes=1)
    limits.count(request(), "key_busy", DIALECT, SEND)
    assert [place[2] for place in limits._meters] == ["key_busy"]
