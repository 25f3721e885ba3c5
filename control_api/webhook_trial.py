"""A test post: one made-up event to one endpoint, at once, with the answer told.

It is signed like any other and is no part of the journal. A disabled endpoint can be tried too,
before it is enabled again.
"""

from __future__ import annotations

import time
from datetime import timedelta

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, invalid
from control_api.event_types import TYPES, EventType, example
from control_api.fields import Fields, read_json
from control_api.http_client import Answered, HttpClient, Posted
from control_api.routes import Call, Route, json_response
from control_api.webhook_formats import WebhookFormat
from control_api.webhook_message import format_named
from mta.core.frozen import frozen
from storage import webhooks
from storage.events import JournalEntry
from storage.webhooks import WebhookRecord

BY_NAME = {one.kind.webhook_type: one for one in reversed(TYPES)}
"""Type -> the first of TYPES that is told so."""
DEFAULT = "email.delivered"


@frozen
class Trial:
    """A test post that was made.

    Attributes:
        event_id: what the endpoint saw as webhook-id.
        type: of the event, such as "email.delivered".
        outcome: what the endpoint answered.
        latency: from the name lookup to the end of the reply.
    """

    event_id: str
    type: str
    outcome: Posted
    latency: timedelta


async def make_trial(
    client: HttpClient, record: WebhookRecord, made_up: JournalEntry, form: WebhookFormat
) -> Trial:
    """Post a made-up event, which happens now, to an endpoint."""
    body = form.body_of(made_up)
    headers = form.headers_of(made_up.id, made_up.at, body, record.secrets(made_up.at))
    started = time.monotonic()
    outcome = await client.post(record.url, body, headers)
    latency = timedelta(seconds=time.monotonic() - started)
    return Trial(made_up.id, made_up.kind.webhook_type, outcome, latency)


def trial_json(trial: Trial) -> dict[str, object]:
    """Return what became of a test post, in the words of the log of attempts."""
    outcome = trial.outcome
    status, reply = (
        (outcome.status, outcome.text) if isinstance(outcome, Answered) else (None, None)
    )
    return {
        "object": "webhook_test",
        "event_id": trial.event_id,
        "type": trial.type,
        "result": "delivered" if outcome.is_success else "failed",
        "status": status,
        "latency_ms": trial.latency // timedelta(milliseconds=1),
        "error": None if isinstance(outcome, Answered) else outcome.error,
        "reply": reply,
    }


async def try_webhook(call: Call) -> Response:
    """POST /v1/webhooks/{id}/test: `type` chooses which event is made up."""
    services, tenant_id = call.services, call.tenant_id
    webhook_id = call.request.path_params["id"]
    event_type = _read(await call.request.body())
    record = await services.database.read(
        lambda db: webhooks.get(db, webhook_id, tenant_id=tenant_id)
    )
    if record is None:
        raise ApiError(NOT_FOUND)
    made_up = example(event_type, services.new_id("ev"), services.now())
    form = format_named(services.webhook_formats, record.format)
    trial = await make_trial(services.client, record, made_up, form)
    return json_response(trial_json(trial))


def _read(body: bytes) -> EventType:
    """Read the type; a request without a body asks for DEFAULT."""
    fields = Fields(read_json(body or b"{}"), [])
    name = fields.text("type", 100) or DEFAULT
    if name not in BY_NAME:
        fields.fail("type", "invalid_value", f"Expected one of {', '.join(BY_NAME)}.")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return BY_NAME[name]


ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/v1/webhooks/{id}/test",
        try_webhook,
        "webhooks:write",
        "Post a test event to a webhook",
    ),
)
