"""Every route with ids of another tenant: its things do not exist, and stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from control_api.app import ROUTES
from control_api.schemas.base import JSON
from mta.core.access import ADMIN, FULL, Access
from storage import stats
from storage.database import Connection
from tests.control_api.conftest import EMAIL, Api
from tests.control_api.test_openapi import CAMPAIGN, World, name
from tests.support.asgi import Client

STRANGER = 7
"""A tenant that has nothing but a key."""
NAMING = [route for route in ROUTES if "{" in route.path and route.scope not in ("", ADMIN)]


@pytest.fixture
async def world(api: Api) -> World:
    world = World(api)
    await world.prepare()
    await stats.catch_up(api.database)
    return world


@pytest.fixture
def stranger(world: World, api: Api) -> Client:
    return api.client_with(api.new_key(STRANGER, Access(scopes=(FULL,))))


def contents(api: Api) -> dict[str, Sequence[Any]]:
    """Return all rows of all tables."""

    def dump(connection: Connection) -> dict[str, Sequence[Any]]:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            table: connection.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
            for (table,) in names
        }

    return api.database.read_now(dump)


async def test_another_tenants_things_are_not_there(
    world: World, stranger: Client, api: Api
) -> None:
    world.client, before, found = stranger, contents(api), {}
    for route in NAMING:
        media = next(iter(route.spec.request), JSON)
        reply = await world.ask(route, next(iter(route.spec.examples.values()), None), media)
        found[name(route)] = reply.status
        is_gone = route.method == "DELETE" and reply.status == 200 and reply.json["deleted"]
        assert is_gone or (reply.status, reply.json["code"]) == (404, "not_found"), name(route)
    assert contents(api) == before
    assert len(found) == len(NAMING) > 90


LOOKING = [
    route
    for route in ROUTES
    if route.method == "GET" and "{" not in route.path and route.scope not in ("", ADMIN)
]


async def test_lists_and_figures_have_nothing_of_others(world: World, stranger: Client) -> None:
    owned = {*world.ids.values(), "sender.example", "x@example.net"}
    for route in LOOKING:
        reply = await stranger.get(route.path)
        assert reply.status == 200, name(route)
        assert not [one for one in owned if one.encode() in reply.body], name(route)


def references(ids: dict[str, str]) -> list[tuple[str, Any, str]]:
    """Return where bodies name things, and the field that is wrong when they are another's."""
    audience = ids["audiences"]
    template = {"id": ids["templates"], "variables": {"number": 7}}
    bare = {"from": EMAIL["from"], "to": EMAIL["to"]}
    campaign = {**CAMPAIGN, "text": None}
    steps = [{"type": "send", "template_id": ids["templates"], "from": EMAIL["from"]}]
    moves = [{"type": "copy", "to_audience_id": audience}]
    joined = {"type": "contact.subscribed", "audience_id": audience}
    automation = {"name": "a", "trigger": {"type": "api"}}
    return [
        ("/v1/emails", {**bare, "template": template}, "template.id"),
        ("/v1/emails/batch", [{**bare, "template": template}], "emails[0].template.id"),
        ("/v1/campaigns", {**campaign, "template": template}, "template.id"),
        ("/v1/campaigns", {**CAMPAIGN, "recipients": None, "audience_id": audience}, "audience_id"),
        ("/v1/automations", {**automation, "steps": steps}, "steps[0].template_id"),
        ("/v1/automations", {**automation, "steps": moves}, "steps[0].to_audience_id"),
        (
            "/v1/automations",
            {**automation, "trigger": joined, "steps": [{"type": "wait", "days": 1}]},
            "trigger.audience_id",
        ),
        ("/v1/login-tokens", {"user_id": ids["users"]}, "user_id"),
    ]


async def test_bodies_cannot_name_things_of_others(
    world: World, stranger: Client, api: Api
) -> None:
    before, named = contents(api), references(world.ids)
    for path, body, field in named:
        reply = await stranger.post(path, body)
        assert reply.status == 422, (path, reply.body)
        assert [one["field"] for one in reply.json["errors"]] == [field]
    assert contents(api) == before
    for path, body, _ in named:
        own = await world.client.post(path, body)
        assert own.status == 200, (path, own.body)


async def test_lists_of_ids_pass_over_those_of_others(
    world: World, stranger: Client, api: Api
) -> None:
    before = contents(api)
    for change in ("hold", "release", "retry", "flush", "cancel"):
        reply = await stranger.post(f"/v1/queue/{change}", {"ids": [world.ids["emails"]]})
        assert (reply.status, reply.json["count"]) == (200, 0), change
    assert contents(api) == before
