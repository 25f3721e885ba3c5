"""The HTTP application: the table of all routes, and what stands around every handler.

    RequestId -> Named (which dialect) -> Metered -> RateLimitHeaders -> Unexpected -> BodyGuard
    -> Overload -> errors as values -> router -> Gate (whose key, how often, may it) -> handler

Not here: the server that speaks HTTP (mta/daemon.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from control_api import (
    api_keys,
    audiences,
    automation_runs,
    automations,
    campaign_actions,
    campaign_figures,
    campaigns,
    confirmation,
    contact_export,
    contacts,
    credit_accounts,
    docs_page,
    domains,
    egress_sources,
    email_routes,
    event_pull,
    event_types,
    feedback,
    health,
    imports,
    login,
    login_page,
    me,
    memberships,
    metrics,
    openapi,
    postal_mail,
    queue,
    reputation,
    request_log,
    sms,
    stats,
    suppression_undo,
    suppressions,
    templates,
    tenants,
    tracking,
    unsubscribe,
    users,
    webhook_events,
    webhook_trial,
    webhooks,
)
from control_api.body_guard import BodyGuard, Streamed, require_media
from control_api.dialects import emailflow, flushit, mailsflux, sendflare, sk_live
from control_api.dialects.base import Dialect
from control_api.dialects.doors import Doors
from control_api.dialects.limits import DialectLimits
from control_api.dialects.server import DialectRoute, Named
from control_api.errors import ApiError, problem_of, render
from control_api.middleware import Overload, RequestId, Unexpected
from control_api.rate_limits import RateLimitHeaders
from control_api.request_meter import Metered, attribute
from control_api.routes import Call, Route, Services
from control_api.undeclared import require_declared
from control_api.webhook_formats import Formats
from mta.core.json_text import encode
from storage.errors import StorageError

_TABLE: tuple[Route, ...] = (
    *email_routes.ROUTES,
    *webhooks.ROUTES,
    *webhook_trial.ROUTES,
    *webhook_events.ROUTES,
    *event_types.ROUTES,
    *event_pull.ROUTES,
    *domains.ROUTES,
    *reputation.ROUTES,
    *api_keys.ROUTES,
    *me.ROUTES,
    *login.ROUTES,
    *login_page.ROUTES,
    *users.ROUTES,
    *credit_accounts.ROUTES,
    *feedback.ROUTES,
    *unsubscribe.ROUTES,
    *confirmation.ROUTES,
    *tracking.ROUTES,
    *suppression_undo.ROUTES,
    *suppressions.ROUTES,
    *templates.ROUTES,
    *contacts.ROUTES,
    *contact_export.ROUTES,
    *audiences.ROUTES,
    *memberships.ROUTES,
    *campaigns.ROUTES,
    *campaign_actions.ROUTES,
    *campaign_figures.ROUTES,
    *imports.ROUTES,
    *postal_mail.ROUTES,
    *sms.ROUTES,
    *automations.ROUTES,
    *automation_runs.ROUTES,
    *queue.ROUTES,
    *stats.ROUTES,
    *request_log.ROUTES,
    *tenants.ROUTES,
    *egress_sources.ROUTES,
    *metrics.ROUTES,
    Route("GET", openapi.PATH, openapi.get_document, "", "Describe the API to programs"),
    Route("GET", docs_page.PATH, docs_page.get_page, "", "Describe the API to people"),
    Route("GET", "/healthz", health.healthz, "", "Tell whether the process is up"),
    Route("GET", "/readyz", health.readyz, "", "Tell whether mail can be taken and delivered"),
)
"""Every operation of the API; of paths that overlap, the first one listed answers."""
ROUTES = tuple(
    replace(route, spec=openapi.SPECS.get(f"{route.method} {route.path}", route.spec))
    for route in _TABLE
)
"""The same with what the documentation says of each."""

DIALECTS: tuple[Dialect, ...] = (
    mailsflux.DIALECT,
    sendflare.DIALECT,
    sk_live.DIALECT,
    emailflow.DIALECT,
    flushit.DIALECT,
)
"""Other services' APIs that are answered too; of two with the same path, the first has the word
until the body has told which is meant."""

WEBHOOK_FORMATS: Formats = {
    one.webhooks.name: one.webhooks for one in DIALECTS if one.webhooks is not None
}
"""The forms in which endpoints can get events besides the native one."""

ALIASES = {"/v1/audiences": ("/v1/lists", "/v1/segments")}
"""Beginning of paths -> what it may also be called; documented as what it is."""
UNSHED = ("/healthz", "/readyz", "/metrics", "/v1/events")
"""Paths served under overload too: supervisors ask, or, at the last one, apps wait for events."""


def build_app(services: Services) -> Starlette:
    """Return the ASGI application.

    Raises:
        SettingsError: [compat.hosts] names a dialect that there is not.
    """
    doors = Doors(DIALECTS, services.settings.compat.hosts, _public())
    limits = DialectLimits(services, services.now)
    app = Starlette(
        routes=[
            DialectRoute(ROUTES, services, limits),
            *(_path_route(path, name, services) for path in _paths() for name in _spellings(path)),
        ],
        middleware=[
            Middleware(RequestId, new_id=lambda: services.new_id("req")),
            Middleware(Named, doors=doors, limits=limits, now=services.now),
            Middleware(
                Metered,
                meter=services.requests,
                now=services.now,
                proxies=services.settings.api.trusted_proxies,
            ),
            Middleware(RateLimitHeaders),
            Middleware(Unexpected),
            Middleware(
                BodyGuard,
                max_size=services.settings.api.max_body_size,
                streamed=suppressions.STREAMED | _spelled(imports.STREAMED),
            ),
            Middleware(Overload, exempt=UNSHED),
        ],
        exception_handlers=dict.fromkeys((ApiError, HTTPException, StorageError), _answer),
    )
    app.router.redirect_slashes = False
    document, page = _described(services.settings.api.public_url)
    setattr(app.state, openapi.DOCUMENT, document)
    setattr(app.state, docs_page.PAGE, page)
    return app


@cache
def _described(base_url: str) -> tuple[bytes, bytes]:
    """Return the OpenAPI document and the page made of it."""
    document = openapi.document(ROUTES, base_url)
    return encode(document), docs_page.render(document)


_PAGES = ("/u/", "/c/", "/login/")
"""Where links in mail lead: no key, and anybody may come."""


def _public() -> tuple[str, ...]:
    """Return what the paths begin with that are there without a key, outside the native API."""
    public = (route.path for route in ROUTES if not route.scope)
    return tuple(path.partition("{")[0] for path in public if not path.startswith("/v1/"))


def _paths() -> list[str]:
    return list(dict.fromkeys(route.path for route in ROUTES))


def _spellings(path: str) -> list[str]:
    """Return a path, and what it may also be called."""
    for beginning, others in ALIASES.items():
        rest = path.removeprefix(beginning)
        if rest != path and rest[:1] in ("", "/"):
            return [path, *(other + rest for other in others)]
    return [path]


def _spelled(streamed: Mapping[str, Streamed]) -> dict[str, Streamed]:
    return {spelled: one for path, one in streamed.items() for spelled in _spellings(path)}


def _path_route(path: str, spelled: str, services: Services) -> StarletteRoute:
    """Return one route for all methods of a path, so that a 405 can name them all.

    Args:
        path: as it stands in the table.
        spelled: as the client calls it.
        services: what handlers work with.
    """
    by_method = {route.method: route for route in ROUTES if route.path == path}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]

    async def endpoint(request: Request) -> Response:
        route = by_method[request.method]
        attribute(request.scope, route.path, None)
        if route.path.startswith(_PAGES):
            services.gate.admit_to_page(request)
        caller = await services.gate.admit(request, route.scope) if route.scope else None
        attribute(request.scope, route.path, caller)
        if route.scope:
            require_media(request, route.spec.request)
            await require_declared(request, route.spec)
        return await route.handler(Call(request, services, caller))

    return StarletteRoute(spelled, endpoint, methods=list(by_method))


async def _answer(request: Request, exception: Exception) -> Response:
    return render(problem_of(exception), request)
