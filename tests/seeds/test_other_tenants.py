"""What one tenant has, no other sees, changes or deletes through any service's call."""

from __future__ import annotations

from typing import Any

import pytest

from control_api.app import DIALECTS
from control_api.dialects.base import Dialect, Operation
from tests.control_api.conftest import Api
from tests.seeds.requests import BODIES, SPELLED, Place, address, keys, told_in_its_form

CALLS = [
    (dialect, one)
    for dialect in DIALECTS
    for one in dialect.operations
    if any(words in one.path for words in SPELLED)
]


def body_for(dialect: Dialect, operation: Operation) -> Any:
    """Return a body that the call takes, {} where it needs none."""
    calls = dict(BODIES[dialect.name])
    return calls.get(f"{operation.method} {address(operation)}", {})


@pytest.mark.parametrize(
    ("dialect", "operation"),
    CALLS,
    ids=[f"{dialect.name} {one.method} {one.path}" for dialect, one in CALLS],
)
async def test_nobody_reaches_what_others_have(
    api: Api, dialect: Dialect, operation: Operation
) -> None:
    place = await Place.made(api)
    other = keys(place.service.api.new_key(2))
    url = f"/compat/{dialect.name}{place.filled(address(operation))}"
    wish = place.filled(body_for(dialect, operation))
    reply = await place.service.call(operation.method, url, wish, other)
    is_idempotent = dialect.name == "mailsflux" and operation.method == "DELETE"
    assert reply.status == (200 if is_idempotent else 404), (url, reply.body)
    assert is_idempotent or told_in_its_form(dialect.name, 404, reply.json), reply.body
    assert await place.is_whole()
    mine = await place.service.call(operation.method, url, wish)
    assert mine.status != 404, (url, mine.body)
