"""Errors of the API: one value, one JSON shape, one place that renders it.

The body is a problem document (RFC 9457) with `code`, `errors` and `request_id`, plus an `error`
object, and `name` and `message`, for clients that read only those. Its media type is
application/problem+json only for clients that ask for it: some SDKs discard a body that is not
application/json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mta.core.frozen import frozen
from mta.core.json_text import encode
from storage.errors import StorageError, StorageFull

PROBLEM_JSON = "application/problem+json"
RENDERER = "error_renderer"
"""In the state of a request: Callable[[Problem, Request], Response], where errors have another form
than here."""
_RECIPIENTS = re.compile(r"(?:emails\[\d+\]\.)?(to|cc|bcc)(?:\[\d+\])?(?:\.email)?\Z")
RETRY_AFTER = 5
"""Seconds a client is asked to wait while storage is full or unavailable."""


@frozen
class FieldError:
    """What is wrong with one field of a request body.

    Attributes:
        field: its path, such as "to[2]" or "attachments[0].content"; "" is the body itself.
        code: a word for programs, such as "required" or "invalid_address".
        message: a sentence for people.
    """

    field: str
    code: str
    message: str

    def inside(self, parent: str) -> FieldError:
        """Return the error with the path of the object around it, such as "emails[3]", or ""."""
        joint = "." if parent and self.field else ""
        return FieldError(f"{parent}{joint}{self.field}", self.code, self.message)


@frozen
class Problem:
    """An answer that is an error.

    Attributes:
        status: HTTP status, 400 to 599.
        code: a word for programs, such as "validation_error".
        message: a sentence for people; becomes `detail`.
        errors: what is wrong field by field, may be empty.
        headers: further response headers, such as Retry-After.
        more: further members of the body (RFC 9457 3.2).
    """

    status: int
    code: str
    message: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


class ApiError(Exception):
    """Ends the handling of a request with a Problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


Renderer = Callable[[Problem, Request], Response]
"""Makes the response for an error."""

NOT_FOUND = Problem(404, "not_found", "There is no such resource.")
UNAUTHORIZED = Problem(
    401,
    "unauthorized",
    "Send a valid API key as 'Authorization: Bearer mta_live_...' or as 'X-API-Key'.",
    headers={"WWW-Authenticate": 'Bearer realm="Mailwright"'},
)
INTERNAL = Problem(500, "internal_error", "Something went wrong here; the log names this request.")
_STORAGE_FULL = Problem(
    507,
    "storage_full",
    "The disk of this server is full; nothing was accepted.",
    headers={"Retry-After": str(RETRY_AFTER)},
)
_STORAGE_UNAVAILABLE = Problem(
    503,
    "storage_unavailable",
    "The storage of this server does not answer; try again with the same Idempotency-Key.",
    headers={"Retry-After": str(RETRY_AFTER)},
)
_HTTP_CODES = {404: NOT_FOUND.code, 405: "method_not_allowed"}


def invalid(errors: Sequence[FieldError]) -> Problem:
    """Return the 422 for a body or query with wrong fields, at least one."""
    first = errors[0]
    where = f"{first.field}: " if first.field else ""
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, "validation_error", f"{where}{first.message}{more}", tuple(errors))


def problem_of(exception: Exception) -> Problem:
    """Return the answer for an exception that a request has ended with."""
    match exception:
        case ApiError():
            return exception.problem
        case HTTPException():
            return _of_http(exception)
        case StorageFull():
            return _STORAGE_FULL
        case StorageError():
            return _STORAGE_UNAVAILABLE
        case _:
            return INTERNAL


def _of_http(exception: HTTPException) -> Problem:
    status = exception.status_code
    code = _HTTP_CODES.get(status, "bad_request" if status < 500 else INTERNAL.code)
    return Problem(status, code, f"{exception.detail}.", headers=exception.headers or {})


def problem_body(problem: Problem, request_id: str) -> dict[str, object]:
    """Return the JSON object that describes an error (RFC 9457 3)."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "errors": [asdict(error) for error in problem.errors],
        "request_id": request_id,
        "error": _short(problem),
        "name": problem.code,
        "message": problem.message,
        **problem.more,
    }


def _short(problem: Problem) -> dict[str, object]:
    """Return the `error` object; wrong recipients have a word of their own in it."""
    told = {"code": problem.code, "message": problem.message, "status": problem.status}
    first = problem.errors[0] if problem.errors else None
    name = _RECIPIENTS.match(first.field) if first else None
    if first and name and first.code in ("required", "invalid_address"):
        message = f"The '{name[1]}' field must be a valid email address."
        told |= {"code": "invalid_recipient", "message": message}
    return told


def render(problem: Problem, request: Request) -> Response:
    """Return the response for an error, in the form and media type that the client expects."""
    other: Renderer | None = request.scope["state"].get(RENDERER)
    if other is not None:
        return other(problem, request)
    wants_problem = PROBLEM_JSON in request.headers.get("accept", "").lower()
    return Response(
        encode(problem_body(problem, request.state.request_id)),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type=PROBLEM_JSON if wants_problem else "application/json",
    )
