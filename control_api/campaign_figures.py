"""Figures of a campaign, its recipients, and its logs as JSON or as CSV of any length.

Not here: campaigns themselves (campaigns.py), counting (storage/campaign_counts.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from starlette.responses import Response, StreamingResponse

from control_api import filters
from control_api.campaigns import counts_json, find
from control_api.contacts import answer
from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.fields import Fields
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, timestamp
from mta.core.campaign import Counts
from mta.core.event import EventKind
from mta.core.ids import number_of
from mta.core.suppression_csv import csv_line
from mta.core.tracking_agents import Machine
from storage import campaign_counts, campaign_people, stats
from storage.campaign_counts import Reading
from storage.campaign_people import RecipientRecord
from storage.campaigns import CampaignRecord
from storage.database import Connection
from storage.events import JournalEntry

LOGS: Mapping[str, tuple[EventKind, ...]] = {
    "tracking": (EventKind.OPENED, EventKind.CLICKED),
    "open": (EventKind.OPENED,),
    "click": (EventKind.CLICKED,),
    "bounce": (EventKind.BOUNCED, EventKind.EXPIRED, EventKind.REPORTED),
    "feedback": (EventKind.COMPLAINED,),
    "unsubscribe": (EventKind.UNSUBSCRIBED,),
}
"""Name of a log -> what it tells of."""
BATCH = 500
"""Rows of CSV read at once."""
_DETAILS = ("url", "machine", "ip", "user_agent", "code", "enhanced", "class", "text", "via")
_COLUMNS = ("id", "type", "at", "email", "email_id", *_DETAILS)


async def show_stats(call: Call) -> Response:
    """GET /v1/campaigns/{id}/stats: from counters; everything that is in the journal counts."""
    await stats.catch_up(call.services.database)

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        counts, reading = campaign_counts.counts(connection, found)
        links = campaign_counts.links(connection, found.row)
        return {
            "object": "campaign_stats",
            "id": found.id,
            "recipients": found.total,
            "counts": counts_json(counts),
            **_reading_json(counts, reading),
            "rates": _rates(counts),
            "links": [
                {"url": url or None, "total": total, "unique": unique}
                for url, total, unique in links
            ],
        }

    return answer(await call.services.database.read(look))


def _reading_json(counts: Counts, reading: Reading) -> dict[str, object]:
    return {
        "opens": {
            "total": reading.opens,
            "unique": reading.openers,
            "machine": reading.machine_opens,
            "rate": _rate(reading.openers, counts.delivered),
        },
        "clicks": {
            "total": reading.clicks,
            "unique": reading.clickers,
            "machine": reading.machine_clicks,
            "rate": _rate(reading.clickers, counts.delivered),
        },
    }


def _rates(counts: Counts) -> dict[str, float]:
    return {
        "delivered": _rate(counts.delivered, counts.sent),
        "bounced": _rate(counts.bounced + counts.failed, counts.sent),
        "complained": _rate(counts.complained, counts.delivered),
        "unsubscribed": _rate(counts.unsubscribed, counts.delivered),
    }


def _rate(part: int, whole: int) -> float:
    """Return a share rounded to a hundred-thousandth, 0.0 of nothing."""
    return round(part / whole, 5) if whole else 0.0


async def list_recipients(call: Call) -> Response:
    """GET /v1/campaigns/{id}/recipients: those who have had a turn, the last ones first."""
    fields = filters.query_fields(call.request)
    page, with_total, status = read_page(fields), wants_total(fields), fields.text("status", 20)
    if status not in ("", "skipped"):
        fields.fail("status", "invalid_value", "Expected skipped.")
    filters.finish(fields)
    is_skipped = status == "skipped"
    look_up = campaign_people.skipped if is_skipped else campaign_people.with_email

    def look(connection: Connection) -> dict[str, object] | Problem:
        campaign = find(connection, call)
        if campaign is None:
            return NOT_FOUND
        found = look_up(
            connection,
            campaign,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        listed = page.render(found, _recipient_json, skipped=page.skip)
        if with_total:
            listed["total"] = campaign.skipped if is_skipped else campaign.accepted
        return listed

    return answer(await call.services.database.read(look))


def _recipient_json(one: RecipientRecord) -> dict[str, object]:
    return {
        "object": "campaign_recipient",
        "id": one.id,
        "email": one.email,
        "email_id": one.email_id or None,
        "status": one.status,
        "reason": one.reason or None,
        "detail": one.detail or None,
        "at": timestamp(one.at),
        "opens": one.opens,
        "clicks": one.clicks,
        "opened_at": timestamp(one.opened_at) if one.opened_at else None,
        "clicked_at": timestamp(one.clicked_at) if one.clicked_at else None,
    }


async def show_log(call: Call) -> Response:
    """GET /v1/campaigns/{id}/logs/{log}: oldest first; a page as JSON, or all of it as CSV."""
    kinds = LOGS.get(call.request.path_params["log"])
    if kinds is None:
        raise ApiError(NOT_FOUND)
    fields = filters.query_fields(call.request)
    page, with_total, form = read_page(fields), wants_total(fields), _format(fields, call)
    if page.before:
        fields.fail("before", "unsupported", "A log is read from its start on.")
    filters.finish(fields)
    await stats.catch_up(call.services.database)
    if form == "csv":
        return await _csv_answer(call, kinds)
    after = (number_of(page.after, "ev") or 0) if page.after else 0

    def look(connection: Connection) -> dict[str, object] | Problem:
        campaign = find(connection, call)
        if campaign is None:
            return NOT_FOUND
        found = campaign_counts.log(connection, campaign.row, kinds, after=after, limit=page.reach)
        listed = page.render(found, _log_json)
        if with_total:
            listed["total"] = campaign_counts.log_size(connection, campaign.row, kinds)
        return listed

    return answer(await call.services.database.read(look))


def _format(fields: Fields, call: Call) -> str:
    form = fields.text("format", 10)
    if form not in ("", "csv", "json"):
        fields.fail("format", "invalid_value", "Expected csv or json.")
    accepted = call.request.headers.get("accept", "").lower()
    return form or ("csv" if accepted.startswith("text/csv") else "json")


def _log_json(event: JournalEntry) -> dict[str, object]:
    return {
        "object": "campaign_log_entry",
        "id": event.id,
        "type": event.kind.webhook_type,
        "at": timestamp(event.at),
        "email": event.recipient,
        "email_id": event.email_id,
        "url": event.data.get("url"),
        "is_machine": not Machine(event.data.get("machine", "")).is_person,
        "details": event.data,
    }


async def _csv_answer(call: Call, kinds: Sequence[EventKind]) -> Response:
    campaign = await call.services.database.read(lambda db: find(db, call))
    if campaign is None:
        raise ApiError(NOT_FOUND)
    name = call.request.path_params["log"]
    return StreamingResponse(
        _csv(call, campaign, kinds),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{campaign.id}-{name}.csv"'},
    )


async def _csv(
    call: Call, campaign: CampaignRecord, kinds: Sequence[EventKind]
) -> AsyncIterator[str]:
    """Yield the whole log; no more than a batch of it is in memory."""
    after = 0
    yield csv_line(_COLUMNS)
    while True:
        read = partial(
            campaign_counts.log,
            campaign_row=campaign.row,
            kinds=kinds,
            after=after,
            limit=BATCH,
        )
        found = await call.services.database.read(read)
        yield "".join(csv_line(_cells(event)) for event in found)
        if len(found) < BATCH:
            return
        after = found[-1].seq


def _cells(event: JournalEntry) -> list[str]:
    head = (event.id, event.kind.webhook_type, timestamp(event.at), event.recipient, event.email_id)
    details = (event.data.get(name) for name in _DETAILS)
    return [*head, *("" if value is None else str(value) for value in details)]


_ONE, _READ = "/v1/campaigns/{id}", "campaigns:read"

ROUTES: tuple[Route, ...] = (
    Route("GET", f"{_ONE}/stats", show_stats, _READ, "The figures of a campaign"),
    Route(
        "GET", f"{_ONE}/recipients", list_recipients, _READ, "Who has had a turn, and how it went"
    ),
    Route(
        "GET", f"{_ONE}/logs/{{log}}", show_log, _READ, "What readers and servers did, as it came"
    ),
)
