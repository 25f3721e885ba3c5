"""The HTTP application: the table of all routes, and what stands around every handler.

    RequestId -> Unexpected -> BodyGuard -> errors as values -> router -> authentication -> handler

Not here: the server that speaks HTTP (mta/daemon.py).
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from control_api import batches, email_views, emails, health, webhooks
from control_api.auth import Authenticator
from control_api.errors import ApiError, problem_of, render
from control_api.middleware import BodyGuard, RequestId, Unexpected
from control_api.routes import Call, Route, Services
from storage.errors import StorageError

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/emails", emails.send_email, "emails:send", "Send an email"),
    Route("GET", "/v1/emails", email_views.list_emails, "emails:read", "List emails"),
    Route("POST", "/v1/emails/batch", batches.send_batch, "emails:send", "Send many emails"),
    Route("GET", "/v1/emails/{id}", email_views.get_email, "emails:read", "Look at an email"),
    Route(
        "POST",
        "/v1/emails/{id}/cancel",
        email_views.cancel_email,
        "emails:send",
        "Cancel what is not sent yet",
    ),
    Route("POST", "/v1/webhooks", webhooks.create_webhook, "webhooks:write", "Create a webhook"),
    Route("GET", "/v1/webhooks", webhooks.list_webhooks, "webhooks:read", "List webhooks"),
    Route("GET", "/v1/webhooks/{id}", webhooks.get_webhook, "webhooks:read", "Look at a webhook"),
    Route(
        "DELETE",
        "/v1/webhooks/{id}",
        webhooks.delete_webhook,
        "webhooks:write",
        "Delete a webhook",
    ),
    Route("GET", "/healthz", health.healthz, "", "Tell whether the process is up"),
    Route("GET", "/readyz", health.readyz, "", "Tell whether mail can be taken and delivered"),
)
"""Every operation of the API; of paths that overlap, the first one listed answers."""


def build_app(services: Services) -> Starlette:
    """Return the ASGI application."""
    authenticator = Authenticator(services.database, services.now)
    app = Starlette(
        routes=[_path_route(path, services, authenticator) for path in _paths()],
        middleware=[
            Middleware(RequestId, new_id=lambda: services.new_id("req")),
            Middleware(Unexpected),
            Middleware(BodyGuard, max_size=services.settings.api.max_body_size),
        ],
        exception_handlers=dict.fromkeys((ApiError, HTTPException, StorageError), _answer),
    )
    app.router.redirect_slashes = False
    return app


def _paths() -> list[str]:
    return list(dict.fromkeys(route.path for route in ROUTES))


def _path_route(path: str, services: Services, authenticator: Authenticator) -> StarletteRoute:
    """Return one route for all methods of a path, so that a 405 can name them all."""
    by_method = {route.method: route for route in ROUTES if route.path == path}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]

    async def endpoint(request: Request) -> Response:
        route = by_method[request.method]
        caller = await authenticator.authenticate(request) if route.scope else None
        return await route.handler(Call(request, services, caller))

    return StarletteRoute(path, endpoint, methods=list(by_method))


async def _answer(request: Request, exception: Exception) -> Response:
    return render(problem_of(exception), request)
