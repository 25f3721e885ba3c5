"""POST /v1/suppressions/undo: take back together what one incident has suppressed.

Not here: suppressions one by one (suppressions.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api import filters
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.routes import Call, Route
from storage import suppressions
from storage.suppressions import SuppressionFilter

BATCH = 500
"""Suppressions removed in one transaction."""


async def undo_suppressions(call: Call) -> Response:
    """POST /v1/suppressions/undo: remove all that were added since a time, by a rule, for a reason.

    In steps, so that mail does not wait; a request that breaks off is simply sent again.
    """
    body = await call.request.body()
    with once(call, body) as request:
        removed = 0 if await request.is_done() else await _undo(call, body)
        outcome = await request.run(
            lambda _: Written({"object": "suppression_undo", "removed": removed})
        )
    return outcome.response()


async def _undo(call: Call, body: bytes) -> int:
    tenant_id = call.tenant_id
    fields = Fields(read_json(body), [])
    wanted = SuppressionFilter(
        reason=fields.text("reason", filters.MAX_TEXT),
        rule=fields.text("rule", filters.MAX_TEXT),
        since=filters.moment(fields, "since"),
    )
    if wanted == SuppressionFilter():
        fields.fail("since", "required", "Give since, rule or reason.")
    filters.finish(fields)
    removed, last = 0, BATCH
    while last == BATCH:
        last = await call.services.database.write(
            lambda db: suppressions.remove_matching(db, tenant_id, wanted, limit=BATCH)
        )
        removed += last
    return removed


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/suppressions/undo",
        undo_suppressions,
        "suppressions:write",
        "Remove many at once",
    ),
)
