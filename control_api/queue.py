"""The queue over HTTP: how deep it is for each domain and what holds it, and what to do about it.

Keys see and move the entries of their tenant; admin keys those of all, or of one they name. A
domain is suspended for everybody, so that takes an admin key. Storage does the same for the command
line.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from starlette.responses import Response

from control_api import filters
from control_api.errors import Problem
from control_api.fields import Fields, read_json
from control_api.idempotency import Once, Written, once
from control_api.routes import Call, Handler, Route, json_response, timestamp
from mta.core.access import ADMIN, grants
from mta.core.address import AddressError, to_ascii_domain
from mta.core.explain import Block
from mta.core.frozen import frozen
from storage import engine_state, queue_changes, suspensions, tenancy
from storage import queue as stored
from storage.database import Connection
from storage.queue import DomainDepth, QueueTotals, Selection
from storage.queue_changes import Operation, QueueChange

MAX_IDS = 1000
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
"""Domains in one answer."""
MAX_REASON = 200
MAX_SITE = 2000
"""Characters of the names of a site's servers."""


async def show_queue(call: Call) -> Response:
    """GET /v1/queue: totals, and the domains with the most waiting."""
    now = call.services.now()
    fields = filters.query_fields(call.request)
    domain, limit = filters.domain(fields, "domain"), _limit(fields)
    tenant_id = _tenant(call, fields)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        depths = stored.depths(connection, tenant_id=tenant_id, domain=domain, limit=limit + 1)
        blocks = engine_state.blocks(connection, now)
        return {
            "object": "queue",
            **_totals(stored.totals(connection, tenant_id=tenant_id)),
            "domains": [_depth(depth, blocks) for depth in depths[:limit]],
            "has_more": len(depths) > limit,
            "suspensions": [_block(block) for block in blocks if _is_visible(call, block, depths)],
        }

    return json_response(await call.services.database.read(look))


def _is_visible(call: Call, block: Block, depths: list[DomainDepth]) -> bool:
    """Whether a key may know of it: its mail is concerned, or all mail is its business."""
    return _is_admin(call) or any(block.covers(one.domain, one.host) for one in depths)


@frozen
class _Wish:
    """What a POST asks.

    Attributes:
        selection: which entries.
        tenant_id: of this tenant only; None: of all.
    """

    selection: Selection
    tenant_id: int | None


def _handler(operation: Operation, doc: str) -> Handler:
    """Return the handler that carries an operation out on the entries a body names."""

    async def handle(call: Call) -> Response:
        now = call.services.now()
        body = await call.request.body()
        with once(call, body) as request:
            wish = _read(call, body)
            change = QueueChange(operation, wish.selection, now, wish.tenant_id)
            large = await _carry_out_if_large(call, change, request)

            def act(connection: Connection) -> Written | Problem:
                count = queue_changes.apply(connection, change) if large is None else large
                return Written({"object": "queue_change", "count": count})

            outcome = await request.run(act)
        if outcome.written:
            call.services.kick()
        return outcome.response()

    handle.__doc__ = doc
    return handle


async def _carry_out_if_large(call: Call, change: QueueChange, request: Once) -> int | None:
    """Return how many entries were changed in steps; None: they are few, and left to the caller."""
    changer = call.services.queue_changer
    await changer.resume()  # what was asked for before this
    rows = await call.services.database.read(partial(queue_changes.entries, change=change))
    if len(rows) <= queue_changes.STEP or await request.is_done():
        return None
    return await changer.carry_out(change, rows)


def _read(call: Call, body: bytes) -> _Wish:
    fields = Fields(read_json(body), [])
    ids = tuple(_text(fields, path, value) for path, value in fields.items("ids", MAX_IDS))
    selection = Selection(
        ids=ids,
        domain=filters.domain(fields, "domain"),
        tag=filters.tag(fields),
        is_all=_flag(fields, "all"),
        site=_site(fields),
    )
    tenant_id = _tenant(call, fields)
    is_narrowed = bool(selection.domain or selection.tag or selection.site)
    if sum((bool(ids), is_narrowed, selection.is_all)) != 1 and not fields.errors:
        fields.fail("", "required", "Give ids, or domain, tag and site, or all: true.")
    filters.finish(fields)
    return _Wish(selection, tenant_id)


async def suspend_domain(call: Call) -> Response:
    """POST /v1/queue/suspend: try nothing of a domain, or at a site, until a time."""
    now = call.services.now()
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        domain = _domain_or_site(fields)
        until = filters.moment(fields, "until")
        reason = fields.text("reason", MAX_REASON)
        if until is None or until <= now:
            fields.fail("until", "invalid_time", "Expected a time to come.")
        filters.finish(fields)
        end = until or now

        def act(connection: Connection) -> Written | Problem:
            suspensions.suspend(connection, domain, until=end, reason=reason, now=now)
            block = Block(domain, end, reason, is_operator=True)
            return Written({"object": "suspension", **_block(block)})

        outcome = await request.run(act)
    if outcome.written:
        call.services.kick()
    return outcome.response()


async def resume_domain(call: Call) -> Response:
    """POST /v1/queue/resume: end the suspension of a domain or site; none to end is no error."""
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        domain = _domain_or_site(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            is_resumed = suspensions.resume(connection, domain)
            return Written({"object": "suspension", "name": domain, "resumed": is_resumed})

        outcome = await request.run(act)
    if outcome.written:
        call.services.kick()
    return outcome.response()


def _domain_or_site(fields: Fields) -> str:
    domain, site = filters.domain(fields, "domain"), _site(fields)
    if bool(domain) == bool(site) and not fields.errors:
        fields.fail("domain", "required", "Give domain or site.")
    return domain or site


def _site(fields: Fields) -> str:
    """Read names of servers with commas between, as answers give a site; "" for none."""
    text = fields.text("site", MAX_SITE)
    try:
        return ",".join(to_ascii_domain(name.strip()) for name in text.split(",")) if text else ""
    except AddressError as error:
        fields.fail("site", "invalid_value", f"{error}.")
        return ""


def _tenant(call: Call, fields: Fields) -> int | None:
    """Return whose entries are meant; None: everybody's. Only admin keys may choose."""
    name = fields.text("tenant", filters.MAX_TEXT)
    if not _is_admin(call):
        if name:
            fields.fail("tenant", "forbidden", "Only a key with the scope admin may choose.")
        return call.tenant_id
    number = tenancy.number_of(name) if name else None
    if name and number is None:
        fields.fail("tenant", "invalid_value", "Expected the id of a tenant.")
    return number


def _is_admin(call: Call) -> bool:
    return grants(call.key.access.scopes, ADMIN)


def _limit(fields: Fields) -> int:
    text = fields.text("limit", 10)
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_LIMIT):
        fields.fail("limit", "invalid_value", f"Expected a number from 1 to {MAX_LIMIT}.")
        return DEFAULT_LIMIT
    return int(text)


def _text(fields: Fields, path: str, value: object) -> str:
    if not isinstance(value, str):
        fields.fail(path, "invalid_type", "Expected a string.")
        return ""
    return value


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True


def _totals(totals: QueueTotals) -> dict[str, object]:
    return {
        "waiting": totals.waiting,
        "claimed": totals.claimed,
        "held": totals.held,
        "oldest_at": _optional(totals.oldest),
    }


def _depth(depth: DomainDepth, blocks: list[Block]) -> dict[str, object]:
    covering = [block for block in blocks if block.covers(depth.domain, depth.host)]
    longest = max(covering, key=lambda block: block.until, default=None)
    return {
        "domain": depth.domain,
        "waiting": depth.waiting,
        "claimed": depth.claimed,
        "held": depth.held,
        "oldest_at": timestamp(depth.oldest),
        "next_due_at": _optional(depth.next_due),
        "suspension": _block(longest) if longest else None,
    }


def _block(block: Block) -> dict[str, object]:
    return {
        "name": block.name,
        "by": "operator" if block.is_operator else "engine",
        "until": timestamp(block.until),
        "detail": block.detail or None,
    }


def _optional(at: datetime | None) -> str | None:
    return timestamp(at) if at else None


_OPERATIONS: Mapping[str, tuple[Operation, str]] = {
    "hold": (Operation.HOLD, "Keep entries from being tried until they are released"),
    "release": (Operation.RELEASE, "Let held entries go, due now or at their time"),
    "retry": (Operation.RETRY, "Try waiting entries now instead of later"),
    "flush": (Operation.RETRY, "The same by the name that other servers have for it"),
    "cancel": (Operation.CANCEL, "Take entries out of the queue for good"),
}

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/queue", show_queue, "queue:read", "How deep the queue is, and why"),
    *(
        Route("POST", f"/v1/queue/{name}", _handler(operation, doc), "queue:write", doc)
        for name, (operation, doc) in _OPERATIONS.items()
    ),
    Route(
        "POST", "/v1/queue/suspend", suspend_domain, ADMIN, "Try nothing of a domain or at a site"
    ),
    Route(
        "POST", "/v1/queue/resume", resume_domain, ADMIN, "End the suspension of a domain or site"
    ),
)
