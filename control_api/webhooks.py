"""Webhook endpoints: create, list, look at, delete. The secret is told once, at creation.

Not here: posting to them (webhook_sender.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.http_client import MAX_URL, UrlError
from control_api.idempotency import Written, once
from control_api.routes import Call, json_response, timestamp
from control_api.webhook_message import SECRET_SIZE, format_secret
from mta.core.event import EventKind
from storage import webhooks
from storage.database import Connection
from storage.webhooks import WebhookRecord

MAX_WEBHOOKS = 50
"""Endpoints of one tenant: each costs a task and connections."""
MAX_DESCRIPTION = 500
ALL = "*"

_KINDS = {kind.webhook_type: kind for kind in EventKind}


@dataclass(frozen=True, slots=True)
class _Wish:
    """A request to create an endpoint; kinds None is all, those of later releases included."""

    url: str
    kinds: tuple[EventKind, ...] | None
    description: str


async def create_webhook(call: Call) -> Response:
    """POST /v1/webhooks."""
    services, tenant_id = call.services, call.tenant_id
    body = await call.request.body()
    with once(call, body) as request:
        wish = _read(body)
        await _check_url(call, wish.url)
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
                url=wish.url,
                kinds=wish.kinds,
                secret=secret,
                description=wish.description,
                now=now,
            )
            return Written(_as_json(record) | {"secret": secret})

        outcome = await request.run(act)
    if outcome.written:
        services.kick()
    return outcome.response()


async def list_webhooks(call: Call) -> Response:
    """GET /v1/webhooks: all of them, oldest first."""
    tenant_id = call.tenant_id
    found = await call.services.database.read(lambda db: webhooks.list_(db, tenant_id=tenant_id))
    data = [_as_json(record) for record in found]
    return json_response({"object": "list", "data": data, "has_more": False})


async def get_webhook(call: Call) -> Response:
    """GET /v1/webhooks/{id}."""
    tenant_id, webhook_id = call.tenant_id, call.request.path_params["id"]
    found = await call.services.database.read(
        lambda db: webhooks.get(db, webhook_id, tenant_id=tenant_id)
    )
    if found is None:
        raise ApiError(NOT_FOUND)
    return json_response(_as_json(found))


async def delete_webhook(call: Call) -> Response:
    """DELETE /v1/webhooks/{id}; deleting it again, or what never was, succeeds too."""
    tenant_id, webhook_id = call.tenant_id, call.request.path_params["id"]
    is_deleted = await call.services.database.write(
        lambda db: webhooks.delete(db, webhook_id, tenant_id=tenant_id)
    )
    if is_deleted:
        call.services.kick()
    return json_response({"object": "webhook", "id": webhook_id, "deleted": True})


def _read(body: bytes) -> _Wish:
    fields = Fields(read_json(body), [])
    url = fields.required_text("url", MAX_URL)
    kinds = _kinds(fields)
    description = fields.text("description", MAX_DESCRIPTION)
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return _Wish(url, kinds, description)


def _kinds(fields: Fields) -> tuple[EventKind, ...] | None:
    """Read events: names such as "email.delivered"; left out, empty, or with "*" it means all."""
    kinds: list[EventKind] = []
    has_all = False
    for path, value in fields.items("events", 2 * len(EventKind)):
        if value == ALL:
            has_all = True
        elif isinstance(value, str) and value in _KINDS:
            kinds.append(_KINDS[value])
        else:
            fields.fail(path, "invalid_value", f"Expected * or one of {', '.join(_KINDS)}.")
    return None if has_all or not kinds else tuple(dict.fromkeys(kinds))


async def _check_url(call: Call, url: str) -> None:
    try:
        await call.services.client.check(url)
    except UrlError as error:
        raise ApiError(invalid([FieldError("url", "invalid_url", str(error))])) from None


def _as_json(record: WebhookRecord) -> dict[str, object]:
    kinds = record.kinds
    return {
        "object": "webhook",
        "id": record.id,
        "url": record.url,
        "events": [ALL] if kinds is None else [kind.webhook_type for kind in kinds],
        "description": record.description,
        "status": "disabled" if record.disabled_at else "enabled",
        "created_at": timestamp(record.created_at),
        "disabled_at": timestamp(record.disabled_at) if record.disabled_at else None,
    }
