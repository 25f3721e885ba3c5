"""Serving dialects: from the request to the native API and back, and errors in each one's form.

`Named` stands in front of everything that can refuse a request, so that whatever answers, answers
in the dialect's form; `DialectRoute` stands in front of the native routes and takes what is a
dialect's. Which dialect that is, doors.py knows; what it does, the dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from control_api.dialects.aside import aside
from control_api.dialects.base import Answer, Ask, Asked, Dialect, KeyPlace, Refused, Reply, Steps
from control_api.dialects.bodies import Body, read_body
from control_api.dialects.doors import PREFIX, Candidate, Doors, Visit
from control_api.dialects.limits import DialectLimits
from control_api.dialects.native import Native, by_place
from control_api.errors import NOT_FOUND, RENDERER, UNAUTHORIZED, ApiError, Problem
from control_api.idempotency import REPLAYED
from control_api.request_meter import attribute
from control_api.routes import Route, Services, json_response
from mta.core.access import ANY_KEY
from mta.core.event import JsonValue
from storage.tenants import KeyRecord

_VISIT = "dialect_visit"
_FIELD = "api_token"

T = TypeVar("T")


class Named:
    """ASGI middleware that finds out which dialect a request is in, and has errors told in it."""

    def __init__(
        self, app: ASGIApp, doors: Doors, limits: DialectLimits, now: Callable[[], datetime]
    ) -> None:
        self._app = app
        self._doors = doors
        self._limits = limits
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            visit = self._doors.find(host, scope["path"], scope["method"])
            if visit is not None:
                scope["state"][_VISIT] = visit
                _speak(scope, visit.dialect, self._now)
                self._limits.announce(Request(scope), visit.dialect)
        await self._app(scope, receive, send)


class DialectRoute(BaseRoute):
    """The route of everything that is in a dialect."""

    def __init__(self, routes: Sequence[Route], services: Services, limits: DialectLimits) -> None:
        """Take the native routes, which do the work."""
        self._routes = by_place(routes)
        self._services = services
        self._limits = limits

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is in a dialect."""
        is_visit = scope["type"] == "http" and _VISIT in scope["state"]
        return (Match.FULL if is_visit else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request that is."""
        response = await self._respond(Request(scope, receive), scope["state"][_VISIT])
        await response(scope, receive, send)

    async def _respond(self, request: Request, visit: Visit) -> Response:
        if not visit.candidates:
            raise ApiError(_not_allowed(visit) if visit.methods else NOT_FOUND)
        candidates = _fitting(request, visit.candidates)
        _attribute(request, candidates[0], None)
        _speak(request.scope, candidates[0].dialect, self._services.now)
        key, body = await _key_and_body(request, candidates)
        caller = await self._caller(request, candidates[0], key)
        if body is None:
            body = await _body(request, candidates)
        chosen = _chosen(candidates, body.value)
        _speak(request.scope, chosen.dialect, self._services.now)
        _attribute(request, chosen, caller)
        if caller is not None:
            self._limits.count(request, caller.id, chosen.dialect, chosen.operation)
        native = Native(self._routes, self._services, request, caller)
        return await _carry_out(native, chosen, self._asked(request, chosen, body))

    async def _caller(self, request: Request, first: Candidate, key: str) -> KeyRecord | None:
        if first.operation.is_public:
            return None
        return await self._services.gate.admit(request, ANY_KEY, key=key)

    def _asked(self, request: Request, chosen: Candidate, body: Body) -> Asked:
        return Asked(
            path=chosen.params,
            query=_without_key(dict(request.query_params)),
            body=_without_key(body.value) if isinstance(body.value, dict) else body.value,
            files=body.files,
            headers=request.headers,
            request_id=request.state.request_id,
            now=self._services.now(),
            compat=self._services.settings.compat,
            base_url=self._base_url(request, chosen),
        )

    def _base_url(self, request: Request, chosen: Candidate) -> str:
        """Return what stands before the dialect's own paths in this request."""
        public = self._services.settings.api.public_url
        server = public or f"{request.url.scheme}://{request.headers.get('host', '')}"
        prefix = f"{PREFIX}/{chosen.dialect.name}"
        is_below = request.scope["path"].startswith(f"{prefix}/")
        return server.rstrip("/") + (prefix if is_below else "")


async def _carry_out(native: Native, chosen: Candidate, asked: Asked) -> Response:
    """Take an operation's steps; return what it replies."""
    steps = chosen.operation.act(asked)
    step = await aside(native.outer, partial(_next, steps, None))
    while isinstance(step, Ask):
        found = await native.ask(step)
        step = await aside(native.outer, partial(_next, steps, found))
    response = step if isinstance(step, Response) else _response(step)
    if native.has_replayed:
        response.headers[REPLAYED] = "true"
    return response


def _next(steps: Steps, found: Answer | Problem | None) -> Ask | Reply | Response:
    """Tell an operation what the native API says, None at first; return what it asks or replies."""
    try:
        match found:
            case None:
                return next(steps)
            case Problem():
                return steps.throw(ApiError(found))
            case _:
                return steps.send(found)
    except StopIteration as end:
        reply: Reply | Response = end.value
        return reply


def _response(reply: Reply) -> Response:
    response = json_response(reply.value, reply.status)
    response.headers.update(reply.headers)
    return response


def _fitting(request: Request, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return those whose services write bodies and keys as this request does; all, if none does."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    fitting = [
        one
        for one in candidates
        if (not media or media in [known.value for known in one.dialect.bodies])
        and (_FIELD not in request.query_params or KeyPlace.QUERY in one.dialect.keys)
    ]
    return fitting or candidates


async def _key_and_body(
    request: Request, candidates: Sequence[Candidate]
) -> tuple[str, Body | None]:
    """Return the key as sent, "" for none; and the body, where that had to be read for it."""
    places = {place for one in candidates for place in one.dialect.keys}
    if key := _key(request, places):
        return key, None
    if KeyPlace.FORM not in places:
        return "", None
    body = await _body(request, candidates)
    token = body.value.get(_FIELD) if isinstance(body.value, dict) else None
    return (token if isinstance(token, str) else ""), body


def _without_key(fields: Mapping[str, T]) -> dict[str, T]:
    """Return the fields of a query or body without the key that may be among them."""
    return {name: value for name, value in fields.items() if name != _FIELD}


def _key(request: Request, places: set[KeyPlace]) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if KeyPlace.BEARER in places and scheme.lower() == "bearer":
        return token.strip()
    if KeyPlace.X_API_KEY in places and "x-api-key" in request.headers:
        return request.headers["x-api-key"].strip()
    return request.query_params.get(_FIELD, "") if KeyPlace.QUERY in places else ""


async def _body(request: Request, candidates: Sequence[Candidate]) -> Body:
    media = dict.fromkeys(media for one in candidates for media in one.dialect.bodies)
    is_loose = candidates[0].operation.loose_body
    return await read_body(request, tuple(media), is_loose=is_loose)


def _chosen(candidates: Sequence[Candidate], body: JsonValue) -> Candidate:
    """Return the first operation with one of its marks in the body, or else the first."""
    names = body.keys() if isinstance(body, dict) else frozenset[str]()
    marked = (one for one in candidates if one.operation.marks & names)
    return next(marked, candidates[0])


def _speak(scope: Scope, dialect: Dialect, now: Callable[[], datetime]) -> None:
    """Have errors of a request told in the form of a dialect."""

    def render(problem: Problem, request: Request) -> Response:
        told = problem
        if problem.status == UNAUTHORIZED.status and problem.code == UNAUTHORIZED.code:
            places = " or ".join(place.value for place in dialect.keys)
            told = Problem(401, problem.code, f"Send a valid API key: {places}.")
        reply = dialect.render_error(Refused(told, request.state.request_id, now()))
        response = _response(reply)
        response.headers.update(problem.headers)
        return response

    scope["state"][RENDERER] = render


def _attribute(request: Request, candidate: Candidate, caller: KeyRecord | None) -> None:
    path = f"{PREFIX}/{candidate.dialect.name}{candidate.operation.path}"
    attribute(request.scope, path, caller)


def _not_allowed(visit: Visit) -> Problem:
    allowed = ", ".join(visit.methods)
    return Problem(
        405, "method_not_allowed", f"This path takes {allowed}.", headers={"Allow": allowed}
    )
