"""The bytes of a webhook post, judged by the standard's own library."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from control_api.webhook_message import SECRET_SIZE, body_of, format_secret, headers_of
from mta.core.event import EventKind
from storage.events import JournalEntry

SECRET = format_secret(bytes(range(SECRET_SIZE)))
EVENT = JournalEntry(
    seq=7,
    id="ev_7",
    kind=EventKind.DEFERRED,
    at=datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
    tenant_id=1,
    email_id="em_1",
    message_row=1,
    entry_id="dl_1",
    recipient="böb@example.net",
    data={"attempt": 1, "code": 451, "text": "try later\nplease"},
    tags=(("kind", "invoice"),),
    metadata={"order": 7},
    from_="ant@sender.example",
    subject="Grüße",
    message_id="<em_1@sender.example>",
)


def test_body() -> None:
    assert json.loads(body_of(EVENT)) == {
        "type": "email.delayed",
        "timestamp": "2026-03-01T12:00:00.123Z",
        "data": {
            "email_id": "em_1",
            "message_id": "<em_1@sender.example>",
            "from": "ant@sender.example",
            "to": ["böb@example.net"],
            "recipient": "böb@example.net",
            "recipient_id": "dl_1",
            "subject": "Grüße",
            "tags": {"kind": "invoice"},
            "metadata": {"order": 7},
            "campaign_id": None,
            "details": {"attempt": 1, "code": 451, "text": "try later\nplease"},
        },
    }


def test_mail_of_a_campaign_names_it() -> None:
    event = replace(EVENT, campaign_id="cmp_1")
    assert json.loads(body_of(event))["data"]["campaign_id"] == "cmp_1"


def test_an_event_that_is_not_about_mail_has_its_details_as_data() -> None:
    event = replace(
        EVENT, kind=EventKind.DOMAIN_VERIFIED, email_id="", data={"id": "dom_1", "name": "a.test"}
    )
    assert json.loads(body_of(event)) == {
        "type": "domain.verified",
        "timestamp": "2026-03-01T12:00:00.123Z",
        "data": {"id": "dom_1", "name": "a.test"},
    }


def test_k05_signature_is_the_standards() -> None:
    body = body_of(EVENT)
    headers = headers_of(EVENT.id, datetime.now(UTC), body, [SECRET])
    assert Webhook(SECRET).verify(body, headers)["type"] == "email.delayed"


def test_k05_known_answer() -> None:
    """The vector of the standard's reference libraries."""
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = headers_of(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        at,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_k05_both_secrets_verify_after_a_rotation() -> None:
    body, old = body_of(EVENT), format_secret(bytes(SECRET_SIZE))
    headers = headers_of(EVENT.id, datetime.now(UTC), body, [SECRET, old])
    for secret in (SECRET, old):
        assert Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(format_secret(b"x" * SECRET_SIZE)).verify(body, headers)


@pytest.mark.parametrize(
    "value", ["", "v1", "v1,", "v1,AAAA", "v1a,{}", "v2,{}", "{}"], ids=lambda value: value[:8]
)
def test_k05_truncated_and_foreign_signatures_fail(value: str) -> None:
    body = body_of(EVENT)
    headers = headers_of(EVENT.id, datetime.now(UTC), body, [SECRET])
    signature = headers["webhook-signature"].removeprefix("v1,")
    headers["webhook-signature"] = value.format(signature)
    with pytest.raises((WebhookVerificationError, ValueError)):
        Webhook(SECRET).verify(body, headers)


def test_event_that_is_not_about_mail() -> None:
    event = replace(
        EVENT, kind=EventKind.DOMAIN_VERIFIED, email_id="", data={"name": "example.com"}
    )
    assert json.loads(body_of(event)) == {
        "type": "domain.verified",
        "timestamp": "2026-03-01T12:00:00.123Z",
        "data": {"name": "example.com"},
    }


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret", "age"])
def test_k05_tampering_is_noticed(change: str) -> None:
    body = body_of(EVENT)
    at = datetime.now(UTC) - (timedelta(minutes=6) if change == "age" else timedelta())
    headers = headers_of(EVENT.id, at, body, [SECRET])
    match change:
        case "body":
            body += b" "
        case "id":
            headers["webhook-id"] = "ev_8"
        case "timestamp":
            headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)
    secret = format_secret(bytes(SECRET_SIZE)) if change == "secret" else SECRET
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)
