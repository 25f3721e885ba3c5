"""FlushIt's jobs: mail to the addresses that are named, how far it is, and who read it.

A job is a native campaign that is sent as soon as it is made. Not here: credits, which the campaign
takes (control_api/campaigns.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from control_api.dialects.base import Ask, Asked, Operation, Reply, Steps
from control_api.dialects.flushit_shapes import fields_of
from control_api.dialects.reading import options, required
from control_api.dialects.whole_lists import all_of
from control_api.errors import ApiError, FieldError, invalid
from control_api.routes import timestamp
from mta.core.event import JsonValue

FIRST_DELIVERY = timedelta(minutes=1)
DELIVERY = timedelta(milliseconds=10)
"""Guesses: until a job's first mail is taken by its receiver, and for each after it."""
MAX_NAME = 256
"""Characters of a campaign's name, which is as much of the subject."""
_RENAMED = {
    "html": "htmlContent",
    "text": "textContent",
    "reply_to": "replyTo",
    "channel": "type",
    "tracking.opens": "trackOpens",
    "tracking.clicks": "trackClicks",
    "tracking": "trackOpens",
}
_GIVEN = {"html": "htmlContent", "text": "textContent", "reply_to": "replyTo", "name": "name"}
SMS = "sms"
"""A type that has no subject; the native API says what becomes of it."""
_STATUSES = {"draft": "queued", "scheduled": "queued", "sending": "processing"}
_NOT_TRIED = ("suppressed", "canceled", "skipped")


def _send(asked: Asked) -> Steps:
    body = to_campaign(asked.fields)
    made = (yield Ask("POST", "/v1/campaigns", body=body, renamed=_RENAMED)).value
    params = {"id": made["id"]}
    try:
        started = (yield Ask("POST", "/v1/campaigns/{id}/send", params, renamed=_RENAMED)).value
    except ApiError:
        # With a key the same request may come again, and finds its campaign; else nobody would.
        if "idempotency-key" not in asked.headers:
            yield Ask("DELETE", "/v1/campaigns/{id}", params)
        raise
    total = started["total_recipients"]
    return Reply(
        {
            "jobId": made["id"],
            "status": "queued",
            "totalRecipients": total,
            "creditsReserved": total,
            "estimatedDelivery": timestamp(asked.now + FIRST_DELIVERY + DELIVERY * total),
        }
    )


def to_campaign(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a job as the native API takes a campaign.

    Raises:
        ApiError: 422; something is missing.
    """
    if fields.get("type") != SMS:
        required(fields, "from", "subject", "htmlContent")
        if fields.get("recipients") in (None, []):
            raise ApiError(invalid([FieldError("recipients", "required", "Give recipients.")]))
    subject = fields.get("subject")
    body: dict[str, JsonValue] = {
        "name": subject[:MAX_NAME] if isinstance(subject, str) else subject,
        "channel": fields.get("type") or "email",
        "from": fields.get("from"),
        "subject": subject,
        "recipients": fields.get("recipients"),
        "tracking": {
            "opens": fields.get("trackOpens") or False,
            "clicks": fields.get("trackClicks") or False,
        },
    }
    given = {native: fields[name] for native, name in _GIVEN.items() if name in fields}
    return body | given | options(fields, _GIVEN.values())


def _job(asked: Asked) -> Steps:
    found = (yield Ask("GET", "/v1/campaigns/{id}", {"id": asked.path["jobId"]})).value
    return Reply({"job": to_job(found)})


def to_job(campaign: Any) -> dict[str, Any]:
    """Return a campaign as a job; whoever got nothing is paid back.

    A report that comes later changes nothing: that mail was delivered, and paid.
    """
    counts = campaign["counts"]
    failed = counts["sent"] - counts["delivered"] + sum(counts[name] for name in _NOT_TRIED)
    status = campaign["status"]
    return {
        "id": campaign["id"],
        "status": _STATUSES.get(status, status),
        "type": campaign["channel"],
        "totalRecipients": campaign["total_recipients"] or 0,
        "sentCount": counts["delivered"],
        "failedCount": failed,
        "creditsCharged": counts["delivered"],
        "creditsRefunded": failed,
        "createdAt": campaign["created_at"],
    }


def _tracking(asked: Asked) -> Steps:
    params = {"id": asked.path["jobId"]}
    stats = (yield Ask("GET", "/v1/campaigns/{id}/stats", params)).value
    people = yield from all_of("/v1/campaigns/{id}/recipients", params)
    shown = [
        fields_of(one, "email", "status", openedAt="opened_at", clickedAt="clicked_at")
        for one in people
    ]
    return Reply(
        {
            "jobId": asked.path["jobId"],
            "tracking": {
                "opens": fields_of(stats["opens"], "total", "unique", "rate"),
                "clicks": fields_of(stats["clicks"], "total", "unique", "rate"),
                "recipients": shown,
            },
        }
    )


OPERATIONS = (
    Operation(
        "F-04",
        "POST",
        "/api/send",
        _send,
        "Send an email to up to 10,000 addresses",
        "`type: sms` answers 422 `channel_not_configured`. A job needs `api.public_url`, for its "
        "links. `subject` and `htmlContent` are Liquid: `{{ email }}` and `{{ name }}` are the "
        "recipient's. `estimatedDelivery` is a guess.",
    ),
    Operation("F-05", "GET", "/api/send/{jobId}", _job, "How far a job is"),
    Operation(
        "F-18",
        "GET",
        "/api/tracking/{jobId}",
        _tracking,
        "Who opened and clicked",
        "Rates are unique by delivered. The first 10,000 recipients.",
    ),
)
