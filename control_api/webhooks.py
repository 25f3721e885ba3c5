"""Webhook endpoints: create, list, look at, change, delete, and give a new secret.

A secret is told once, in the answer that it is made for. Not here: posting (webhook_sender.py),
test posts (webhook_trial.py), and what became of single events (webhook_events.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.event_types import KINDS_OF
from control_api.fields import Fields, read_json
from control_api.http_client import MAX_URL, UrlError
from control_api.idempotency import Written, once
from control_api.routes import Call, Route, json_response, timestamp
from control_api.webhook_formats import Formats
from control_api.webhook_message import NATIVE, SECRET_SIZE, format_secret
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import webhook_history, webhooks
from storage.database import Connection
from storage.webhooks import WebhookRecord

MAX_WEBHOOKS = 50
"""Endpoints of one tenant: each costs a task and connections."""
MAX_DESCRIPTION = 500
ALL = "*"
GRACE = timedelta(days=1)
LONGEST_GRACE = timedelta(days=7)
"""How long the old secret signs as well after a rotation, unless told otherwise, and at most."""
REQUESTED = "requested"
"""Why an endpoint is disabled that its owner has disabled."""


@frozen
class _Wish:
    """What a request says of an endpoint; None: nothing. kinds () is all, also those to come."""

    url: str | None
    kinds: tuple[EventKind, ...] | None
    description: str | None
    form: str | None
    enabled: bool | None

    def applied(self, record: WebhookRecord) -> WebhookRecord:
        """Return the record with the columns that are wished."""
        return replace(
            record,
            url=record.url if self.url is None else self.url,
            kinds=record.kinds if self.kinds is None else self.kinds or None,
            description=record.description if self.description is None else self.description,
            format=record.format if self.form is None else self.form,
        )


async def create_webhook(call: Call) -> Response:
    """POST /v1/webhooks."""
    services, tenant_id = call.services, call.tenant_id
    body = await call.request.body()
    with once(call, body) as request:
        wish = _read(body, services.webhook_formats, is_new=True)
        url = wish.url or ""
        await _check_url(call, url)
        webhook_id, now = services.new_id("wh"), services.now()
        secret = format_secret(services.entropy(SECRET_SIZE))

        def act(connection: Connection) -> Written | Problem:
            if len(webhooks.list_(connection, tenant_id=tenant_id)) >= MAX_WEBHOOKS:
                message = f"At most {MAX_WEBHOOKS} webhooks are allowed."
                return Problem(422, "too_many_webhooks", message)
            record = webhooks.create(
                connection,
                tenant_id=tenant_id,
                webhook_id=webhook_id,
                url=url,
                kinds=wish.kinds or None,
                secret=secret,
                description=wish.description or "",
                now=now,
                form=wish.form or NATIVE.name,
            )
            if wish.enabled is False:
                webhooks.disable(connection, webhook_id, now, REQUESTED)
                record = webhooks.get(connection, webhook_id) or record
            return Written(as_json(connection, record, now) | {"secret": secret})

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


async def list_webhooks(call: Call) -> Response:
    """GET /v1/webhooks: all of them, oldest first."""
    tenant_id, now = call.tenant_id, call.services.now()

    def look(connection: Connection) -> list[dict[str, object]]:
        found = webhooks.list_(connection, tenant_id=tenant_id)
        return [as_json(connection, record, now) for record in found]

    data = await call.services.database.read(look)
    return json_response({"object": "list", "data": data, "has_more": False})


async def get_webhook(call: Call) -> Response:
    """GET /v1/webhooks/{id}."""
    now = call.services.now()
    return json_response(await read_webhook(call, lambda db, record: as_json(db, record, now)))


async def change_webhook(call: Call) -> Response:
    """PATCH /v1/webhooks/{id}: what is left out stays; `enabled` disables and enables again."""
    services, tenant_id, webhook_id = call.services, call.tenant_id, call.request.path_params["id"]
    wish = _read(await call.request.body(), services.webhook_formats, is_new=False)
    if wish.url is not None:
        await _check_url(call, wish.url)
    now = services.now()

    def act(connection: Connection) -> dict[str, object] | None:
        record = webhooks.get(connection, webhook_id, tenant_id=tenant_id)
        if record is None:
            return None
        webhooks.change(connection, wish.applied(record))
        if wish.enabled:
            webhooks.enable(connection, webhook_id)
        elif wish.enabled is False:
            webhooks.disable(connection, webhook_id, now, REQUESTED)
        changed = webhooks.get(connection, webhook_id)
        return as_json(connection, changed, now) if changed else None

    found = await services.database.write(act)
    if found is None:
        raise ApiError(NOT_FOUND)
    services.kick()
    return json_response(found)


async def delete_webhook(call: Call) -> Response:
    """DELETE /v1/webhooks/{id}; deleting it again, or what never was, succeeds too."""
    tenant_id, webhook_id = call.tenant_id, call.request.path_params["id"]
    is_deleted = await call.services.database.write(
        lambda db: webhooks.delete(db, webhook_id, tenant_id=tenant_id)
    )
    if is_deleted:
        call.services.kick()
    return json_response({"object": "webhook", "id": webhook_id, "deleted": True})


async def rotate_secret(call: Call) -> Response:
    """POST /v1/webhooks/{id}/rotate-secret: the old one signs as well for `grace_seconds`."""
    services, tenant_id, webhook_id = call.services, call.tenant_id, call.request.path_params["id"]
    body = await call.request.body()
    with once(call, body) as request:
        grace = _read_grace(body)
        secret, now = format_secret(services.entropy(SECRET_SIZE)), services.now()

        def act(connection: Connection) -> Written | Problem:
            if webhooks.get(connection, webhook_id, tenant_id=tenant_id) is None:
                return NOT_FOUND
            record = webhooks.rotate(connection, webhook_id, secret, old_until=now + grace)
            return Written(as_json(connection, record, now) | {"secret": secret})

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


async def read_webhook(
    call: Call, look: Callable[[Connection, WebhookRecord], dict[str, object]]
) -> dict[str, object]:
    """Return what `look` reads about the endpoint that a request names.

    Raises:
        ApiError: 404; the tenant has none such.
    """
    tenant_id, webhook_id = call.tenant_id, call.request.path_params["id"]

    def read(connection: Connection) -> dict[str, object] | None:
        record = webhooks.get(connection, webhook_id, tenant_id=tenant_id)
        return None if record is None else look(connection, record)

    found = await call.services.database.read(read)
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def as_json(connection: Connection, record: WebhookRecord, now: datetime) -> dict[str, object]:
    """Return an endpoint as the API shows it; the secret is not part of it."""
    health, is_enabled = record.health, record.disabled_at is None
    is_old_valid = len(record.secrets(now)) > 1
    return {
        "object": "webhook",
        "id": record.id,
        "url": record.url,
        "events": [ALL] if record.kinds is None else _types(record.kinds),
        "format": record.format,
        "description": record.description,
        "status": "enabled" if is_enabled else "disabled",
        "created_at": timestamp(record.created_at),
        "disabled_at": _optional(record.disabled_at),
        "disabled_reason": record.disabled_for or None,
        "failing_since": _optional(health.failing_since),
        "paused_until": _optional(health.paused_until if is_enabled else None, after=now),
        "old_secret_until": _optional(record.old_secret_until if is_old_valid else None),
        "dropped_events": record.dropped,
        "lag": _lag(connection, record, now) if is_enabled else None,
    }


def _lag(connection: Connection, record: WebhookRecord, now: datetime) -> dict[str, object]:
    lag = webhook_history.lag(connection, record)
    age = max(now - lag.oldest_at, timedelta()) if lag.oldest_at else timedelta()
    return {
        "events": lag.events,
        "retrying": lag.retrying,
        "oldest_at": _optional(lag.oldest_at),
        "seconds": int(age.total_seconds()),
    }


def _types(kinds: tuple[EventKind, ...]) -> list[str]:
    return list(dict.fromkeys(kind.webhook_type for kind in kinds))


def _optional(at: datetime | None, *, after: datetime | None = None) -> str | None:
    """Return a time as the API writes it, None for none, or for one that is not after another."""
    if at is None or (after is not None and at <= after):
        return None
    return timestamp(at)


def _read(body: bytes, formats: Formats, *, is_new: bool) -> _Wish:
    value = read_json(body)
    fields = Fields(value, [])
    pairs = value.items() if isinstance(value, dict) else ()
    given = {name for name, one in pairs if one is not None}
    has_url = is_new or "url" in given
    url = fields.required_text("url", MAX_URL) if has_url else fields.text("url", MAX_URL)
    kinds = _kinds(fields)
    description = fields.text("description", MAX_DESCRIPTION)
    form = fields.text("format", 100)
    if "format" in given and form not in (NATIVE.name, *formats):
        known = ", ".join((NATIVE.name, *formats))
        fields.fail("format", "invalid_value", f"Expected one of {known}.")
    enabled = _flag(fields, "enabled")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return _Wish(
        url=url if has_url else None,
        kinds=kinds if "events" in given else None,
        description=description if "description" in given else None,
        form=form if "format" in given else None,
        enabled=enabled,
    )


def _kinds(fields: Fields) -> tuple[EventKind, ...]:
    """Read events: names such as "email.delivered"; empty, or with "*", it means all."""
    kinds: list[EventKind] = []
    has_all = False
    for path, value in fields.items("events", 2 * len(EventKind)):
        if value == ALL:
            has_all = True
        elif isinstance(value, str) and value in KINDS_OF:
            kinds += KINDS_OF[value]
        else:
            fields.fail(path, "invalid_value", f"Expected * or one of {', '.join(KINDS_OF)}.")
    return () if has_all else tuple(dict.fromkeys(kinds))


def _flag(fields: Fields, name: str) -> bool | None:
    value = fields.take(name)
    if value is None or isinstance(value, bool):
        return value
    fields.fail(name, "invalid_type", "Expected true or false.")
    return None


def _read_grace(body: bytes) -> timedelta:
    """Read grace_seconds; a request without a body is one with an empty object."""
    fields = Fields(read_json(body or b"{}"), [])
    value, longest = fields.take("grace_seconds"), int(LONGEST_GRACE.total_seconds())
    seconds = int(GRACE.total_seconds()) if value is None else value
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= longest:
        fields.fail("grace_seconds", "invalid_value", f"Expected a number from 0 to {longest}.")
        seconds = 0
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return timedelta(seconds=seconds)


async def _check_url(call: Call, url: str) -> None:
    try:
        await call.services.client.check(url)
    except UrlError as error:
        raise ApiError(invalid([FieldError("url", "invalid_url", str(error))])) from None


_ONE = "/v1/webhooks/{id}"
ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/webhooks", create_webhook, "webhooks:write", "Create a webhook"),
    Route("GET", "/v1/webhooks", list_webhooks, "webhooks:read", "List webhooks"),
    Route("GET", _ONE, get_webhook, "webhooks:read", "Look at a webhook"),
    Route("PATCH", _ONE, change_webhook, "webhooks:write", "Change a webhook"),
    Route("DELETE", _ONE, delete_webhook, "webhooks:write", "Delete a webhook"),
    Route(
        "POST",
        f"{_ONE}/rotate-secret",
        rotate_secret,
        "webhooks:write",
        "Give a webhook a new secret",
    ),
)
