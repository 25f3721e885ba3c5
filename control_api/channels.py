"""What text messages and letters have in common: who carries them, and what has become of them.

A provider is what tells an item's steps; the sandbox is the one there is (core/channel.py), and
serves test keys whatever the settings say. Without one, items are refused with a word that says so.
Not here: the bodies (sms.py, postal_mail.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.responses import Response

from control_api import filters
from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.idempotency import Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, json_response
from mta.core.channel import CANCELED, QUEUED, Channel, Step, sandbox_steps
from storage import channel_items
from storage.channel_items import ItemRecord, NewItem
from storage.database import Connection

SANDBOX = "sandbox"
_WHAT = {Channel.SMS: "text messages", Channel.MAIL: "letters"}
_SENT = Problem(409, "not_cancelable", "It is on its way already.")

Show = Callable[[ItemRecord, tuple[Step, ...]], dict[str, object]]
"""Makes the JSON of an item and what has become of it."""


def provider_of(call: Call, channel: Channel) -> str:
    """Return who carries what a key hands in.

    Raises:
        ApiError: 422; nobody does.
    """
    channels = call.services.settings.channels
    provider = channels.sms if channel is Channel.SMS else channels.mail
    if call.key.access.is_test:
        return SANDBOX
    if not provider:
        message = (
            f"This server carries no {_WHAT[channel]}: its operator must set"
            f" channels.{channel.value}."
        )
        raise ApiError(Problem(422, "channel_not_configured", message))
    return provider


async def take(call: Call, body: bytes, item: NewItem, show: Show) -> Response:
    """Take an item, once for each Idempotency-Key, and show it."""
    now = call.services.now()
    with once(call, body) as request:

        def act(connection: Connection) -> Written:
            made = channel_items.add(connection, call.tenant_id, item, now=now)
            return Written(show(made, steps_of(made, now)))

        return (await request.run(act)).response()


def steps_of(record: ItemRecord, now: datetime) -> tuple[Step, ...]:
    """Return what has become of an item, the first thing first."""
    item = record.item
    found = sandbox_steps(item.channel, item.recipient, record.created_at, record.canceled_at, now)
    return found or (Step(QUEUED, record.created_at),)  # the clock was set back


async def list_items(call: Call, channel: Channel, show: Show) -> Response:
    """Show a tenant's items, newest first."""
    fields, now = filters.query_fields(call.request), call.services.now()
    page, with_total = read_page(fields), wants_total(fields)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        found = channel_items.list_(
            connection,
            call.tenant_id,
            channel,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        rendered = page.render(found, lambda one: show(one, steps_of(one, now)), skipped=page.skip)
        if with_total:
            rendered["total"] = channel_items.count(connection, call.tenant_id, channel)
        return rendered

    return json_response(await call.services.database.read(look))


async def get_item(call: Call, channel: Channel, show: Show) -> Response:
    """Show the item that the path names."""
    now = call.services.now()
    found = await call.services.database.read(lambda db: _find(db, call, channel))
    return json_response(show(found, steps_of(found, now)))


async def cancel_item(call: Call, channel: Channel, show: Show) -> Response:
    """Cancel an item that is still queued; once more is no error."""
    now = call.services.now()

    def act(connection: Connection) -> ItemRecord | Problem:
        found = _find(connection, call, channel)
        if steps_of(found, now)[-1].status not in (QUEUED, CANCELED):
            return _SENT
        channel_items.cancel(connection, found.row, now=now)
        return _find(connection, call, channel)

    outcome = await call.services.database.write(act)
    if isinstance(outcome, Problem):
        raise ApiError(outcome)
    return json_response(show(outcome, steps_of(outcome, now)))


def _find(connection: Connection, call: Call, channel: Channel) -> ItemRecord:
    name: str = call.request.path_params["id"]
    found = channel_items.get(connection, call.tenant_id, channel, name)
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def without_nothing(content: Mapping[str, object]) -> dict[str, object]:
    """Return an object in which "" is null, as the API shows it."""
    return {name: None if value == "" else value for name, value in content.items()}
