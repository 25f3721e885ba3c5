"""The services' requests with one wrong thing at a time: an answer in their form, never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control_api.conftest import Api
from tests.seeds.requests import BODIES, Place, changed, told_in_its_form

VALUES: tuple[Any, ...] = (
    None,
    True,
    2**70,
    -1.5,
    "",
    "\x00\r\n\u202e",
    "x" * 70_000,
    [[]],
    {"": 0},
)
CALLS = [(name, call, body) for name, calls in BODIES.items() for call, body in calls]


@pytest.mark.parametrize(
    ("name", "call", "body"), CALLS, ids=[f"{name} {call}" for name, call, _ in CALLS]
)
async def test_one_wrong_value(api: Api, name: str, call: str, body: Any) -> None:
    place = await Place.made(api)
    method, path = place.filled(call).split(" ", 1)
    url, wish = f"/compat/{name}{path}", place.filled(body)
    right = await place.service.call(method, url, wish)
    assert right.status < 300, right.body
    for value in VALUES:
        for wrong in changed(wish, value):
            reply = await place.service.call(method, url, wrong)
            assert reply.status < 500, (wrong, reply.body)
            if reply.status >= 400:
                assert told_in_its_form(name, reply.status, reply.json), (wrong, reply.body)
