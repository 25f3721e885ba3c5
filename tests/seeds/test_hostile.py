"""Random requests to every service, at both doors: an answer in its form, and never a 500.

Half of them are the services' own with some values changed, so that what lies behind the first
checks is reached too. One wrong value at a time: test_one_wrong.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_api.dialects.base import Dialect, Media
from tests.control_api.conftest import Api
from tests.seeds.requests import BODIES, Place, address, by_name, told_in_its_form

WORDS = """
    from to cc bcc subject html text body tags replyTo scheduledAt emails content name email
    listId attachments list_uid from_email from_name url events appId emailAddress status data
    page pageSize per_page limit type htmlContent recipients trackOpens trackClicks contacts
    domain EMAIL headers FIRST_NAME tag subscribers mode mapping contact label message_id
    description password template country line1 city postal_code metadata id open click search q
    audience_id track_open fields
""".split()  # noqa: SIM905 - a wall of quotes says less
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ("", "a@b.example", "\r\nBcc: x@y.example", "\x00", "{{ x }}{% if %}", "2026-02-30", "1" * 30)
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
NAMES = st.sampled_from(WORDS) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
QUERIES = st.dictionaries(st.sampled_from(("page", "limit", "per_page", "appId", "open")), TEXTS)


@pytest.fixture
async def place(api: Api) -> Place:
    return await Place.made(api)


def requests(place: Place, dialect: Dialect) -> st.SearchStrategy[tuple[str, str, Any]]:
    """Return method, path and body of a call: any call with any body, or a right one changed."""
    anything = st.tuples(
        st.sampled_from([(one.method, place.filled(address(one))) for one in dialect.operations]),
        VALUES,
    )
    right = st.sampled_from(
        [
            (place.filled(call).split(" ", 1), place.filled(body))
            for call, body in BODIES[dialect.name]
        ]
    )
    nearly = st.tuples(right, OBJECTS, st.sets(st.integers(0, 8))).map(_mixed)
    return st.one_of(anything, nearly).map(lambda one: (*one[0], one[1]))


def _mixed(drawn: Any) -> Any:
    """Return a right request with some fields replaced by others' values, and more of them."""
    (call, body), more, places = drawn
    spare = list(more.values()) or [None]
    changed = {
        name: spare[index % len(spare)] if index in places else value
        for index, (name, value) in enumerate(body.items())
    }
    return call, {**changed, **more} if 0 in places else changed


def encodings(dialect: Dialect, body: Any) -> Iterator[tuple[str, bytes]]:
    """Give the media types in which the service takes bodies, and this one in each."""
    yield Media.JSON.value, json.dumps(body).encode()
    if Media.FORM in dialect.bodies and isinstance(body, dict):
        yield Media.FORM.value, urlencode(list(_flat(body))).encode()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, one in value.items():
                yield from _flat(one, f"{name}[{key}]" if name else key)
        case list():
            for one in value:
                yield from _flat(one, f"{name}[]")
        case _:
            yield name, "" if value is None else str(value)


@pytest.mark.parametrize("name", BODIES)
@given(drawn=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_requests(place: Place, name: str, drawn: st.DataObject) -> None:
    dialect = by_name(name)
    method, path, body = drawn.draw(requests(place, dialect))
    query = urlencode(drawn.draw(QUERIES))
    for media, data in encodings(dialect, body):
        for base in ("", f"/compat/{name}"):
            url = f"{base}{path}?{query}"
            reply = await place.service.call(method, url, data, {"content-type": media})
            assert reply.status < 500, reply.body
            if base and reply.status >= 400:
                assert told_in_its_form(name, reply.status, reply.json), reply.body
