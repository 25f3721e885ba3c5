"""Emails and batches: sending, reading back, changing one's mind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.schemas.base import (
    DOMAIN,
    JSON,
    LIMIT,
    NUMBERED,
    PAGE,
    SINCE,
    TAG,
    TAG_VALUE,
    TOTAL,
    UNTIL,
    Parameter,
    Schema,
    Spec,
    array,
    body,
    flag,
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
from control_api.schemas.email_shapes import (
    ID,
    MESSAGE,
    RAW_EMAIL,
    SCHEDULED_AT,
    SEND_AT,
    STATUSES,
)

_TAG = "Emails"
_SENT = body(ref("SentEmail"))
_ORDER: Mapping[str, Any] = {
    "from": "Shop <shop@example.com>",
    "to": ["ant@example.net"],
    "subject": "Your order",
    "html": "<p>Thank you.</p>",
    "text": "Thank you.",
    "tags": [{"name": "kind", "value": "invoice"}],
    "metadata": {"order": 1007},
}
_SEND = Spec(
    _TAG,
    "Answers once the email is on the disk. A suppressed recipient becomes an event of the email, "
    "not an error.",
    request=body(ref("NewEmail")),
    answer=_SENT,
    errors=(403, 409),
    is_idempotent=True,
    examples={
        "An email": _ORDER,
        "From a template": {
            "from": "shop@example.com",
            "to": "ant@example.net",
            "template": {
                "id": "tpl_01KJMQ0R000000000000000001",
                "variables": {"number": 1007},
            },
        },
        "With everything": {
            "from": {"email": "shop@example.com", "name": "Shop"},
            "to": [{"email": "ant@example.net"}, "Bee <bee@example.org>"],
            "cc": "camel@example.net",
            "bcc": [],
            "reply_to": "help@example.com",
            "subject": "Your order",
            "text": "Thank you.",
            "headers": {"X-Campaign": "spring"},
            "attachments": [
                {
                    "filename": "invoice.txt",
                    "content": "SGVsbG8=",
                    "content_type": "text/plain",
                    "disposition": "attachment",
                },
                {"content_id": "logo", "content": [71, 73, 70], "content_type": "image/gif"},
            ],
            "tags": {"kind": "invoice"},
            "metadata": {"order": 1007},
            "send_at": "in 2 hours",
            "priority": "bulk",
            "unsubscribe": {"url": "https://shop.example.com/out", "one_click": True},
        },
    },
)
_BATCH_LINE: Mapping[str, Schema] = {
    "index": number("Place in the request, from 0."),
    "id": ID,
    "to": array(text()),
    "status": one_of(["queued", "scheduled", "suppressed"]),
    "queued_at": time(),
    "message_id": text(),
}
_OLDEST_FIRST = (LIMIT, query("after", "Go on behind the event with this id."), NUMBERED)
_NEXT = or_null(text("The cursor for the next page; null at the end."))
_ADDRESSED: tuple[Parameter, ...] = (
    query("status", "Only with this status.", one_of(STATUSES)),
    query("to", "Only to this address."),
    query("from", "Only from this address."),
    DOMAIN,
    TAG,
    TAG_VALUE,
    query("batch_id", "Only of this batch."),
    query("campaign_id", "Only of this campaign."),
    SINCE,
    UNTIL,
    query("q", "Only with this text in subject or recipients."),
)
_IDENTIFIED: Mapping[str, Schema] = {"id": text("May repeat the id in the path.")}
SPECS: Mapping[str, Spec] = {
    "POST /v1/emails": _SEND,
    "POST /v1/emails/send": _SEND,
    "GET /v1/emails": Spec(
        _TAG,
        "Newest first. A page may be empty although the list goes on: `next` tells.",
        parameters=(*PAGE, TOTAL, *_ADDRESSED),
        answer=listing(
            ref("EmailSummary"),
            next=_NEXT,
            total=number("With `include=total`."),
            total_is_exact=flag("Whether it was counted to the end."),
        ),
    ),
    "POST /v1/emails/raw": Spec(
        _TAG,
        "As JSON, or as the message itself; what JSON would say is then in the query.",
        request={JSON: RAW_EMAIL, MESSAGE: text("The message (RFC 5322).")},
        answer=_SENT,
        errors=(403, 409),
        is_idempotent=True,
        parameters=(
            query("mail_from", "Return path, with a message/rfc822 body."),
            Parameter("rcpt_to", "Recipients, with a message/rfc822 body.", array(text())),
            query("send_at", "As in JSON."),
            query("scheduled_at", "As in JSON."),
            query("priority", "As in JSON.", one_of(["transactional", "bulk"])),
        ),
        examples={
            "A message": {
                "mail_from": "bounces@example.com",
                "rcpt_to": ["ant@example.net"],
                "raw": "From: shop@example.com\r\nTo: ant@example.net\r\n"
                "Subject: Your order\r\n\r\nThank you.\r\n",
            }
        },
    ),
    "POST /v1/emails/batch": Spec(
        _TAG,
        "Up to 1000 emails with up to 10000 recipients in all. Strict is all or nothing; permissive"
        " accepts what can be accepted and lists the rest in `errors`.",
        request=body(
            {
                "anyOf": [
                    array(ref("NewEmail"), minItems=1, maxItems=1000),
                    wish({"emails": array(ref("NewEmail"), minItems=1, maxItems=1000)}),
                ]
            }
        ),
        answer=body(
            resource(
                "batch",
                {
                    "id": identifier("bt"),
                    "data": array(given(_BATCH_LINE)),
                    "errors": array(
                        given(
                            {
                                "index": number(),
                                "code": text(),
                                "message": text(),
                                "errors": array(ref("FieldError")),
                            }
                        )
                    ),
                    "total": number(),
                    "sent": number(),
                    "failed": number(),
                },
            )
        ),
        parameters=(
            Parameter(
                "X-Batch-Validation",
                "`strict` unless given.",
                one_of(["strict", "permissive"]),
                "header",
            ),
        ),
        errors=(403, 409),
        is_idempotent=True,
        examples={"Two emails": [_ORDER, {**_ORDER, "to": "bee@example.org"}]},
    ),
    "GET /v1/emails/{id}": Spec(_TAG, answer=body(ref("Email"))),
    "PATCH /v1/emails/{id}": Spec(
        _TAG,
        "While it is scheduled; a time that has passed is now.",
        request=body(wish({}, {"send_at": SEND_AT, "scheduled_at": SCHEDULED_AT, **_IDENTIFIED})),
        answer=body(ref("Email")),
        errors=(409,),
        is_idempotent=True,
        examples={"In an hour": {"send_at": "in 1 hour"}},
    ),
    "GET /v1/emails/{id}/events": Spec(
        _TAG,
        "Oldest first.",
        parameters=_OLDEST_FIRST,
        answer=listing(ref("Event"), next=_NEXT),
    ),
    "GET /v1/emails/{id}/deliveries": Spec(
        _TAG,
        "Every attempt, oldest first.",
        parameters=_OLDEST_FIRST,
        answer=listing(ref("Delivery"), next=_NEXT),
    ),
    "GET /v1/emails/{id}/content": Spec(
        _TAG,
        "410 once the server no longer keeps it.",
        errors=(410,),
        answer=body(
            resource(
                "email_content",
                {
                    "id": ID,
                    "headers": array(given({"name": text(), "value": text()})),
                    "html": or_null(text()),
                    "text": or_null(text()),
                    "attachments": array(
                        given(
                            {
                                "filename": or_null(text()),
                                "content_type": text(),
                                "disposition": or_null(text()),
                                "content_id": or_null(text()),
                            }
                        )
                    ),
                    "truncated": flag("Whether there is more than is shown."),
                },
            )
        ),
    ),
    "GET /v1/emails/{id}/raw": Spec(
        _TAG,
        "As it was queued; signatures are added to each delivery. 410 once it is no longer kept.",
        errors=(410,),
        answer={MESSAGE: text("The message (RFC 5322).")},
    ),
    "POST /v1/emails/{id}/cancel": Spec(
        _TAG,
        "For the recipients that still wait.",
        answer=body(ref("Email")),
        errors=(409,),
        is_idempotent=True,
    ),
    "POST /v1/emails/{id}/retry": Spec(
        _TAG,
        "For the recipients that failed, as long as the server keeps the message.",
        request=body(
            wish({}, {"after": text("Not before this time; as `send_at`."), **_IDENTIFIED})
        ),
        needs_body=False,
        answer=body(ref("Email")),
        errors=(409, 410),
        is_idempotent=True,
        examples={"In five minutes": {"after": "in 5 minutes"}},
    ),
    "GET /v1/batches/{id}": Spec(_TAG, answer=body(ref("Batch"))),
    "POST /v1/batches/{id}/cancel": Spec(
        _TAG,
        "What of it still waits.",
        answer=body(ref("Batch")),
        errors=(409,),
        is_idempotent=True,
    ),
}
