"""Every route against every scope, from the route table: a route without a policy fails here."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from control_api.app import ROUTES
from control_api.errors import ApiError
from control_api.routes import Route
from mta.core.access import ADMIN, ANY_KEY, AREAS, FULL, SCOPES, Access
from tests.control_api.conftest import Api

PUBLIC = {"/healthz", "/readyz", "/metrics", "/docs", "/v1/openapi.json", "/v1/login"}
"""What needs no key. Paths of signed links, which carry their own proof, are below."""
SIGNED = ("/u/", "/c/", "/t/", "/login/")


def allowed(scope: str, wanted: str) -> bool:
    """Say who may do what, in other words than the code."""
    if wanted == ANY_KEY or scope == ADMIN:
        return True
    if wanted == ADMIN:
        return False
    area = wanted.split(":", maxsplit=1)[0]
    return scope in {wanted, f"{area}:*", FULL}


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


GUARDED = [route for route in ROUTES if route.scope]


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_i05_every_route_has_a_policy(route: Route) -> None:
    if not route.scope:
        assert route.path in PUBLIC or route.path.startswith(SIGNED), "open to everybody?"
        return
    area, _, verb = route.scope.partition(":")
    assert route.scope in {ANY_KEY, ADMIN} or verb in AREAS[area]


@pytest.mark.parametrize("route", GUARDED, ids=name)
async def test_i05_nobody_gets_in_without_a_key(api: Api, route: Route) -> None:
    reply = await api.anonymous.request(route.method, _target(route))
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("route", GUARDED, ids=name)
async def test_i05_every_scope_opens_what_it_says(api: Api, route: Route) -> None:
    for scope in SCOPES:
        key = api.new_key(access=Access(scopes=(scope,)))
        if allowed(scope, route.scope):
            await api.services.gate.admit(_request(key), route.scope)
            continue
        with pytest.raises(ApiError) as caught:
            await api.services.gate.admit(_request(key), route.scope)
        assert caught.value.problem.status == 403
        assert route.scope in caught.value.problem.message


@pytest.mark.parametrize("route", GUARDED, ids=name)
async def test_i05_the_application_asks(api: Api, route: Route) -> None:
    if route.scope == ANY_KEY:
        return
    client = api.client_with(api.new_key(access=Access(scopes=())))
    reply = await client.request(route.method, _target(route))
    assert reply.status == 403
    assert reply.json["code"] == "forbidden"
    assert reply.json["detail"] == f"This API key lacks the scope {route.scope}."


def _target(route: Route) -> str:
    return route.path.replace("{", "x").replace("}", "x")


def _request(key: str) -> Request:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    scope = {"type": "http", "headers": headers, "client": ("127.0.0.1", 1), "state": {}}
    return Request(scope)
