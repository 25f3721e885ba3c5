"""Webhooks as sk_live's receivers read them: {"type", "data"}, signed over the re-written body.

Receivers there sign what JSON.stringify makes of the parsed body, so the bytes must be those that
JavaScript would write: compact, text as it is, names that look like array indexes first and in
order, no numbers but small integers. The key is the whole secret, the signature bare hex.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from control_api.event_types import KINDS_OF
from control_api.routes import timestamp
from control_api.webhook_formats import WebhookFormat
from control_api.webhook_message import headers_of as native_headers
from mta.core.event import JsonValue
from storage.events import JournalEntry

SIGNATURE = "x-webhook-signature"
NAMES: Mapping[str, str] = {
    "email.sent": "email.queued",
    "email.delivered": "email.delivered",
    "email.opened": "email.opened",
    "email.clicked": "email.clicked",
    "email.bounced": "email.bounced",
    "email.complained": "email.complained",
    "email.failed": "email.failed",
    "contact.unsubscribed": "contact.unsubscribed",
}
"""Their event -> ours. Mail counts as sent there once the service has taken it."""

NATIVE_NAMES = {**NAMES, "*": "*"} | {
    native: native for native in KINDS_OF if native not in NAMES.values()
}
"""Every name that an endpoint may ask for, ours that they have not too -> the native one."""
_THEIRS = {native: name for name, native in NAMES.items()}
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MAX_INDEX = 2**32 - 2
_MAX_INTEGER = 2**53 - 1


def their_name(native: str) -> str:
    """Return the name of an event there; those that they do not have keep ours."""
    return _THEIRS.get(native, native)


def body_of(event: JournalEntry) -> bytes:
    """Return the body for an event."""
    content: JsonValue = {"type": their_name(event.kind.webhook_type), "data": _data(event)}
    text = json.dumps(as_javascript(content), separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _data(event: JournalEntry) -> dict[str, JsonValue]:
    if not event.email_id:
        return {**_about(event.data), "createdAt": timestamp(event.at)}
    details = {name: event.data[name] for name in ("url", "text", "class") if name in event.data}
    return {
        "id": event.email_id,
        "messageId": event.message_id,
        "from": event.from_,
        "to": event.recipient,
        "subject": event.subject,
        "tags": dict(event.tags),
        "createdAt": timestamp(event.at),
        **details,
    }


def _about(data: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return what is told of an event that is not about mail; contacts as the API has them."""
    match data:
        case {"contact": {"id": str(contact_id), "email": str(address)}}:
            return {"id": contact_id, "email": address, "listId": data.get("audience_id")}
        case _:
            return data


def as_javascript(value: JsonValue) -> JsonValue:
    """Return a value whose JSON JavaScript reads and writes again octet for octet.

    Numbers that it might write in another way are told as text.
    """
    match value:
        case dict():
            names = sorted(filter(_is_index, value), key=int)
            names += [name for name in value if not _is_index(name)]
            return {name: as_javascript(value[name]) for name in names}
        case list():
            return [as_javascript(one) for one in value]
        case float():
            return str(value)
        case int() if abs(value) > _MAX_INTEGER:
            return str(value)
        case _:
            return value


def _is_index(name: str) -> bool:
    return _INDEX.fullmatch(name) is not None and int(name) <= _MAX_INDEX


def headers_of(event_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a post; receivers know one signature, so the newest secret signs.

    Those of Standard Webhooks are there too: their id tells repetitions.
    """
    signature = hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()
    return {**native_headers(event_id, at, body, secrets), SIGNATURE: signature}


FORMAT = WebhookFormat("sk_live", body_of, headers_of)
