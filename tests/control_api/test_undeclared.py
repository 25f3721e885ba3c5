"""Every route with what it does not take: it says so, names it, and does nothing."""

from __future__ import annotations

import json
import re

import pytest

from control_api.app import ROUTES
from control_api.routes import Route
from control_api.schemas.base import JSON
from tests.control_api.conftest import Api
from tests.control_api.test_isolation import contents
from tests.control_api.test_openapi import World, name
from tests.support.asgi import Client, Reply

GUARDED = [route for route in ROUTES if route.scope]
READING = [route for route in GUARDED if JSON in route.spec.request]
WITHOUT_BODY = [route for route in GUARDED if not route.spec.request]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def methods_of(path: str) -> set[str]:
    found = {route.method for route in ROUTES if route.path == path}
    return found | ({"HEAD"} if "GET" in found else set())


PATHS = {
    re.compile(re.sub(r"{\w+}", "[^/]+", route.path)): methods_of(route.path) for route in ROUTES
}
"""What targets look like, and the methods that they have."""


@pytest.fixture
async def world(api: Api) -> World:
    world = World(api)
    await world.prepare()
    world.ids |= {"mail": "pm_x", "sms": "sms_x"}
    return world


async def ask(client: Client, route: Route, target: str, body: bytes = b"") -> Reply:
    headers = {"Content-Type": next(iter(route.spec.request), JSON)} if body else {}
    return await client.request(route.method, target, body=body, headers=headers)


def codes(reply: Reply) -> dict[str, str]:
    """Return what is wrong by field."""
    assert reply.status == 422, reply.body
    return {error["field"]: error["code"] for error in reply.json["errors"]}


async def test_a_parameter_that_there_is_not(world: World, api: Api) -> None:
    before = contents(api)
    for route in GUARDED:
        example = next(iter(route.spec.examples.values()), None)
        body = b"" if example is None else json.dumps(example).encode()
        reply = await ask(world.client, route, f"{world.target(route)}?tset=true", body)
        assert codes(reply) == {"tset": "unknown_field"}, name(route)
    assert contents(api) == before


async def test_a_parameter_twice(api: Api) -> None:
    for route in GUARDED:
        for one in route.spec.parameters:
            is_one = one.place == "query" and one.schema.get("type") != "array"
            if is_one and "{" not in route.path:
                reply = await ask(api.client, route, f"{route.path}?{one.name}=1&{one.name}=2")
                if reply.status != 403:  # only operators come here
                    assert codes(reply)[one.name] == "duplicate_field", name(route)


async def test_a_body_where_none_is_taken(world: World, api: Api) -> None:
    before = contents(api)
    for route in WITHOUT_BODY:
        reply = await ask(world.client, route, world.target(route), b'{"only":["a"]}')
        assert codes(reply) == {"only": "unknown_field"}, name(route)
        reply = await ask(world.client, route, world.target(route), b"only=a")
        assert codes(reply) == {"": "invalid_json"}, name(route)
    assert contents(api) == before


async def test_an_empty_object_is_no_body(world: World) -> None:
    reply = await world.client.post(f"/v1/emails/{world.ids['emails']}/cancel", {})
    assert reply.status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b'{"a":1,"a":2}', "duplicate_field"),
        (b'"text"', "invalid_type"),
        (b"7", "invalid_type"),
    ],
)
async def test_a_body_that_is_no_object(world: World, api: Api, body: bytes, code: str) -> None:
    before = contents(api)
    for route in READING:
        reply = await ask(world.client, route, world.target(route), body)
        assert codes(reply)[""] == code, name(route)
    assert contents(api) == before


async def test_a_body_of_another_media_type(world: World, api: Api) -> None:
    before = contents(api)
    for route in READING:
        reply = await world.client.request(
            route.method, world.target(route), body=b"a=1", headers={"Content-Type": "text/x"}
        )
        assert (reply.status, reply.json["code"]) == (415, "unsupported_media_type"), name(route)
    assert contents(api) == before


async def test_other_methods_name_those_that_there_are(world: World, api: Api) -> None:
    before = contents(api)
    for route in GUARDED:
        target = world.target(route)
        own = methods_of(route.path)
        there = set[str]().union(
            *(those for path, those in PATHS.items() if path.fullmatch(target))
        )
        for method in set(METHODS) - there:
            reply = await world.client.request(method, target)
            assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
            assert set(reply.headers["allow"].split(", ")) == own, name(route)
    assert contents(api) == before


async def test_head_is_get_without_a_body(world: World) -> None:
    for route in ROUTES:
        if route.method == "GET" and route.path not in ("/metrics", "/v1/events"):
            got = await world.client.get(world.target(route))
            head = await world.client.request("HEAD", world.target(route))
            assert head.status == got.status, name(route)
            for header in ("content-type", "content-length"):
                assert head.headers.get(header) == got.headers.get(header), name(route)


LISTS = [route for route in GUARDED if "after" in {one.name for one in route.spec.parameters}]
CURSOR = "ct_01KJMQ0R000000000000000001"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1001", "limit"),
        ("after=x", "after"),
        ("after=%00", "after"),
        (f"after={CURSOR}'--", "after"),
        ("before=1", "before"),
        (f"before={CURSOR}&after={CURSOR}", "before"),
        ("page=0", "page"),
        ("page=1001&limit=100", "page"),
        (f"page=1&after={CURSOR}", "page"),
    ],
)
async def test_pages_that_there_are_not(world: World, query: str, field: str) -> None:
    for route in LISTS:
        takes = {one.name for one in route.spec.parameters}
        if field in takes and {part.partition("=")[0] for part in query.split("&")} <= takes:
            reply = await ask(world.client, route, f"{world.target(route)}?{query}")
            assert field in codes(reply), name(route)


async def test_a_cursor_of_another_list_leads_nowhere(world: World) -> None:
    for route in LISTS:
        if route.path != "/v1/events":
            reply = await ask(world.client, route, f"{world.target(route)}?after={CURSOR}")
            assert reply.status in (200, 422), name(route)
            assert reply.status == 422 or not reply.json["has_more"], name(route)
