"""Shapes of emails: as they come in, and as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.payload import (
    MAX_ATTACHMENTS,
    MAX_HEADER_VALUE,
    MAX_HEADERS,
    MAX_NAME,
    MAX_RECIPIENTS,
    MAX_SUBJECT,
    MAX_TAG,
    MAX_TAGS,
)
from control_api.schemas.base import (
    Schema,
    array,
    counts,
    flag,
    free_form,
    given,
    identifier,
    number,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)
from mta.core.bounce import BounceClass
from mta.core.event import EventKind
from mta.core.explain import Constraint
from mta.core.unsubscribe import MAX_SCOPE, MAX_URL

MESSAGE = "message/rfc822"
STATUSES = (
    "queued",
    "scheduled",
    "deferred",
    "delivered",
    "bounced",
    "expired",
    "canceled",
    "suppressed",
    "partial",
)
MAILBOX = ref("Mailbox")
MAILBOXES = ref("Mailboxes")
TAGS: Schema = {
    "anyOf": [
        array(
            wish(
                {"name": text(minLength=1, maxLength=MAX_TAG)}, {"value": text(maxLength=MAX_TAG)}
            ),
            maxItems=MAX_TAGS,
        ),
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"], "maxLength": MAX_TAG},
            "maxProperties": MAX_TAGS,
        },
    ],
    "description": "Names and values to find and count emails by; events carry them.",
}
METADATA = free_form("Anything of the app's own; events carry it, nobody looks at it.")
SEND_AT = text(
    "When to send: RFC 3339 with an offset, at most 30 days ahead, or `in 5 minutes`, `in 2 hours`,"
    " `in 3 days`."
)
SCHEDULED_AT = text("The same as `send_at`.")
PRIORITY = one_of(["transactional", "bulk"], "Bulk mail lets transactional mail pass.")
_ATTACHMENT: Schema = wish(
    {
        "content": {
            "anyOf": [
                text("The file in base64."),
                array(number(minimum=0, maximum=255), "The file, octet by octet."),
            ]
        }
    },
    {
        "filename": text("Required unless there is a `content_id`.", maxLength=MAX_NAME),
        "content_type": text("Guessed from the name unless given.", maxLength=MAX_NAME),
        "content_id": text("The name by which the HTML refers to it: `cid:...`."),
        "disposition": one_of(["attachment", "inline"]),
    },
)
_UNSUBSCRIBE: Schema = {
    "anyOf": [
        flag("By the page of this server, of all that the tenant sends."),
        wish(
            {},
            {
                "url": text("A page of the app's own.", maxLength=MAX_URL),
                "audience_id": text("Of this list only.", maxLength=MAX_SCOPE),
                "one_click": flag("Whether the page acts on the POST of RFC 8058."),
            },
        ),
    ],
    "description": "Writes List-Unsubscribe and, with one click, List-Unsubscribe-Post.",
}
TRACKING: Schema = {
    "anyOf": [
        flag("Both."),
        wish(
            {},
            {
                "opens": flag("Add an image to the HTML and count who fetches it."),
                "clicks": flag("Lead the links of the HTML over this server and count clicks."),
            },
        ),
    ],
    "description": "What is noted of those who read the HTML; nothing unless asked for.",
}
TEMPLATE = wish(
    {"id": text("Of a template with a published version.", minLength=1, maxLength=64)},
    {"variables": free_form("What it is filled with.")},
)
NEW_EMAIL: Schema = wish(
    {"from": MAILBOX, "to": MAILBOXES},
    {
        "cc": MAILBOXES,
        "bcc": MAILBOXES,
        "reply_to": MAILBOXES,
        "subject": text(maxLength=MAX_SUBJECT),
        "html": text("HTML; `text`, `html`, both or a `template` are needed."),
        "text": text("Plain text."),
        "template": TEMPLATE,
        "headers": {
            "type": "object",
            "description": "Further header fields by name.",
            "additionalProperties": {"type": ["string", "null"], "maxLength": MAX_HEADER_VALUE},
            "maxProperties": MAX_HEADERS,
        },
        "attachments": array(_ATTACHMENT, maxItems=MAX_ATTACHMENTS),
        "tags": TAGS,
        "metadata": METADATA,
        "send_at": SEND_AT,
        "scheduled_at": SCHEDULED_AT,
        "priority": PRIORITY,
        "unsubscribe": _UNSUBSCRIBE,
        "tracking": TRACKING,
        "test": flag("Goes to the sandbox, as all mail of a test key does."),
    },
)
RAW_EMAIL: Schema = wish(
    {"raw": text("The message, as text or in base64.", minLength=1)},
    {
        "mail_from": text("Return path; empty for none. Chosen by the server unless given."),
        "rcpt_to": array(text(), "Recipients; those of To, Cc and Bcc unless given."),
        "tags": TAGS,
        "metadata": METADATA,
        "send_at": SEND_AT,
        "scheduled_at": SCHEDULED_AT,
        "priority": PRIORITY,
    },
)
ID = identifier("em")
EXAMPLE_ID = "em_01KJMQ0R00000000000000000E"
MESSAGE_ID = "<01KJMQ0R00000000000000000E@example.com>"
AT = "2026-03-01T12:00:00.000Z"
_SUMMARY: Mapping[str, Schema] = {
    "id": ID,
    "from": text(),
    "to": array(text()),
    "cc": array(text()),
    "bcc": array(text()),
    "reply_to": array(text()),
    "subject": text(),
    "status": one_of(STATUSES, "`partial`: recipients fared differently."),
    "created_at": time(),
    "send_at": or_null(time("When it is to be sent; null: at once.")),
    "settled_at": or_null(time("When the last recipient was done with.")),
    "message_id": text("Of the Message-ID header field."),
    "size": number("Bytes."),
    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    "metadata": METADATA,
    "batch_id": or_null(identifier("bt")),
    "campaign_id": or_null(identifier("cmp")),
    "opens": number("Openings by people.", minimum=0),
    "clicks": number("Clicks by people.", minimum=0),
}
_EXAMPLE: Mapping[str, Any] = {
    "object": "email",
    "id": EXAMPLE_ID,
    "from": "Shop <shop@example.com>",
    "to": ["ant@example.net"],
    "cc": [],
    "bcc": [],
    "reply_to": [],
    "subject": "Your order",
    "status": "delivered",
    "created_at": AT,
    "send_at": None,
    "settled_at": "2026-03-01T12:00:01.400Z",
    "message_id": MESSAGE_ID,
    "size": 1822,
    "tags": {"kind": "invoice"},
    "metadata": {"order": 1007},
    "batch_id": None,
    "campaign_id": None,
    "opens": 1,
    "clicks": 0,
}
_CLASS = or_null(one_of([one.value for one in BounceClass], "What kind of refusal it is."))
COMPONENTS: Mapping[str, Schema] = {
    "Mailbox": {
        "anyOf": [
            text("`ant@example.com`, or `Ant <ant@example.com>`."),
            wish({"email": text()}, {"name": text(maxLength=MAX_NAME)}),
        ],
        "description": "`ant@example.com`, `Ant <ant@example.com>`, or an object.",
    },
    "Mailboxes": {
        "anyOf": [MAILBOX, array(MAILBOX, maxItems=MAX_RECIPIENTS)],
        "description": "One mailbox, or several.",
    },
    "NewEmail": NEW_EMAIL,
    "SentEmail": resource(
        "email",
        {
            "id": ID,
            "status": one_of(["queued", "scheduled", "suppressed"]),
            "queued_at": time(),
            "message_id": text("Of the Message-ID header field."),
        },
        {"id": EXAMPLE_ID, "status": "queued", "queued_at": AT, "message_id": MESSAGE_ID},
    ),
    "EmailSummary": resource("email", _SUMMARY, _EXAMPLE),
    "Email": resource(
        "email",
        {
            **_SUMMARY,
            "counts": counts("Recipients by status."),
            "has_content": flag("Whether the server still keeps the message."),
            "recipients": array(ref("Recipient")),
            "events": array(ref("Event"), "The first 1000."),
        },
    ),
    "Recipient": given(
        {
            "id": identifier("dl"),
            "address": text(),
            "status": text("As of the email; also `waiting`, `claimed` and `held`."),
            "attempts": number(),
            "due_at": or_null(time("When it is tried next.")),
            "why": or_null(text("Why it waits.")),
            "code": or_null(number("Of the last reply.")),
            "enhanced": or_null(text("Enhanced status of the last reply (RFC 3463).")),
            "reply": or_null(text("Text of the last reply.")),
            "class": _CLASS,
            "host": or_null(text("The server that was spoken to last.")),
            "reported": array(one_of(["bounced", "complained"]), "What came back later."),
            "engagement": ref("Engagement"),
            "explain": or_null(ref("Explanation")),
        },
    ),
    "Engagement": given(
        {
            "opens": number("By persons, as far as can be told."),
            "clicks": number("By persons, as far as can be told."),
            "machine_opens": number("By mail programs and filters."),
            "machine_clicks": number("By mail programs and filters."),
            "first_opened_at": or_null(time("By a person.")),
            "first_clicked_at": or_null(time("By a person.")),
        },
    ),
    "Explanation": given(
        {
            "constraint": one_of([one.value for one in Constraint]),
            "sentence": text("The same for people."),
            "until": or_null(time("When it is tried at the earliest; null: not known.")),
        },
        {
            "constraint": "retry",
            "sentence": "Attempt 1 failed for now: 451 4.7.1 greylisted; the next one follows.",
            "until": "2026-03-01T12:05:00.000Z",
        },
    ),
    "Event": resource(
        "event",
        {
            "id": identifier("ev"),
            "type": text("As webhooks have it, such as `email.delivered`."),
            "kind": one_of([one.value for one in EventKind], "As the journal has it."),
            "at": time(),
            "recipient": text(),
            "recipient_id": text("Id in `recipients`."),
            "data": free_form("What is peculiar to it; see `GET /v1/event-types`."),
        },
    ),
    "Delivery": resource(
        "delivery",
        {
            "id": identifier("ev"),
            "recipient": text(),
            "recipient_id": identifier("dl"),
            "attempt": number("1 for the first."),
            "result": one_of(["delivered", "deferred", "bounced", "expired", "canceled"]),
            "started_at": or_null(time()),
            "duration_ms": or_null(number()),
            "host": or_null(text("Name of the server.")),
            "address": or_null(text("Its IP address.")),
            "tls": or_null(given({"version": text(), "cipher": text()})),
            "command": or_null(text("The step of the dialogue that the reply answered.")),
            "stage": or_null(text("Where it broke off without a reply.")),
            "code": or_null(number()),
            "enhanced": or_null(text()),
            "text": or_null(text("What the server said.")),
            "class": _CLASS,
            "why": or_null(text("Why it was deferred.")),
            "next_attempt_at": or_null(time()),
        },
        {
            "id": "ev_01KJMQ0R000000000000000007",
            "recipient": "ant@example.net",
            "recipient_id": "dl_01KJMQ0R00000000000000000R",
            "attempt": 1,
            "result": "delivered",
            "started_at": "2026-03-01T12:00:00.010Z",
            "duration_ms": 1400,
            "host": "mx.example.net",
            "address": "192.0.2.25",
            "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
            "command": "end_of_data",
            "stage": None,
            "code": 250,
            "enhanced": "2.0.0",
            "text": "queued as 4X1234",
            "class": None,
            "why": None,
            "next_attempt_at": None,
        },
    ),
    "Batch": resource(
        "batch",
        {
            "id": identifier("bt"),
            "created_at": time(),
            "total": number("Emails."),
            "recipients": number(),
            "statuses": counts("Emails by status."),
            "canceled": number("Recipients that this request has canceled."),
        },
        sometimes=("canceled",),
    ),
}
