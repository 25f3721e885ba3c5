"""Batches after they were sent: one looked at, and one canceled. Not here: sending (batches.py)."""

from __future__ import annotations

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.idempotency import Written, once
from control_api.routes import Call, json_response, timestamp
from storage import batches, operators
from storage.batches import BatchView
from storage.database import Connection
from storage.operators import Selection

_NOT_CANCELABLE = Problem(409, "not_cancelable", "Nothing of this batch waits to be sent any more.")


async def get_batch(call: Call) -> Response:
    """GET /v1/batches/{id}."""
    tenant_id, batch_id = call.tenant_id, call.request.path_params["id"]
    view = await call.services.database.read(lambda db: batches.get(db, tenant_id, batch_id))
    if view is None:
        raise ApiError(NOT_FOUND)
    return json_response(_serialized(batch_id, view))


async def cancel_batch(call: Call) -> Response:
    """POST /v1/batches/{id}/cancel."""
    services, tenant_id, batch_id = call.services, call.tenant_id, call.request.path_params["id"]

    def act(connection: Connection) -> Written | Problem:
        selection = Selection(ids=batches.email_ids(connection, tenant_id, batch_id))
        count = operators.cancel(connection, selection, now=services.now(), tenant_id=tenant_id)
        view = batches.get(connection, tenant_id, batch_id)
        if view is None:
            return NOT_FOUND
        if not count:
            return _NOT_CANCELABLE
        return Written({**_serialized(batch_id, view), "canceled": count})

    with once(call, await call.request.body()) as request:
        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


def _serialized(batch_id: str, view: BatchView) -> dict[str, object]:
    return {
        "object": "batch",
        "id": batch_id,
        "created_at": timestamp(view.created_at),
        "total": sum(view.emails.values()),
        "recipients": view.recipients,
        "statuses": view.emails,
    }
