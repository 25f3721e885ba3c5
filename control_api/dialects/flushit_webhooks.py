"""FlushIt's webhooks: endpoints, the names of events, and how a post looks.

The document names three events and says "signed with HMAC-SHA256", no more. So posts carry both
the headers of Standard Webhooks and X-Webhook-Signature: the HMAC-SHA256 of the body in hex, its
key the whole secret as it was told.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from control_api.dialects.base import Ask, Asked, Operation, Reply, Steps
from control_api.dialects.flushit_shapes import deleted, fields_of
from control_api.dialects.reading import native_events
from control_api.event_types import KINDS_OF
from control_api.routes import timestamp
from control_api.webhook_formats import WebhookFormat
from control_api.webhook_message import headers_of as standard_headers
from mta.core.event import JsonValue
from mta.core.json_text import encode
from storage.events import JournalEntry

NAME = "flushit"
ALL = "*"
_SENT, _DELIVERED = "delivery.sent", "email.delivered"
_OURS, _THEIRS = "email.", "delivery."


def told_name(native: str) -> str:
    """Return the name of a type of event: "delivery.sent" for "email.delivered"."""
    if native == _DELIVERED:
        return _SENT
    return _THEIRS + native.removeprefix(_OURS) if native.startswith(_OURS) else native


NATIVE_NAMES = {told_name(native): native for native in KINDS_OF}
"""Every name of an event here -> the native one."""


def _webhooks(_: Asked) -> Steps:
    found = (yield Ask("GET", "/v1/webhooks")).value["data"]
    return Reply({"webhooks": [_shown(one) for one in found]})


def _create(asked: Asked) -> Steps:
    fields = asked.fields
    body: dict[str, JsonValue] = {"url": fields.get("url"), "format": NAME}
    if fields.get("events") is not None:
        body["events"] = native_events(fields["events"], {ALL: ALL, **NATIVE_NAMES})
    made = (yield Ask("POST", "/v1/webhooks", body=body)).value
    return Reply({"webhook": _shown(made), "secret": made["secret"]})


def _shown(one: Any) -> dict[str, Any]:
    return fields_of(one, "id", "url", createdAt="created_at") | {
        "events": [told_name(name) for name in one["events"]],
        "active": one["status"] == "enabled",
    }


def body_of(event: JournalEntry) -> bytes:
    """Return the JSON body for an event."""
    name = told_name(event.kind.webhook_type)
    data = _mail_data(event) if event.email_id else _other_data(event)
    return encode({"id": event.id, "event": name, "createdAt": timestamp(event.at), "data": data})


def _mail_data(event: JournalEntry) -> dict[str, object]:
    return {
        "jobId": event.campaign_id or None,
        "emailId": event.email_id,
        "messageId": event.message_id,
        "email": event.recipient,
        "subject": event.subject,
        "details": event.data,
    }


def _other_data(event: JournalEntry) -> dict[str, object]:
    campaign = event.data.get("campaign")
    job = {"jobId": campaign["id"]} if isinstance(campaign, dict) else {}
    return {**event.data, **job}


def headers_of(event_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers that a post of `body` at this time (aware) carries."""
    signature = hmac.digest(secrets[0].encode(), body, hashlib.sha256).hex()
    return standard_headers(event_id, at, body, secrets) | {"X-Webhook-Signature": signature}


FORMAT = WebhookFormat(NAME, body_of, headers_of)

_ALL = "/api/webhooks"
OPERATIONS = (
    Operation("F-15", "GET", _ALL, _webhooks, "List webhooks"),
    Operation(
        "F-16",
        "POST",
        _ALL,
        _create,
        "Make a webhook",
        "Events are the native ones with `delivery.` for `email.`, `delivery.sent` for "
        "`email.delivered`, or `*`.",
    ),
    Operation("F-17", "DELETE", f"{_ALL}/{{id}}", deleted("/v1/webhooks/{id}"), "Delete a webhook"),
)
