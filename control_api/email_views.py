"""Emails read back: one with its recipients and events, and pages of them.

Not here: sending (emails.py), changing (email_changes.py), attempts one by one (deliveries.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from control_api.deliveries import event_object
from control_api.errors import NOT_FOUND, ApiError, invalid
from control_api.explanations import explain_block
from control_api.fields import Fields, parse_time
from control_api.paging import Page, read_page, render_walk, wants_total
from control_api.routes import Call, json_response, timestamp
from mta.core.address import AddressError, parse_address, to_ascii_domain
from mta.core.frozen import frozen
from mta.core.ids import number_of
from storage import engine_state, events, message_lists, messages, tracking
from storage.database import Connection
from storage.message_lists import EmailFilter, EmailPage, Total
from storage.messages import EmailView, RecipientView
from storage.tracking import Engagement

_MAX_FILTER = 320
MAX_EVENTS = 1000
"""Events shown with an email; .../events has them all."""

_STATUSES = frozenset(
    [
        "queued",
        "scheduled",
        "deferred",
        "delivered",
        "bounced",
        "expired",
        "canceled",
        "suppressed",
        "partial",
    ]
)


async def get_email(call: Call) -> Response:
    """GET /v1/emails/{id}."""
    tenant_id, email_id = call.tenant_id, call.request.path_params["id"]
    now = call.services.now()

    def look_up(connection: Connection) -> dict[str, object] | None:
        view = messages.get(connection, tenant_id, email_id)
        return in_full(connection, view, now) if view else None

    found = await call.services.database.read(look_up)
    if found is None:
        raise ApiError(NOT_FOUND)
    return json_response(found)


async def list_emails(call: Call) -> Response:
    """GET /v1/emails: newest first; `after` leads on to older ones, `before` back to newer ones."""
    query = _read_query(call.request)
    found = await call.services.database.read(lambda db: _look_up(db, call.tenant_id, query))
    page, total, engaged = found
    listed = render_walk(
        page.emails, lambda one: _summary(one) | _counted(engaged, one), go_on=page.next
    )
    if total is not None:
        listed |= {"total": total.number, "total_is_exact": total.is_exact}
    return json_response(listed)


@frozen
class _Query:
    """What a list request asks."""

    filters: EmailFilter
    page: Page
    wants_total: bool


_Counts = Mapping[int, tuple[int, int]]
"""Row id of a message -> opens and clicks."""


def _look_up(
    connection: Connection, tenant_id: int, query: _Query
) -> tuple[EmailPage, Total | None, _Counts]:
    page = query.page
    reach = message_lists.NUMBERED if page.is_numbered else message_lists.USUAL
    found = message_lists.page(
        connection,
        tenant_id,
        query.filters,
        limit=page.limit,
        after=page.after,
        before=page.before,
        skip=page.skip,
        reach=reach,
    )
    engaged = tracking.counts(connection, [one.row_id for one in found.emails])
    if not query.wants_total:
        return found, None, engaged
    return found, message_lists.total(connection, tenant_id, query.filters, reach), engaged


def _counted(engaged: _Counts, view: EmailView) -> dict[str, object]:
    opens, clicks = engaged.get(view.row_id, (0, 0))
    return {"opens": opens, "clicks": clicks}


def _read_query(request: Request) -> _Query:
    fields = Fields(dict(request.query_params), [])
    page, include_total = read_page(fields), wants_total(fields)
    filters = EmailFilter(
        status=_status(fields),
        to=_normal(fields, "to", lambda text: str(parse_address(text))),
        from_=_normal(fields, "from", lambda text: str(parse_address(text))),
        domain=_normal(fields, "domain", to_ascii_domain),
        tag=fields.text("tag", _MAX_FILTER),
        tag_value=fields.text("tag_value", _MAX_FILTER) or None,
        batch_id=fields.text("batch_id", _MAX_FILTER),
        campaign=_campaign(fields),
        text=fields.text("q", _MAX_FILTER),
        since=_time(fields, "since"),
        until=_time(fields, "until"),
    )
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return _Query(filters, page, include_total)


def _campaign(fields: Fields) -> int | None:
    """Read a campaign's row number; 0, which none has, for what is no id of one."""
    named = fields.text("campaign_id", _MAX_FILTER)
    return (number_of(named, "cmp") or 0) if named else None


def _status(fields: Fields) -> str:
    status = fields.text("status", _MAX_FILTER)
    if status and status not in _STATUSES:
        fields.fail("status", "invalid_value", f"Expected one of {', '.join(sorted(_STATUSES))}.")
    return status


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


def in_full(connection: Connection, view: EmailView, now: datetime) -> dict[str, object]:
    """Return an email with its events, and its recipients with what each waits for."""
    written = events.of_message(connection, view.row_id, limit=MAX_EVENTS)
    blocks = engine_state.blocks(connection, now)
    engaged = tracking.of_message(connection, view.row_id)
    return {
        **_summary(view),
        **_counted(tracking.counts(connection, [view.row_id]), view),
        "counts": Counter(one.status for one in view.recipients),
        "has_content": view.has_body,
        "recipients": [
            {
                **_recipient(one),
                "engagement": _engagement(engaged.get(number_of(one.entry_id, "dl"), _NOTHING)),
                "explain": explain_block(one, blocks, now),
            }
            for one in view.recipients
        ],
        "events": [event_object(one) for one in written],
    }


def _summary(view: EmailView) -> dict[str, object]:
    return {
        "object": "email",
        "id": view.public_id,
        "from": view.from_,
        "to": view.to,
        "cc": view.cc,
        "bcc": view.bcc,
        "reply_to": view.reply_to,
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
        "campaign_id": view.campaign_id or None,
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
        "reported": view.reported,
    }


_NOTHING = Engagement()


def _engagement(found: Engagement) -> dict[str, object]:
    return {
        "opens": found.opens,
        "clicks": found.clicks,
        "machine_opens": found.machine_opens,
        "machine_clicks": found.machine_clicks,
        "first_opened_at": _optional(found.first_opened_at),
        "first_clicked_at": _optional(found.first_clicked_at),
    }


def _optional(at: datetime | None) -> str | None:
    return timestamp(at) if at else None
