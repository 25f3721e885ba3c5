"""Webhooks, what became of each event at them, and the journal itself."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    Schema,
    Spec,
    array,
    body,
    deleted,
    flag,
    free_form,
    given,
    identifier,
    listing,
    number,
    one_of,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
    wish,
)
from mta.core.event import EventKind
from storage.webhook_attempts import Result
from storage.webhook_history import State

_TAG = "Webhooks"
_EVENTS = "Events"
TYPES = tuple(dict.fromkeys(kind.webhook_type for kind in EventKind))
FORMATS = ("native", "sk_live", "flushit")
"""Of posts; a test compares them with those of the dialects."""
_ID = identifier("wh")
_EVENT_ID = identifier("ev")
_WISHES: Mapping[str, Schema] = {
    "events": array(
        one_of(["*", *TYPES]), "What is posted; all, also what is to come, unless given."
    ),
    "description": text(maxLength=500),
    "format": one_of(FORMATS, "Whose form posts have; see docs/dialects.md."),
    "enabled": flag(),
}
_URL = text("http or https, to a public address.", minLength=1, maxLength=2048)
_WEBHOOK: Mapping[str, Schema] = {
    "id": _ID,
    "url": text(),
    "events": array(text()),
    "format": one_of(FORMATS),
    "description": text(),
    "status": one_of(["enabled", "disabled"]),
    "created_at": time(),
    "disabled_at": or_null(time()),
    "disabled_reason": or_null(text("`requested`, or what it did.")),
    "failing_since": or_null(time()),
    "paused_until": or_null(time("After failures, nothing is posted until then.")),
    "old_secret_until": or_null(time("How long the secret before a rotation signs as well.")),
    "dropped_events": number("That waited longer than the journal is kept."),
    "lag": or_null(
        given(
            {
                "events": number("That wait for their first post."),
                "retrying": number(),
                "oldest_at": or_null(time()),
                "seconds": number("Age of the oldest."),
            }
        )
    ),
}
_ATTEMPT: Mapping[str, Schema] = {
    "at": time(),
    "result": one_of([one.value for one in Result]),
    "status": or_null(number("Of the HTTP answer.")),
    "latency_ms": number(),
    "error": or_null(text("Why there was none.")),
    "reply": or_null(text("The beginning of the answer.")),
}
_POSTED: Mapping[str, Schema] = {
    "id": _EVENT_ID,
    "type": one_of(TYPES),
    "created_at": time(),
    "email_id": or_null(identifier("em")),
    "recipient": or_null(text()),
    "status": one_of([one.value for one in State]),
    "attempts": number(),
    "next_attempt_at": or_null(time()),
    "last_attempt": or_null(ref("WebhookAttempt")),
}
_CONTENT: Mapping[str, Schema] = {
    "type": one_of(TYPES),
    "timestamp": time(),
    "data": free_form("See `GET /v1/event-types`."),
}
CONTENT = given(_CONTENT)
"""The body of a post."""
_EXAMPLE = {
    "id": "wh_01KJMQ0R00000000000000000W",
    "url": "https://shop.example.com/hooks",
    "events": ["email.delivered", "email.bounced"],
    "format": "native",
    "description": "Orders",
    "status": "enabled",
    "created_at": "2026-03-01T12:00:00.000Z",
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "paused_until": None,
    "old_secret_until": None,
    "dropped_events": 0,
    "lag": {"events": 0, "retrying": 0, "oldest_at": None, "seconds": 0},
}
COMPONENTS: Mapping[str, Schema] = {
    "Webhook": resource("webhook", _WEBHOOK, _EXAMPLE),
    "NewWebhook": resource(
        "webhook",
        {**_WEBHOOK, "secret": text("Signs the posts; told in this answer only.")},
        {**_EXAMPLE, "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0cw=="},
    ),
    "WebhookAttempt": resource("webhook_attempt", _ATTEMPT),
    "WebhookEvent": resource("webhook_event", _POSTED),
    "JournalEvent": resource("event", {"id": _EVENT_ID, **_CONTENT}),
}
_HOOK = body(ref("Webhook"))
_NEW = body(ref("NewWebhook"))
_POST = body(ref("WebhookEvent"))
SPECS: Mapping[str, Spec] = {
    "POST /v1/webhooks": Spec(
        _TAG,
        "Posts follow Standard Webhooks 1.0.",
        request=body(wish({"url": _URL}, _WISHES)),
        answer=_NEW,
        errors=(409,),
        is_idempotent=True,
        examples={
            "Two types": {
                "url": "https://shop.example.com/hooks",
                "events": ["email.delivered", "email.bounced"],
                "description": "Orders",
                "format": "native",
                "enabled": True,
            }
        },
    ),
    "GET /v1/webhooks": Spec(_TAG, "All of them, oldest first.", answer=listing(ref("Webhook"))),
    "GET /v1/webhooks/{id}": Spec(_TAG, answer=_HOOK),
    "PATCH /v1/webhooks/{id}": Spec(
        _TAG,
        "What is left out stays.",
        request=body(wish({}, {"url": _URL, **_WISHES})),
        answer=_HOOK,
        examples={"Disable": {"enabled": False}, "Everything": {"events": ["*"], "enabled": True}},
    ),
    "DELETE /v1/webhooks/{id}": Spec(
        _TAG, "Doing it again succeeds too.", answer=deleted("webhook")
    ),
    "POST /v1/webhooks/{id}/rotate-secret": Spec(
        _TAG,
        "The old secret signs as well for a while.",
        request=body(
            wish({}, {"grace_seconds": number("A day unless given.", minimum=0, maximum=604_800)})
        ),
        needs_body=False,
        answer=_NEW,
        errors=(409,),
        is_idempotent=True,
        examples={"For an hour": {"grace_seconds": 3600}},
    ),
    "POST /v1/webhooks/{id}/test": Spec(
        _TAG,
        "Posts a made-up event now and tells what the endpoint answered.",
        request=body(wish({}, {"type": one_of(TYPES, "`email.delivered` unless given.")})),
        needs_body=False,
        answer=body(
            resource(
                "webhook_test",
                {
                    "event_id": _EVENT_ID,
                    "type": one_of(TYPES),
                    "result": one_of(["delivered", "failed"]),
                    "status": or_null(number()),
                    "latency_ms": number(),
                    "error": or_null(text()),
                    "reply": or_null(text()),
                },
            )
        ),
        examples={"A bounce": {"type": "email.bounced"}},
    ),
    "GET /v1/webhooks/{id}/events": Spec(
        _TAG,
        "Newest first.",
        parameters=(
            *PAGE,
            query("status", "Only these.", one_of(["pending", "retrying", "failed"])),
        ),
        answer=listing(ref("WebhookEvent")),
    ),
    "GET /v1/webhooks/{id}/events/{event_id}": Spec(
        _TAG, answer=body(resource("webhook_event", {**_POSTED, "body": CONTENT}))
    ),
    "GET /v1/webhooks/{id}/events/{event_id}/attempts": Spec(
        _TAG, "The newest hundred.", answer=listing(ref("WebhookAttempt"))
    ),
    "POST /v1/webhooks/{id}/events/{event_id}/replay": Spec(
        _TAG,
        "Under the same id.",
        answer=_POST,
        errors=(409,),
        is_idempotent=True,
    ),
    "POST /v1/webhooks/{id}/replay": Spec(
        _TAG,
        "At most 1000 events; `next` of the answer is `after` of the request that goes on.",
        request=body(
            wish(
                {},
                {
                    "status": one_of(["failed", "all"], "`failed` unless given."),
                    "since": time(),
                    "until": time(),
                    "after": text("Id of an event: only those behind it."),
                },
            )
        ),
        needs_body=False,
        answer=body(
            resource(
                "webhook_replay",
                {
                    "webhook_id": _ID,
                    "events": number("That will be posted."),
                    "has_more": flag(),
                    "next": or_null(_EVENT_ID),
                },
            )
        ),
        errors=(409,),
        is_idempotent=True,
        examples={"A day": {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}},
    ),
    "GET /v1/event-types": Spec(
        _EVENTS,
        answer=listing(
            resource(
                "event_type",
                {
                    "type": one_of(TYPES),
                    "kind": one_of([one.value for one in EventKind]),
                    "description": text(),
                    "example": CONTENT,
                },
            )
        ),
    ),
    "GET /v1/events": Spec(
        _EVENTS,
        "Oldest first, from a cursor on. With `wait` the answer comes when there is an event.",
        parameters=(
            query("after", "`next` of the last answer, or `latest`; the beginning unless given."),
            query("limit", "Events; 100 unless given.", number(minimum=1, maximum=1000)),
            query("types", "Only these, with commas between them.", text(maxLength=1000)),
            query("email_id", "Only of this email.", text(maxLength=100)),
            query("wait", "Seconds to wait for an event.", number(minimum=0, maximum=60)),
        ),
        answer=listing(ref("JournalEvent"), next=_EVENT_ID),
        errors=(404,),
    ),
}
