"""Campaigns: one mail to many people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.schemas.base import (
    AFTER,
    LIMIT,
    NUMBERED,
    PAGE,
    TOTAL,
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
from control_api.schemas.email_shapes import MAILBOX, MAILBOXES, SEND_AT, TAGS, TEMPLATE, TRACKING
from mta.core.template import MAX_SOURCE

CSV = "text/csv"
_TAG = "Campaigns"
STATUSES = ("draft", "scheduled", "sending", "paused", "completed", "canceled")
_NAME = text("For people.", minLength=1, maxLength=256)
_KEY = text("Nobody gets two mails of campaigns with the same key.", maxLength=100)
_SEGMENT = wish(
    {},
    {
        "tag": text("Contacts with this tag.", maxLength=100),
        "opened": flag("Contacts who have, or have not, opened tracked mail."),
        "clicked": flag("The same with links."),
    },
)
_RECIPIENT: Schema = {
    "anyOf": [
        text("An address, perhaps with a name."),
        wish(
            {"email": text(maxLength=320)},
            {"name": text(maxLength=256), "variables": free_form("For this one only.")},
        ),
    ]
}
_CONTENT: Mapping[str, Schema] = {
    "audience_id": text("Its subscribed members get it.", maxLength=64),
    "recipients": array(_RECIPIENT, "In place of an audience.", maxItems=10_000),
    "segment": _SEGMENT,
    "from": MAILBOX,
    "reply_to": MAILBOXES,
    "subject": text("Liquid; of the template or audience unless given.", maxLength=998),
    "html": text("Liquid; values are escaped.", maxLength=MAX_SOURCE),
    "text": text("Liquid; left out, it is made of the HTML.", maxLength=MAX_SOURCE),
    "template": TEMPLATE,
    "variables": free_form("For everybody; what is known of a person goes before them."),
    "tracking": TRACKING,
    "tags": TAGS,
    "send_at": SEND_AT,
    "channel": one_of(["email", "sms"], "`sms` is refused unless a gateway is configured."),
    "send_once_key": _KEY,
}
_COUNT = number(minimum=0)
COUNTS = given(
    {
        "queued": number("Accepted, and neither delivered nor given up.", minimum=0),
        "sent": number("Tried to the end: delivered, bounced or failed.", minimum=0),
        "delivered": _COUNT,
        "bounced": number("Refused for good, then or by a report later.", minimum=0),
        "failed": number("Given up when their lifetime ended.", minimum=0),
        "complained": _COUNT,
        "unsubscribed": _COUNT,
        "suppressed": number("Not tried: the address is suppressed.", minimum=0),
        "canceled": _COUNT,
        "skipped": number(
            "Not made: without consent by then, or a variable is missing.", minimum=0
        ),
    }
)
_SHOWN_MAILBOX = given({"email": text(), "name": or_null(text())})
_AT = "2026-03-01T12:00:00.000Z"
EXAMPLE: Mapping[str, Any] = {
    "id": "cmp_01KJMQ0R000000000000000001",
    "name": "Spring",
    "audience_id": "aud_01KJMQ0R00000000000000000A",
    "segment": None,
    "from": {"email": "shop@example.com", "name": "Shop"},
    "reply_to": [],
    "subject": "Spring is here, {{ name | default: 'friend' }}",
    "html": "<p>Look: <a href='https://shop.example.com/'>new shoes</a></p>",
    "text": None,
    "template": None,
    "variables": {},
    "tracking": {"opens": True, "clicks": True},
    "tags": {},
    "send_at": None,
    "send_once_key": None,
    "status": "completed",
    "channel": "email",
    "total_recipients": 1200,
    "pause_reason": None,
    "test": False,
    "created_at": _AT,
    "updated_at": _AT,
    "started_at": _AT,
    "completed_at": _AT,
    "counts": {
        "queued": 0,
        "sent": 1195,
        "delivered": 1190,
        "bounced": 5,
        "failed": 0,
        "complained": 0,
        "unsubscribed": 2,
        "suppressed": 3,
        "canceled": 0,
        "skipped": 2,
    },
}
COMPONENTS: dict[str, Schema] = {
    "Campaign": resource(
        "campaign",
        {
            "id": identifier("cmp"),
            "name": text(),
            "audience_id": or_null(identifier("aud")),
            "segment": or_null(
                given(
                    {
                        "tag": or_null(text()),
                        "opened": or_null(flag()),
                        "clicked": or_null(flag()),
                    }
                )
            ),
            "from": _SHOWN_MAILBOX,
            "reply_to": array(_SHOWN_MAILBOX),
            "subject": or_null(text("null: that of the template.")),
            "html": or_null(text()),
            "text": or_null(text()),
            "template": or_null(
                given({"id": identifier("tpl"), "variables": free_form("As given.")})
            ),
            "variables": free_form("For everybody, those of the template included."),
            "tracking": given({"opens": flag(), "clicks": flag()}),
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "send_at": or_null(time("When it is to start.")),
            "send_once_key": or_null(text()),
            "status": one_of(STATUSES),
            "channel": one_of(["email"]),
            "total_recipients": or_null(number("null: it is counted when it starts.", minimum=0)),
            "pause_reason": or_null(
                text("`requested`, `bounce_rate`, `complaint_rate`, or what is wrong with it.")
            ),
            "test": flag("Whether it goes to the sandbox."),
            "created_at": time(),
            "updated_at": time(),
            "started_at": or_null(time()),
            "completed_at": or_null(time("When it was completed or canceled.")),
            "counts": ref("CampaignCounts"),
        },
        EXAMPLE,
    ),
    "CampaignCounts": COUNTS,
}
_FORMAT = query("format", "The form of the answer.", one_of(["csv", "json"]))
_RATE = {"type": "number", "minimum": 0}
_READERS = {"total": _COUNT, "unique": number("Of so many recipients.", minimum=0)}
_READING: Schema = {
    **_READERS,
    "machine": number("By mail programs and filters.", minimum=0),
    "rate": {**_RATE, "description": "unique / delivered."},
}
COMPONENTS |= {
    "CampaignStats": resource(
        "campaign_stats",
        {
            "id": identifier("cmp"),
            "recipients": or_null(_COUNT),
            "counts": ref("CampaignCounts"),
            "opens": given(_READING),
            "clicks": given(_READING),
            "rates": given(
                {
                    "delivered": {**_RATE, "description": "Of what was tried to the end."},
                    "bounced": {**_RATE, "description": "Likewise, failed ones included."},
                    "complained": {**_RATE, "description": "Of what was delivered."},
                    "unsubscribed": {**_RATE, "description": "Likewise."},
                }
            ),
            "links": array(
                given({"url": or_null(text("null: all beyond the first thousand.")), **_READERS}),
                "Those with the most clicks first.",
            ),
        },
    )
}
_RECIPIENT_SHOWN = resource(
    "campaign_recipient",
    {
        "id": text("A cursor for pages."),
        "email": text(),
        "email_id": or_null(identifier("em")),
        "status": text("Of the email, or `skipped`."),
        "reason": or_null(text("Why there was no email, or none was tried.")),
        "detail": or_null(text()),
        "at": time("When the turn was."),
        "opens": _COUNT,
        "clicks": _COUNT,
        "opened_at": or_null(time()),
        "clicked_at": or_null(time()),
    },
)
_LOG_ENTRY = resource(
    "campaign_log_entry",
    {
        "id": identifier("ev"),
        "type": text("The type of the event, such as `email.opened`."),
        "at": time(),
        "email": text(),
        "email_id": identifier("em"),
        "url": or_null(text("The link that was followed.")),
        "is_machine": flag("Whether a program did it, and nobody looked."),
        "details": free_form("What else the event tells."),
    },
)
_SHOWN = body(ref("Campaign"))
_SPRING = {
    "name": "Spring",
    "audience_id": "aud_01KJMQ0R00000000000000000A",
    "from": "Shop <shop@example.com>",
    "subject": "Spring is here",
    "html": "<p>Dear {{ name | default: 'friend' }}, look at our shoes.</p>",
    "tracking": {"opens": True, "clicks": True},
}


def _move(description: str) -> Spec:
    return Spec(
        _TAG,
        description,
        answer=_SHOWN,
        errors=(409,),
        is_idempotent=True,
    )


_SEND = Spec(
    _TAG,
    "It starts at once, or at `send_at`. Members who are subscribed when it starts, and still are"
    " when their turn comes, get it.",
    request=body(wish({}, {"send_at": SEND_AT})),
    needs_body=False,
    answer=_SHOWN,
    errors=(409,),
    is_idempotent=True,
    examples={"Now": {}},
)
SPECS: Mapping[str, Spec] = {
    "POST /v1/campaigns": Spec(
        _TAG,
        "A draft; nothing goes out before it is sent. Give audience_id or recipients; template, or"
        " html and text. Texts are Liquid, filled for each recipient with what is known of it.",
        request=body(wish({"name": _NAME}, _CONTENT)),
        answer=_SHOWN,
        is_idempotent=True,
        examples={
            "To an audience": _SPRING,
            "To some people": {
                "name": "Partners",
                "recipients": [
                    "ant@example.net",
                    {"email": "bee@example.net", "variables": {"city": "Rome"}},
                ],
                "from": "shop@example.com",
                "subject": "Hello",
                "text": "Hello from {{ city | default: 'here' }}",
            },
        },
    ),
    "GET /v1/campaigns": Spec(
        _TAG,
        "Newest first.",
        parameters=(*PAGE, TOTAL, query("status", "Only of this status.", one_of(STATUSES))),
        answer=listing(ref("Campaign"), total=number("Asked for with include=total.")),
    ),
    "GET /v1/campaigns/{id}": Spec(_TAG, answer=_SHOWN),
    "PATCH /v1/campaigns/{id}": Spec(
        _TAG,
        "What is given changes, while it is a draft, scheduled or paused. Once it has started, whom"
        " it goes to stays.",
        request=body(wish({}, {"name": _NAME, **_CONTENT})),
        answer=_SHOWN,
        errors=(409,),
        examples={"Another subject": {"subject": "Spring is here at last"}},
    ),
    "DELETE /v1/campaigns/{id}": Spec(
        _TAG,
        "With its figures; its emails stay. Not while it is scheduled or sending. Doing it again"
        " succeeds too.",
        answer=deleted("campaign"),
        errors=(409,),
    ),
    "POST /v1/campaigns/{id}/send": _SEND,
    "POST /v1/campaigns/{id}/launch": _SEND,
    "POST /v1/campaigns/{id}/run": _SEND,
    "POST /v1/campaigns/{id}/pause": _move(
        "Nobody has a turn, and what is queued is held, until it is resumed."
    ),
    "POST /v1/campaigns/{id}/resume": _move(
        "It goes on where it paused. After an automatic pause it does not pause itself again."
    ),
    "POST /v1/campaigns/{id}/cancel": _move("What is queued is canceled too."),
    "GET /v1/campaigns/{id}/stats": Spec(
        _TAG, "From counters: what is in the journal counts.", answer=body(ref("CampaignStats"))
    ),
    "GET /v1/campaigns/{id}/recipients": Spec(
        _TAG,
        "The last ones first. Those who were skipped, with the reason, are a list of their own.",
        parameters=(*PAGE, TOTAL, query("status", "Those who were skipped.", one_of(["skipped"]))),
        answer=listing(_RECIPIENT_SHOWN, total=number("Asked for with include=total.")),
    ),
    "GET /v1/campaigns/{id}/logs/{log}": Spec(
        _TAG,
        "Oldest first. All of it as CSV with `Accept: text/csv` or format=csv.",
        parameters=(LIMIT, AFTER, NUMBERED, TOTAL, _FORMAT),
        answer={**listing(_LOG_ENTRY, total=number("Asked for.")), CSV: text("A row an event.")},
    ),
    "POST /v1/campaigns/{id}/test": Spec(
        _TAG,
        "Filled with what is known of the first recipient; counts nowhere.",
        request=body(
            wish({"to": MAILBOXES}, {"variables": free_form("In place of what is known.")})
        ),
        answer=body(
            resource(
                "campaign_test",
                {
                    "id": identifier("cmp"),
                    "emails": array(given({"id": identifier("em"), "to": text()})),
                },
            )
        ),
        is_idempotent=True,
        examples={"To me": {"to": ["shop@example.com"]}},
    ),
}
