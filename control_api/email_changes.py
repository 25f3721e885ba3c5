"""Changing one's mind about an email: another time, none at all, or the failed recipients again.

Not here: reading it back (email_views.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.responses import Response

from control_api.credit_errors import credit_problem
from control_api.email_content import EXPIRED
from control_api.email_views import in_full
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.payload import read_time
from control_api.routes import Call
from mta.core.quota import Quota
from storage import messages, operators, retries
from storage.credits import InsufficientCredits
from storage.database import Connection
from storage.operators import Selection

_NOT_CANCELABLE = Problem(409, "not_cancelable", "Nothing of this email waits to be sent any more.")
_NOT_SCHEDULED = Problem(409, "not_scheduled", "This email does not wait for its time (any more).")
_SUPPRESSED = Problem(
    409, "suppressed", "All failed recipients are suppressed; remove their suppressions first."
)
_NOT_RETRYABLE = Problem(409, "not_retryable", "No recipient of this email has failed.")

Change = Callable[[Connection, int, bool], Problem | None]
"""Changes the message with this row id, which may still have its body or not; or says why not."""


async def update_email(call: Call) -> Response:
    """PATCH /v1/emails/{id}: send_at, while the email is scheduled; a past time is now."""
    now, body = call.services.now(), await call.request.body()
    at = _time(call, body, now, "send_at", "scheduled_at")
    if at is None:
        raise ApiError(invalid([FieldError("send_at", "required", "This field is required.")]))

    def change(connection: Connection, row: int, has_body: bool) -> Problem | None:
        moved = retries.reschedule(
            connection, call.tenant_id, row, at=at, now=now, quota=_quota(call)
        )
        return None if moved else _NOT_SCHEDULED

    return await _once(call, body, change)


async def cancel_email(call: Call) -> Response:
    """POST /v1/emails/{id}/cancel."""
    now, email_id = call.services.now(), call.request.path_params["id"]

    def change(connection: Connection, row: int, has_body: bool) -> Problem | None:
        selection = Selection(ids=(email_id,))
        count = operators.cancel(connection, selection, now=now, tenant_id=call.tenant_id)
        return None if count else _NOT_CANCELABLE

    return await _once(call, await call.request.body(), change)


async def retry_email(call: Call) -> Response:
    """POST /v1/emails/{id}/retry: the recipients that failed, at once or `after` a time."""
    now, body = call.services.now(), await call.request.body()
    at = max(_time(call, body, now, "after") or now, now)

    def change(connection: Connection, row: int, has_body: bool) -> Problem | None:
        if not has_body:
            return EXPIRED
        found = retries.retry_failed(
            connection,
            call.tenant_id,
            row,
            at=at,
            now=now,
            quota=_quota(call),
            takes_credits=call.services.settings.credits.enabled,
        )
        if isinstance(found, InsufficientCredits):
            return credit_problem(found)
        if found.waiting:
            return None
        return _SUPPRESSED if found.suppressed else _NOT_RETRYABLE

    return await _once(call, body, change)


def _quota(call: Call) -> Quota:
    return call.services.settings.quota.core


async def _once(call: Call, body: bytes, change: Change) -> Response:
    with once(call, body) as request:
        outcome = await request.run(_act(call, change))
    if outcome.written:
        call.services.kick()
    return outcome.response()


def _act(call: Call, change: Change) -> Callable[[Connection], Written | Problem]:
    email_id, now = call.request.path_params["id"], call.services.now()

    def act(connection: Connection) -> Written | Problem:
        found = messages.row_of(connection, call.tenant_id, email_id)
        if found is None:
            return NOT_FOUND
        problem = change(connection, *found)
        view = messages.get(connection, call.tenant_id, email_id)
        return problem or (Written(in_full(connection, view, now)) if view else NOT_FOUND)

    return act


def _time(call: Call, body: bytes, now: datetime, *names: str) -> datetime | None:
    """Return the one field of a body, None when it is not there; the email's id may be repeated."""
    fields = Fields(read_json(body) if body else {}, [])
    at = read_time(fields, now, *names)
    if fields.take("id") not in (None, call.request.path_params["id"]):
        fields.fail("id", "conflict", "The path names another email.")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return at
