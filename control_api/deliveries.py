"""What happened to an email: its events, and the attempts among them, oldest first.

Not here: the email as a whole (email_views.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, invalid
from control_api.fields import Fields
from control_api.paging import Page, read_page, render_walk
from control_api.routes import Call, json_response, timestamp
from mta.core import ids
from mta.core.event import EventKind, JsonValue
from storage import events, messages
from storage.database import Connection
from storage.events import JournalEntry

_ATTEMPTS = (
    EventKind.DELIVERED,
    EventKind.DEFERRED,
    EventKind.BOUNCED,
    EventKind.EXPIRED,
    EventKind.CANCELED,
)
"""Events that an attempt may have led to; those without one have no data.attempt."""


async def list_events(call: Call) -> Response:
    """GET /v1/emails/{id}/events."""
    return await _list(call, tuple(EventKind), lambda one: True, event_object)


async def list_deliveries(call: Call) -> Response:
    """GET /v1/emails/{id}/deliveries."""
    return await _list(call, _ATTEMPTS, lambda one: "attempt" in one.data, _delivery)


async def _list(
    call: Call,
    kinds: Collection[EventKind],
    is_meant: Callable[[JournalEntry], bool],
    serialize: Callable[[JournalEntry], object],
) -> Response:
    tenant_id, email_id = call.tenant_id, call.request.path_params["id"]
    page = _read_query(call)

    def look_up(connection: Connection) -> list[JournalEntry] | None:
        row = messages.row_of(connection, tenant_id, email_id)
        if row is None:
            return None
        after = ids.number_of(page.after, "ev") or 0
        return events.of_message(connection, row[0], after=after, limit=page.reach, kinds=kinds)

    found = await call.services.database.read(look_up)
    if found is None:
        raise ApiError(NOT_FOUND)
    shown = found[page.skip : page.skip + page.limit]
    go_on = shown[-1].id if shown and len(found) == page.reach else ""
    return json_response(render_walk(list(filter(is_meant, shown)), serialize, go_on=go_on))


def _read_query(call: Call) -> Page:
    fields = Fields(dict(call.request.query_params), [])
    page = read_page(fields)
    if page.before:
        fields.fail("before", "unsupported", "This list goes from the oldest on only.")
    if page.after and ids.number_of(page.after, "ev") is None:
        fields.fail("after", "invalid_cursor", "Expected the id of an event.")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return page


def event_object(entry: JournalEntry) -> dict[str, object]:
    """Return an event of an email as the API shows it."""
    return {
        "object": "event",
        "id": entry.id,
        "type": entry.kind.webhook_type,
        "kind": entry.kind.value,
        "at": timestamp(entry.at),
        "recipient": entry.recipient,
        "recipient_id": entry.entry_id,
        "data": entry.data,
    }


def _delivery(entry: JournalEntry) -> dict[str, object]:
    data = entry.data
    version, _, cipher = str(data.get("tls", "")).partition(" ")
    return {
        "object": "delivery",
        "id": entry.id,
        "recipient": entry.recipient,
        "recipient_id": entry.entry_id,
        "attempt": data["attempt"],
        "result": entry.kind.value,
        "started_at": _time(data, "started_at"),
        "duration_ms": data.get("duration_ms"),
        "host": data.get("host"),
        "address": data.get("address"),
        "tls": {"version": version, "cipher": cipher} if version else None,
        "command": data.get("command"),
        "stage": data.get("stage"),
        "code": data.get("code"),
        "enhanced": data.get("enhanced"),
        "text": data.get("text"),
        "class": data.get("class"),
        "why": data.get("why"),
        "next_attempt_at": _time(data, "due_at"),
    }


def _time(data: Mapping[str, JsonValue], name: str) -> str | None:
    """Return a time that the journal keeps with its offset as the API writes it."""
    text = data.get(name)
    return str(text).replace("+00:00", "Z") if text else None
