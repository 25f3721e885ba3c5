"""Letters, postcards and parcels: hand one in, look where it is, cancel it; check an address.

Not here: what carries them (channels.py), what an address looks like (postal_address.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.responses import Response

from control_api import channels, filters
from control_api.fields import Fields, read_json
from control_api.payload import read_metadata
from control_api.postal_address import FIELDS, MAX_LINE, PostalAddress, PostalError, read_address
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.channel import Channel, Step
from mta.core.event import JsonValue
from storage.channel_items import ItemRecord, NewItem

TYPES = ("envelope", "postcard", "parcel")
MAX_CONTENT = 100_000
"""Characters of what is to be printed."""


async def send_mail(call: Call) -> Response:
    """POST /v1/mail/send."""
    body = await call.request.body()
    content, recipient = await asyncio.to_thread(_read, body)
    provider = channels.provider_of(call, Channel.MAIL)
    item = NewItem(Channel.MAIL, provider, recipient, content)
    return await channels.take(call, body, item, _shown)


async def list_mail(call: Call) -> Response:
    """GET /v1/mail: newest first."""
    return await channels.list_items(call, Channel.MAIL, _shown)


async def get_mail(call: Call) -> Response:
    """GET /v1/mail/{id}: with every place where it was."""
    return await channels.get_item(call, Channel.MAIL, _shown)


async def cancel_mail(call: Call) -> Response:
    """POST /v1/mail/{id}/cancel: while it is queued."""
    return await channels.cancel_item(call, Channel.MAIL, _shown)


async def validate_address(call: Call) -> Response:
    """POST /v1/mail/validate-address: an address in one form, or what is wrong with it."""
    fields = Fields(read_json(await call.request.body()), [])
    given = {name: fields.text(name, MAX_LINE) for name in FIELDS}
    filters.finish(fields)
    found = await asyncio.to_thread(read_address, given)
    is_valid = isinstance(found, PostalAddress)
    return json_response(
        {
            "object": "address_validation",
            "valid": is_valid,
            "address": _address(asdict(found)) if isinstance(found, PostalAddress) else None,
            "errors": [] if isinstance(found, PostalAddress) else [asdict(one) for one in found],
            "deliverability": "unknown",
        }
    )


def _read(body: bytes) -> tuple[dict[str, JsonValue], str]:
    """Return what is to be sent, and who gets it.

    Raises:
        ApiError: 422.
    """
    fields = Fields(read_json(body), [])
    kind = fields.text("type", 20) or TYPES[0]
    if kind not in TYPES:
        fields.fail("type", "invalid_value", f"Expected one of {', '.join(TYPES)}.")
    to, sender = _address_of(fields, "to", is_required=True), _address_of(fields, "from")
    html, text = fields.block("html"), fields.block("text")
    for name, value in (("html", html), ("text", text)):
        if value is not None and len(value) > MAX_CONTENT:
            fields.fail(name, "too_long", f"At most {MAX_CONTENT} characters are allowed.")
    if kind != "parcel" and not (html or text) and not fields.errors:
        fields.fail("html", "required", "Give html or text.")
    content: dict[str, JsonValue] = {"type": kind, "to": to, "from": sender}
    content |= {"html": html, "text": text, "metadata": dict(read_metadata(fields))}
    filters.finish(fields)
    return content, str((to or {}).get("name") or (to or {}).get("line1"))


def _address_of(
    fields: Fields, name: str, *, is_required: bool = False
) -> dict[str, JsonValue] | None:
    value = fields.take(name)
    if value is None:
        if is_required:
            fields.fail(name, "required", "This field is required.")
        return None
    inside = Fields(value, fields.errors, name)
    given = {one: inside.text(one, MAX_LINE) for one in FIELDS}
    inside.finish()
    found = read_address(given)
    if isinstance(found, PostalAddress):
        return dict(asdict(found))
    for error in found:
        _note(inside, error)
    return None


def _note(fields: Fields, error: PostalError) -> None:
    fields.fail(error.field, error.code, error.message)


def _address(address: dict[str, str]) -> dict[str, object]:
    return channels.without_nothing(address)


def _shown(record: ItemRecord, steps: tuple[Step, ...]) -> dict[str, object]:
    content = record.item.content
    addresses = {name: content[name] for name in ("to", "from")}
    return {
        "object": "mail_piece",
        "id": record.id,
        "status": steps[-1].status,
        "queued_at": timestamp(record.created_at),
        "type": content["type"],
        **{
            name: channels.without_nothing(one) if isinstance(one, dict) else None
            for name, one in addresses.items()
        },
        "metadata": content["metadata"],
        "provider": record.item.provider,
        "tracking": [{"status": step.status, "at": timestamp(step.at)} for step in steps],
    }


_SEND, _READ = "channels:send", "channels:read"
ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/mail/send", send_mail, _SEND, "Send a letter, postcard or parcel"),
    Route("POST", "/v1/mail", send_mail, _SEND, "Send a letter, postcard or parcel"),
    Route("GET", "/v1/mail", list_mail, _READ, "List letters"),
    Route("POST", "/v1/mail/validate-address", validate_address, _READ, "Check a postal address"),
    Route("GET", "/v1/mail/{id}", get_mail, _READ, "See where a letter is"),
    Route("POST", "/v1/mail/{id}/cancel", cancel_mail, _SEND, "Cancel a letter"),
)
