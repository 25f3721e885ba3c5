"""Idempotency-Key: a request that is repeated is carried out once and answered alike.

The answer is stored in the transaction that carries the request out, so there is no moment at which
one is on the disk without the other. Only successes are stored: an error changed nothing, and the
same request may succeed once its cause is gone. Keys count per tenant, method and path, for 24 h;
the query is compared like the body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.responses import Response

from control_api.errors import ApiError, FieldError, Problem, invalid
from control_api.routes import Call, json_response
from mta.core.frozen import frozen
from mta.core.idempotency import is_key
from storage import idempotency
from storage.database import Connection
from storage.idempotency import StoredAnswer

REPLAYED = "Idempotent-Replayed"
"""Response header of an answer that was given before."""

_IN_FLIGHT = Problem(
    409, "idempotency_in_flight", "A request with this Idempotency-Key is being handled."
)
_MISMATCH = Problem(
    422, "idempotency_mismatch", "This Idempotency-Key was used with another request body."
)


@frozen
class Written:
    """What a request has written: the JSON value to answer with, and the ids of new emails."""

    value: object
    email_ids: frozenset[str] = frozenset()


Act = Callable[[Connection], Written | Problem]
"""Carries a request out inside a transaction; a Problem means that nothing was written. May run
twice, so it touches nothing but SQL."""


@frozen
class Outcome:
    """How a request ended.

    Attributes:
        answer: what to tell the client.
        written: what this request wrote; None when it was refused, or carried out before.
    """

    answer: Response | Problem
    written: Written | None = None

    def response(self) -> Response:
        """Return the answer.

        Raises:
            ApiError: it is a Problem.
        """
        if isinstance(self.answer, Problem):
            raise ApiError(self.answer)
        return self.answer


class Once:
    """One request that is carried out once, however often it is sent."""

    def __init__(self, call: Call, key: str, body: bytes) -> None:
        self._database = call.services.database
        self._now = call.services.now()
        self._tenant_id = call.tenant_id
        self._scope = f"{call.request.method} {call.request.scope['path']}"
        self._key = key
        query: bytes = call.request.scope["query_string"]
        self._hash = hashlib.sha256(query + b"\0")
        self.absorb(body)

    def absorb(self, more: bytes) -> None:
        """Take more of the body, where it is read in pieces."""
        if self._key:
            self._hash.update(more)

    @property
    def mark(self) -> tuple[int, str, str]:
        """What two requests have in common that are the same one."""
        return self._tenant_id, self._scope, self._key

    async def run(self, act: Act) -> Outcome:
        """Carry the request out, or find how it ended the first time."""
        return await self._database.write(lambda db: self._earlier(db) or self._carry_out(db, act))

    async def is_done(self) -> bool:
        """Tell whether it was carried out before, for what takes more than one transaction.

        Before all of the body was absorbed: whether any request with this key was.
        """
        return await self._database.read(self._earlier) is not None

    async def repeat(self, refusal: ApiError) -> Response:
        """Answer what is refused now as it was answered when it was carried out.

        What it names may have gone since then, such as a template.

        Raises:
            ApiError: it was not carried out, so the refusal stands.
        """
        earlier = await self._database.read(self._earlier) if self._key else None
        if earlier is None:
            raise refusal
        return earlier.response()

    def _earlier(self, connection: Connection) -> Outcome | None:
        if not self._key:
            return None
        stored = idempotency.fresh(
            connection,
            tenant_id=self._tenant_id,
            scope=self._scope,
            key=self._key,
            now=self._now,
        )
        if stored is None:
            return None
        if stored.fingerprint != self._hash.digest():
            return Outcome(_MISMATCH)
        response = Response(stored.body, stored.status, media_type="application/json")
        response.headers[REPLAYED] = "true"
        return Outcome(response)

    def _carry_out(self, connection: Connection, act: Act) -> Outcome:
        written = act(connection)
        if isinstance(written, Problem):
            return Outcome(written)
        response = json_response(written.value)
        if self._key:
            answer = StoredAnswer(
                self._hash.digest(), response.status_code, bytes(response.body), self._now
            )
            idempotency.remember(
                connection,
                tenant_id=self._tenant_id,
                scope=self._scope,
                key=self._key,
                answer=answer,
            )
        return Outcome(response, written)


@contextmanager
def once(call: Call, body: bytes) -> Iterator[Once]:
    """Hold the request's Idempotency-Key, if it has one, while the request is being handled.

    Raises:
        ApiError: 422 for a malformed key, 409 while another request holds it.
    """
    named = call.request.headers.get("idempotency-key")
    key = named or ""
    if named is not None and not is_key(key):  # empty: the client thinks that it is safe
        message = "An Idempotency-Key has 1 to 255 printable ASCII characters."
        raise ApiError(invalid([FieldError("Idempotency-Key", "invalid_value", message)]))
    request, in_flight = Once(call, key, body), call.services.in_flight
    if not key:
        yield request
        return
    if request.mark in in_flight:
        raise ApiError(_IN_FLIGHT)
    in_flight.add(request.mark)
    try:
        yield request
    finally:
        in_flight.discard(request.mark)
