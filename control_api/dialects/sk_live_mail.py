"""Mail of sk_live: send one or a hundred, list them, look at one.

Options that its document does not have go to the native API, by the caller's names (reading.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.compat import Compat
from control_api.dialects.base import Ask, Asked, Reply, Steps
from control_api.dialects.reading import as_text, options, picked, read_paging
from control_api.dialects.sk_live_webhooks import their_name
from control_api.errors import ApiError, FieldError, invalid
from mta.core.event import JsonValue

MAX_BATCH = 100
_EMAIL: Mapping[str, str] = {
    "from": "from",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "replyTo": "reply_to",
    "subject": "subject",
    "html": "html",
    "text": "text",
    "tags": "tags",
    "scheduledAt": "send_at",
}
"""Field of an email here -> the native one."""
_RENAMED = {native: name for name, native in _EMAIL.items()}
_STATUSES = {
    "deferred": "queued",
    "expired": "failed",
    "suppressed": "bounced",
    "partial": "delivered",
}
"""Native status -> the word here, where it is another."""
_FILTERS = {"sent": "", "failed": "expired"}
"""Status to list -> the native filter; "sent" is whatever was taken, whatever became of it."""


def send(asked: Asked) -> Steps:
    """POST /emails."""
    body = to_email(asked.fields)
    made = yield Ask("POST", "/v1/emails", body=body, renamed=_RENAMED)
    email = made.value
    return Reply(
        {
            "id": email["id"],
            "status": _status(email["status"], asked.compat),
            "messageId": email["message_id"],
        }
    )


def to_email(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return an email as the native API takes it; tags may be numbers, which are told as text."""
    email = {**picked(fields, _EMAIL), **options(fields, _EMAIL)}
    tags = email.get("tags")
    if isinstance(tags, dict):
        email["tags"] = {name: as_text(value) for name, value in tags.items() if value is not None}
    return email


def send_batch(asked: Asked) -> Steps:
    """POST /emails/batch: {"emails": [...]} or the array; one that is wrong stops no other."""
    given = asked.body if isinstance(asked.body, list) else asked.fields.get("emails")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_BATCH:
        message = f"Give 1 to {MAX_BATCH} emails."
        raise ApiError(invalid([FieldError("emails", "invalid_value", message)]))
    emails: list[JsonValue] = [to_email(one) if isinstance(one, dict) else one for one in given]
    made = yield Ask(
        "POST",
        "/v1/emails/batch",
        body={"emails": emails},
        headers={"X-Batch-Validation": "permissive"},
    )
    batch = made.value
    results = {
        one["index"]: {
            "to": _first(one["to"]),
            "id": one["id"],
            "status": _status(one["status"], asked.compat),
        }
        for one in batch["data"]
    }
    for one in batch["errors"]:
        results[one["index"]] = {
            "to": _asked_to(given[one["index"]]),
            "id": None,
            "status": "failed",
            "error": one["message"],
        }
    return Reply(
        {
            "results": [results[index] for index in sorted(results)],
            **{name: batch[name] for name in ("total", "sent", "failed")},
        }
    )


def _asked_to(email: JsonValue) -> JsonValue:
    return email.get("to") if isinstance(email, dict) else None


def list_emails(asked: Asked) -> Steps:
    """GET /emails."""
    paging = read_paging(asked.query)
    status = asked.query.get("status", "")
    query = {**paging.query, "status": _FILTERS.get(status, status)}
    found = yield Ask("GET", "/v1/emails", query=query)
    total = found.value["total"]
    return Reply(
        {
            "emails": [_shown_email(one, asked.compat) for one in found.value["data"]],
            "total": total,
            "page": paging.page,
            "pages": paging.pages(total),
        }
    )


def get_email(asked: Asked) -> Steps:
    """GET /emails/:id."""
    found = yield Ask("GET", "/v1/emails/{id}", asked.path)
    email = found.value
    return Reply(
        {
            "email": _shown_email(email, asked.compat),
            "events": [
                {
                    "type": their_name(one["type"]).removeprefix("email."),
                    "createdAt": one["at"],
                }
                for one in email["events"]
            ],
        }
    )


def _shown_email(email: Any, compat: Compat) -> dict[str, object]:
    return {
        "id": email["id"],
        "to": _first(email["to"]),
        "from": email["from"],
        "subject": email["subject"],
        "status": _status(email["status"], compat),
        "opens": email["opens"],
        "clicks": email["clicks"],
        "messageId": email["message_id"],
        "createdAt": email["created_at"],
    }


def _status(native: str, compat: Compat) -> str:
    status = _STATUSES.get(native, native)
    return "sent" if status == "queued" and compat.report_queued_as_sent else status


def _first(addresses: list[str]) -> str:
    """Return one address as it is, several with commas between them."""
    return ", ".join(addresses)
