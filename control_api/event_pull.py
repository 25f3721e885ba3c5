"""The journal for apps that ask for it: GET /v1/events, in order, from a cursor on.

A cursor is the id of an event; `next` in an answer is the cursor to go on from, also where nothing
was found. With `wait` the answer comes when there is something to tell, or when the time is up. The
events are those of webhooks, and `data` is what their bodies have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, invalid
from control_api.event_types import KINDS_OF
from control_api.fields import Fields
from control_api.routes import Call, Route, json_response
from control_api.webhook_message import content_of
from mta.core.event import EventKind
from mta.core.frozen import frozen
from mta.core.ids import number_of, numbered_id
from storage import event_feed, events, messages
from storage.database import Connection
from storage.event_feed import Span
from storage.events import JournalEntry

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
MAX_WAIT = 60
"""Seconds; proxies between here and the app may wait for less."""
LATEST = "latest"
"""The cursor behind all that has happened so far."""
_PAUSE = 1.0
"""Seconds between two looks of one waiting request that find nothing."""


@frozen
class _Wish:
    """What is asked for.

    Attributes:
        cursor: as it was sent, "" for the beginning.
        after: seq of the last event that the app has; None: it wants only what is to come.
        limit: events at most.
        kinds: only these; None is all.
        email_id: only of this email; "" is no such wish.
        wait: seconds to wait for an event.
    """

    cursor: str
    after: int | None
    limit: int
    kinds: tuple[EventKind, ...] | None
    email_id: str
    wait: int


@frozen
class _Found:
    """A page of the journal, and the seq to go on from."""

    events: list[JournalEntry]
    has_more: bool
    end: int


async def pull_events(call: Call) -> Response:
    """GET /v1/events: oldest first."""
    wish = _read(call.request)
    with call.services.journal_news.listening(call.tenant_id) as heard:
        found = await _look(call, wish)
        if heard is not None and wish.wait and not found.events:
            found = await _wait(call, replace(wish, after=found.end), found, heard)
    return json_response(
        {
            "object": "list",
            "data": [_event(event) for event in found.events],
            "has_more": found.has_more,
            "next": _cursor(wish, found),
        }
    )


async def _wait(call: Call, wish: _Wish, found: _Found, heard: asyncio.Event) -> _Found:
    """Look again at every word of new events, until some are for this request or time is up."""
    news = call.services.journal_news
    try:
        async with asyncio.timeout(wish.wait):
            while not (found.events or news.is_closed):
                await heard.wait()
                heard.clear()
                found = await _look(call, wish)
                if not (found.events or news.is_closed):  # other kinds, or another email
                    wish = replace(wish, after=found.end)
                    await asyncio.sleep(_PAUSE)
    except TimeoutError:
        pass
    return found


async def _look(call: Call, wish: _Wish) -> _Found:
    tenant_id = call.tenant_id
    found = await call.services.database.read_durable(lambda db: _page(db, tenant_id, wish))
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def _page(connection: Connection, tenant_id: int, wish: _Wish) -> _Found | None:
    """Return the next page; None when the tenant has no such email."""
    last = events.last_seq(connection)
    after = last if wish.after is None else wish.after
    if wish.email_id:
        row = messages.row_of(connection, tenant_id, wish.email_id)
        if row is None:
            return None
        kinds: Collection[EventKind] = wish.kinds or tuple(EventKind)
        found = events.of_message(
            connection, row[0], after=after, limit=wish.limit + 1, kinds=kinds
        )
    else:
        span = Span(tenant_id, wish.kinds, after)
        found = event_feed.read(connection, span, limit=wish.limit + 1)
    if len(found) > wish.limit:
        shown = found[: wish.limit]
        return _Found(shown, has_more=True, end=shown[-1].seq)
    return _Found(found, has_more=False, end=max(after, last))


def _cursor(wish: _Wish, found: _Found) -> str:
    """Return the id of the last event shown, or one that says: behind all that was looked at."""
    last = found.events[-1] if found.events else None
    if last is not None and last.seq == found.end:
        return last.id
    is_where_it_was = bool(wish.cursor) and wish.after == found.end
    return wish.cursor if is_where_it_was else numbered_id("ev", 0, found.end)


def _event(event: JournalEntry) -> dict[str, object]:
    return {"object": "event", "id": event.id, **content_of(event)}


def _read(request: Request) -> _Wish:
    fields = Fields(dict(request.query_params), [])
    cursor = fields.text("after", 100)
    after = number_of(cursor, "ev") if cursor and cursor != LATEST else 0
    if after is None:
        fields.fail("after", "invalid_cursor", f"Expected the id of an event, or {LATEST}.")
    wish = _Wish(
        cursor=cursor,
        after=None if cursor == LATEST else after,
        limit=_number(fields, "limit", DEFAULT_LIMIT, smallest=1, largest=MAX_LIMIT),
        kinds=_kinds(fields),
        email_id=fields.text("email_id", 100),
        wait=_number(fields, "wait", 0, smallest=0, largest=MAX_WAIT),
    )
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return wish


def _number(fields: Fields, name: str, default: int, *, smallest: int, largest: int) -> int:
    text = fields.text(name, 100)
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) < 10 and smallest <= int(text) <= largest:
        return int(text)
    fields.fail(name, "invalid_value", f"Expected a number from {smallest} to {largest}.")
    return default


def _kinds(fields: Fields) -> tuple[EventKind, ...] | None:
    """Read types: names such as "email.delivered" with commas between them; none is all."""
    names = [name for name in fields.text("types", 1000).split(",") if name]
    for name in names:
        if name not in KINDS_OF:
            fields.fail("types", "invalid_value", f"Expected some of {', '.join(KINDS_OF)}.")
            return None
    return tuple(kind for name in names for kind in KINDS_OF[name]) or None


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/events", pull_events, "events:read", "Read the journal from a cursor on"),
)
