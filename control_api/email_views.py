"""Emails read back: one with its recipients and events, pages of them, and cancelling one.

Not here: sending (emails.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, Problem, invalid
from control_api.fields import Fields, parse_time
from control_api.idempotency import Written, once
from control_api.paging import Page, read_page
from control_api.routes import Call, json_response, timestamp
from mta.core.address import AddressError, parse_address, to_ascii_domain
from storage import events, messages, operators
from storage.database import Connection
from storage.events import JournalEntry
from storage.messages import EmailFilter, EmailView, RecipientView
from storage.operators import Selection

_MAX_FILTER = 320
_NOT_CANCELABLE = Problem(409, "not_cancelable", "Nothing of this email waits to be sent any more.")


async def get_email(call: Call) -> Response:
    """GET /v1/emails/{id}."""
    tenant_id, email_id = call.tenant_id, call.request.path_params["id"]

    def look_up(connection: Connection) -> dict[str, object] | None:
        view = messages.get(connection, tenant_id, email_id)
        return _in_full(connection, view) if view else None

    found = await call.services.database.read(look_up)
    if found is None:
        raise ApiError(NOT_FOUND)
    return json_response(found)


async def list_emails(call: Call) -> Response:
    """GET /v1/emails: newest first; `after` leads on to older ones, `before` back to newer ones."""
    tenant_id = call.tenant_id
    filters, page = _read_query(call.request)
    found = await call.services.database.read(
        lambda db: messages.list_(
            db, tenant_id, filters, limit=page.reach, after=page.after, before=page.before
        )
    )
    return json_response(page.render(found, _summary))


async def cancel_email(call: Call) -> Response:
    """POST /v1/emails/{id}/cancel."""
    services, tenant_id, email_id = call.services, call.tenant_id, call.request.path_params["id"]

    def act(connection: Connection) -> Written | Problem:
        if messages.get(connection, tenant_id, email_id) is None:
            return NOT_FOUND
        selection = Selection(ids=(email_id,))
        if not operators.cancel(connection, selection, now=services.now(), tenant_id=tenant_id):
            return _NOT_CANCELABLE
        view = messages.get(connection, tenant_id, email_id)
        return Written(_in_full(connection, view)) if view else NOT_FOUND

    with once(call, await call.request.body()) as request:
        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


def _read_query(request: Request) -> tuple[EmailFilter, Page]:
    fields = Fields(dict(request.query_params), [])
    page = read_page(fields)
    filters = EmailFilter(
        status=fields.text("status", _MAX_FILTER),
        to=_normal(fields, "to", lambda text: str(parse_address(text))),
        from_=_normal(fields, "from", lambda text: str(parse_address(text))),
        domain=_normal(fields, "domain", to_ascii_domain),
        tag=fields.text("tag", _MAX_FILTER),
        tag_value=fields.text("tag_value", _MAX_FILTER) or None,
        batch_id=fields.text("batch_id", _MAX_FILTER),
        since=_time(fields, "since"),
        until=_time(fields, "until"),
    )
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return filters, page


def _normal(fields: Fields, name: str, normalize: Callable[[str], str]) -> str:
    """Return an address or domain in the form in which it is kept, "" when it is not given."""
    text = fields.text(name, _MAX_FILTER)
    try:
        return normalize(text) if text else ""
    except AddressError as error:
        fields.fail(name, "invalid_value", f"{error}.")
        return ""


def _time(fields: Fields, name: str) -> datetime | None:
    text = fields.text(name, _MAX_FILTER)
    moment = parse_time(text)
    if text and moment is None:
        fields.fail(name, "invalid_time", "Expected RFC 3339 with an offset.")
    return moment


def _in_full(connection: Connection, view: EmailView) -> dict[str, object]:
    return {
        **_summary(view),
        "recipients": [_recipient(one) for one in view.recipients],
        "events": [_event(one) for one in events.of_message(connection, view.row_id)],
    }


def _summary(view: EmailView) -> dict[str, object]:
    return {
        "object": "email",
        "id": view.public_id,
        "from": view.from_,
        "to": view.to,
        "subject": view.subject,
        "status": view.status,
        "created_at": timestamp(view.created_at),
        "send_at": _optional(view.send_at),
        "settled_at": _optional(view.settled_at),
        "message_id": view.message_id,
        "size": view.size,
        "tags": dict(view.tags),
        "metadata": view.metadata,
        "batch_id": view.batch_id or None,
    }


def _recipient(view: RecipientView) -> dict[str, object]:
    return {
        "id": view.entry_id,
        "address": view.address,
        "status": view.status,
        "attempts": view.attempts,
        "due_at": _optional(view.due_at),
        "why": view.why or None,
        "code": view.code,
        "enhanced": view.enhanced or None,
        "reply": view.reply or None,
        "class": view.bounce_class or None,
        "host": view.host or None,
    }


def _event(entry: JournalEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "type": entry.kind.webhook_type,
        "kind": entry.kind.value,
        "at": timestamp(entry.at),
        "recipient": entry.recipient,
        "data": entry.data,
    }


def _optional(at: datetime | None) -> str | None:
    return timestamp(at) if at else None
