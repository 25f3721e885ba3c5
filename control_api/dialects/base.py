"""What a dialect is: another service's API, told as data and pure functions.

A dialect has operations. Each is a generator that is given a request, asks the native API one thing
or several, and returns the reply in the words of its service:

    def look_at(asked: Asked) -> Steps:
        email = yield Ask("GET", "/v1/emails/{id}", asked.path)
        return Reply({"email": {"id": email.value["id"]}})

What is asked goes to the native route's own handler (native.py), with its scope, its rules and its
idempotency; when that refuses, ApiError is raised at the `yield` and, unless caught, the dialect
tells of it in its own form. So a dialect has no access to storage and no rule of its own.

Not here: which dialect a request is in (doors.py), reading bodies (bodies.py), serving (server.py).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from config.compat import Compat
from control_api.errors import ApiError, FieldError, Problem, invalid
from control_api.webhook_formats import WebhookFormat
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import decode
from mta.core.rate_limit import Limit


class Media(enum.Enum):
    """How a body may be written."""

    JSON = "application/json"
    FORM = "application/x-www-form-urlencoded"
    MULTIPART = "multipart/form-data"


class KeyPlace(enum.Enum):
    """Where a request may carry its API key."""

    BEARER = "Authorization: Bearer"
    X_API_KEY = "X-API-Key"
    QUERY = "api_token= in the query"
    FORM = "api_token= in a form"


@frozen
class Upload:
    """Bytes with their media type: a file of a form, or a body that is not JSON."""

    data: bytes
    media_type: str
    filename: str = ""


@frozen
class Asked:
    """A request, read.

    Attributes:
        path: parameters of the path by name.
        query: parameters of the query, an API key left out; of those that repeat, the last.
        body: the JSON value, or the form as an object (bodies.py), an API key left out; {} when
            there is none.
        files: files of a multipart form by field name.
        headers: as they came.
        request_id: "req_..."; the response has it as Request-Id.
        now: when it is handled (aware, UTC).
        compat: the operator's choices for dialects, [compat] of the settings.
        base_url: what stands before the paths of the operations, to name one in an answer.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: JsonValue
    files: Mapping[str, Upload]
    headers: Headers
    request_id: str
    now: datetime
    compat: Compat
    base_url: str

    @property
    def fields(self) -> dict[str, JsonValue]:
        """The body as an object.

        Raises:
            ApiError: 422; it is something else.
        """
        if not isinstance(self.body, dict):
            raise ApiError(invalid([FieldError("", "invalid_type", "Expected an object.")]))
        return self.body


@frozen
class Ask:
    """One request to the native API.

    Attributes:
        method, path: as the table of routes has them, "/v1/emails/{id}".
        params: for the braces of the path.
        query: parameters; those that are "" are left out.
        body: a JSON value, None for none; an Upload is sent as it is.
        headers: further ones, such as X-Batch-Validation.
        renamed: native name of a field -> the name that the dialect's caller knows it by, for what
            is wrong with it.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: JsonValue | Upload = None
    headers: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


@frozen
class Answer:
    """A success of the native API."""

    response: Response

    @property
    def value(self) -> Any:
        """The JSON value of the body; its shape is that of the native route's documentation."""
        return decode(bytes(self.response.body))


@frozen
class Reply:
    """A response in the dialect: a JSON value, a status, further headers."""

    value: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Steps = Generator[Ask, Answer, Reply | Response]
"""What an operation does; a Response is passed on as it is, such as a CSV that is streamed."""
Act = Callable[[Asked], Steps]


@frozen
class Operation:
    """One call of the dialect.

    Attributes:
        row: its number in the table of tests, "S-01".
        method, path: in the dialect's words, parameters in braces: "/api/v1/emails/{id}".
        act: what it does.
        summary: one line for the documentation.
        note: what a caller should know besides, for the documentation.
        marks: names of fields that tell it apart where another dialect has the same method and
            path; the first operation with one of its marks in the body answers.
        bucket: which of the dialect's limits count it, "" for those that count every call.
        is_public: it needs no key.
        loose_body: a body is read as a form, whatever it says that it is.
    """

    row: str
    method: str
    path: str
    act: Act
    summary: str
    note: str = ""
    marks: frozenset[str] = frozenset()
    bucket: str = ""
    is_public: bool = False
    loose_body: bool = False


@frozen
class Refused:
    """A request that ends with an error; all that a dialect needs to tell of it.

    Attributes:
        problem: what is wrong.
        request_id, now: as in Asked.
    """

    problem: Problem
    request_id: str
    now: datetime


Limits = Mapping[str, Sequence[Limit]]
"""Bucket -> windows; "" counts every call of a key, the others those that name them."""


def no_limits(_: Compat) -> Limits:
    """Return the limits of a dialect that has none of its own."""
    return {}


@frozen
class Dialect:
    """Another service's API.

    Attributes:
        name: in /compat/{name}, in settings and metrics.
        title: what people call it.
        operations: its calls; of those whose paths overlap, the first one listed answers.
        render_error: makes the reply for an error; headers of the problem are added to it.
        root: unknown paths that begin so are this dialect's ("/api/v1"), to be told of in its form;
            None: it answers below /compat/{name} only, because the native API has its paths.
        keys: where its requests carry the key.
        bodies: how they write bodies.
        limits: makes its own limits from the settings; those of [api.limits] hold besides.
        webhooks: the form in which its endpoints get events; None: the native one.
        notes: what is peculiar to it, for the documentation.
        home: the base URL of its service, which clients have; "" when nobody knows it.
        first_look: a GET that shows a client to be well connected, for the documentation; "" leaves
            it out.
    """

    name: str
    title: str
    operations: tuple[Operation, ...]
    render_error: Callable[[Refused], Reply]
    root: str | None
    keys: tuple[KeyPlace, ...] = (KeyPlace.BEARER,)
    bodies: tuple[Media, ...] = (Media.JSON,)
    limits: Callable[[Compat], Limits] = no_limits
    webhooks: WebhookFormat | None = None
    notes: tuple[str, ...] = ()
    home: str = ""
    first_look: str = ""


def plain_error(refused: Refused) -> Reply:
    """Return an error for services that do not say what theirs look like."""
    problem = refused.problem
    told = {"code": problem.code, "message": problem.message, "status": problem.status}
    return Reply({"error": told, "message": problem.message}, problem.status)
