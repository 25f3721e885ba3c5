"""One webhook post: the body that an event becomes, and its signature.

Follows Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks): the receiver checks
HMAC-SHA256 over "id.timestamp.body", refuses old timestamps, and drops ids that it has seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from control_api.routes import timestamp
from control_api.webhook_formats import Formats, WebhookFormat
from mta.core.ids import milliseconds
from mta.core.json_text import encode
from storage.events import JournalEntry

SECRET_SIZE = 32
"""Bytes of randomness in a secret (the standard asks for 24 to 64)."""

_PREFIX = "whsec_"


def format_secret(entropy: bytes) -> str:
    """Return random bytes as a secret: "whsec_" and base64."""
    return _PREFIX + base64.b64encode(entropy).decode("ascii")


def content_of(event: JournalEntry) -> dict[str, object]:
    """Return what is told of an event; one that is not about mail has its details as data."""
    data = _mail_data(event) if event.email_id else event.data
    return {"type": event.kind.webhook_type, "timestamp": timestamp(event.at), "data": data}


def body_of(event: JournalEntry) -> bytes:
    """Return the JSON body for an event."""
    return encode(content_of(event))


def _mail_data(event: JournalEntry) -> dict[str, object]:
    return {
        "email_id": event.email_id,
        "message_id": event.message_id,
        "from": event.from_,
        "to": [event.recipient],
        "recipient": event.recipient,
        "recipient_id": event.entry_id,
        "subject": event.subject,
        "tags": dict(event.tags),
        "metadata": event.metadata,
        "campaign_id": event.campaign_id or None,
        "details": event.data,
    }


def headers_of(event_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers that a post of `body` at this time (aware) carries.

    Each secret gives a signature: after a rotation receivers may know the new one or the old.
    """
    seconds = str(milliseconds(at) // 1000)
    signed = b".".join((event_id.encode(), seconds.encode(), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(_signature(signed, secret) for secret in secrets),
    }


NATIVE = WebhookFormat("native", body_of, headers_of)


def format_named(formats: Formats, name: str) -> WebhookFormat:
    """Return one of these formats; the native one for its name, and for one that is not there."""
    return formats.get(name, NATIVE)


def _signature(signed: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")
