"""Every POST that heeds Idempotency-Key: sent twice, it is carried out once and answered alike."""

from __future__ import annotations

from typing import Any

from control_api.app import ROUTES
from control_api.routes import Route
from control_api.schemas.base import JSON
from tests.control_api.conftest import Api
from tests.control_api.test_isolation import contents, world
from tests.control_api.test_openapi import OTHERWISE, World, name
from tests.support.asgi import Client, Reply

__all__ = ["world"]
HEEDING = [
    route
    for route in ROUTES
    if route.method == "POST" and route.spec.is_idempotent and name(route) not in OTHERWISE
]
HARMLESS = {
    "POST /login/{token}": "a link works once",
    "POST /u/{token}": "who is out stays out",
    "POST /c/{token}": "who has confirmed has confirmed",
    "POST /v1/audiences/{id}/contacts/{contact}/resend-confirmation": "once an hour at most",
    "POST /v1/audiences/{id}/contacts/{contact}/subscribe": "who is in stays in",
    "POST /v1/audiences/{id}/contacts/{contact}/unsubscribe": "likewise",
    "POST /v1/automations/{id}/pause": "what is paused stays paused",
    "POST /v1/automations/{id}/resume": "likewise",
    "POST /v1/automations/{id}/runs/{run_id}/cancel": "what has ended stays as it is",
    "POST /v1/domains/{id}/verify": "looks at the DNS once more",
    "POST /v1/feedback/raw": "the same report of the same mail changes nothing",
    "POST /v1/imports/{id}/cancel": "what has ended stays as it is",
    "POST /v1/mail/validate-address": "changes nothing",
    "POST /v1/mail/{id}/cancel": "refused the second time",
    "POST /v1/me/password": "a body with a password is not kept",
    "POST /v1/login": "likewise",
    "POST /v1/login-tokens": "a token is not kept",
    "POST /v1/logout": "the token has ended",
    "POST /v1/templates/{id}/render": "changes nothing",
    "POST /v1/tenants/{id}/users": "an address exists once",
    "POST /v1/users": "likewise",
    "POST /v1/webhooks/{id}/test": "a made-up event",
}
"""POSTs that do not heed it, and why that does no harm."""


def test_those_that_do_not_heed_it_are_known() -> None:
    others = {name(one) for one in ROUTES if one.method == "POST" and not one.spec.is_idempotent}
    assert others == HARMLESS.keys()


async def test_the_same_again_is_answered_alike_and_does_nothing(world: World, api: Api) -> None:
    count = 0
    for number, route in enumerate(HEEDING):
        world.client = Client(api.app, {**api.client.headers, "Idempotency-Key": f"k{number}"})
        first = await asked(world, route)
        if first.status >= 300:
            continue  # what came before it has changed what it is about
        before, count = contents(api), count + 1
        again = await asked(world, route)
        assert again.headers.get("idempotent-replayed") == "true", (name(route), again.body)
        assert (again.status, without_secrets(again)) == (first.status, without_secrets(first))
        assert contents(api) == before, name(route)
    assert count > 40


async def asked(world: World, route: Route) -> Reply:
    media = next(iter(route.spec.request), JSON)
    return await world.ask(route, next(iter(route.spec.examples.values()), None), media)


def without_secrets(reply: Reply) -> Any:
    """Return the answer without what is told once only."""
    return {key: value for key, value in reply.json.items() if key != "token"}
