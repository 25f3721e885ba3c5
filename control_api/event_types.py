"""The types of events: what each means, and a body that shows what is in it.

Every kind of the journal has an entry here, which a test checks; docs/webhooks.md shows the same
examples. Not here: the vocabulary itself (core/event.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime

from starlette.responses import Response

from control_api.routes import Call, Route, json_response
from control_api.webhook_message import body_of
from mta.core.access import ANY_KEY
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import decode
from storage.events import NO_ROW, JournalEntry


@frozen
class EventType:
    """A kind of event, for people.

    Attributes:
        kind: in the journal.
        meaning: what has happened, one sentence.
        data: an example of what is peculiar to it.
        is_mail: whether it is about one recipient of an email; otherwise `data` says it all.
    """

    kind: EventKind
    meaning: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    is_mail: bool = True


_PEER: Mapping[str, JsonValue] = {
    "host": "mx.example.net",
    "address": "192.0.2.25",
    "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
    "started_at": "2026-03-01T11:59:58.600+00:00",
    "duration_ms": 1400,
}
_DOMAIN: Mapping[str, JsonValue] = {
    "id": "dom_01KJMQ0R00000000000000000D",
    "name": "example.com",
}
_CONTACT: Mapping[str, JsonValue] = {
    "contact": {"id": "ct_01KJMQ0R00000000000000000C", "email": "ant@example.net"},
}
_AUDIENCE: Mapping[str, JsonValue] = {"audience_id": "aud_01KJMQ0R00000000000000000A"}
_CAMPAIGN: Mapping[str, JsonValue] = {
    "campaign": {"id": "cmp_01KJMQ0R000000000000000001", "name": "Spring"},
}
_RECORD: Mapping[str, JsonValue] = {
    "record": "SPF",
    "type": "TXT",
    "name": "example.com",
    "value": "v=spf1 include:spf.example.net ~all",
}

TYPES: tuple[EventType, ...] = (
    EventType(EventKind.QUEUED, "The email is stored for this recipient and will be sent."),
    EventType(
        EventKind.SCHEDULED,
        "The email will be sent at details.send_at, or that time was changed.",
        {"send_at": "2026-03-02T09:00:00.000+00:00"},
    ),
    EventType(
        EventKind.DELIVERED,
        "The recipient's server has taken the email. Not: a person has read it.",
        {
            "attempt": 1,
            "code": 250,
            "enhanced": "2.0.0",
            "text": "queued as 4X1234",
            "command": "end_of_data",
            **_PEER,
        },
    ),
    EventType(
        EventKind.DEFERRED,
        "An attempt failed for now; another follows at details.due_at.",
        {
            "attempt": 1,
            "code": 451,
            "enhanced": "4.7.1",
            "text": "greylisted, try again later",
            "command": "rcpt",
            **_PEER,
            "due_at": "2026-03-01T12:05:00.000+00:00",
            "why": "reply",
            "class": "greylist",
        },
    ),
    EventType(
        EventKind.BOUNCED,
        "The email was refused for good, or cannot be delivered by what the DNS says.",
        {
            "attempt": 1,
            "code": 550,
            "enhanced": "5.1.1",
            "text": "no such user",
            "command": "rcpt",
            **_PEER,
            "class": "bad_mailbox",
        },
    ),
    EventType(
        EventKind.REPORTED,
        "A report came back, at once or weeks later: it was not delivered after all.",
        {
            "reported": True,
            "class": "mailbox_full",
            "permanent": True,
            "hard": False,
            "enhanced": "5.2.2",
            "text": "smtp; 552 5.2.2 mailbox is full",
        },
    ),
    EventType(
        EventKind.EXPIRED,
        "The email was still deferred when its lifetime ended; nothing more is tried.",
        {"attempt": 30, "text": "connection refused", "stage": "connect", "class": "network"},
    ),
    EventType(EventKind.CANCELED, "The email was taken out of the queue before it was delivered."),
    EventType(
        EventKind.SUPPRESSED,
        "The address is on the suppression list, so nothing was sent to it.",
        {"reason": "bounce"},
    ),
    EventType(
        EventKind.COMPLAINED,
        "The recipient, or the recipient's provider, called the email spam.",
        {"feedback_type": "abuse"},
    ),
    EventType(
        EventKind.UNSUBSCRIBED,
        "The recipient wants no more of this mail.",
        {"via": "one_click", "scope": ""},
    ),
    EventType(
        EventKind.OPENED,
        "The images of a tracked email were fetched, for the first time.",
        {"user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "ip": "192.0.2.7"},
    ),
    EventType(
        EventKind.CLICKED,
        "A link of a tracked email was followed, for the first time.",
        {
            "url": "https://shop.example.com/orders/1007",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            "ip": "192.0.2.7",
        },
    ),
    EventType(
        EventKind.DOMAIN_VERIFIED,
        "A sender domain has all the DNS records that it needs.",
        {
            **_DOMAIN,
            "status": "verified",
            "records": [{**_RECORD, "status": "good", "advice": ""}],
        },
        is_mail=False,
    ),
    EventType(
        EventKind.DOMAIN_FAILED,
        "A verified domain has lost a DNS record; its mail is refused from now on.",
        {
            **_DOMAIN,
            "status": "failed",
            "records": [{**_RECORD, "status": "missing", "advice": "Publish this record."}],
        },
        is_mail=False,
    ),
    EventType(
        EventKind.SUPPRESSION_ADDED,
        "Mail to an address is no longer sent. Not told of each row of an import.",
        {"email": "ant@example.net", "reason": "bounce"},
        is_mail=False,
    ),
    EventType(
        EventKind.SUPPRESSION_REMOVED,
        "Mail to an address is sent again. Not told where many were removed together.",
        {"email": "ant@example.net", "reason": "bounce"},
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_CREATED,
        "A contact is new. Like all of contacts, not told of each row of an import.",
        _CONTACT,
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_UPDATED,
        "Name, properties or values of a contact changed, or tags were taken off.",
        _CONTACT,
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_DELETED,
        "A contact and its memberships are gone.",
        _CONTACT,
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_SUBSCRIBED,
        "A contact gets the mail of an audience from now on: joined, confirmed, or came back.",
        {**_CONTACT, **_AUDIENCE},
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_UNSUBSCRIBED,
        "A contact wants no more mail of an audience.",
        {**_CONTACT, **_AUDIENCE},
        is_mail=False,
    ),
    EventType(
        EventKind.CONTACT_TAGGED,
        "A contact got tags that it did not have.",
        {**_CONTACT, "tags": ["vip"]},
        is_mail=False,
    ),
    EventType(
        EventKind.CAMPAIGN_STARTED,
        "A campaign begins to go out.",
        {**_CAMPAIGN, "recipients": 1200},
        is_mail=False,
    ),
    EventType(
        EventKind.CAMPAIGN_PAUSED,
        "Nothing more of a campaign goes out until it is resumed.",
        {**_CAMPAIGN, "reason": "bounce_rate"},
        is_mail=False,
    ),
    EventType(
        EventKind.CAMPAIGN_COMPLETED,
        "Everybody has had a turn, and every email of a campaign was tried at least once.",
        {**_CAMPAIGN, "recipients": 1200},
        is_mail=False,
    ),
    EventType(
        EventKind.IMPORT_COMPLETED,
        "An import has ended; this is told instead of an event for each of its rows.",
        {
            "id": "imp_01KJMQ0R000000000000000001",
            **_AUDIENCE,
            "status": "completed",
            "counts": {"received": 3, "inserted": 1, "updated": 1, "skipped": 0, "failed": 1},
        },
        is_mail=False,
    ),
    EventType(
        EventKind.WEBHOOK_DISABLED,
        "Nothing is posted to an endpoint any more: it failed for days, or it answered 410 Gone.",
        {
            "webhook_id": "wh_01KJMQ0R00000000000000000W",
            "description": "Orders",
            "reason": "failing",
            "failing_since": "2026-02-24T11:58:00.000+00:00",
        },
        is_mail=False,
    ),
)

KINDS_OF: Mapping[str, tuple[EventKind, ...]] = {
    name: tuple(kind for kind in EventKind if kind.webhook_type == name)
    for name in dict.fromkeys(kind.webhook_type for kind in EventKind)
}
"""Type, such as "email.delivered" -> the kinds that are told as that type."""


def example_body(event_type: EventType) -> bytes:
    """Return the body of a post that tells of such an event."""
    return body_of(example(event_type, "ev_01KJMQ0R000000000000000007", _EXAMPLE_TIME))


def example(event_type: EventType, event_id: str, at: datetime) -> JournalEntry:
    """Return an event of a type that never happened."""
    mail = event_type.is_mail
    return JournalEntry(
        seq=0,
        id=event_id,
        kind=event_type.kind,
        at=at,
        tenant_id=0,
        email_id="em_01KJMQ0R00000000000000000E" if mail else "",
        message_row=NO_ROW,
        entry_id="dl_01KJMQ0R00000000000000000R" if mail else "",
        recipient="ant@example.net" if mail else "",
        data=event_type.data,
        tags=(("kind", "invoice"),) if mail else (),
        metadata={"order": 1007} if mail else {},
        from_="shop@example.com" if mail else "",
        subject="Your order" if mail else "",
        message_id="<01KJMQ0R00000000000000000E@example.com>" if mail else "",
    )


_EXAMPLE_TIME = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def list_event_types(call: Call) -> Response:
    """GET /v1/event-types."""
    data = [
        {
            "object": "event_type",
            "type": one.kind.webhook_type,
            "kind": one.kind.value,
            "description": one.meaning,
            "example": decode(example_body(one)),
        }
        for one in TYPES
    ]
    return json_response({"object": "list", "data": data, "has_more": False})


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/event-types", list_event_types, ANY_KEY, "List the types of events"),
)
