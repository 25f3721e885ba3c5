"""The OpenAPI 3.1 document of the API, made from the table of routes and control_api/schemas.

GET /v1/openapi.json answers with it. app.py makes it once, and the page for people (docs_page.py)
of it. Hosts that requests name turn up nowhere in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib import metadata
from typing import Any

from starlette.responses import Response

from control_api.errors import PROBLEM_JSON
from control_api.event_types import TYPES, example_body
from control_api.idempotency import REPLAYED
from control_api.routes import Call, Route
from control_api.schemas import (
    admin,
    automations,
    campaigns,
    channels,
    contacts,
    credit_accounts,
    domains,
    email_shapes,
    emails,
    feedback,
    imports,
    keys,
    queue,
    stats,
    suppressions,
    templates,
    users,
    webhooks,
)
from control_api.schemas.base import JSON, Parameter, Schema, Spec, array, given, number, ref, text
from mta.core.json_text import decode

PATH = "/v1/openapi.json"
DOCUMENT = "openapi"
"""The name under which the application's state holds the document, as bytes."""

_OTHERS = (
    domains,
    suppressions,
    contacts,
    imports,
    templates,
    campaigns,
    channels,
    webhooks,
    feedback,
    queue,
    stats,
    keys,
    users,
    credit_accounts,
    admin,
    automations,
)
SPECS: Mapping[str, Spec] = {
    name: spec for area in (emails, *_OTHERS) for name, spec in area.SPECS.items()
}
"""Method and path, as in "GET /v1/emails" -> what there is to say of the operation."""

_DESCRIPTION = """\
Send email and see what becomes of it. Bodies are JSON in UTF-8, names are in snake_case, times are
RFC 3339 in UTC, ids are a prefix and a ULID.

**Keys.** Send yours as `Authorization: Bearer mta_live_...` or as `X-API-Key`. What a key may do is
its scopes; each operation names the one it asks for. One with the scope `admin` may do everything.

**Repeating requests.** A POST with an `Idempotency-Key` (1 to 255 characters) is carried out once
in 24 hours: the same request again is answered alike, with `Idempotent-Replayed: true`. With
another body it is a 422, while the first is under way a 409. What was done and its key are written
in one transaction, so a crash loses neither.

**Lists** are pages of `limit` items; `after` leads on from the id of the last one while `has_more`.

**Errors** have the body of RFC 9457 with a `code` for programs and `errors` field by field, in
application/problem+json where `Accept` names that. 503 and 429 come with `Retry-After`.

**Limits.** Where a key's requests are limited, answers carry `RateLimit` and `RateLimit-Policy`.
"""
_ERROR_FIELD = given(
    {
        "field": text("Path of the field, such as `to[2]`; empty: the body itself."),
        "code": text("For programs, such as `required`."),
        "message": text("For people."),
    },
    {"field": "to[2]", "code": "invalid_address", "message": "The domain has no dot."},
)
_PROBLEM = given(
    {
        "type": {"const": "about:blank"},
        "title": text(),
        "status": number(),
        "detail": text("For people."),
        "code": text("For programs."),
        "errors": array(ref("FieldError")),
        "request_id": text(),
        "error": {"type": "object", "description": "The same for clients that read only this."},
        "name": text("The same as `code`."),
        "message": text("The same as `detail`."),
        "needed": number("With `insufficient_credits`: so many credits it takes."),
        "available": number("With `insufficient_credits`: so many are there."),
    },
    {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "to[2]: The domain has no dot.",
        "code": "validation_error",
        "errors": [
            {"field": "to[2]", "code": "invalid_address", "message": "The domain has no dot."}
        ],
        "request_id": "req_01KJMQ0R00000000000000000B",
        "error": {
            "code": "validation_error",
            "message": "to[2]: The domain has no dot.",
            "status": 422,
        },
        "name": "validation_error",
        "message": "to[2]: The domain has no dot.",
    },
    sometimes=("needed", "available"),
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "Makes it safe to repeat the request.",
    text(minLength=1, maxLength=255),
    "header",
)
_PATH_PARAMETERS: Mapping[str, str] = {
    "id": "Its id.",
    "contact": "Id or address of the contact.",
    "tag": "Tag of the field.",
    "email": "The address, or the id of the suppression.",
    "event_id": "Id of the event.",
    "token": "From a link in an email.",
    "target": "From a link in an email: the address it leads to.",
    "run_id": "The run, `run_...`.",
    "log": "`tracking`, `open`, `click`, `bounce`, `feedback` or `unsubscribe`.",
}
_REQUEST_ID = {"Request-Id": {"$ref": "#/components/headers/Request-Id"}}


async def get_document(call: Call) -> Response:
    """GET /v1/openapi.json."""
    document: bytes = getattr(call.request.app.state, DOCUMENT)
    return Response(document, media_type=JSON)


def document(routes: Sequence[Route], base_url: str) -> dict[str, Any]:
    """Return the document.

    Args:
        routes: the operations, each with its spec.
        base_url: where the API is for its users, "" for where the document came from.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailwright",
            "version": metadata.version("mailwright"),
            "description": _DESCRIPTION,
        },
        "servers": [{"url": base_url or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.spec.tag for route in routes)],
        "paths": paths,
        "webhooks": dict(_webhooks()),
        "components": _components(),
    }


def operation_id(route: Route) -> str:
    """Return a name for an operation, such as "post_emails_id_cancel"."""
    words = re.findall(r"[a-z]+", route.path.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])


def _operation(route: Route) -> dict[str, Any]:
    spec = route.spec
    asked = f"Scope: `{route.scope}`." if route.scope else "Needs no key."
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "tags": [spec.tag],
        "summary": route.summary,
        "description": "\n\n".join(filter(None, (spec.description, asked))),
        "parameters": [_parameter(one) for one in _parameters(route)],
        "responses": _responses(route),
        "security": [{"bearer": []}, {"header": []}] if route.scope else [],
    }
    if spec.request:
        operation["requestBody"] = {"required": spec.needs_body, "content": _request(spec)}
    return operation


def _request(spec: Spec) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": one} for media, one in spec.request.items()}
    if spec.examples:
        content[next(iter(content))]["examples"] = {
            title.lower().replace(" ", "-"): {"summary": title, "value": value}
            for title, value in spec.examples.items()
        }
    return content


def _parameters(route: Route) -> Iterator[Parameter]:
    for name in re.findall(r"{(\w+)}", route.path):
        yield Parameter(name, _PATH_PARAMETERS[name], text(minLength=1), "path")
    yield from route.spec.parameters
    if route.spec.is_idempotent:
        yield _IDEMPOTENCY_KEY


def _parameter(parameter: Parameter) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "schema": parameter.schema,
    }
    return shown | ({"required": True} if parameter.place == "path" else {})


def _responses(route: Route) -> dict[str, Any]:
    spec = route.spec
    headers: dict[str, Any] = dict(_REQUEST_ID)
    if spec.is_idempotent:
        headers[REPLAYED] = {"$ref": f"#/components/headers/{REPLAYED}"}
    answers = {spec.status: spec.answer, **spec.other_answers}
    found: dict[str, Any] = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": headers,
            "content": {media: {"schema": schema} for media, schema in content.items()},
        }
        for status, content in answers.items()
    }
    for status in sorted(set(_errors(route)) - answers.keys()):
        found[str(status)] = _error(HTTPStatus(status).phrase)
    return found | {"default": _error("Another error")}


def _errors(route: Route) -> Iterator[int]:
    spec = route.spec
    yield from spec.errors
    if route.scope:
        yield from (401, 403, 422, 429)
    if "{" in route.path:
        yield 404
    if spec.request:
        yield from (413, 415)
    if spec.request or spec.parameters or spec.is_idempotent:
        yield 422
    if spec.is_idempotent:
        yield 409


def _error(description: str) -> dict[str, Any]:
    content = {media: {"schema": ref("Problem")} for media in (JSON, PROBLEM_JSON)}
    return {"description": description, "headers": _REQUEST_ID, "content": content}


def _components() -> dict[str, Any]:
    schemas: dict[str, Schema] = {"Problem": _PROBLEM, "FieldError": _ERROR_FIELD}
    for area in (email_shapes, *_OTHERS):
        schemas |= area.COMPONENTS
    return {
        "schemas": schemas,
        "headers": {
            "Request-Id": {
                "description": "Names the request in the log of the server.",
                "required": True,
                "schema": text(),
            },
            REPLAYED: {"description": "The answer was given before.", "schema": text()},
        },
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }


def _webhooks() -> Iterator[tuple[str, Any]]:
    """Give the posts that endpoints get; of kinds with one type, the first is shown."""
    for one in reversed(TYPES):
        content = {"schema": webhooks.CONTENT, "example": decode(example_body(one))}
        operation = {
            "summary": one.meaning,
            "requestBody": {"content": {JSON: content}},
            "responses": {"2XX": {"description": "Taken. Anything else is tried again."}},
        }
        yield one.kind.webhook_type, {"post": operation}
