"""Calls of the native API in process: what a dialect asks, the native route's own handler answers.

The caller was let in already; the scope of each route that is asked is checked here. So whatever
holds for the native API (suppression, quota, idempotency, tracking) holds once, for every door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Scope

from control_api.dialects.aside import aside
from control_api.dialects.base import Answer, Ask, Upload
from control_api.errors import ApiError, FieldError, Problem, invalid, problem_of
from control_api.idempotency import REPLAYED
from control_api.routes import Call, Route, Services
from control_api.undeclared import require_declared
from mta.core.json_text import encode
from storage.errors import StorageError
from storage.tenants import KeyRecord

_KEY = "idempotency-key"
_MAX_KEY = 255
_PASSED_ON = (_KEY, "x-forwarded-for", "forwarded", "user-agent")
"""Headers of the caller's that native handlers see."""


@dataclass(slots=True)
class Native:
    """The native API as one request of a dialect sees it.

    Attributes:
        routes: by method and path.
        outer: the request in the dialect.
        caller: its key; None for a call that needs none.
        has_replayed: whether an answer was one that had been given before.
    """

    routes: Mapping[tuple[str, str], Route]
    services: Services
    outer: Request
    caller: KeyRecord | None
    has_replayed: bool = False
    _asked: dict[tuple[str, str], int] = field(default_factory=dict)

    async def ask(self, ask: Ask) -> Answer | Problem:
        """Return what the native API says."""
        route = self.routes[ask.method, ask.path]
        if problem := self._denial(route):
            return problem
        body, media = await aside(self.outer, lambda: _body(ask.body))
        call = Call(self._request(ask, body, media), self.services, self.caller)
        try:
            await require_declared(call.request, route.spec)
            response = await route.handler(call)
        except (ApiError, HTTPException, StorageError) as error:
            return _renamed(problem_of(error), ask.renamed)
        self.has_replayed |= REPLAYED in response.headers
        return Answer(response)

    def _denial(self, route: Route) -> Problem | None:
        if not route.scope:
            return None
        if self.caller is None:
            raise LookupError(f"{route.path} needs a key, and a public call has none")
        return self.services.gate.denial(self.outer, self.caller, route.scope)

    def _request(self, ask: Ask, body: bytes, media: str) -> Request:
        passed = {name: self.outer.headers.get(name) for name in _PASSED_ON}
        headers = {name: value for name, value in passed.items() if value is not None}
        if _KEY in headers:
            headers[_KEY] = self._key(headers[_KEY], ask)
        headers |= {"content-type": media, "content-length": str(len(body))}
        headers |= {name.lower(): value for name, value in ask.headers.items()}
        return Request(_scope(self.outer.scope, ask, headers), _Receive(body))

    def _key(self, key: str, ask: Ask) -> str:
        """Return the idempotency key for one of several requests that one has become."""
        place = ask.method, ask.path
        number = self._asked[place] = self._asked.get(place, 0) + 1
        suffix = f".{number}"
        return key if number == 1 or not key else f"{key[: _MAX_KEY - len(suffix)]}{suffix}"


def by_place(routes: Sequence[Route]) -> Mapping[tuple[str, str], Route]:
    """Return routes by method and path."""
    return {(route.method, route.path): route for route in routes}


class _Receive:
    """The receiving side of a request whose body is there already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __call__(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}


def _body(body: object) -> tuple[bytes, str]:
    match body:
        case None:
            return b"", "application/json"
        case Upload(data, media_type):
            return data, media_type
        case _:
            return encode(body), "application/json"


def _scope(outer: Scope, ask: Ask, headers: Mapping[str, str]) -> Scope:
    path = ask.path.format(**ask.params)
    query = urlencode({name: value for name, value in ask.query.items() if value})
    return {
        **outer,
        "method": ask.method,
        "path": path,
        "raw_path": path.encode(),
        "path_params": dict(ask.params),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }


def _renamed(problem: Problem, names: Mapping[str, str]) -> Problem:
    """Return a problem whose fields have the names that the caller knows."""
    errors = tuple(replace(one, field=_new_name(one, names)) for one in problem.errors)
    if errors == problem.errors:
        return problem
    message = invalid(errors).message if problem.code == "validation_error" else problem.message
    return replace(problem, errors=errors, message=message)


def _new_name(error: FieldError, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if error.field == old or error.field.startswith((f"{old}.", f"{old}[")):
            return new + error.field[len(old) :]
    return error.field
