"""Text messages: hand one in, look at it, list them.

Not here: what carries them (channels.py).
"""

from __future__ import annotations

import re

from starlette.responses import Response

from control_api import channels, filters
from control_api.fields import Fields, read_json
from control_api.payload import read_metadata
from control_api.routes import Call, Route, timestamp
from mta.core.channel import Channel, Step
from mta.core.event import JsonValue
from storage.channel_items import ItemRecord, NewItem

MAX_TEXT = 1600
"""Characters: ten parts of a long message."""
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11}")


async def send_sms(call: Call) -> Response:
    """POST /v1/sms."""
    body = await call.request.body()
    content = _read(body)
    provider = channels.provider_of(call, Channel.SMS)
    item = NewItem(Channel.SMS, provider, str(content["to"]), content)
    return await channels.take(call, body, item, _shown)


async def list_sms(call: Call) -> Response:
    """GET /v1/sms: newest first."""
    return await channels.list_items(call, Channel.SMS, _shown)


async def get_sms(call: Call) -> Response:
    """GET /v1/sms/{id}."""
    return await channels.get_item(call, Channel.SMS, _shown)


def _read(body: bytes) -> dict[str, JsonValue]:
    fields = Fields(read_json(body), [])
    to, sender = fields.required_text("to", 20), fields.text("from", 20)
    if to and not _NUMBER.fullmatch(to):
        fields.fail("to", "invalid_value", "Expected a number such as +4930123456 (E.164).")
    if sender and not _SENDER.fullmatch(sender):
        message = "Expected a number (E.164), or 1 to 11 letters and digits."
        fields.fail("from", "invalid_value", message)
    text = fields.block("text") or ""
    if not text.strip():
        fields.fail("text", "required", "This field is required.")
    elif len(text) > MAX_TEXT:
        fields.fail("text", "too_long", f"At most {MAX_TEXT} characters are allowed.")
    content: dict[str, JsonValue] = {"to": to, "from": sender, "text": text}
    content["metadata"] = dict(read_metadata(fields))
    filters.finish(fields)
    return content


def _shown(record: ItemRecord, steps: tuple[Step, ...]) -> dict[str, object]:
    return {
        "object": "sms",
        "id": record.id,
        "status": steps[-1].status,
        "queued_at": timestamp(record.created_at),
        **channels.without_nothing(record.item.content),
        "provider": record.item.provider,
        "updated_at": timestamp(steps[-1].at),
    }


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/sms", send_sms, "channels:send", "Send a text message"),
    Route("GET", "/v1/sms", list_sms, "channels:read", "List text messages"),
    Route("GET", "/v1/sms/{id}", get_sms, "channels:read", "Look at a text message"),
)
