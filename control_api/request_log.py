"""GET /v1/logs: the requests that were made with the tenant's keys, for those who debug a client.

Not here: noting them (request_meter.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api import filters
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from storage import request_log
from storage.request_log import LoggedRequest, RequestFilter


async def list_requests(call: Call) -> Response:
    """GET /v1/logs: newest first; a request is there a second after its answer."""
    tenant_id = call.tenant_id
    fields = filters.query_fields(call.request)
    page = read_page(fields)
    wanted = RequestFilter(
        method=fields.text("method", filters.MAX_TEXT).upper(),
        path=fields.text("path", filters.MAX_TEXT),
        status=filters.status_range(fields, "status"),
        key_id=fields.text("key_id", filters.MAX_TEXT),
        since=filters.moment(fields, "since"),
        until=filters.moment(fields, "until"),
    )
    filters.finish(fields)
    found = await call.services.database.read(
        lambda db: request_log.list_(
            db,
            tenant_id,
            wanted,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
    )
    return json_response(page.render(found, _as_json, skipped=page.skip))


def _as_json(request: LoggedRequest) -> dict[str, object]:
    return {
        "object": "log",
        "id": request.id,
        "at": timestamp(request.at),
        "request_id": request.request_id,
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "duration_ms": request.duration_ms,
        "key_id": request.key_id,
        "client": request.client,
        "user_agent": request.user_agent or None,
    }


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/logs", list_requests, "logs:read", "List the requests that were made"),
)
