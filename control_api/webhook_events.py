"""What became of events at one webhook endpoint: lists, every attempt, and replays.

A replay is the same event under the same id: a receiver that drops ids it has seen drops it too.
Not here: the journal itself (event_pull.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, Problem, invalid
from control_api.fields import Fields, parse_time, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from control_api.webhook_message import content_of
from control_api.webhooks import read_webhook
from mta.core.frozen import frozen
from mta.core.ids import number_of
from storage import event_feed, events, webhook_attempts, webhook_history, webhook_retries, webhooks
from storage.database import Connection
from storage.event_feed import Span
from storage.events import JournalEntry
from storage.webhook_attempts import WebhookAttempt
from storage.webhook_history import EventDelivery, Replayed, State
from storage.webhooks import WebhookRecord

MAX_ATTEMPTS = 100
"""Attempts that are shown of an event, the newest."""
MAX_REPLAY = 1000
"""Events that one request replays; mail waits while they are written."""
MAX_WAITING = 10_000
"""Retries and replays that an endpoint may have for more to be taken."""
FAILED, ALL = "failed", "all"

_LISTED = {state.value: state for state in (State.PENDING, State.RETRYING, State.FAILED)}
_DISABLED = Problem(409, "webhook_disabled", "Enable the webhook first: nothing is posted to it.")
_TOO_MANY = Problem(409, "too_many_waiting", "So many posts wait already; try again later.")


async def list_events(call: Call) -> Response:
    """GET /v1/webhooks/{id}/events: newest first, with what became of each."""
    fields = Fields(dict(call.request.query_params), [])
    page = read_page(fields)
    name = fields.text("status", 100)
    if name and name not in _LISTED:
        fields.fail("status", "invalid_value", f"Expected one of {', '.join(_LISTED)}.")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    state = _LISTED.get(name)
    after, before = (
        number_of(cursor, "ev") if cursor else None for cursor in (page.after, page.before)
    )

    def look(connection: Connection, record: WebhookRecord) -> dict[str, object]:
        found = webhook_history.list_(
            connection, record, state, limit=page.reach, after=after, before=before
        )
        return page.render(found, _delivery)

    return json_response(await read_webhook(call, look))


async def get_event(call: Call) -> Response:
    """GET /v1/webhooks/{id}/events/{event_id}: the body that is posted, and what became of it."""

    def look(connection: Connection, record: WebhookRecord) -> dict[str, object]:
        event = _event(connection, record, call)
        delivery = webhook_history.of_event(connection, record, event)
        return _delivery(delivery) | {"body": content_of(event)}

    return json_response(await read_webhook(call, look))


async def list_attempts(call: Call) -> Response:
    """GET /v1/webhooks/{id}/events/{event_id}/attempts: newest first."""

    def look(connection: Connection, record: WebhookRecord) -> dict[str, object]:
        event = _event(connection, record, call)
        found = webhook_attempts.of_event(connection, record.id, event.seq, limit=MAX_ATTEMPTS + 1)
        data = [_attempt(one) for one in found[:MAX_ATTEMPTS]]
        return {"object": "list", "data": data, "has_more": len(found) > MAX_ATTEMPTS}

    return json_response(await read_webhook(call, look))


async def replay_event(call: Call) -> Response:
    """POST /v1/webhooks/{id}/events/{event_id}/replay: post it now, once more."""
    services, now = call.services, call.services.now()

    def act(connection: Connection) -> Written | Problem:
        record = _endpoint(connection, call)
        if isinstance(record, Problem):
            return record
        event = _event(connection, record, call)
        webhook_history.replay(connection, record, event, now)
        return Written(_delivery(webhook_history.of_event(connection, record, event)))

    with once(call, await call.request.body()) as request:
        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


@frozen
class _Range:
    """What of the journal is to be replayed; times are aware, None is no limit."""

    since: datetime | None
    until: datetime | None
    after: int
    only_failed: bool

    def span(self, connection: Connection, record: WebhookRecord) -> Span:
        """Return it as places in the journal."""
        since = event_feed.seq_before(connection, self.since) if self.since else 0
        until = event_feed.seq_before(connection, self.until) if self.until else None
        return Span(record.tenant_id, record.kinds, max(since, self.after), until)


async def replay_range(call: Call) -> Response:
    """POST /v1/webhooks/{id}/replay: what failed since a time, or all of it.

    MAX_REPLAY events at most; `next` in the answer is `after` of the request that goes on.
    """
    services, now = call.services, call.services.now()
    body = await call.request.body()

    with once(call, body) as request:
        wish = _read_range(body)

        def act(connection: Connection) -> Written | Problem:
            record = _endpoint(connection, call)
            if isinstance(record, Problem):
                return record
            room = MAX_WAITING - webhook_retries.count(connection, record.id)
            if room <= 0:
                return _TOO_MANY
            replayed = webhook_history.replay_range(
                connection,
                record,
                wish.span(connection, record),
                only_failed=wish.only_failed,
                limit=min(MAX_REPLAY, room),
                now=now,
            )
            return Written(_replay(connection, record, replayed))

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


def _read_range(body: bytes) -> _Range:
    fields = Fields(read_json(body or b"{}"), [])
    status = fields.text("status", 100) or FAILED
    if status not in (FAILED, ALL):
        fields.fail("status", "invalid_value", f"Expected {FAILED} or {ALL}.")
    cursor = fields.text("after", 100)
    after = number_of(cursor, "ev") if cursor else 0
    if after is None:
        fields.fail("after", "invalid_cursor", "Expected the id of an event.")
    wish = _Range(_time(fields, "since"), _time(fields, "until"), after or 0, status == FAILED)
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return wish


def _time(fields: Fields, name: str) -> datetime | None:
    text = fields.text(name, 100)
    moment = parse_time(text)
    if text and moment is None:
        fields.fail(name, "invalid_time", "Expected RFC 3339 with an offset.")
    return moment


def _endpoint(connection: Connection, call: Call) -> WebhookRecord | Problem:
    """Return the endpoint that a request names, or why nothing can be replayed to it."""
    webhook_id = call.request.path_params["id"]
    record = webhooks.get(connection, webhook_id, tenant_id=call.tenant_id)
    if record is None:
        return NOT_FOUND
    return _DISABLED if record.disabled_at else record


def _event(connection: Connection, record: WebhookRecord, call: Call) -> JournalEntry:
    """Return the event that a request names.

    Raises:
        ApiError: 404; the endpoint's tenant has none such (any more).
    """
    event_id = call.request.path_params["event_id"]
    seq = number_of(event_id, "ev")
    event = None if seq is None else events.by_seq(connection, seq)
    if event is None or (event.id, event.tenant_id) != (event_id, record.tenant_id):
        raise ApiError(NOT_FOUND)
    return event


def _delivery(delivery: EventDelivery) -> dict[str, object]:
    event, last = delivery.event, delivery.last
    return {
        "object": "webhook_event",
        "id": event.id,
        "type": event.kind.webhook_type,
        "created_at": timestamp(event.at),
        "email_id": event.email_id or None,
        "recipient": event.recipient or None,
        "status": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": timestamp(delivery.next_at) if delivery.next_at else None,
        "last_attempt": _attempt(last) if last else None,
    }


def _attempt(attempt: WebhookAttempt) -> dict[str, object]:
    is_answered = attempt.status is not None
    return {
        "object": "webhook_attempt",
        "at": timestamp(attempt.at),
        "result": attempt.result.value,
        "status": attempt.status,
        "latency_ms": attempt.latency // timedelta(milliseconds=1),
        "error": attempt.error or None,
        "reply": attempt.reply if is_answered else None,
    }


def _replay(connection: Connection, record: WebhookRecord, replayed: Replayed) -> dict[str, object]:
    last = events.by_seq(connection, replayed.seqs[-1]) if replayed.has_more else None
    return {
        "object": "webhook_replay",
        "webhook_id": record.id,
        "events": len(replayed.seqs),
        "has_more": replayed.has_more,
        "next": last.id if last else None,
    }


_ONE = "/v1/webhooks/{id}"
_EVENT = f"{_ONE}/events/{{event_id}}"
ROUTES: tuple[Route, ...] = (
    Route("GET", f"{_ONE}/events", list_events, "webhooks:read", "List events and how they fared"),
    Route("GET", _EVENT, get_event, "webhooks:read", "Look at an event and how it fared"),
    Route("GET", f"{_EVENT}/attempts", list_attempts, "webhooks:read", "List posts of an event"),
    Route("POST", f"{_EVENT}/replay", replay_event, "webhooks:write", "Post an event once more"),
    Route("POST", f"{_ONE}/replay", replay_range, "webhooks:write", "Post many events once more"),
)
